"""Many volumes in one call: through a job folder, with a double in place of the engine's process."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohort_scene import GRID, drawing, imageArray, moveBy, segmentNames, segmentVoxels, writeImage

from barl.atomic import write_json
from barl.cohort import Cohort, LabelTable
from barl.errors import ImageError, InputError, JobFailedError
from barl.imaging import Volume, read_volume, write_segmentation
from barl.jobs import EventWriter, State, Status, read_spec, stop_requested, write_status
from BARLSegmentLib.logic.BatchFiles import modelFolderOf
from BARLSegmentLib.logic.BatchLogic import BatchLogic, segmentVolumes
from BARLSegmentLib.logic.VolumeNodes import addVolumeNode

TABLE = LabelTable.from_names(["jaw", "Zähne 歯", "canal"])
VOLUMES = {"jaw": 1.5, "Zähne 歯": 0.25, "canal": 0.0}


class Engine:
    """Does a predict job at once, as ``barl.run_job`` would, without torch."""

    def __init__(self, states: Mapping[str, str] | None = None) -> None:
        self.states = states or {}
        self.payloads: list[Mapping[str, Any]] = []

    def __call__(self, folder: Path) -> int:
        payload = read_spec(folder).payload
        self.payloads.append(payload)
        events = EventWriter(folder)
        for image in map(Path, payload["images"]):
            case = image.name.removesuffix(".nrrd").removesuffix(".nii.gz")
            events.write("prediction", **self._outcome(case, Path(payload["output"])))
        write_status(folder, Status(state=State.FINISHED, percent=100.0))
        return 1

    def _outcome(self, case: str, output: Path) -> dict[str, Any]:
        state = self.states.get(case, "done")
        if state == "failed":
            return {"case": case, "state": state, "message": "its axes are not at right angles", "volumes_ml": {}}
        write_segmentation(output / f"{case}.seg.nrrd", drawing(), GRID, TABLE)
        write_json(output / f"{case}.json", {"volumes_ml": VOLUMES, "mean_uncertainty": 0.125})
        told = {} if state == "skipped" else VOLUMES
        return {"case": case, "state": state, "volumes_ml": told, "mean_uncertainty": 0.125 if told else None}


@pytest.fixture
def a_model(tmp_path: Path) -> Path:
    """A folder that passes for a model."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    return tmp_path / "model"


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Two image files."""
    return [writeImage(tmp_path / "in" / name, imageArray()) for name in ("A.nrrd", "Bäcker.nii.gz")]


def rowsOf(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_files_are_segmented_and_their_volumes_are_in_a_table(
    images: list[Path], a_model: Path, tmp_path: Path
) -> None:
    shares: list[float] = []

    rows = segmentVolumes(
        images, a_model, tmp_path / "out", launchJob=Engine(), onProgress=lambda share, message: shares.append(share)
    )

    assert [(row.case, row.state, row.volumesMl, row.meanUncertainty) for row in rows] == [
        ("A", "done", VOLUMES, 0.125),
        ("Bäcker", "done", VOLUMES, 0.125),
    ]
    written = rowsOf(tmp_path / "out" / "volumes.csv")
    assert [row["Zähne 歯 (ml)"] for row in written] == ["0.25", "0.25"]
    assert [row["image"] for row in written] == [str(image) for image in images]
    assert shares[-1] == 1.0
    assert list((tmp_path / "out" / ".jobs").iterdir()) == []


def test_volumes_that_were_done_before_are_in_the_table_all_the_same(
    images: list[Path], a_model: Path, tmp_path: Path
) -> None:
    row, _ = segmentVolumes(images, a_model, tmp_path / "out", launchJob=Engine({"A": "skipped"}))

    assert (row.state, row.volumesMl, row.meanUncertainty) == ("skipped", VOLUMES, 0.125)


def test_one_that_fails_keeps_the_others(images: list[Path], a_model: Path, tmp_path: Path, a_scene: Any) -> None:
    engine = Engine({"A": "failed"})

    rows = segmentVolumes(images, a_model, tmp_path / "out", launchJob=engine, scene=a_scene)

    assert [(row.state, row.message) for row in rows] == [
        ("failed", "its axes are not at right angles"),
        ("done", ""),
    ]
    assert rowsOf(tmp_path / "out" / "volumes.csv")[0]["jaw (ml)"] == ""
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_results_become_nodes_on_their_volumes_when_asked(a_scene: Any, a_model: Path, tmp_path: Path) -> None:
    node = addVolumeNode(a_scene, Volume(array=imageArray(3), geometry=GRID), "Kopf: 1/2")
    logic = BatchLogic(a_scene, launchJob=Engine())

    (result,) = logic.loadResults(logic.run([node], a_model, tmp_path / "out"))

    assert np.array_equal(segmentVoxels(result, "canal", node), drawing() == 3)
    assert segmentNames(result) == list(TABLE.names)
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert node.GetName() == "Kopf: 1/2"


@pytest.mark.parametrize("closing", [False, True])
def test_a_volume_that_left_the_scene_during_the_batch_comes_again_from_its_file(
    a_scene: Any, a_model: Path, tmp_path: Path, closing: bool
) -> None:
    node = addVolumeNode(a_scene, Volume(array=imageArray(3), geometry=GRID), "Kopf")
    logic = BatchLogic(a_scene, launchJob=Engine())
    batch = logic.start([node], a_model, tmp_path / "out")

    a_scene.Clear(False) if closing else a_scene.RemoveNode(node)
    batch.poll()
    (result,) = logic.loadResults(batch)

    again = a_scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    assert again is not node
    assert np.array_equal(segmentVoxels(result, "canal", again), drawing() == 3)


def test_a_node_without_a_file_is_written_once(a_scene: Any, a_model: Path, tmp_path: Path) -> None:
    node = addVolumeNode(a_scene, Volume(array=imageArray(3), geometry=GRID), "Kopf")
    engine = Engine()
    segmentVolumes([node], a_model, tmp_path / "out", launchJob=engine)
    sent = Path(engine.payloads[0]["images"][0])
    before = sent.stat().st_mtime_ns
    assert np.array_equal(read_volume(sent).array, imageArray(3))

    segmentVolumes([node], a_model, tmp_path / "out", launchJob=engine)
    assert sent.stat().st_mtime_ns == before  # Else it would count as a new image, and be segmented again.

    node.SetOrigin(1, 2, 3)
    segmentVolumes([node], a_model, tmp_path / "out", launchJob=engine)
    assert sent.stat().st_mtime_ns != before


def test_a_node_that_is_as_its_file_is_sent_as_that_file(a_scene: Any, a_model: Path, images: list[Path]) -> None:
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "another name")
    storage = a_scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(str(images[1]))
    node.SetAndObserveStorageNodeID(storage.GetID())
    assert storage.ReadData(node)
    engine, output = Engine(), a_model.parent / "out"

    segmentVolumes([node], a_model, output, launchJob=engine)
    node.SetOrigin(1, 2, 3)
    segmentVolumes([node], a_model, output, launchJob=engine)

    sent = [Path(payload["images"][0]) for payload in engine.payloads]
    assert sent == [images[1], output / "images" / "another name.nrrd"]


def test_a_node_under_a_transform_is_refused(a_scene: Any, a_model: Path, tmp_path: Path) -> None:
    node = addVolumeNode(a_scene, Volume(array=imageArray(), geometry=GRID), "Kopf")
    node.SetAndObserveTransformNodeID(moveBy(a_scene, 1, 0, 0).GetID())

    with pytest.raises(ImageError, match="under a transform"):
        segmentVolumes([node], a_model, tmp_path / "out", launchJob=Engine())


def test_nothing_missing_files_and_one_name_twice_are_refused_before_anything_starts(
    images: list[Path], a_model: Path, tmp_path: Path
) -> None:
    engine = Engine()
    twin = writeImage(tmp_path / "other" / "a.nii.gz", imageArray())
    for volumes, words in (
        ([], "nothing to segment"),
        ([tmp_path / "no.nrrd"], "does not exist"),
        ([images[0], twin], "write the same result"),
    ):
        with pytest.raises(InputError, match=words):
            segmentVolumes(volumes, a_model, tmp_path / "out", launchJob=engine)
    assert engine.payloads == []


def test_a_model_is_a_folder_a_round_or_a_cohort(a_cohort: Cohort, a_model: Path, tmp_path: Path) -> None:
    first, second = a_cohort.new_round(), a_cohort.new_round()
    (first / "model").mkdir()
    (first / "model" / "model.json").write_text("{}")

    assert modelFolderOf(a_model) == a_model
    assert modelFolderOf(first) == first / "model"
    assert modelFolderOf(a_cohort.folder) == first / "model"
    with pytest.raises(InputError, match="holds no trained model"):
        modelFolderOf(second)


@pytest.mark.parametrize("state", [State.FAILED, State.INTERRUPTED])
def test_a_job_that_dies_is_told_with_its_reason(
    images: list[Path], a_model: Path, tmp_path: Path, state: State
) -> None:
    def die(folder: Path) -> int:
        write_status(folder, Status(state=state, error="torch is not installed."))
        return 1

    with pytest.raises(JobFailedError, match=rf"\({state.value}\): torch is not installed\. .*log\.txt"):
        segmentVolumes(images, a_model, tmp_path / "out", launchJob=die)


def test_an_interrupted_call_asks_the_process_to_stop(images: list[Path], a_model: Path, tmp_path: Path) -> None:
    folders: list[Path] = []

    def run(folder: Path) -> int:
        folders.append(folder)
        write_status(folder, Status(state=State.RUNNING, percent=10.0).by_this_process())
        return 1

    def interrupt(share: float, message: str) -> None:
        assert (share, message) == (0.1, "0 of 2 volumes")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmentVolumes(images, a_model, tmp_path / "out", launchJob=run, onProgress=interrupt)
    assert stop_requested(folders[0])


def test_a_panel_polls_the_same_batch(images: list[Path], a_model: Path, tmp_path: Path) -> None:
    steps: list[Callable[[], None]] = []

    def later(folder: Path) -> int:
        write_status(folder, Status(state=State.RUNNING, percent=50.0).by_this_process())
        steps.append(lambda: Engine()(folder) and None)
        return 1

    batch = BatchLogic(launchJob=later).start(images, a_model, tmp_path / "out")

    assert (batch.poll().share, batch.poll().done, batch.poll().isOver) == (0.5, 0, False)
    steps[0]()
    assert (batch.poll().share, batch.poll().done, batch.poll().isOver) == (1.0, 2, True)


def test_torch_never_comes_into_this_process(images: list[Path], a_model: Path, tmp_path: Path) -> None:
    import sys

    segmentVolumes(images, a_model, tmp_path / "out", launchJob=Engine())

    assert sys.modules["torch"] is None
