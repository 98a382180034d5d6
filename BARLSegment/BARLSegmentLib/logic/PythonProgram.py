"""The Python that works for Slicer outside its own process."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import barl
from barl.jobs import launch


def pythonProgram() -> str:
    """``PythonSlicer`` where there is one, for ``sys.executable`` may be Slicer itself; else the Python that runs."""
    return shutil.which("PythonSlicer") or sys.executable


def withBarl(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with which a Python finds the BARL that runs here, which no pip has installed."""
    here = str(Path(barl.__file__).parents[1])
    known = environment.get("PYTHONPATH", "").split(os.pathsep)
    paths = os.pathsep.join([here, *(path for path in known if path and path != here)])
    return dict(environment) | {"PYTHONPATH": paths, "PYTHONUTF8": "1"}


def launchJob(folder: Path) -> int:
    """Start the process of a job folder with that Python; raises as ``barl.jobs.launch``."""
    return launch(folder, python=pythonProgram(), environment=withBarl(os.environ))
