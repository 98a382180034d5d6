"""A scene, a cohort and its cases; real MRML, no application, torch blocked."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barl.cohort import Cohort, LabelTable, Modality

# Without the wheel slicer-core (Linux only) there is no MRML, and nothing here can be collected.
collect_ignore_glob = [] if importlib.util.find_spec("slicer") else ["*.py"]

if importlib.util.find_spec("slicer"):
    from cohort_scene import Clock, ReadOnly, imageArray, writeImage
    from scene_data import Stage, newStage


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slicer's own process has no torch: whoever imports it fails."""
    for name in ("torch", "monai"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def a_scene() -> Iterator[Any]:
    """An empty scene in which segmentations can be converted, with two slice views."""
    import slicer

    scene = slicer.vtkMRMLScene()
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
    segmentations.SetMRMLScene(scene)
    for view in ("Red", "Green"):
        node = slicer.vtkMRMLSliceCompositeNode()
        node.SetLayoutName(view)
        scene.AddNode(node)
    yield scene
    segmentations.SetMRMLScene(None)
    scene.Clear(True)


@pytest.fixture
def a_stage() -> Iterator[Stage]:
    """An empty scene with the logics of an application; slice views open when asked for."""
    stage = newStage()
    yield stage
    stage.close()


@pytest.fixture
def a_clock() -> Clock:
    """A clock that a test sets."""
    return Clock()


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> ReadOnly:
    """Makes a folder one on a read-only drive; not by rights, which do not hold for root."""

    def refuse(folder: Path) -> None:
        def refused(*_path: Any, **_more: Any) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        def openUnlessWriting(path: Any, flags: int, *more: Any, **named: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(folder) in str(path):
                refused()
            return reallyOpen(path, flags, *more, **named)

        def makeUnlessThere(path: Any, *more: Any, **named: Any) -> None:
            if str(folder) in str(path) and not Path(path).is_dir():
                refused()
            reallyMake(path, *more, **named)

        reallyOpen, reallyMake = os.open, os.mkdir
        monkeypatch.setattr(os, "open", openUnlessWriting)
        monkeypatch.setattr(os, "mkdir", makeUnlessThere)
        monkeypatch.setattr(os, "fsync", refused)  # Python's own files do not come through os.open.

    return refuse


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """Two cases of jaw, teeth and canal, in folders with letters outside ASCII."""
    labels = LabelTable.from_names(["jaw", "Zähne 歯", "canal"])
    cohort = Cohort.create(tmp_path / "Kohorte Zähne 歯", name="Zähne", modality=Modality.CBCT, labels=labels)
    for number, name in enumerate(("P01", "Pätient 2")):
        cohort.add_case(writeImage(tmp_path / "Bilder ä" / f"{name}.nii.gz", imageArray(number)))
    return cohort


@pytest.fixture
def a_cohort_logic(a_scene: Any, a_cohort: Cohort) -> Iterator[Any]:
    """A CohortLogic with the cohort open."""
    from BARLSegmentLib.logic.CohortLogic import CohortLogic

    logic = CohortLogic(a_scene)
    logic.open(a_cohort.folder)
    yield logic
    logic.cleanup()
