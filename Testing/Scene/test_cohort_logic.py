"""Cohorts made and opened, cases listed and shown, the scene brought back."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from cohort_scene import (
    GRID,
    SECOND_CASE,
    SHAPE,
    ReadOnly,
    annotate,
    drawing,
    imageArray,
    moveBy,
    predict,
    segmentNames,
    segmentVoxels,
    writeImage,
)
from scene_data import Stage
from slice_views import SliceView

from barl.cohort import CaseState, Cohort, Coverage, CoverageKind, LabelTable, Modality, Role
from barl.errors import CohortError, ImageError, LabelError, NewerFormatError, StorageError
from barl.imaging import Volume, read_volume
from BARLSegmentLib.logic.CaseStart import Start
from BARLSegmentLib.logic.CaseTable import RankedCase
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
from BARLSegmentLib.logic.SceneTypes import nodesOf
from BARLSegmentLib.logic.VolumeNodes import addVolumeNode, geometryOf, volumeOf

LABELS = LabelTable.from_names(["jaw", "teeth"])


@pytest.fixture
def a_logic(a_scene: Any, a_cohort: Cohort) -> Iterator[CohortLogic]:
    """With the cohort open."""
    logic = CohortLogic(a_scene)
    logic.open(a_cohort.folder)
    yield logic
    logic.cleanup()


@pytest.fixture
def a_volume_node(a_scene: Any) -> Any:
    """A volume that the user has loaded."""
    return addVolumeNode(a_scene, Volume(array=imageArray(7), geometry=GRID), "3: CT Köpf / head")


def nodeIds(scene: Any) -> set[str]:
    return {scene.GetNthNode(number).GetID() for number in range(scene.GetNumberOfNodes())}


def backgrounds(scene: Any) -> list[str | None]:
    return [node.GetBackgroundVolumeID() for node in nodesOf(scene, "vtkMRMLSliceCompositeNode")]


def events(logic: CohortLogic) -> list[CohortEvent]:
    seen: list[CohortEvent] = []
    logic.events.add(seen.append)
    return seen


# Making and opening


def test_a_folder_of_images_becomes_a_cohort(a_scene: Any, tmp_path: Path) -> None:
    for name in ("A", "Bß"):
        writeImage(tmp_path / "in" / f"{name}.nrrd", imageArray())
    writeImage(tmp_path / "in" / "A.uncertainty.nrrd", imageArray())
    logic = CohortLogic(a_scene)

    logic.createFromFolder(tmp_path / "out", tmp_path / "in", name="x", modality=Modality.CT, labels=LABELS)

    assert [row.caseId for row in logic.table()] == ["A", "Bß"]
    assert logic.cohort.modality is Modality.CT


def test_a_folder_with_a_broken_image_makes_no_cohort(a_scene: Any, tmp_path: Path) -> None:
    writeImage(tmp_path / "in" / "good.nrrd", imageArray())
    (tmp_path / "in" / "bad.nrrd").write_text("no image")
    logic = CohortLogic(a_scene)

    with pytest.raises(ImageError, match=r"Nothing was changed.*\n.*bad\.nrrd"):
        logic.createFromFolder(tmp_path / "out", tmp_path / "in", name="x", modality=Modality.CT, labels=LABELS)

    assert not (tmp_path / "out").exists()
    assert not logic.isOpen


def test_loaded_volumes_become_a_cohort_and_stay_as_they_are(a_scene: Any, a_volume_node: Any, tmp_path: Path) -> None:
    logic, before = CohortLogic(a_scene), nodeIds(a_scene)

    cohort = logic.createFromVolumes(
        tmp_path / "out", [a_volume_node], name="x", modality=Modality.MR, labels=LABELS, caseIds=["P7"]
    )

    stored = read_volume(cohort.image_path("P7"))
    assert np.array_equal(stored.array, imageArray(7))
    assert stored.geometry.difference_from(GRID) == ""
    assert nodeIds(a_scene) == before
    assert a_volume_node.GetName() == "3: CT Köpf / head"
    assert logic.loadCase("P7").volumeNode is a_volume_node
    logic.close()
    assert nodeIds(a_scene) == before


def test_a_volume_node_gives_the_case_its_id(a_scene: Any, a_volume_node: Any, tmp_path: Path) -> None:
    logic = CohortLogic(a_scene)

    logic.createFromVolumes(tmp_path / "out", [a_volume_node], name="x", modality=Modality.MR, labels=LABELS)

    assert [row.caseId for row in logic.table()] == ["3__CT_Köpf___head"]


def test_a_volume_under_a_transform_is_refused(a_scene: Any, a_volume_node: Any, tmp_path: Path) -> None:
    a_volume_node.SetAndObserveTransformNodeID(moveBy(a_scene, 5, 0, 0).GetID())

    with pytest.raises(ImageError, match=r"under a transform. Harden it"):
        CohortLogic(a_scene).createFromVolumes(
            tmp_path / "out", [a_volume_node], name="x", modality=Modality.MR, labels=LABELS
        )
    assert not (tmp_path / "out").exists()


def fillUpAfter(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full once so many images are in a cohort."""
    reallyFlush, flushed = os.fsync, []

    def flush(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) > 1 + 2 * images:  # cohort.json, then each image and cohort.json again.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reallyFlush(descriptor)

    monkeypatch.setattr(os, "fsync", flush)


