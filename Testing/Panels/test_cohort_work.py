"""What takes long with a cohort: done by a child process, told on the way, given up without a trace."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin.install import StandIn
from work_here import WorkHere

LABELS = [{"value": 1, "name": "jaw", "color": [200, 100, 50], "terminology": ""}]


@pytest.fixture
def request_to_create(standin: Any, segment: Any, images: Path, tmp_path: Path) -> dict[str, Any]:
    """A wish for a cohort of three images."""
    folder = tmp_path / "cohort"
    what = {"work": "create", "folder": str(folder), "name": "Jaws", "modality": "CBCT", "labels": LABELS}
    return {**what, "images": str(images)}


def waited_for(work: Any) -> Any:
    """What a child process answers."""
    end = time.monotonic() + 120
    while not (look := work.look()).isOver:
        assert time.monotonic() < end
        time.sleep(0.02)
    return look


def responses(request: Mapping[str, Any], stop_after: int = 1000) -> list[Mapping[str, Any]]:
    """All that the work tells when it is canceled after some steps."""
    from BARLSegmentLib.logic.CohortWork import respond

    told: list[Mapping[str, Any]] = []
    respond(request, told.append, lambda: len(told) >= stop_after)
    return told


def test_a_child_process_makes_a_cohort_and_checks_it(request_to_create: dict[str, Any]) -> None:
    from BARLSegmentLib.logic.ChildWork import ChildWork

    made = waited_for(ChildWork(request_to_create))
    checked = waited_for(ChildWork({"work": "check", "cohort": request_to_create["folder"]}))

    assert made.answer == ["scan_01", "scan_02", "scan_03"]
    assert [finding["message"] for finding in checked.answer] == ["No training case has a usable annotation."]


def test_every_image_is_told_on_the_way(request_to_create: dict[str, Any]) -> None:
    told = responses(request_to_create)

    assert [one["what"] for one in told[:-1]] == 2 * ["scan_01.nrrd", "scan_02.nrrd", "scan_03.nrrd"]
    assert [one["share"] for one in told[:-1]] == sorted(one["share"] for one in told[:-1])


@pytest.mark.parametrize("steps", range(6))
def test_giving_up_leaves_nothing_behind(request_to_create: dict[str, Any], steps: int) -> None:
    folder = Path(request_to_create["folder"])

    assert responses(request_to_create, stop_after=steps)[-1] == {"canceled": True}

    assert not folder.exists()


def test_giving_up_leaves_what_was_there_before(request_to_create: dict[str, Any]) -> None:
    kept = Path(request_to_create["folder"]) / "images" / "notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")

    responses(request_to_create, stop_after=5)

    assert [path for path in Path(request_to_create["folder"]).rglob("*") if path.is_file()] == [kept]


def test_a_mistake_is_told_in_words(request_to_create: dict[str, Any], images: Path) -> None:
    (images / "scan_02.nrrd").write_bytes(b"")

    (last,) = responses(request_to_create)[-1:]

    assert "Nothing was changed" in last["error"]
    assert not Path(request_to_create["folder"]).exists()


def test_a_child_that_dies_is_told(segment: Any) -> None:
    from BARLSegmentLib.logic.ChildWork import ChildWork

    look = waited_for(ChildWork({"work": "no such work"}))

    assert "no such work" in look.error


def test_a_program_that_is_not_there_is_told(segment: Any, tmp_path: Path) -> None:
    from barl.errors import JobError
    from BARLSegmentLib.logic.ChildWork import ChildWork

    with pytest.raises(JobError, match="Check that it is installed"):
        ChildWork({"work": "check"}, python=str(tmp_path / "python"))


@pytest.fixture
def form(segment: Any, tmp_path: Path) -> Any:
    """The form, filled for a cohort of two volumes in the scene."""
    from barl.imaging import Volume
    from barl.phantom.cohort import centered_geometry
    from BARLSegmentLib.logic.VolumeNodes import addVolumeNode

    for name in ("A", "B"):
        array = np.zeros((8, 10, 12), np.int16)
        addVolumeNode(segment.logic.scene, Volume(array=array, geometry=centered_geometry((8, 10, 12), 1.0)), name)
    made = segment.panel.cohort.form
    made.startWork = WorkHere
    segment.panel.cohort.ui.folderPath.currentPath = str(tmp_path / "new")
    made.useScene()
    return made


def test_volumes_are_written_in_short_steps_and_nothing_else_is_left(
    form: Any, segment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("BARLSegmentLib.logic.VolumeWriting.STEP_BYTES", 1)  # A step is one slice.
    said = []
    form.create()
    while form.isMaking:
        form.poll()
        said.append(segment.panel.cohort.ui.messageLabel.text)
    assert said.count("0 %: A") >= 8
    assert said.index("25 %: A") < said.index("25 %: B")

    assert sorted(path.name for path in (tmp_path / "new" / "images").iterdir()) == ["A.nrrd", "B.nrrd"]
    assert not list((tmp_path / "new").glob(".staged*"))
    assert segment.logic.cohort.volumeNodeOf("B").GetName() == "B"


@pytest.mark.parametrize("polls", [0, 1, 2])
def test_the_button_cancels_while_a_cohort_is_made(form: Any, segment: Any, tmp_path: Path, polls: int) -> None:
    button = segment.panel.cohort.ui.createButton
    button.click()
    assert button.text == "&Cancel"
    for _ in range(polls):
        form.poll()

    button.click()
    form.poll()

    assert button.text == "&Create cohort"
    assert "Nothing was made" in segment.panel.cohort.ui.messageLabel.text
    assert not (tmp_path / "new").exists()


def test_leaving_for_good_gives_a_new_cohort_up(form: Any, segment: Any, tmp_path: Path) -> None:
    form.create()
    form.poll()

    segment.cleanup()

    assert not (tmp_path / "new").exists()


def test_a_check_is_stopped_with_its_button(segment: Any, a_cohort_folder: Path) -> None:
    panel = segment.panel.cohort
    panel.check.startWork = WorkHere
    panel.open(str(a_cohort_folder))
    panel.ui.auditButton.click()
    assert not panel.ui.auditBar.isHidden()

    panel.ui.auditButton.click()

    assert panel.ui.auditBar.isHidden()
    assert "changes nothing" in panel.ui.messageLabel.text


@pytest.fixture
def a_database(standin: StandIn, ctk: Any, segment: Any, tmp_path: Path) -> Any:
    """Slicer's DICOM database with two scans and a report, whose files lie in one folder."""
    database = ctk.ctkDICOMDatabase()
    files = {uid: slices(tmp_path / "dicom", uid) for uid in ("1", "2")}
    standin.binding.unwrap(database).content = {"Doe": {"study": {**files, "SR": []}}}
    standin.slicer.dicomDatabase = database
    return database


