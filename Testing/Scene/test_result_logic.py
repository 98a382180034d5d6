"""A prediction comes into the scene as it is on disk, and goes without a trace."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from scene_data import (
    CASE,
    GRID,
    REGIONS,
    Stage,
    addVolume,
    ballImage,
    ballLabels,
    ballMap,
    draw,
    drawnIn,
    writePrediction,
)

from barl.errors import CohortError, ImageError, LabelError, NewerFormatError
from BARLSegmentLib.logic.MapKind import MapKind
from BARLSegmentLib.logic.ResultLogic import ResultLogic


@pytest.fixture
def a_prediction(tmp_path: Path) -> Path:
    """A folder with non-ASCII letters and spaces, with the prediction of one case."""
    return writePrediction(tmp_path / "Läufe 歯" / "predictions", regions=REGIONS)


def _count(scene: Any) -> int:
    return int(scene.GetNumberOfNodes())


def test_labels_and_map_arrive_voxel_by_voxel(a_stage: Stage, a_prediction: Path) -> None:
    image = addVolume(a_stage.scene, ballImage())

    shown = ResultLogic(a_stage.scene).load(a_prediction, CASE, imageNode=image)

    segmentation = shown.segmentationNode.GetSegmentation()
    for value, name in ((1, "Kiefer"), (2, "Zähne 歯")):
        segment = segmentation.GetSegmentIdBySegmentName(name)
        np.testing.assert_array_equal(drawnIn(shown.segmentationNode, segment), ballLabels() == value)
    np.testing.assert_allclose(slicer.util.arrayFromVolume(shown.mapNode), ballMap(), atol=1e-6)
    assert [one.rank for one in shown.regions or ()] == [1, 2, 3]
    assert shown.missing == ""


def test_the_map_has_the_fixed_range_before_anything_is_shown(a_stage: Stage, a_prediction: Path) -> None:
    shown = ResultLogic(a_stage.scene).load(a_prediction, CASE, mapKind=MapKind.DISAGREEMENT)

    display = shown.mapNode.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 1.0)
    assert not display.GetAutoWindowLevel()


def test_saving_the_scene_can_never_write_over_the_prediction(a_stage: Stage, a_prediction: Path) -> None:
    shown = ResultLogic(a_stage.scene).load(a_prediction, CASE)

    for node in (shown.segmentationNode, shown.mapNode):
        assert node.GetStorageNode() is None


def test_what_was_loaded_goes_without_a_trace(a_stage: Stage, a_prediction: Path) -> None:
    logic = ResultLogic(a_stage.scene)
    before = _count(a_stage.scene)

    logic.remove(logic.load(a_prediction, CASE))

    assert _count(a_stage.scene) == before


def test_a_node_that_the_user_has_removed_already_is_no_error(a_stage: Stage, a_prediction: Path) -> None:
    logic = ResultLogic(a_stage.scene)
    shown = logic.load(a_prediction, CASE)
    a_stage.scene.RemoveNode(shown.mapNode)
    a_stage.scene.Clear()

    logic.remove(shown)

    assert shown.isChanged


def test_a_segmentation_that_is_there_already_is_kept(a_stage: Stage, a_prediction: Path) -> None:
    logic = ResultLogic(a_stage.scene)
    first = logic.load(a_prediction, CASE)

    second = logic.load(a_prediction, CASE, segmentationNode=first.segmentationNode)
    logic.remove(second)

    assert second.segmentationNode is first.segmentationNode
    assert first.segmentationNode.GetScene() is a_stage.scene
    assert second.mapNode.GetScene() is None


def test_a_prediction_without_uncertainty_says_so(a_stage: Stage, tmp_path: Path) -> None:
    shown = ResultLogic(a_stage.scene).load(writePrediction(tmp_path, withMap=False), CASE)

    assert shown.mapNode is None
    assert shown.regions is None
    assert "without a map of its uncertainty" in shown.missing


def test_an_unfinished_prediction_is_told_from_a_finished_one(a_stage: Stage, a_prediction: Path) -> None:
    (a_prediction / f"{CASE}.json").unlink()
    before = _count(a_stage.scene)

    with pytest.raises(CohortError, match="no finished prediction"):
        ResultLogic(a_stage.scene).load(a_prediction, CASE)

    assert _count(a_stage.scene) == before


def test_a_record_of_a_newer_version_is_refused(a_stage: Stage, a_prediction: Path) -> None:
    record = a_prediction / f"{CASE}.json"
    record.write_text(json.dumps(json.loads(record.read_text("utf-8")) | {"format_version": 99, "written_by": "9.9"}))

    with pytest.raises(NewerFormatError, match=r"Install BARL 9\.9"):
        ResultLogic(a_stage.scene).load(a_prediction, CASE)


@pytest.mark.parametrize(
    ("key", "value"),
    [("center_ras_mm", [0, 0]), ("bounds_ras_mm", [[0, 1], [0, 1]]), ("volume_mm3", "much"), ("rank", None)],
)
def test_a_damaged_region_is_named(a_stage: Stage, tmp_path: Path, key: str, value: object) -> None:
    writePrediction(tmp_path, regions=[REGIONS[0], REGIONS[1] | {key: value}])

    with pytest.raises(CohortError, match=rf"regions\[1\]: {key} must be"):
        ResultLogic(a_stage.scene).load(tmp_path, CASE)


@pytest.mark.parametrize("length", [0, 200, 900, -10])
def test_a_map_that_was_cut_short_leaves_nothing_behind(a_stage: Stage, a_prediction: Path, length: int) -> None:
    path = a_prediction / f"{CASE}.uncertainty.nrrd"
    path.write_bytes(path.read_bytes()[:length])
    before = _count(a_stage.scene)

    with pytest.raises(ImageError, match=rf"Case {CASE}: .*uncertainty\.nrrd .*predict the case again"):
        ResultLogic(a_stage.scene).load(a_prediction, CASE)

    assert _count(a_stage.scene) == before


@pytest.mark.parametrize("length", [0, 40, 900, -10])
def test_a_segmentation_that_was_cut_short_is_told_and_leaves_nothing_behind(
    a_stage: Stage, a_prediction: Path, length: int
) -> None:
    path = a_prediction / f"{CASE}.seg.nrrd"
    path.write_bytes(path.read_bytes()[:length])
    before = _count(a_stage.scene)

    with pytest.raises(LabelError, match="cut short or damaged"):
        ResultLogic(a_stage.scene).load(a_prediction, CASE)

    assert _count(a_stage.scene) == before


def test_a_prediction_without_an_image_is_drawn_on_its_own_grid(a_stage: Stage, a_prediction: Path) -> None:
    """As Slicer's own reader leaves it."""
    storage, own = slicer.vtkMRMLSegmentationStorageNode(), a_stage.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage.SetFileName(str(a_prediction / f"{CASE}.seg.nrrd"))
    assert storage.ReadData(own)

    ours = ResultLogic(a_stage.scene).load(a_prediction, CASE).segmentationNode

    texts = [node.GetSegmentation().GetConversionParameter("Reference image geometry") for node in (own, ours)]
    mine, its = ([float(number) for number in text.strip(";").split(";")] for text in texts)
    assert mine == pytest.approx(its)
    for number in range(2):
        segments = [node.GetSegmentation().GetNthSegment(number) for node in (own, ours)]
        for read in ("GetName", "GetColor", "GetLabelValue"):
            first, second = (getattr(segment, read)() for segment in segments)
            assert first == pytest.approx(second, abs=1e-3) if read == "GetColor" else first == second


