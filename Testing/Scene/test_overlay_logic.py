"""The uncertainty map over the slice views, seen through Slicer's own displayable managers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from scene_data import CASE, Stage, addVolume, ballImage, ballMap, writePrediction

from barl.errors import InputError, SettingsError
from BARLSegmentLib.logic.OverlayLogic import OverlayLogic, OverlaySettings
from BARLSegmentLib.logic.ResultLogic import ResultLogic


@pytest.fixture
def a_stage(a_stage: Stage) -> Stage:
    """With slice views that show a scan."""
    a_stage.withViews().show(addVolume(a_stage.scene, ballImage()))
    return a_stage


@pytest.fixture
def a_map(a_stage: Stage) -> Any:
    return addVolume(a_stage.scene, ballMap(), name="P07 uncertainty")


@pytest.fixture
def an_overlay(a_stage: Stage) -> Iterator[OverlayLogic]:
    overlay = OverlayLogic(a_stage.scene)
    yield overlay
    overlay.cleanup()


def _colored(stage: Stage) -> int:
    """How many pixels of the views are not gray."""
    assert stage.views is not None
    pixels = stage.views.pixels().astype(int)
    return int((np.ptp(pixels, axis=2) > 20).sum())


def _front(stage: Stage) -> list[tuple[str | None, float]]:
    """What each view shows in front, and how strongly."""
    assert stage.views is not None
    views = [view.composite for view in stage.views.views.values()]
    return [(view.GetForegroundVolumeID(), view.GetForegroundOpacity()) for view in views]


def test_the_map_colors_unsure_pixels_and_leaves_when_hidden(
    a_stage: Stage, a_map: Any, an_overlay: OverlayLogic
) -> None:
    assert a_stage.views is not None
    before = a_stage.views.pixels()
    assert _colored(a_stage) == 0

    an_overlay.show(a_map)
    assert _colored(a_stage) > 1000

    an_overlay.hide()
    np.testing.assert_array_equal(a_stage.views.pixels(), before)


def test_only_what_is_above_the_threshold_is_colored(a_stage: Stage, a_map: Any, an_overlay: OverlayLogic) -> None:
    an_overlay.show(a_map)
    counts = []
    for threshold in (0.1, 0.5, 0.9):
        an_overlay.setThreshold(threshold)
        counts.append(_colored(a_stage))

    assert counts[0] > counts[1] > counts[2] > 0


def test_without_opacity_nothing_is_seen(a_stage: Stage, a_map: Any, an_overlay: OverlayLogic) -> None:
    an_overlay.show(a_map)
    _hideLegend(a_map)

    an_overlay.setOpacity(0.0)

    assert _colored(a_stage) == 0


def test_a_color_means_the_same_whatever_the_map_holds(a_stage: Stage, an_overlay: OverlayLogic) -> None:
    """Half the uncertainty everywhere has the color of 0.5, not that of the map's own maximum."""
    assert a_stage.views is not None
    half = addVolume(a_stage.scene, np.full_like(ballMap(), 0.5))
    whole = np.full_like(ballMap(), 0.5)
    whole[0, 0, 0] = 1.0
    an_overlay.show(half)
    _hideLegend(half)
    first = a_stage.views["Red"].pixels()

    other = addVolume(a_stage.scene, whole)
    an_overlay.show(other)
    _hideLegend(other)

    np.testing.assert_array_equal(a_stage.views["Red"].pixels(), first)


def test_the_legend_comes_and_goes_with_the_map(a_stage: Stage, a_map: Any, an_overlay: OverlayLogic) -> None:
    an_overlay.setThreshold(1.0)  # Nothing of the map itself is colored.
    an_overlay.show(a_map)
    with_legend = _colored(a_stage)

    an_overlay.hide()

    assert with_legend > 50
    assert _colored(a_stage) == 0


def test_what_was_shown_before_comes_back(a_stage: Stage, a_map: Any, an_overlay: OverlayLogic) -> None:
    assert a_stage.views is not None
    other = addVolume(a_stage.scene, ballImage(), name="other")
    a_stage.views["Red"].composite.SetForegroundVolumeID(other.GetID())
    a_stage.views["Red"].composite.SetForegroundOpacity(0.25)
    before = _front(a_stage)

    an_overlay.show(a_map)
    an_overlay.setOpacity(0.8)
    an_overlay.hide()

    assert _front(a_stage) == before


def test_a_second_map_takes_the_place_of_the_first_and_the_view_before_both_comes_back(
    a_stage: Stage, a_map: Any, an_overlay: OverlayLogic
) -> None:
    before = _front(a_stage)
    second = addVolume(a_stage.scene, ballMap())

    an_overlay.show(a_map)
    an_overlay.show(second)
    assert {volume for volume, _ in _front(a_stage)} == {second.GetID()}

    an_overlay.hide()
    assert _front(a_stage) == before


def test_a_view_that_the_user_has_changed_keeps_what_the_user_chose(
    a_stage: Stage, a_map: Any, an_overlay: OverlayLogic
) -> None:
    assert a_stage.views is not None
    other = addVolume(a_stage.scene, ballImage(), name="other")
    an_overlay.show(a_map)
    chosen = a_stage.views["Green"].composite

    chosen.SetForegroundVolumeID(other.GetID())
    chosen.SetForegroundOpacity(0.3)
    an_overlay.setOpacity(0.9)
    an_overlay.hide()

    assert (chosen.GetForegroundVolumeID(), chosen.GetForegroundOpacity()) == (other.GetID(), 0.3)


