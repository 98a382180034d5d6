"""What the tests of the panels work with: the stand-in application, emptied for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

pytest.importorskip("PySide6", reason="PySide6-Essentials is not there: pip install -e '.[test]'")
pytest.importorskip("slicer_core", reason="slicer-core is there for Linux only")

from standin.install import StandIn, installed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def standin() -> Iterator[StandIn]:
    """Slicer 5.10 as far as the stand-in goes; a callback that raised fails the test."""
    with installed("5.10") as made:
        yield made
    assert made.binding.problems == []


@pytest.fixture
def newer_standin() -> Iterator[StandIn]:
    """The same with the facts of Slicer 5.12."""
    with installed("5.12") as made:
        yield made
    assert made.binding.problems == []


@pytest.fixture
def qt(standin: StandIn) -> Any:
    """The module qt."""
    import qt

    return qt


@pytest.fixture
def ctk(standin: StandIn) -> Any:
    """The module ctk."""
    import ctk

    return ctk


@pytest.fixture
def slicer(standin: StandIn) -> Any:
    """The module slicer."""
    return standin.slicer


@pytest.fixture
def segment(standin: StandIn) -> Iterator[Any]:
    """The module BARLSegment, loaded as Slicer loads it; its panel is ``segment.panel``."""
    standin.application.load(ROOT / "BARLSegment" / "BARLSegment.py")
    yield standin.application.widget("BARLSegment")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with three small volumes, as one finds them on a disk."""
    import numpy as np

    from barl.imaging import write_volume
    from barl.phantom.cohort import centered_geometry

    folder = tmp_path / "scans ä"
    folder.mkdir()
    for number in range(3):
        array = np.random.default_rng(number).integers(-200, 1500, (8, 10, 12)).astype(np.int16)
        write_volume(folder / f"scan_{number + 1:02d}.nrrd", array, centered_geometry((8, 10, 12), 1.0))
    return folder


@pytest.fixture
def a_cohort_folder(images: Path, tmp_path: Path) -> Path:
    """A cohort of three cases and two structures on disk."""
    from barl.cohort import Cohort, LabelTable, Modality

    labels = LabelTable.from_names(["jaw", "teeth"])
    cohort = Cohort.create(tmp_path / "cohort ä", name="Jaws", modality=Modality.CBCT, labels=labels)
    for path in sorted(images.iterdir()):
        cohort.add_case(path)
    return cohort.folder


@pytest.fixture
def an_open_module(segment: Any, a_cohort_folder: Path) -> Any:
    """The module with that cohort open."""
    segment.panel.cohort.open(str(a_cohort_folder))
    return segment
