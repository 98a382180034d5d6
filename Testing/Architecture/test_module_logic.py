"""What Slicer loads: logic that needs no application, no Qt and no torch, and imports before anything is installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from syntax_trees import trees, undocumented

_APPLICATION = ("slicer.app", "slicer.modules", "slicer.mrmlScene")
_LARGEST_FILE = 450

_CHILD = """
import importlib, importlib.abc, pkgutil, sys
import slicer, slicer.util, vtk, vtk.util.numpy_support, numpy, SimpleITK

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {refused}:
            raise ModuleNotFoundError("refused by the test: " + name, name=name)

sys.meta_path.insert(0, Refuse())
for name in ("BARLSegmentLib.logic", "BARLTrainerLib.logic"):
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""
_NOT_THERE_YET = {
    "torch",
    "monai",
    "qt",
    "ctk",
    "slicerio",
    "nrrd",
    "skimage",
    "cc3d",
    "edt",
    "typer",
    "rich",
    "psutil",
    "PIL",
}


@pytest.fixture(params=["BARLSegment", "BARLTrainer"])
def logic(request: pytest.FixtureRequest, repository: Path) -> Path:
    """The folder of a module's logic."""
    return repository / request.param / f"{request.param}Lib" / "logic"


def test_logic_takes_scene_and_services_as_arguments(logic: Path) -> None:
    used = [
        f"{path.name}: {ast.unparse(node)}"
        for path, tree in trees(logic)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in _APPLICATION
    ]

    assert used == []


def test_everything_public_has_a_docstring(logic: Path) -> None:
    missing = [f"{path.name}: {name}" for path, tree in trees(logic) for name in undocumented(tree)]

    assert missing == []


def test_no_file_has_grown_into_a_monolith(logic: Path) -> None:
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path, _ in trees(logic)}

    assert {name: length for name, length in lengths.items() if length > _LARGEST_FILE} == {}


def test_logic_is_imported_before_anything_is_installed(repository: Path) -> None:
    pytest.importorskip("slicer")
    paths = ":".join(str(repository / name) for name in ("BARLTrainer", "BARLSegment"))

    child = subprocess.run(
        [sys.executable, "-c", _CHILD.format(refused=_NOT_THERE_YET)],
        env={"PYTHONPATH": paths, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert child.returncode == 0, child.stderr[-2000:]
