"""What a person may do wrong, or what may go wrong around them: each gets a clear line in the panel, no more."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import paint
from standin.install import StandIn
from work_here import WorkHere

UNFORESEEN = "This should not have happened"


@pytest.fixture
def form(segment: Any, images: Path, tmp_path: Path) -> Any:
    """The form for a new cohort of a folder of images, filled; its long work is done in this process."""
    panel = segment.panel.cohort
    panel.form.startWork = panel.check.startWork = WorkHere
    panel.ui.folderPath.currentPath = str(tmp_path / "jaws")
    panel.ui.nameEdit.text = "Jaws"
    panel.ui.imagesPath.currentPath = str(images)
    return panel


@pytest.fixture
def drawn(an_open_module: Any) -> Any:
    """The module with a case in which both structures are drawn."""
    an_open_module.panel.editor.load("scan_01")
    paint(an_open_module, "jaw", "teeth")
    return an_open_module


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder one on a read-only drive; not by rights, which do not hold for root."""

    def refuse(folder: Path) -> None:
        def openUnlessWriting(path: Any, flags: int, *more: Any, **named: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(folder) in str(path):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return reallyOpen(path, flags, *more, **named)

        def makeElsewhere(path: Any, *more: Any, **named: Any) -> None:
            if str(folder) in str(path) and not Path(path).is_dir():
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            reallyMake(path, *more, **named)

        reallyOpen, reallyMake = os.open, os.mkdir
        monkeypatch.setattr(os, "open", openUnlessWriting)
        monkeypatch.setattr(os, "mkdir", makeElsewhere)

    return refuse


def create(form: Any) -> str:
    """Press the button, let the timer come as often as it takes, and give what the panel says."""
    form.ui.createButton.click()
    while form.form.isMaking:
        form.form.poll()
    return said(form)


def save(module: Any) -> str:
    """Press Save, answer every question with yes, and give what the panel says."""
    editor = module.panel.editor
    editor.ui.saveButton.click()
    while editor.state.question is not None:
        editor.ui.yesButton.click()
    return said(editor)


def said(panel: Any) -> str:
    """The panel's line, which must be one that somebody has thought of."""
    words: str = panel.ui.messageLabel.text
    assert not panel.ui.messageLabel.isHidden()
    assert UNFORESEEN not in words, words
    return words


def test_a_folder_without_images(form: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "letter.txt").write_text("Dear colleague", encoding="utf-8")
    form.ui.imagesPath.currentPath = str(tmp_path / "empty")

    assert "no" in create(form) and "volume" in said(form)
    assert not (tmp_path / "jaws" / "cohort.json").exists()


def test_a_folder_with_a_damaged_image(form: Any, images: Path, tmp_path: Path) -> None:
    (images / "scan_02.nrrd").write_bytes(b"NRRD0004\nnothing")

    assert "scan_02.nrrd" in create(form)
    assert not (tmp_path / "jaws" / "cohort.json").exists()


def test_a_folder_that_is_a_file(form: Any, tmp_path: Path) -> None:
    (tmp_path / "jaws").write_text("a file")

    assert "jaws" in create(form)


def test_a_folder_on_a_read_only_drive(form: Any, tmp_path: Path, read_only: Any) -> None:
    read_only(tmp_path / "jaws")

    assert "read-only" in create(form).lower()


def test_a_folder_that_holds_a_cohort_already(form: Any, a_cohort_folder: Path) -> None:
    form.ui.folderPath.currentPath = str(a_cohort_folder)

    assert "already" in create(form)


def test_a_cohort_whose_record_is_damaged(form: Any, a_cohort_folder: Path) -> None:
    (a_cohort_folder / "cohort.json").write_text("{", encoding="utf-8")
    form.ui.folderPath.currentPath = str(a_cohort_folder)

    form.ui.openButton.click()

    assert "cohort.json" in said(form)


def test_a_cohort_of_a_newer_version(form: Any, a_cohort_folder: Path) -> None:
    record = (a_cohort_folder / "cohort.json").read_text(encoding="utf-8")
    (a_cohort_folder / "cohort.json").write_text(
        record.replace('"format_version": 1', '"format_version": 99'), encoding="utf-8"
    )
    form.ui.folderPath.currentPath = str(a_cohort_folder)

    form.ui.openButton.click()

    assert "newer" in said(form)


def test_names_with_slashes(form: Any, segment: Any, tmp_path: Path) -> None:
    import slicer

    node = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16) + 7, name="Anna/CT \\ 1")
    node.SetName("Anna/CT \\ 1")
    form.ui.nameEdit.text = "Jaws 2025/26"
    form.ui.sourceCombo.currentIndex = 1
    form.form.listVolumes()

    assert "Jaws 2025/26 is made" in create(form)
    (case,) = form.logic.cohort.cases
    assert "/" not in case.id and "\\" not in case.id
    assert (tmp_path / "jaws" / "images" / f"{case.id}.nrrd").is_file()


