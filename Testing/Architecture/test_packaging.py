"""The package holds what the sources hold, and the index of extensions can read its entry."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from module_files import MODULES, listed, resources, scripts
from PIL import Image

REPOSITORY_URL = "https://github.com/SlicerBARL/SlicerBARL"


@pytest.fixture
def facts(repository: Path) -> dict[str, Any]:
    """What Slicer's build macros and the index accept."""
    return json.loads((repository / "Testing/Panels/api_facts.json").read_text(encoding="utf-8"))["cmake"]


@pytest.fixture
def index_entry(repository: Path) -> dict[str, Any]:
    """BARL.json."""
    return json.loads((repository / "BARL.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES)
def test_every_python_file_is_packaged(repository: Path, module: str) -> None:
    cmake = (repository / module / "CMakeLists.txt").read_text(encoding="utf-8")

    assert listed(cmake, "MODULE_PYTHON_SCRIPTS") == scripts(module)


@pytest.mark.parametrize("module", MODULES)
def test_every_other_file_is_packaged(repository: Path, module: str) -> None:
    cmake = (repository / module / "CMakeLists.txt").read_text(encoding="utf-8")

    assert listed(cmake, "MODULE_PYTHON_RESOURCES") == resources(module)


@pytest.mark.parametrize("module", MODULES)
def test_no_file_of_two_modules_lands_in_one_place(repository: Path, module: str) -> None:
    others = [path for other in MODULES if other != module for path in scripts(other) + resources(other)]

    assert set(scripts(module) + resources(module)) & set(others) == set()


def test_a_forgotten_file_would_be_noticed(tmp_path: Path) -> None:
    package = tmp_path / "BARLSegment" / "BARLSegmentLib"
    package.mkdir(parents=True)
    (package / "Forgotten.py").touch()
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "Forgotten.pyc").touch()

    assert scripts("BARLSegment", tmp_path) == ["BARLSegment.py", "BARLSegmentLib/Forgotten.py"]
    assert resources("BARLSegment", tmp_path) == []


@pytest.mark.parametrize("module", MODULES)
def test_both_modules_are_built(repository: Path, module: str) -> None:
    assert f"add_subdirectory({module})" in (repository / "CMakeLists.txt").read_text(encoding="utf-8")


def test_macros_get_keywords_they_know(repository: Path, facts: dict[str, Any]) -> None:
    for path in [*repository.glob("BARL*/CMakeLists.txt"), *repository.glob("BARL*/Testing/**/CMakeLists.txt")]:
        for macro, arguments in re.findall(r"^(slicer\w+)\((.*?)\)", path.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            known = facts["macros"][macro]
            allowed = {*known["options"], *known["one_value"], *known["multi_value"]}
            words = set(re.findall(r"(?<![\w{/.])[A-Z][A-Z_]{3,}(?![\w}])", arguments))
            assert words <= allowed, (path, macro)


def test_the_tests_inside_slicer_are_there(repository: Path) -> None:
    for module in MODULES:
        cmake = (repository / module / "Testing/Python/CMakeLists.txt").read_text(encoding="utf-8")
        named = re.findall(r"slicer_add_python_unittest\(SCRIPT (\S+)\)", cmake)
        there = sorted(path.name for path in (repository / module / "Testing/Python").glob("*.py"))
        assert named == there


@pytest.mark.parametrize(
    "icon", ["Resources/Icons/BARL", *(f"{module}/Resources/Icons/{module}" for module in MODULES)]
)
def test_icons_are_drawn_from_their_sources(repository: Path, icon: str) -> None:
    ElementTree.parse(repository / f"{icon}.svg")
    with Image.open(repository / f"{icon}.png") as image:
        assert (image.size, image.mode) == ((128, 128), "RGBA")


def test_the_index_entry_fits_its_schema(index_entry: dict[str, Any], facts: dict[str, Any]) -> None:
    schema = facts["catalog"]

    assert index_entry["$schema"] == schema["id"]
    assert set(schema["required"]) <= set(index_entry) <= set(schema["fields"])
    assert index_entry["category"] in facts["categories"]
    assert schema["fields"]["tier"]["minimum"] <= index_entry["tier"] <= schema["fields"]["tier"]["maximum"]


def test_the_index_entry_and_the_build_say_the_same(index_entry: dict[str, Any], repository: Path) -> None:
    cmake = (repository / "CMakeLists.txt").read_text(encoding="utf-8")

    assert f'set(EXTENSION_CATEGORY "{index_entry["category"]}")' in cmake
    assert f'set(EXTENSION_DEPENDS "{" ".join(index_entry["build_dependencies"])}")' in cmake
    assert index_entry["scm_url"] == f"{REPOSITORY_URL}.git"


def test_the_repository_has_a_name_that_the_index_accepts(index_entry: dict[str, Any]) -> None:
    name = index_entry["scm_url"].rsplit("/", 1)[-1].removesuffix(".git")

    assert re.match(r"Slicer(Extension)?[-_]?[A-Z]", name)


def test_the_index_entry_has_unix_line_ends(repository: Path) -> None:
    assert b"\r" not in (repository / "BARL.json").read_bytes()


def test_pictures_of_the_extension_are_in_the_repository(repository: Path) -> None:
    cmake = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    urls = re.findall(r"https://raw\.githubusercontent\.com/\S+?/main/([^\s\"]+)", cmake)

    assert urls
    assert [url for url in urls if not (repository / url).is_file()] == []


def test_screenshots_and_icons_are_under_version_control(repository: Path) -> None:
    answer = subprocess.run(["git", "check-ignore", "Resources/Icons/BARL.png"], cwd=repository, capture_output=True)

    assert answer.returncode == 1


@pytest.mark.parametrize("module", MODULES)
def test_every_ui_file_is_well_formed_and_its_texts_are_translatable(repository: Path, module: str) -> None:
    for path in (repository / module / "Resources/UI").glob("*.ui"):
        root = ElementTree.parse(path).getroot()
        assert [
            each.text for each in root.iter("string") if each.get("notr") == "true" and " " in (each.text or "")
        ] == []


@pytest.mark.parametrize("module", MODULES)
def test_nothing_in_a_module_uses_what_python_3_12_took_away(repository: Path, module: str) -> None:
    gone = re.compile(r"^\s*(import|from) (imp|distutils|asynchat|asyncore)\b", re.MULTILINE)
    folders = [repository / module / f"{module}Lib", repository / module / "Testing"]
    files = [repository / module / f"{module}.py", *(path for folder in folders for path in folder.rglob("*.py"))]

    assert [path.name for path in files if gone.search(path.read_text(encoding="utf-8"))] == []
