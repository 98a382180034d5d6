"""Training, monitor, predictions, overlay and review work before anything is installed into Slicer's Python."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

LOGIC = Path(__file__).parents[2] / "BARLSegment" / "BARLSegmentLib" / "logic"
OURS = ("TrainLogic", "JobProcesses", "MonitorLogic", "ResultLogic", "OverlayLogic", "ReviewLogic")

_CHILD = """
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ModuleNotFoundError("refused by the test: " + name, name=name)

sys.meta_path.insert(0, Refuse())
sys.path[:0] = {paths}
for name in {modules}:
    importlib.import_module("BARLSegmentLib.logic." + name)
"""
_REFUSED = ("torch", "monai", "qt", "ctk", "PythonQt", "PySide6", "slicerio", "nrrd", "skimage", "cc3d")


def test_only_what_slicer_brings_is_imported() -> None:
    paths = [str(LOGIC.parents[1]), str(LOGIC.parents[2] / "BARLTrainer")]
    code = _CHILD.format(refused=_REFUSED, paths=paths, modules=OURS)

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert answer.returncode == 0, answer.stderr


def test_no_logic_reaches_for_the_application() -> None:
    """Scene and services are arguments, so that tests and a web page can bring their own."""
    reached = [
        f"{path.name}:{node.lineno} slicer.{node.attr}"
        for path in sorted(LOGIC.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "slicer"
        and node.attr in {"app", "modules", "mrmlScene"}
    ]

    assert reached == []