def test_a_structure_without_a_name(form: Any) -> None:
    form.ui.labelTable.item(0, 1).setText("  ")

    assert "name" in create(form)


@pytest.mark.parametrize("value", ["300", "0", "one", "2"])
def test_a_value_that_is_not_allowed_or_taken(form: Any, value: str) -> None:
    form.ui.labelTable.item(0, 0).setText(value)

    assert value in create(form)


def test_a_cohort_without_any_structure(form: Any, tmp_path: Path) -> None:
    while form.ui.labelTable.rowCount:
        form.ui.labelTable.setCurrentCell(0, 0)
        form.ui.removeLabelButton.click()

    assert "structure" in create(form) or "label" in said(form)
    assert not (tmp_path / "jaws" / "cohort.json").exists()


def test_a_vector_volume_of_the_scene(form: Any) -> None:
    import slicer

    slicer.util.addVolumeFromArray(
        np.zeros((4, 5, 6, 3), np.uint8), name="photograph", nodeClassName="vtkMRMLVectorVolumeNode"
    )
    form.ui.sourceCombo.currentIndex = 1
    form.form.listVolumes()

    assert "photograph" in create(form) and "several values a voxel" in said(form)


def test_a_volume_under_a_transform(form: Any, slicer: Any) -> None:
    node = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16), name="moved")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    form.ui.sourceCombo.currentIndex = 1
    form.form.listVolumes()

    assert "under a transform" in create(form)


def test_two_volumes_of_one_name(form: Any, slicer: Any) -> None:
    for _ in range(2):
        slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16)).SetName("scan")
    form.ui.sourceCombo.currentIndex = 1
    form.form.listVolumes()

    assert "scan" in create(form)


def test_a_volume_without_voxels(form: Any, slicer: Any) -> None:
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
    form.ui.sourceCombo.currentIndex = 1
    form.form.listVolumes()

    assert "no voxels" in create(form)


def test_an_image_that_is_gone_when_its_case_is_loaded(an_open_module: Any, images: Path) -> None:
    (images / "scan_01.nrrd").unlink()

    an_open_module.panel.cohort.selectCase("scan_01")
    an_open_module.panel.cohort.ui.caseTable.cellActivated.emit(0, 0)

    assert "scan_01.nrrd" in said(an_open_module.panel.editor)
    assert not an_open_module.panel.ui.editorStep.collapsed, "the line must be seen"


def test_a_case_in_which_nothing_is_drawn(an_open_module: Any) -> None:
    an_open_module.panel.editor.load("scan_01")

    an_open_module.panel.editor.ui.saveButton.click()
    assert "nothing is drawn" in an_open_module.panel.editor.ui.questionLabel.text
    words = save(an_open_module)

    assert "Saved as version 1" in words or "nothing" in words.lower()


def test_a_segment_that_the_cohort_does_not_know(drawn: Any) -> None:
    drawn.panel.editor.state.case.segmentationNode.GetSegmentation().GetNthSegment(0).SetName("Jawbone")

    assert "Jawbone" in save(drawn) and "Rename" in said(drawn.panel.editor)


def test_segments_that_overlap(drawn: Any, slicer: Any) -> None:
    case = drawn.panel.editor.state.case
    mask = np.zeros((8, 10, 12), np.uint8)
    mask[2:7, 2:8, 2:9] = 1
    node = case.segmentationNode
    node.GetSegmentation().SeparateSegmentLabelmap(node.GetSegmentation().GetNthSegmentID(1))
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        mask, node, node.GetSegmentation().GetNthSegmentID(1), case.volumeNode
    )

    assert "overlap" in save(drawn)


