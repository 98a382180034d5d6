"""What the index of extensions asks of CMakeLists.txt, and that the repository keeps its own promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import barl


@pytest.fixture
def cmake(repository: Path) -> str:
    return (repository / "CMakeLists.txt").read_text(encoding="utf-8")


def test_the_project_has_the_name_of_the_extension(cmake: str) -> None:
    assert re.findall(r"^project\((\w+)\)", cmake, re.MULTILINE) == ["BARL"]


@pytest.mark.parametrize(
    "field", ["HOMEPAGE", "CATEGORY", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"]
)
def test_every_field_of_the_index_is_filled_on_one_line(cmake: str, field: str) -> None:
    assert len(re.findall(rf'^set\(EXTENSION_{field} "[^"\n]+"\)$', cmake, re.MULTILINE)) == 1


def test_torch_comes_through_the_pytorch_extension(cmake: str) -> None:
    assert 'set(EXTENSION_DEPENDS "PyTorch")' in cmake


def test_the_steps_come_in_the_order_slicer_needs(cmake: str) -> None:
    steps = ["project(BARL)", "find_package(Slicer REQUIRED)", "include(${Slicer_USE_FILE})", "## NEXT_MODULE"]
    steps += ["include(${Slicer_EXTENSION_GENERATE_CONFIG})", "include(${Slicer_EXTENSION_CPACK})"]
    positions = [cmake.find(step) for step in steps]

    assert -1 not in positions
    assert positions == sorted(positions)


def test_each_added_folder_holds_a_module(cmake: str, repository: Path) -> None:
    for folder in re.findall(r"^add_subdirectory\((\w+)\)", cmake, re.MULTILINE):
        assert (repository / folder / "CMakeLists.txt").exists(), folder
        assert (repository / folder / f"{folder}.py").exists(), folder


def test_the_citation_names_the_version(repository: Path) -> None:
    assert f'version: "{barl.__version__}"' in (repository / "CITATION.cff").read_text(encoding="utf-8")
