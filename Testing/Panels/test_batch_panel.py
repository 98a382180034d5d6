"""Segment everything: folders and volumes of the scene, models of this cohort and of other places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barl.atomic import write_json
from barl.cohort import LabelTable
from barl.imaging import read_volume, write_segmentation
from barl.jobs import EventWriter, State, Status, read_spec, write_status

TABLE = LabelTable.from_names(["jaw"])


def engine(folder: Path) -> int:
    """Does a predict job at once, as the real process would."""
    payload = read_spec(folder).payload
    output = Path(payload["output"])
    for image in map(Path, payload["images"]):
        volume, case = read_volume(image), image.stem
        labels = np.ones(volume.array.shape, np.uint8)
        write_segmentation(output / f"{case}.seg.nrrd", labels, volume.geometry, TABLE)
        write_json(output / f"{case}.json", {"volumes_ml": {"jaw": 1.0}, "mean_uncertainty": 0.1})
        EventWriter(folder).write("prediction", case=case, state="done", volumes_ml={"jaw": 1.0}, mean_uncertainty=0.1)
    write_status(folder, Status(state=State.FINISHED, percent=100.0))
    return 1


@pytest.fixture
def batch(segment: Any, tmp_path: Path) -> Any:
    """The panel with a model of another place and a folder for results."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    panel = segment.panel.batch
    panel.batch._launch = engine
    panel.ui.modelPath.currentPath = str(tmp_path / "model")
    panel.ui.outputPath.currentPath = str(tmp_path / "out")
    return panel


def runs_to_the_end(panel: Any) -> None:
    """Press the button, and let the timer come as often as it takes."""
    panel.ui.runButton.click()
    while panel.state.isBusy:
        panel.poll()


def test_a_folder_is_segmented_with_a_model_of_another_place(batch: Any, images: Path, tmp_path: Path) -> None:
    batch.ui.inputPath.currentPath = str(images)

    runs_to_the_end(batch)

    assert "Segmented volumes: 3" in batch.ui.messageLabel.text
    assert (tmp_path / "out" / "volumes.csv").is_file()


def test_volumes_of_the_scene_get_their_results_beside_them(batch: Any, segment: Any, images: Path) -> None:
    import slicer

    from BARLSegmentLib.logic.VolumeNodes import addVolumeNode

    addVolumeNode(segment.logic.scene, read_volume(images / "scan_01.nrrd"), "mine")
    batch.refresh()
    batch.ui.sourceCombo.currentIndex = 1

    runs_to_the_end(batch)

    (node,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "jaw"


def test_without_a_checked_volume_the_panel_says_so(batch: Any) -> None:
    batch.ui.sourceCombo.currentIndex = 1

    batch.ui.runButton.click()

    assert "Check at least one volume" in batch.ui.messageLabel.text


def test_without_a_model_the_panel_says_where_one_comes_from(batch: Any, images: Path) -> None:
    batch.ui.inputPath.currentPath = str(images)
    batch.ui.modelPath.currentPath = ""

    batch.ui.runButton.click()

    assert "step 3 makes one" in batch.ui.messageLabel.text


def test_preparing_can_be_stopped(batch: Any, images: Path, tmp_path: Path) -> None:
    batch.ui.inputPath.currentPath = str(images)
    batch.ui.runButton.click()
    batch.poll()

    batch.ui.runButton.click()

    assert not batch.state.isBusy
    assert not (tmp_path / "out" / "volumes.csv").exists()


def test_results_come_into_the_scene_one_by_one_and_a_damaged_one_is_told(
    batch: Any, segment: Any, images: Path, tmp_path: Path
) -> None:
    import slicer

    from BARLSegmentLib.logic.VolumeNodes import addVolumeNode

    for name in ("scan_01", "scan_02"):
        addVolumeNode(segment.logic.scene, read_volume(images / f"{name}.nrrd"), name)
    batch.refresh()
    batch.ui.sourceCombo.currentIndex = 1
    batch.ui.runButton.click()
    while batch.state.loading is None:
        batch.poll()
    (tmp_path / "out" / "scan_02.seg.nrrd").write_bytes(b"NRRD")

    while batch.state.isBusy:
        batch.poll()

    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    assert "scan_02.seg.nrrd cannot be read" in batch.ui.messageLabel.text