def test_a_disk_that_fills_up_while_a_cohort_is_made_leaves_none(
    a_scene: Any, a_volume_node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logic, folder = CohortLogic(a_scene), tmp_path / "out"
    second = addVolumeNode(a_scene, Volume(array=imageArray(8), geometry=GRID), "second")
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "mine.nrrd").write_text("the user's own")

    def make() -> None:
        nodes = [a_volume_node, second]
        logic.createFromVolumes(folder, nodes, name="x", modality=Modality.MR, labels=LABELS, caseIds=["P7", "P8"])

    with monkeypatch.context() as patch:
        fillUpAfter(1, patch)
        with pytest.raises(StorageError, match="disk is full"):
            make()
    assert not (folder / "cohort.json").exists()
    assert [path.name for path in (folder / "images").iterdir()] == ["mine.nrrd"]
    assert not logic.isOpen

    make()  # There is room again.
    assert [row.caseId for row in logic.table()] == ["P7", "P8"]


def test_a_folder_of_images_is_copied_whole_or_not_at_all(
    a_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("A", "B"):
        writeImage(tmp_path / "in" / f"{name}.nrrd", imageArray())
    fillUpAfter(1, monkeypatch)

    with pytest.raises(StorageError, match="disk is full"):
        CohortLogic(a_scene).createFromFolder(
            tmp_path / "out", tmp_path / "in", name="x", modality=Modality.CT, labels=LABELS, copy=True
        )

    assert not (tmp_path / "out").exists()
    assert len(list((tmp_path / "in").iterdir())) == 2


def test_an_image_of_the_users_is_never_written_over(a_scene: Any, a_volume_node: Any, tmp_path: Path) -> None:
    mine = tmp_path / "out" / "images" / "P7.nrrd"
    mine.parent.mkdir(parents=True)
    mine.write_text("the user's own")

    with pytest.raises(CohortError, match=r"there already and would be written over: .*P7\.nrrd"):
        CohortLogic(a_scene).createFromVolumes(
            tmp_path / "out", [a_volume_node], name="x", modality=Modality.MR, labels=LABELS, caseIds=["P7"]
        )

    assert mine.read_text() == "the user's own"
    assert not (tmp_path / "out" / "cohort.json").exists()


def test_a_cohort_of_a_newer_version_is_refused_and_the_open_one_stays(
    a_logic: CohortLogic, a_cohort: Cohort, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    record = json.loads((a_cohort.folder / "cohort.json").read_text(encoding="utf-8"))
    (newer / "cohort.json").write_text(json.dumps(record | {"format_version": 99, "written_by": "9.0"}))

    with pytest.raises(NewerFormatError, match=r"Install BARL 9\.0 or newer"):
        a_logic.open(newer)

    assert a_logic.cohort.folder == a_cohort.folder


def test_without_a_cohort_the_missing_call_is_named(a_scene: Any) -> None:
    with pytest.raises(CohortError, match="Open a cohort's folder, or create"):
        CohortLogic(a_scene).table()


# The table


def test_the_table_tells_state_coverage_round_uncertainty_and_rank(a_scene: Any, a_cohort: Cohort) -> None:
    oneSlice = np.full(SHAPE, 255, np.uint8)
    oneSlice[1] = drawing()[1]
    annotate(a_cohort, "P01", oneSlice, coverage=Coverage(kind=CoverageKind.SLICES, axis=0))
    predict(a_cohort, SECOND_CASE, uncertainty=0.5)
    predict(a_cohort, SECOND_CASE, uncertainty=0.125)
    logic = CohortLogic(a_scene, ranking=lambda cohort: {SECOND_CASE: RankedCase(rank=1, reason="canal is unsure")})
    logic.open(a_cohort.folder)

    first, second = logic.table()

    assert (first.state, first.coverage, first.version) == (CaseState.PARTLY_ANNOTATED, CoverageKind.SLICES, 1)
    assert (first.lastRound, first.meanUncertainty, first.rank) == (None, None, None)
    assert (second.state, second.lastRound, second.meanUncertainty) == (CaseState.PREDICTED, 2, 0.125)
    assert (second.rank, second.reason, second.problem) == (1, "canal is unsure", "")


def test_the_table_agrees_with_the_cohort_in_every_state(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    def states() -> list[CaseState | None]:
        assert [row.state for row in a_logic.table()] == [a_cohort.state(case.id) for case in a_cohort.cases]
        return [row.state for row in a_logic.table()]

    assert states() == [CaseState.UNLABELED, CaseState.UNLABELED]
    predict(a_cohort, "P01")
    assert states()[0] is CaseState.PREDICTED
    annotate(a_cohort, "P01", source="accepted")
    assert states()[0] is CaseState.ACCEPTED
    annotate(a_cohort, "P01")
    assert states()[0] is CaseState.ANNOTATED


def test_a_ranking_is_read_from_the_newest_round_that_has_one(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    rows = [{"case": "P01", "rank": 2, "reason": "fine"}, {"case": SECOND_CASE, "rank": 1, "reason": "odd"}]
    (a_cohort.new_round() / "ranking.json").write_text(json.dumps({"cases": rows}))
    a_cohort.new_round()

    assert [(row.rank, row.reason) for row in a_logic.table()] == [(2, "fine"), (1, "odd")]


def test_a_case_deleted_on_disk_while_shown_is_told_and_hides_no_other(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    a_logic.loadCase("P01")
    a_cohort.image_path("P01").unlink()

    first, second = a_logic.table()

    assert "is missing" in first.problem
    assert second.problem == ""
    assert a_logic.volumeNodeOf("P01") is not None


def test_a_damaged_annotation_is_a_problem_of_its_case_only(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    annotate(a_cohort, "P01")
    a_cohort.annotation("P01").path.with_name("0001.json").write_text("{")

    first, second = a_logic.table()

    assert (first.state, second.state) == (None, CaseState.UNLABELED)
    assert "not valid JSON" in first.problem


def test_a_cohort_that_is_gone_is_told(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    shutil.rmtree(a_cohort.folder)

    with pytest.raises(CohortError, match=r"is gone. Check that its drive"):
        a_logic.table()


def test_a_case_that_another_program_added_appears(a_logic: CohortLogic, a_cohort: Cohort, tmp_path: Path) -> None:
    Cohort.open(a_cohort.folder).add_case(writeImage(tmp_path / "third.nrrd", imageArray()))

    assert [row.caseId for row in a_logic.table()] == ["P01", SECOND_CASE, "third"]


def test_the_table_of_300_cases_is_read_in_a_moment(a_scene: Any, a_cohort: Cohort) -> None:
    record = json.loads((a_cohort.folder / "cohort.json").read_text(encoding="utf-8"))
    record["cases"] = [record["cases"][0] | {"id": f"C{number:03d}"} for number in range(300)]
    (a_cohort.folder / "cohort.json").write_text(json.dumps(record))
    cohort = Cohort.open(a_cohort.folder)
    for number in range(20):
        predict(cohort, f"C{number:03d}")
    logic = CohortLogic(a_scene)
    logic.open(a_cohort.folder)

    start = time.process_time()
    rows = logic.table()

    assert len(rows) == 300
    assert sum(row.state is CaseState.PREDICTED for row in rows) == 20
    assert time.process_time() - start < 1.0


def test_a_role_is_changed_and_told(a_logic: CohortLogic) -> None:
    seen = events(a_logic)

    a_logic.setRole("P01", Role.VALIDATION)

    assert a_logic.table()[0].role is Role.VALIDATION
    assert seen == [CohortEvent(kind="changed", caseId="P01")]


# A case in the scene


def test_a_case_without_anything_starts_with_empty_segments_of_the_table(a_logic: CohortLogic) -> None:
    loaded = a_logic.loadCase("P01")

    segmentation = loaded.segmentationNode.GetSegmentation()
    assert loaded.start is Start.LABELS
    assert segmentNames(loaded.segmentationNode) == ["jaw", "Zähne 歯", "canal"]
    colors = [tuple(round(255 * part) for part in segmentation.GetNthSegment(n).GetColor()) for n in range(3)]
    assert colors == [label.color for label in a_logic.cohort.labels.labels]
    assert segmentation.GetNumberOfLayers("Binary labelmap") == 1
    assert [segmentation.GetNthSegment(n).GetLabelValue() for n in range(3)] == [1, 2, 3]


def test_segments_carry_the_terminology_of_the_table(a_scene: Any, tmp_path: Path) -> None:
    entry = "Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^661005^Jaw~^^~Anatomic codes~^^~^^"
    rows = [{"value": 9, "name": "jaw", "color": [1, 2, 3], "terminology": entry}]
    cohort = Cohort.create(tmp_path / "c", name="c", modality=Modality.CT, labels=LabelTable.from_json(rows))
    cohort.add_case(writeImage(tmp_path / "P.nrrd", imageArray()))
    logic = CohortLogic(a_scene)
    logic.open(cohort.folder)

    segment = logic.loadCase("P").segmentationNode.GetSegmentation().GetNthSegment(0)

    assert slicer.vtkSegment.GetTag(segment, "TerminologyEntry", text := vtk.reference("")) and text == entry
    assert segment.GetLabelValue() == 9


def test_the_image_in_the_scene_is_the_image_of_the_file(a_logic: CohortLogic) -> None:
    node = a_logic.loadCase("P01").volumeNode

    assert np.array_equal(volumeOf(node).array, imageArray(0))
    assert geometryOf(node).difference_from(GRID) == ""


def test_a_case_starts_from_its_newest_annotation(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    predict(a_cohort, "P01", np.zeros(SHAPE, np.uint8))
    annotate(a_cohort, "P01", np.zeros(SHAPE, np.uint8))
    annotate(a_cohort, "P01")

    loaded = a_logic.loadCase("P01")

    assert loaded.start is Start.ANNOTATION
    for value, name in ((1, "jaw"), (2, "Zähne 歯"), (3, "canal")):
        assert np.array_equal(segmentVoxels(loaded.segmentationNode, name, loaded.volumeNode), drawing() == value)


def test_a_prediction_becomes_a_new_segmentation_and_its_file_stays(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    path = predict(a_cohort, "P01")
    before = path.read_bytes()

    loaded = a_logic.loadCase("P01")

    assert loaded.start is Start.PREDICTION
    assert loaded.segmentationNode.GetStorageNode() is None
    assert np.array_equal(segmentVoxels(loaded.segmentationNode, "canal", loaded.volumeNode), drawing() == 3)
    assert path.read_bytes() == before


def test_the_prediction_of_a_drawn_case_takes_the_place_of_its_annotation(
    a_logic: CohortLogic, a_cohort: Cohort
) -> None:
    annotate(a_cohort, "P01", np.where(drawing() == 1, drawing(), 0).astype(np.uint8))
    predict(a_cohort, "P01")
    annotation = a_logic.loadCase("P01")
    seen: list[str] = []
    a_logic.events.add(lambda event: seen.append(event.kind))

    shown = a_logic.loadPrediction("P01")

    assert seen == ["unloaded", "loaded"]
    assert annotation.segmentationNode.GetScene() is None
    assert shown.volumeNode is annotation.volumeNode
    assert (shown.start, shown.coverage, shown.isPrediction) == (Start.PREDICTION, Coverage(), True)
    assert np.array_equal(segmentVoxels(shown.segmentationNode, "canal", shown.volumeNode), drawing() == 3)
    assert a_logic.loadCase("P01").segmentationNode is shown.segmentationNode


def test_a_case_that_is_not_predicted_stays_as_it_is_in_the_scene(a_logic: CohortLogic) -> None:
    loaded = a_logic.loadCase("P01")

    with pytest.raises(CohortError, match="not predicted yet"):
        a_logic.loadPrediction("P01")

    assert a_logic.segmentationNodeOf("P01") is loaded.segmentationNode


def test_a_folder_that_is_gone_is_no_cohort_in_which_nothing_is_drawn(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    shutil.rmtree(a_cohort.folder)

    for load in (a_logic.loadCase, a_logic.loadPrediction):
        with pytest.raises(CohortError, match="drive is connected"):
            load("P01")


def test_painted_background_of_scribbles_is_a_segment(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    known = np.full(SHAPE, 255, np.uint8)
    known[0, 0, :3] = 0
    known[0, 1, :3] = 2
    annotate(a_cohort, "P01", known, coverage=Coverage(kind=CoverageKind.SCRIBBLES))

    loaded = a_logic.loadCase("P01")

    assert segmentNames(loaded.segmentationNode) == ["jaw", "Zähne 歯", "canal", "Background"]
    assert loaded.coverage.kind is CoverageKind.SCRIBBLES


def test_a_case_that_is_there_is_not_loaded_again(a_logic: CohortLogic) -> None:
    first = a_logic.loadCase("P01")
    first.volumeNode.SetName("renamed by the user")

    again = a_logic.loadCase("P01")

    assert (again.volumeNode, again.segmentationNode) == (first.volumeNode, first.segmentationNode)
    assert again.start is Start.SCENE
    assert again.volumeNode.GetName() == "renamed by the user"


def test_the_slice_views_show_the_case_and_then_again_what_they_showed(
    a_scene: Any, a_logic: CohortLogic, a_volume_node: Any
) -> None:
    views = list(nodesOf(a_scene, "vtkMRMLSliceCompositeNode"))
    views[0].SetBackgroundVolumeID(a_volume_node.GetID())
    views[1].SetForegroundVolumeID(a_volume_node.GetID())
    views[1].SetForegroundOpacity(0.3)
    before = nodeIds(a_scene)

    first = a_logic.loadCase("P01").volumeNode.GetID()
    assert backgrounds(a_scene) == [first, first]
    a_logic.loadCase(SECOND_CASE)
    a_logic.restoreScene()

    assert backgrounds(a_scene) == [a_volume_node.GetID(), None]
    assert (views[1].GetForegroundVolumeID(), views[1].GetForegroundOpacity()) == (a_volume_node.GetID(), 0.3)
    assert nodeIds(a_scene) == before


def test_a_view_in_which_the_user_has_chosen_another_volume_keeps_it(
    a_scene: Any, a_logic: CohortLogic, a_volume_node: Any
) -> None:
    a_logic.loadCase("P01")
    chosen = nodesOf(a_scene, "vtkMRMLSliceCompositeNode")[1]
    chosen.SetBackgroundVolumeID(a_volume_node.GetID())
    chosen.SetForegroundOpacity(0.7)

    a_logic.restoreScene()

    assert backgrounds(a_scene) == [None, a_volume_node.GetID()]
    assert chosen.GetForegroundOpacity() == 0.7


def test_after_a_closed_scene_the_views_come_back_to_what_the_next_scene_showed(
    a_scene: Any, a_logic: CohortLogic
) -> None:
    a_logic.loadCase("P01")
    a_scene.Clear(False)
    mine = addVolumeNode(a_scene, Volume(array=imageArray(7), geometry=GRID), "of the next scene")
    for view in nodesOf(a_scene, "vtkMRMLSliceCompositeNode"):
        view.SetBackgroundVolumeID(mine.GetID())

    a_logic.loadCase("P01")
    a_logic.restoreScene()

    assert backgrounds(a_scene) == [mine.GetID()] * 2


def test_a_case_far_from_the_middle_of_the_world_is_seen_at_once_and_the_views_turn_back(
    a_stage: Stage, tmp_path: Path
) -> None:
    views = a_stage.withViews()
    cohort = Cohort.create(tmp_path / "c", name="c", modality=Modality.CT, labels=LABELS)
    far = replace(GRID, origin_mm=(400.0, -900.0, 1500.0))
    cohort.add_case(writeImage(tmp_path / "P.nrrd", imageArray(), far))
    logic = CohortLogic(a_stage.scene)
    logic.open(cohort.folder)
    before, empty = [placeOf(view) for view in views.views.values()], views.pixels()

    node = logic.loadCase("P").volumeNode

    for view in views.views.values():
        assert (view.pixels() > 0).any(axis=2).mean() > 0.2, view.node.GetName()
        touched = np.linalg.inv(slicer.util.arrayFromVTKMatrix(ijkToRas(node))) @ centerOf(view)
        assert np.allclose(touched, np.rint(touched), atol=1e-6), "a brush would not know which voxel is meant"
    logic.restoreScene()
    assert [placeOf(view) for view in views.views.values()] == before
    np.testing.assert_array_equal(views.pixels(), empty)
    logic.cleanup()


def test_a_case_that_is_shown_already_keeps_the_place_to_which_the_user_has_gone(
    a_stage: Stage, a_cohort: Cohort
) -> None:
    views = a_stage.withViews()
    logic = CohortLogic(a_stage.scene)
    logic.open(a_cohort.folder)
    logic.loadCase("P01")
    views["Red"].node.SetFieldOfView(3.0, 3.0, 1.0)
    views["Red"].node.JumpSliceByCentering(1.0, 2.0, 3.0)
    there = placeOf(views["Red"])

    logic.loadCase("P01")

    assert placeOf(views["Red"]) == there
    logic.cleanup()


def placeOf(view: SliceView) -> tuple[float, ...]:
    """Orientation, center and zoom of a slice view."""
    toRas = slicer.util.arrayFromVTKMatrix(view.node.GetSliceToRAS())
    return (*toRas.ravel().tolist(), *view.node.GetFieldOfView(), *view.node.GetXYZOrigin())


def centerOf(view: SliceView) -> Any:
    return slicer.util.arrayFromVTKMatrix(view.node.GetSliceToRAS())[:, 3]


def ijkToRas(volumeNode: Any) -> Any:
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return matrix


def test_an_image_that_cannot_be_read_leaves_the_scene_as_it_was(
    a_scene: Any, a_logic: CohortLogic, a_cohort: Cohort
) -> None:
    before = nodeIds(a_scene)
    a_cohort.image_path("P01").write_bytes(b"cut")

    with pytest.raises(ImageError):
        a_logic.loadCase("P01")

    assert nodeIds(a_scene) == before
    assert backgrounds(a_scene) == [None, None]


def test_an_annotation_that_cannot_be_read_leaves_the_scene_as_it_was(
    a_scene: Any, a_logic: CohortLogic, a_cohort: Cohort
) -> None:
    annotate(a_cohort, "P01")
    a_cohort.annotation("P01").path.write_bytes(b"NRRD0004\ncut")
    before = nodeIds(a_scene)

    with pytest.raises(LabelError, match="cut short or damaged"):
        a_logic.loadCase("P01")

    assert nodeIds(a_scene) == before


def test_a_node_removed_by_somebody_else_is_told_and_can_be_loaded_again(a_scene: Any, a_logic: CohortLogic) -> None:
    loaded, seen = a_logic.loadCase("P01"), events(a_logic)

    a_scene.RemoveNode(loaded.segmentationNode)

    assert seen == [CohortEvent(kind="lost", caseId="P01")]
    assert a_logic.loadedCases() == ()
    assert a_logic.loadCase("P01").start is Start.LABELS


def test_the_scene_may_be_closed_at_any_time(a_scene: Any, a_logic: CohortLogic) -> None:
    a_logic.loadCase("P01")

    a_scene.Clear(False)

    a_logic.restoreScene()
    assert a_logic.loadedCases() == ()
    assert a_logic.loadCase("P01").volumeNode is not None


def test_a_scene_and_its_logics_may_go_without_being_cleaned_up() -> None:
    """In a process of its own, which a call of what is gone would end."""
    code = """
import gc, slicer
from BARLSegmentLib.logic.CohortLogic import CohortLogic
from BARLSegmentLib.logic.CorrectionLogic import CorrectionLogic
for _ in range(20):
    scene = slicer.vtkMRMLScene()
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    ring = [scene, CohortLogic(scene), CorrectionLogic(scene, author="x")]
    ring.append(ring)
    del scene, ring
    gc.collect()
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=withPaths())

    assert (answer.returncode, answer.stderr) == (0, "")


def withPaths() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_two_cohorts_one_after_the_other_do_not_mix_cases_of_one_name(
    a_scene: Any, a_logic: CohortLogic, tmp_path: Path
) -> None:
    before = nodeIds(a_scene)
    a_logic.loadCase("P01")
    other = Cohort.create(tmp_path / "other", name="other", modality=Modality.CT, labels=LABELS)
    other.add_case(writeImage(tmp_path / "o" / "P01.nrrd", imageArray(5)))

    a_logic.open(other.folder)

    assert nodeIds(a_scene) == before
    loaded = a_logic.loadCase("P01")
    assert np.array_equal(volumeOf(loaded.volumeNode).array, imageArray(5))
    assert segmentNames(loaded.segmentationNode) == ["jaw", "teeth"]


def test_nodes_of_another_cohort_in_the_scene_are_not_taken_for_ones_own(
    a_scene: Any, a_logic: CohortLogic, tmp_path: Path
) -> None:
    mine = a_logic.loadCase("P01")
    other = Cohort.create(tmp_path / "other", name="other", modality=Modality.CT, labels=LABELS)
    other.add_case(writeImage(tmp_path / "o" / "P01.nrrd", imageArray(5)))
    second = CohortLogic(a_scene)
    second.open(other.folder)

    theirs = second.loadCase("P01")

    assert theirs.volumeNode is not mine.volumeNode
    assert second.loadedCases() == ("P01",)
    second.cleanup()
    assert a_logic.segmentationNodeOf("P01") is mine.segmentationNode


def test_an_earlier_version_is_shown_beside_the_work(a_logic: CohortLogic, a_cohort: Cohort) -> None:
    annotate(a_cohort, "P01")
    annotate(a_cohort, "P01", np.zeros(SHAPE, np.uint8))
    loaded = a_logic.loadCase("P01")

    node = a_logic.loadVersion("P01", 1)

    assert node is not loaded.segmentationNode
    assert np.array_equal(segmentVoxels(node, "jaw", loaded.volumeNode), drawing() == 1)
    with pytest.raises(CohortError, match="no version 9; its versions are 1, 2"):
        a_logic.loadVersion("P01", 9)


def test_a_read_only_cohort_is_listed_and_shown_but_not_changed(
    a_logic: CohortLogic, a_cohort: Cohort, read_only: ReadOnly
) -> None:
    annotate(a_cohort, "P01")
    read_only(a_cohort.folder)

    assert len(a_logic.table()) == 2
    assert a_logic.loadCase("P01").start is Start.ANNOTATION
    with pytest.raises(StorageError, match="read-only: choose another folder"):
        a_logic.setRole("P01", Role.VALIDATION)
    assert a_logic.table()[0].role is Role.TRAINING


def test_an_observer_that_fails_does_not_keep_the_others_from_being_told(a_logic: CohortLogic) -> None:
    def fail(event: CohortEvent) -> None:
        raise RuntimeError("a panel that is gone")

    a_logic.events.add(fail)
    seen = events(a_logic)

    a_logic.loadCase("P01")

    assert seen == [CohortEvent(kind="loaded", caseId="P01")]