def test_saving_on_a_read_only_drive_keeps_the_drawing(drawn: Any, a_cohort_folder: Path, read_only: Any) -> None:
    read_only(a_cohort_folder)

    assert "read-only" in save(drawn).lower()
    assert drawn.logic.correction.hasUnsavedChanges(drawn.panel.editor.state.case.segmentationNode)


def test_saving_when_the_cohort_is_gone(drawn: Any, a_cohort_folder: Path) -> None:
    shutil.rmtree(a_cohort_folder)

    assert "cohort" in save(drawn)
    assert drawn.logic.correction.hasUnsavedChanges(drawn.panel.editor.state.case.segmentationNode)


def test_saving_after_the_image_was_deleted_from_the_scene(drawn: Any, slicer: Any) -> None:
    slicer.mrmlScene.RemoveNode(drawn.panel.editor.state.case.volumeNode)

    if drawn.panel.editor.state.case is not None:
        save(drawn)
    assert drawn.panel.editor.load("scan_01"), said(drawn.panel.editor)


def test_training_a_cohort_in_which_nothing_is_annotated(an_open_module: Any) -> None:
    an_open_module.panel.train.ui.trainButton.click()

    assert "Annotate two to five cases" in said(an_open_module.panel.train)


def test_training_on_a_read_only_drive(drawn: Any, a_cohort_folder: Path, read_only: Any) -> None:
    save(drawn)
    read_only(a_cohort_folder)

    drawn.panel.train.ui.trainButton.click()

    assert "read-only" in said(drawn.panel.train).lower()
    assert not drawn.panel.train.state.isActive


def test_opening_a_folder_that_is_not_there(form: Any, tmp_path: Path) -> None:
    form.ui.folderPath.currentPath = str(tmp_path / "elsewhere")

    form.ui.openButton.click()

    assert "elsewhere" in said(form)


@pytest.fixture
def trained(an_open_module: Any) -> Any:
    """The module with a round that has ended and a prediction of it in the scene."""
    from test_review_panel import predict

    from barl.jobs import JobSpec, State, Status, write_spec, write_status

    cohort = an_open_module.logic.cohort.cohort
    folder = cohort.new_round()
    write_spec(folder, JobSpec(kind="train", payload={"cohort": str(cohort.folder), "method": "supervised"}))
    write_status(folder, Status(state=State.FINISHED, percent=100.0))
    region = {
        "rank": 1,
        "center_ras_mm": [0.0, 0.0, 0.0],
        "bounds_ras_mm": [[-2.0, 2.0]] * 3,
        "volume_mm3": 64.0,
        "expected_error_mm3": 10.0,
        "classes": [0, 1],
        "reason": "an unsure border",
    }
    predict(cohort, folder, "scan_02", 0.4, regions=[region])
    predict(cohort, folder, "scan_03", 0.2)
    an_open_module.panel.train.follow(folder)
    an_open_module.panel.review.refresh()
    an_open_module.panel.review.load("scan_02")
    return an_open_module


def the_round(module: Any) -> Path:
    folder: Path = module.logic.cohort.cohort.rounds()[0]
    return folder


def test_deleting_the_round_whose_prediction_is_shown(trained: Any) -> None:
    review = trained.panel.review
    shutil.rmtree(the_round(trained))

    review.ui.acceptRegionButton.click()
    assert "deleted" in said(review)
    review.ui.acceptCaseButton.click()
    assert "scan_02" in said(review)
    review.ui.nextButton.click()  # The scene still has what it needs for looking.
    review.ui.loadButton.click()
    assert "not predicted yet" in said(review)
    trained.panel.train.tick()
    assert trained.logic.cohort.cohort.annotation("scan_02") is None


def test_deleting_a_round_while_it_is_trained(trained: Any) -> None:
    from barl.jobs import State, Status, write_status

    write_status(the_round(trained), Status(state=State.RUNNING, percent=5.0).by_this_process())
    trained.panel.train.follow(the_round(trained))
    assert trained.panel.train.state.isActive

    shutil.rmtree(the_round(trained))
    trained.panel.train.tick()

    assert "Round 1 was deleted" in said(trained.panel.train)
    assert not trained.panel.train.state.isActive
    trained.panel.train.ui.trainButton.click()
    assert "Annotate two to five cases" in said(trained.panel.train)