def slices(folder: Path, uid: str) -> list[str]:
    """A series of eight axial slices."""
    import SimpleITK as sitk

    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index in range(8):
        image = sitk.GetImageFromArray(np.full((1, 10, 12), 100 * index, np.int16))
        tags = {"0008|0060": "CT", "0010|0010": "Doe", "0020|000e": f"1.2.{uid}", "0020|0013": str(index)}
        tags |= {"0020|0032": f"0\\0\\{index}", "0020|0037": "1\\0\\0\\0\\1\\0", "0008|0018": f"1.2.{uid}.{index}"}
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}-{index}.dcm"))
        writer.Execute(image)
    return sorted(str(path) for path in folder.glob(f"{uid}-*"))


def test_series_of_slicers_database_become_cases_without_names(a_database: Any, form: Any, segment: Any) -> None:
    import qt

    ui = segment.panel.cohort.ui
    ui.sourceCombo.currentIndex = 2
    names = [ui.seriesList.item(row).text() for row in range(ui.seriesList.count)]
    assert names == ["Name of Doe: Description of 1", "Name of Doe: Description of 2"]
    ui.seriesList.item(1).setCheckState(qt.Qt.Checked)

    form.create()
    while form.isMaking:
        form.poll()

    assert [case.id for case in segment.logic.cohort.cohort.cases] == ["case_01"], ui.messageLabel.text
    (image,) = (segment.logic.cohort.cohort.folder / "images").iterdir()
    assert image.name == "case_01.nrrd"
    assert b"Doe" not in image.read_bytes()


def test_series_do_not_write_over_an_image_that_is_there(a_database: Any, form: Any, segment: Any) -> None:
    import qt

    ui = segment.panel.cohort.ui
    mine = Path(ui.folderPath.currentPath) / "images" / "case_01.nrrd"
    mine.parent.mkdir(parents=True)
    mine.write_text("the user's own")
    ui.sourceCombo.currentIndex = 2
    ui.seriesList.item(1).setCheckState(qt.Qt.Checked)

    form.create()
    while form.isMaking:
        form.poll()

    assert "would be written over" in ui.messageLabel.text
    assert mine.read_text() == "the user's own"


def test_no_series_is_taken_unasked(a_database: Any, form: Any, segment: Any) -> None:
    segment.panel.cohort.ui.sourceCombo.currentIndex = 2

    form.create()

    assert "Check the series to take" in segment.panel.cohort.ui.messageLabel.text
