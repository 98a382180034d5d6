"""Rules of the house that a syntax tree shows."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from syntax_trees import calls, imported_packages, texts, trees, undocumented

_INSTALLED_AS = {
    "PIL": "pillow",
    "cc3d": "connected-components-3d",
    "nrrd": "pynrrd",
    "skimage": "scikit-image",
    "SimpleITK": "simpleitk",
}
_LARGEST_FILE = 500
_COMMAND_LINE = re.compile(
    r"\bbarl (?:demo|cohort|train|predict|evaluate|simulate|jobs|methods|doctor)\b"
    r"|(?<!torchrun )(?<!var\()(?<=[\s(])--[a-z]+(?![\w-]*:)"
)
_SLICER_FILE_SCOPE = {
    "slicer",
    "vtk",
    "qt",
    "ctk",
    "numpy",
    "scipy",
    "SimpleITK",
    "BARLSegmentLib",
    "BARLTrainerLib",
    "barl",
}


def test_the_package_itself_imports_nothing(engine: Path) -> None:
    tree = ast.parse((engine / "__init__.py").read_text(encoding="utf-8"))

    assert imported_packages(tree) == set()


def test_only_the_command_line_prints(engine: Path) -> None:
    printing = [path.name for path, tree in trees(engine) if "cli" not in path.parts and "print" in set(calls(tree))]

    assert printing == []


def test_only_the_command_line_speaks_of_its_commands_and_options(engine: Path) -> None:
    """Slicer shows the messages of everything else, and whoever reads them there has no command line."""
    speaking = [
        f"{path.relative_to(engine)}: {text}"
        for path, tree in trees(engine)
        if "cli" not in path.parts
        for text in texts(tree)
        if _COMMAND_LINE.search(text)
    ]

    assert speaking == []


def test_logging_is_never_configured_on_import(engine: Path) -> None:
    configuring = [
        path.name
        for path, tree in trees(engine)
        for statement in tree.body
        if isinstance(statement, ast.Expr) and "logging.basicConfig" in set(calls(statement))
    ]

    assert configuring == []


def test_everything_public_has_a_docstring(engine: Path) -> None:
    missing = [f"{path.relative_to(engine)}: {name}" for path, tree in trees(engine) for name in undocumented(tree)]

    assert missing == []


def test_no_file_has_grown_into_a_monolith(engine: Path) -> None:
    lengths = {
        path.relative_to(engine).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path, _ in trees(engine)
    }

    assert {name: length for name, length in lengths.items() if length > _LARGEST_FILE} == {}


def test_every_imported_package_is_a_declared_dependency(
    engine: Path, metadata: dict[str, dict[str, list[str]]]
) -> None:
    declared = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in metadata["project"]["dependencies"]}
    imported = set().union(*(imported_packages(tree) for _, tree in trees(engine)))

    third_party = imported - set(sys.stdlib_module_names) - {"barl"}

    assert {_INSTALLED_AS.get(name, name).lower() for name in third_party} <= declared


def test_files_that_slicer_loads_by_path_import_only_what_slicer_has(lone_modules: list[Path]) -> None:
    for path in lone_modules:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        refused = imported_packages(tree) & {"torch", "monai"}
        at_file_scope = {
            name
            for statement in tree.body
            if isinstance(statement, ast.Import | ast.ImportFrom)
            for name in imported_packages(statement)
        }
        assert refused == set(), path
        assert at_file_scope - set(sys.stdlib_module_names) - _SLICER_FILE_SCOPE == set(), path