def test_a_damaged_map(trained: Any) -> None:
    (the_round(trained) / "predictions" / "scan_03.uncertainty.nrrd").write_bytes(b"NRRD")

    trained.panel.review.load("scan_03")

    assert "scan_03" in said(trained.panel.review)
    assert trained.panel.review.state.shown is None


def test_a_damaged_prediction(trained: Any) -> None:
    (the_round(trained) / "predictions" / "scan_03.seg.nrrd").write_bytes(b"NRRD")

    trained.panel.review.load("scan_03")

    assert "scan_03" in said(trained.panel.review)


def test_the_drive_with_the_cohort_is_taken_away(trained: Any, a_cohort_folder: Path) -> None:
    shutil.move(a_cohort_folder, a_cohort_folder.with_name("elsewhere"))

    trained.panel.review.ui.loadButton.click()
    assert "drive" in said(trained.panel.review)
    trained.panel.editor.loadNext()
    assert "drive" in said(trained.panel.editor)
    trained.panel.train.ui.trainButton.click()
    assert "cohort" in said(trained.panel.train)
    trained.panel.cohort.refresh()
    assert "drive" in said(trained.panel.cohort)


def test_the_scene_is_closed_while_a_prediction_is_shown_and_corrected(trained: Any, slicer: Any) -> None:
    trained.panel.review.ui.correctButton.click()
    paint(trained, "jaw", "teeth")

    slicer.mrmlScene.Clear(0)

    assert trained.panel.review.state.shown is None
    assert trained.panel.editor.state.case is None
    trained.panel.review.load("scan_02")
    assert trained.panel.review.state.shown is not None


@pytest.fixture
def batch(trained: Any, images: Path, tmp_path: Path) -> Any:
    """Segment everything, with a model in another folder that is no model."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    panel = trained.panel.batch
    panel.refresh()
    panel.ui.modelCombo.currentIndex = panel.ui.modelCombo.count - 1
    panel.ui.modelPath.currentPath = str(tmp_path / "model")
    panel.ui.inputPath.currentPath = str(images)
    panel.ui.outputPath.currentPath = str(tmp_path / "out")
    return panel


def run(batch: Any) -> str:
    """Press the button, let the timer come until nothing goes on, and give what the panel says."""
    batch.ui.runButton.click()
    end = time.monotonic() + 60.0
    while batch.state.isBusy:
        assert time.monotonic() < end
        batch.poll()
        time.sleep(0.01)
    return said(batch)


def test_segmenting_with_a_model_that_is_none(batch: Any) -> None:
    assert "model.json" in run(batch)


def test_segmenting_a_folder_without_images(batch: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    batch.ui.inputPath.currentPath = str(tmp_path / "empty")

    assert "no volume" in run(batch)


def test_segmenting_into_a_file(batch: Any, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    assert str(tmp_path / "out") in run(batch)


def test_segmenting_onto_a_read_only_drive(batch: Any, tmp_path: Path, read_only: Any) -> None:
    read_only(tmp_path / "out")

    assert "read-only" in run(batch).lower()


def test_segmenting_a_vector_volume(batch: Any, slicer: Any) -> None:
    slicer.mrmlScene.Clear(0)
    slicer.util.addVolumeFromArray(
        np.zeros((4, 5, 6, 3), np.uint8), name="photograph", nodeClassName="vtkMRMLVectorVolumeNode"
    )
    batch.ui.sourceCombo.currentIndex = 1
    batch.volumes.refresh()

    assert "photograph" in run(batch)


def test_a_volume_that_is_deleted_while_it_is_prepared(batch: Any, slicer: Any) -> None:
    slicer.mrmlScene.Clear(0)
    node = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16), name="short-lived")
    batch.ui.sourceCombo.currentIndex = 1
    batch.volumes.refresh()
    batch.ui.runButton.click()

    slicer.mrmlScene.RemoveNode(node)
    end = time.monotonic() + 60.0
    while batch.state.isBusy:
        assert time.monotonic() < end
        batch.poll()
        time.sleep(0.01)

    said(batch)


def test_the_stand_in_notes_nothing(standin: StandIn) -> None:
    assert standin.binding.problems == []