def test_another_image_is_refused_and_leaves_nothing_behind(a_stage: Stage, a_prediction: Path) -> None:
    shifted = replace(GRID, origin_mm=(0.0, 0.0, 0.0))
    image = addVolume(a_stage.scene, ballImage(), shifted, "Zähne")
    before = _count(a_stage.scene)

    with pytest.raises(LabelError, match="does not lie on the grid of the volume Zähne"):
        ResultLogic(a_stage.scene).load(a_prediction, CASE, imageNode=image)

    assert _count(a_stage.scene) == before


def test_a_prediction_follows_the_transform_of_its_image(a_stage: Stage, a_prediction: Path) -> None:
    image = addVolume(a_stage.scene, ballImage())
    transform = a_stage.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    image.SetAndObserveTransformNodeID(transform.GetID())

    shown = ResultLogic(a_stage.scene).load(a_prediction, CASE, imageNode=image)

    assert shown.segmentationNode.GetParentTransformNode() is transform
    assert shown.mapNode.GetParentTransformNode() is transform


def test_a_prediction_comes_into_the_study_of_its_image(a_stage: Stage, a_prediction: Path) -> None:
    image = addVolume(a_stage.scene, ballImage())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_stage.scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.CreateItem(study, image)
    # In the application a plugin makes an item for each node that comes.
    tag = a_stage.scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, _itemMaker(hierarchy))

    shown = ResultLogic(a_stage.scene).load(a_prediction, CASE, imageNode=image)

    a_stage.scene.RemoveObserver(tag)
    for node in (shown.segmentationNode, shown.mapNode):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study


def _itemMaker(hierarchy: Any) -> Any:
    @vtk.calldata_type(vtk.VTK_OBJECT)
    def make(_scene: Any, _event: str, node: Any) -> None:
        if node.IsA("vtkMRMLSegmentationNode") or node.IsA("vtkMRMLVolumeNode"):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    return make


def test_drawing_is_noticed_but_colors_surfaces_and_names_of_nodes_are_not(a_stage: Stage, a_prediction: Path) -> None:
    image = addVolume(a_stage.scene, ballImage())
    shown = ResultLogic(a_stage.scene).load(a_prediction, CASE, imageNode=image)
    segmentation = shown.segmentationNode.GetSegmentation()
    first = segmentation.GetNthSegmentID(0)

    image.SetName("renamed")
    shown.segmentationNode.SetName("renamed too")
    segmentation.GetSegment(first).SetColor(1.0, 0.0, 0.0)
    shown.segmentationNode.CreateClosedSurfaceRepresentation()
    assert not shown.isChanged

    draw(shown.segmentationNode, first)
    assert shown.isChanged


def test_a_round_deleted_on_disk_leaves_what_is_shown(a_stage: Stage, a_prediction: Path) -> None:
    shown = ResultLogic(a_stage.scene).load(a_prediction, CASE)

    shutil.rmtree(a_prediction)

    assert slicer.util.arrayFromVolume(shown.mapNode).max() == 1.0
    with pytest.raises(CohortError, match="it was deleted"):
        shown.files.fingerprint()
