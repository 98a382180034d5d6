"""What the architecture tests look at: the repository, its sources, its metadata."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository() -> Path:
    """The folder with pyproject.toml."""
    return ROOT


@pytest.fixture
def engine() -> Path:
    """The folder of the package barl."""
    return ROOT / "BARLTrainer" / "barl"


@pytest.fixture
def metadata() -> dict[str, object]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture
def lone_modules() -> list[Path]:
    """The module files Slicer loads by path, as far as they exist."""
    candidates = [ROOT / name / f"{name}.py" for name in ("BARLSegment", "BARLTrainer")]
    return [path for path in candidates if path.exists()]