def test_a_map_removed_while_shown_gives_the_views_back(a_stage: Stage, a_map: Any, an_overlay: OverlayLogic) -> None:
    before = _front(a_stage)
    an_overlay.show(a_map)

    a_stage.scene.RemoveNode(a_map)

    assert _front(a_stage) == before
    assert not an_overlay.isShown
    assert a_stage.scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 0
    with pytest.raises(InputError, match="no uncertainty map"):
        an_overlay.toggle()


def test_what_was_shown_before_may_have_been_removed_meanwhile(
    a_stage: Stage, a_map: Any, an_overlay: OverlayLogic
) -> None:
    assert a_stage.views is not None
    other = addVolume(a_stage.scene, ballImage(), name="other")
    a_stage.views["Red"].composite.SetForegroundVolumeID(other.GetID())
    an_overlay.show(a_map)
    a_stage.scene.RemoveNode(other)

    an_overlay.hide()

    assert {volume for volume, _ in _front(a_stage)} == {None}


def test_a_closed_scene_is_forgotten_and_the_next_one_works(
    a_stage: Stage, a_map: Any, an_overlay: OverlayLogic
) -> None:
    opacities = [opacity for _, opacity in _front(a_stage)]
    an_overlay.show(a_map)

    a_stage.scene.Clear()
    assert _front(a_stage) == [(None, opacity) for opacity in opacities]
    assert not an_overlay.isShown
    assert an_overlay.mapNode is None

    an_overlay.show(addVolume(a_stage.scene, ballMap()))
    assert an_overlay.isShown


def test_a_view_that_is_opened_later_shows_the_map_too(a_stage: Stage, a_map: Any, an_overlay: OverlayLogic) -> None:
    an_overlay.show(a_map)

    view = a_stage.scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    assert view.GetForegroundVolumeID() == a_map.GetID()

    an_overlay.hide()
    assert view.GetForegroundVolumeID() is None


def test_segments_are_outlines_while_the_map_is_shown_and_then_as_they_were(
    a_stage: Stage, an_overlay: OverlayLogic, tmp_path: Path
) -> None:
    results = ResultLogic(a_stage.scene)
    first, second = (results.load(writePrediction(tmp_path / name), CASE) for name in ("1", "2"))
    displays = [shown.segmentationNode.GetDisplayNode() for shown in (first, second)]
    filled = _colored(a_stage)

    an_overlay.show(first.mapNode)
    assert [display.GetVisibility2DFill() for display in displays] == [False, True]

    displays[1].SetVisibility2DFill(False)  # The user wants it so.
    an_overlay.show(second.mapNode)
    an_overlay.hide()
    assert [display.GetVisibility2DFill() for display in displays] == [True, False]

    displays[1].SetVisibility2DFill(True)
    assert _colored(a_stage) == filled
    an_overlay.show(second.mapNode)
    a_stage.scene.RemoveNode(second.segmentationNode)
    an_overlay.hide()


def test_a_renamed_volume_is_still_the_same(a_stage: Stage, a_map: Any, an_overlay: OverlayLogic) -> None:
    before = _front(a_stage)
    an_overlay.show(a_map)

    a_map.SetName("Müller, Zähne 歯")
    an_overlay.toggle()

    assert _front(a_stage) == before


def test_two_maps_share_one_color_node(a_stage: Stage, a_map: Any, an_overlay: OverlayLogic) -> None:
    an_overlay.show(a_map)
    second = addVolume(a_stage.scene, ballMap())
    an_overlay.show(second)

    first, other = (node.GetDisplayNode().GetColorNode() for node in (a_map, second))
    assert first is other
    assert first.GetName() == "Uncertainty"


def test_nonsense_is_refused_and_changes_nothing(a_map: Any, an_overlay: OverlayLogic) -> None:
    an_overlay.show(a_map)

    with pytest.raises(SettingsError, match=r"threshold .* must be from 0 to 1, got 1\.5"):
        an_overlay.setThreshold(1.5)
    with pytest.raises(SettingsError, match="opacity"):
        OverlaySettings(opacity=-0.1)

    assert an_overlay.settings == OverlaySettings()
    assert a_map.GetDisplayNode().GetLowerThreshold() == OverlaySettings().threshold


def test_a_prediction_without_a_map_is_told_in_words(an_overlay: OverlayLogic) -> None:
    with pytest.raises(InputError, match="this prediction has none"):
        an_overlay.show(None)


def test_a_round_deleted_while_its_overlay_is_shown_stays_on_the_screen(
    a_stage: Stage, an_overlay: OverlayLogic, tmp_path: Path
) -> None:
    results = ResultLogic(a_stage.scene)
    folder = writePrediction(tmp_path / "rounds" / "0001" / "predictions")
    shown = results.load(folder, CASE)
    before = _front(a_stage)
    an_overlay.show(shown.mapNode)

    shutil.rmtree(tmp_path / "rounds")
    an_overlay.setThreshold(0.4)
    assert _colored(a_stage) > 100

    results.remove(shown)
    assert _front(a_stage) == before
    assert a_stage.scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 0


def _hideLegend(mapNode: Any) -> None:
    for index in range(mapNode.GetNumberOfDisplayNodes()):
        node = mapNode.GetNthDisplayNode(index)
        if isinstance(node, slicer.vtkMRMLColorLegendDisplayNode):
            node.SetVisibility(False)
