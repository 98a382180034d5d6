"""Saving what was drawn: names to values, grids, transforms, overlaps, coverage, and what is asked first."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import slicer
import vtk
from cohort_scene import (
    GRID,
    SHAPE,
    Clock,
    ReadOnly,
    annotate,
    drawing,
    gridOf,
    moveBy,
    paint,
    predict,
    segmentId,
    segmentNames,
)

from barl.atomic import write_json
from barl.cohort import CaseState, Cohort, Coverage, CoverageKind
from barl.errors import CohortError, ImageError, InputError, LabelError, StorageError
from barl.imaging import load_annotation
from BARLSegmentLib.logic.CaseStart import LoadedCase
from BARLSegmentLib.logic.CohortLogic import CohortLogic
from BARLSegmentLib.logic.CorrectionLogic import CorrectionEvent, CorrectionLogic
from BARLSegmentLib.logic.Questions import EmptyClassesQuestion, OtherGridQuestion, Question, TransformQuestion
from BARLSegmentLib.logic.SegmentationArrays import OverlappingSegmentsError
from BARLSegmentLib.logic.SegmentationNodes import addEmptySegmentation

COMPLETE = Coverage()
SCRIBBLES = Coverage(kind=CoverageKind.SCRIBBLES)
LABEL_OF = {"jaw": 1, "Zähne 歯": 2, "canal": 3}


@pytest.fixture
def a_logic(a_scene: Any, a_clock: Clock) -> Iterator[CorrectionLogic]:
    """Corrections by somebody whose name has letters outside ASCII."""
    logic = CorrectionLogic(a_scene, author="Zoë Ärztin", clock=a_clock)
    yield logic
    logic.cleanup()


@pytest.fixture
def a_drawn_case(a_cohort_logic: CohortLogic, a_cohort: Cohort) -> LoadedCase:
    """Jaw, teeth and canal drawn, all in one shared labelmap."""
    annotate(a_cohort, "P01")
    return a_cohort_logic.loadCase("P01")


@pytest.fixture
def an_empty_case(a_cohort_logic: CohortLogic) -> LoadedCase:
    """Nothing drawn yet."""
    return a_cohort_logic.loadCase("P01")


def stored(cohort: Cohort, caseId: str = "P01") -> npt.NDArray[np.uint8]:
    """The newest annotation as the training reads it."""
    version = cohort.annotation(caseId)
    assert version is not None
    return load_annotation(cohort, version)


def block(*cuts: slice) -> npt.NDArray[np.bool_]:
    mask = np.zeros(SHAPE, bool)
    mask[cuts] = True
    return mask


# Names to values


def test_what_is_in_the_scene_is_what_the_training_reads(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    assert a_drawn_case.segmentationNode.GetSegmentation().GetNumberOfLayers("Binary labelmap") == 1

    version = a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE, note="fein")

    assert np.array_equal(stored(a_cohort), drawing())
    assert (version.number, version.parent, version.author, version.note) == (2, 1, "Zoë Ärztin", "fein")
    assert a_cohort.state("P01") is CaseState.ANNOTATED


def test_segments_painted_in_slicer_are_saved_in_their_places(
    a_logic: CorrectionLogic, a_cohort: Cohort, an_empty_case: LoadedCase
) -> None:
    for name, value in LABEL_OF.items():
        paint(an_empty_case.segmentationNode, name, drawing() == value, an_empty_case.volumeNode)

    a_logic.saveVersion(a_cohort, an_empty_case.segmentationNode, coverage=COMPLETE)

    assert np.array_equal(stored(a_cohort), drawing())


def test_order_and_color_of_segments_change_nothing(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    segmentation = a_drawn_case.segmentationNode.GetSegmentation()
    segmentation.ReorderSegments(list(reversed(segmentation.GetSegmentIDs())))
    segmentation.GetNthSegment(0).SetColor(1, 0, 1)

    a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)

    assert segmentNames(a_drawn_case.segmentationNode)[0] == "canal"
    assert np.array_equal(stored(a_cohort), drawing())


def test_voxel_values_of_the_scene_change_nothing(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_scene: Any, an_empty_case: LoadedCase
) -> None:
    node = an_empty_case.segmentationNode
    segmentation = node.GetSegmentation()
    for index in range(3):  # As if the segments had been made in another order, in a segmentation of the user's own.
        segmentation.GetNthSegment(index).SetLabelValue(30 - index)
    for name, value in LABEL_OF.items():
        paint(node, name, drawing() == value, an_empty_case.volumeNode)

    a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)

    assert np.array_equal(stored(a_cohort), drawing())


def test_names_match_without_regard_to_case_and_spaces(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    a_drawn_case.segmentationNode.GetSegmentation().GetNthSegment(0).SetName(" JAW ")

    a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)

    assert np.array_equal(stored(a_cohort), drawing())


def test_a_renamed_segment_is_refused_with_the_names_that_are_allowed(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    a_drawn_case.segmentationNode.GetSegmentation().GetNthSegment(2).SetName("nerve")

    with pytest.raises(LabelError, match=r"not in the label table: nerve\. The table has jaw, Zähne 歯, canal"):
        a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)

    assert len(a_cohort.annotations("P01")) == 1


def test_an_empty_segment_may_have_any_name(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    a_drawn_case.segmentationNode.GetSegmentation().AddEmptySegment("", "scratch")

    a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)

    assert np.array_equal(stored(a_cohort), drawing())


def test_a_deleted_segment_is_an_empty_class_and_asked_about(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    node = a_drawn_case.segmentationNode
    node.GetSegmentation().RemoveSegment(segmentId(node, "canal"))

    with pytest.raises(EmptyClassesQuestion, match="nothing is drawn as canal") as question:
        a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)
    assert question.value.names == ("canal",)

    a_logic.saveVersion(a_cohort, node, coverage=COMPLETE, **{question.value.option: True})
    assert np.array_equal(stored(a_cohort), np.where(drawing() == 3, 0, drawing()))


def test_a_renamed_volume_changes_nothing(a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase) -> None:
    a_drawn_case.volumeNode.SetName("Müller^Hans")
    a_drawn_case.segmentationNode.SetName("something")

    version = a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)

    assert version.path == a_cohort.folder / "annotations" / "P01" / "0002.seg.nrrd"


# Layers and overlaps


def test_segments_in_layers_of_their_own_are_put_together(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    node = a_drawn_case.segmentationNode
    for name in LABEL_OF:
        node.GetSegmentation().SeparateSegmentLabelmap(segmentId(node, name))
    assert node.GetSegmentation().GetNumberOfLayers("Binary labelmap") == 3

    a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)

    assert np.array_equal(stored(a_cohort), drawing())


def test_overlapping_segments_are_reported_with_where(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    node = a_drawn_case.segmentationNode
    node.GetSegmentation().SeparateSegmentLabelmap(segmentId(node, "canal"))
    paint(node, "canal", block(slice(3, 5), slice(2, 3), slice(1, 2)), a_drawn_case.volumeNode)

    with pytest.raises(OverlappingSegmentsError, match=r"jaw and canal in 1 voxels, slices 3 to 3, .* at R ") as error:
        a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)

    (overlap,) = error.value.overlaps
    assert overlap.ras_mm == pytest.approx(GRID.index_to_ras((3, 2, 1)))
    assert len(a_cohort.annotations("P01")) == 1


# Grids and transforms


def test_a_part_of_the_images_grid_is_put_where_it_belongs(
    a_logic: CorrectionLogic, a_cohort: Cohort, an_empty_case: LoadedCase
) -> None:
    node, part = an_empty_case.segmentationNode, gridOf(an_empty_case.volumeNode)
    part.SetExtent(1, 8, 1, 6, 1, 4)
    for name, value in LABEL_OF.items():
        paint(node, name, (drawing() == value)[1:5, 1:7, 1:9], labelmap=part)

    a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)

    assert np.array_equal(stored(a_cohort), drawing())


def test_another_grid_is_asked_about_and_then_resampled(
    a_logic: CorrectionLogic, a_cohort: Cohort, an_empty_case: LoadedCase
) -> None:
    node = an_empty_case.segmentationNode
    finer = np.kron(drawing(), np.ones((2, 2, 2), np.uint8))
    fine = halfVoxels(an_empty_case.volumeNode)
    for name, value in LABEL_OF.items():
        paint(node, name, finer == value, labelmap=fine)

    with pytest.raises(OtherGridQuestion, match=r"does not lie on the image's grid: .*Resample it") as question:
        a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)
    a_logic.saveVersion(a_cohort, node, coverage=COMPLETE, **{question.value.option: True})

    assert np.array_equal(stored(a_cohort), drawing())


def test_a_stroke_as_thin_as_half_a_voxel_survives_resampling(
    a_logic: CorrectionLogic, a_cohort: Cohort, an_empty_case: LoadedCase
) -> None:
    node, fine = an_empty_case.segmentationNode, halfVoxels(an_empty_case.volumeNode)
    stroke = np.zeros(tuple(2 * size for size in drawing().shape), bool)
    stroke[5, 7, 3:15] = True
    paint(node, "jaw", stroke, labelmap=fine)

    a_logic.saveVersion(a_cohort, node, coverage=SCRIBBLES, resample=True, allowEmpty=True)

    assert (stored(a_cohort)[2, 3] == LABEL_OF["jaw"]).sum() >= 6


def test_slices_of_a_tilted_reformat_are_refused(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_scene: Any, a_drawn_case: LoadedCase
) -> None:
    tilt, tilted = vtk.vtkTransform(), a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    tilt.RotateX(20)
    tilted.SetMatrixTransformToParent(tilt.GetMatrix())
    a_drawn_case.segmentationNode.SetAndObserveTransformNodeID(tilted.GetID())

    with pytest.raises(LabelError, match=r"drawn in slices tilted by 20 degrees"):
        a_logic.saveVersion(
            a_cohort,
            a_drawn_case.segmentationNode,
            coverage=Coverage(kind=CoverageKind.SLICES, axis=0),
            resample=True,
            harden=True,
        )


def halfVoxels(volumeNode: Any) -> Any:
    """A grid of half as large voxels, whose centers lie a quarter off."""
    fine = gridOf(volumeNode)
    matrix, shift = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    fine.GetImageToWorldMatrix(matrix)
    for axis in range(3):
        shift.SetElement(axis, axis, 0.5)
        shift.SetElement(axis, 3, -0.25)
    vtk.vtkMatrix4x4.Multiply4x4(matrix, shift, matrix)
    fine.SetImageToWorldMatrix(matrix)
    fine.SetDimensions(*(2 * size for size in fine.GetDimensions()))
    return fine


def test_a_transform_is_asked_about_and_the_node_stays_under_it(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_scene: Any, a_drawn_case: LoadedCase
) -> None:
    node, turned = a_drawn_case.segmentationNode, np.reshape(GRID.direction, (3, 3))
    right, anterior, superior = np.diag([-1, -1, 1]) @ turned @ np.array([GRID.spacing_mm[0], 0, 0])
    move = moveBy(a_scene, right, anterior, superior)
    node.SetAndObserveTransformNodeID(move.GetID())

    with pytest.raises(TransformQuestion, match="moved by a transform") as question:
        a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)
    a_logic.saveVersion(a_cohort, node, coverage=COMPLETE, **{question.value.option: True})

    assert np.array_equal(stored(a_cohort), np.roll(drawing(), 1, axis=2))
    assert node.GetParentTransformNode() is move


def test_image_and_segmentation_under_one_transform_are_saved_as_drawn(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_scene: Any, a_drawn_case: LoadedCase
) -> None:
    move = moveBy(a_scene, 11, 12, 13)
    for node in (a_drawn_case.volumeNode, a_drawn_case.segmentationNode):
        node.SetAndObserveTransformNodeID(move.GetID())

    a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)

    assert np.array_equal(stored(a_cohort), drawing())


def test_a_transform_that_bends_is_refused(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_scene: Any, a_drawn_case: LoadedCase
) -> None:
    bend = a_scene.AddNewNodeByClass("vtkMRMLTransformNode")
    bend.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    a_drawn_case.segmentationNode.SetAndObserveTransformNodeID(bend.GetID())

    with pytest.raises(LabelError, match=r"transform that bends\. Harden it"):
        a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE, harden=True)


def test_a_volume_that_was_moved_in_the_scene_is_told(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    a_drawn_case.volumeNode.SetOrigin(0, 0, 0)

    with pytest.raises(ImageError, match="no longer lies where its file says: origin"):
        a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)


# Coverage


def test_slices_with_anything_drawn_are_known_and_the_others_not(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    coverage = Coverage(kind=CoverageKind.SLICES, axis=0)

    a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=coverage)

    expected = drawing()
    expected[[0, 5]] = 255
    assert np.array_equal(stored(a_cohort), expected)
    assert a_cohort.state("P01") is CaseState.PARTLY_ANNOTATED


def test_scribbles_know_what_is_painted_and_ask_nothing(
    a_logic: CorrectionLogic, a_cohort: Cohort, an_empty_case: LoadedCase
) -> None:
    node = an_empty_case.segmentationNode
    node.GetSegmentation().AddEmptySegment("", "Background")
    paint(node, "jaw", block(slice(1, 2), slice(1, 2)), an_empty_case.volumeNode)
    paint(node, "Background", block(slice(3, 4), slice(1, 2)), an_empty_case.volumeNode)

    a_logic.saveVersion(a_cohort, node, coverage=SCRIBBLES)

    expected = np.full(SHAPE, 255, np.uint8)
    expected[1, 1], expected[3, 1] = 1, 0
    assert np.array_equal(stored(a_cohort), expected)


def test_a_scan_without_any_structure_is_saved_when_the_user_says_so(
    a_logic: CorrectionLogic, a_cohort: Cohort, an_empty_case: LoadedCase
) -> None:
    with pytest.raises(EmptyClassesQuestion) as question:
        a_logic.saveVersion(a_cohort, an_empty_case.segmentationNode, coverage=COMPLETE)
    assert question.value.names == a_cohort.labels.names

    a_logic.saveVersion(a_cohort, an_empty_case.segmentationNode, coverage=COMPLETE, allowEmpty=True)
    assert not stored(a_cohort).any()


def test_scribbles_of_nothing_are_refused(
    a_logic: CorrectionLogic, a_cohort: Cohort, an_empty_case: LoadedCase
) -> None:
    with pytest.raises(LabelError, match=r"nothing is annotated\. Draw something"):
        a_logic.saveVersion(a_cohort, an_empty_case.segmentationNode, coverage=SCRIBBLES, allowEmpty=True)


@pytest.mark.parametrize("question", [EmptyClassesQuestion, OtherGridQuestion, TransformQuestion])
def test_every_question_names_an_argument_of_saving(question: type[Question]) -> None:
    assert question.option in CorrectionLogic.saveVersion.__kwdefaults__


# Versions


def test_a_corrected_prediction_tells_where_it_came_from_once(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_cohort_logic: CohortLogic
) -> None:
    predict(a_cohort, "P01")
    node = a_cohort_logic.loadCase("P01").segmentationNode

    accepted = a_logic.saveVersion(a_cohort, node, coverage=COMPLETE, source="accepted")
    corrected = a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)

    assert accepted.from_prediction == "rounds/0001/predictions/P01.seg.nrrd"
    assert (corrected.from_prediction, corrected.parent) == (None, 1)


def test_the_history_tells_who_and_when_and_any_version_comes_back(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    node = a_drawn_case.segmentationNode
    node.GetSegmentation().RemoveSegment(segmentId(node, "canal"))
    a_logic.saveVersion(a_cohort, node, coverage=COMPLETE, allowEmpty=True)

    restored = a_logic.restoreVersion(a_cohort, "P01", 1)

    assert [(version.number, version.author) for version in a_logic.history(a_cohort, "P01")] == [
        (3, "Zoë Ärztin"),
        (2, "Zoë Ärztin"),
        (1, "Ärztin"),
    ]
    assert all(version.created.endswith("+00:00") for version in a_logic.history(a_cohort, "P01"))
    assert (restored.parent, restored.note) == (1, "Version 1 of Ärztin restored.")
    assert np.array_equal(stored(a_cohort), drawing())
    with pytest.raises(CohortError, match="no version 7"):
        a_logic.restoreVersion(a_cohort, "P01", 7)


def test_a_segmentation_of_no_case_is_refused(a_logic: CorrectionLogic, a_cohort: Cohort, a_scene: Any) -> None:
    stranger = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")

    with pytest.raises(CohortError, match="mine belongs to no case"):
        a_logic.saveVersion(a_cohort, stranger, coverage=COMPLETE)


def test_a_segmentation_of_surfaces_is_refused(
    a_logic: CorrectionLogic, a_cohort: Cohort, an_empty_case: LoadedCase
) -> None:
    segmentation = an_empty_case.segmentationNode.GetSegmentation()
    segmentation.RemoveAllSegments()
    segmentation.SetSourceRepresentationName("Closed surface")
    surface = slicer.vtkSegment()
    surface.AddRepresentation("Closed surface", vtk.vtkPolyData())
    segmentation.AddSegment(surface, "s")

    with pytest.raises(LabelError, match="holds surfaces only"):
        a_logic.saveVersion(a_cohort, an_empty_case.segmentationNode, coverage=COMPLETE)


def test_a_full_disk_leaves_versions_scene_and_unsaved_work_as_they_were(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_logic.watch(a_cohort, a_drawn_case.segmentationNode)
    paint(a_drawn_case.segmentationNode, "canal", drawing() == 3, a_drawn_case.volumeNode)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)

    assert [version.number for version in a_cohort.annotations("P01")] == [1]
    assert a_logic.hasUnsavedChanges(a_drawn_case.segmentationNode)


def test_a_case_whose_image_was_deleted_while_shown_is_told(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    a_cohort.image_path("P01").unlink()

    with pytest.raises(ImageError, match="does not exist"):
        a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)


def test_a_case_that_another_program_took_out_of_the_cohort_gets_no_version(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase
) -> None:
    record = a_cohort.folder / "cohort.json"
    write_json(record, json.loads(record.read_text("utf-8")) | {"cases": []})

    with pytest.raises(CohortError, match="has no case 'P01'"):
        a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)

    assert [path.name for path in (a_cohort.folder / "annotations" / "P01").glob("*.json")] == ["0001.json"]


def test_a_read_only_cohort_gets_no_version_and_the_work_stays_unsaved(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_drawn_case: LoadedCase, a_clock: Clock, read_only: ReadOnly
) -> None:
    node = a_drawn_case.segmentationNode
    a_logic.watch(a_cohort, node)
    paint(node, "canal", drawing() == 3, a_drawn_case.volumeNode)
    told: list[CorrectionEvent] = []
    a_logic.events.add(told.append)
    read_only(a_cohort.folder)

    for save in (
        lambda: a_logic.saveVersion(a_cohort, node, coverage=COMPLETE),
        lambda: a_logic.restoreVersion(a_cohort, "P01", 1),
    ):
        with pytest.raises(StorageError, match="read-only: choose another folder"):
            save()
    a_clock.now += 121
    while a_logic.tick():
        time.sleep(0.001)

    assert [event.kind for event in told] == ["draft failed"]
    assert "read-only" in told[0].message
    assert [version.number for version in a_cohort.annotations("P01")] == [1]
    assert a_logic.hasUnsavedChanges(node)


def test_without_its_packages_saving_says_what_to_do_and_drafts_are_kept(
    a_logic: CorrectionLogic,
    a_cohort: Cohort,
    a_drawn_case: LoadedCase,
    a_clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a Slicer in which BARL's packages are not installed yet."""
    node = a_drawn_case.segmentationNode
    a_logic.watch(a_cohort, node)
    paint(node, "canal", drawing() == 3, a_drawn_case.volumeNode)
    for name in ("slicerio", "nrrd"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(InputError, match=r"slicerio, which is not installed\. In Slicer open the module BARL Trainer"):
        a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)
    a_clock.now += 121
    while a_logic.tick():
        time.sleep(0.001)

    assert len(a_logic.abandonedDrafts(a_cohort)) == 0  # It is at work.
    assert len(list((a_cohort.folder / "drafts" / "P01").glob("*.seg.nrrd"))) == 1


def test_a_segmentation_whose_segments_are_all_gone_is_refused(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_scene: Any, a_drawn_case: LoadedCase
) -> None:
    a_drawn_case.segmentationNode.GetSegmentation().RemoveAllSegments()

    with pytest.raises(LabelError, match="has no segments"):
        a_logic.saveVersion(a_cohort, a_drawn_case.segmentationNode, coverage=COMPLETE)
    addEmptySegmentation(a_scene, "fresh", a_cohort.labels, a_drawn_case.volumeNode)
