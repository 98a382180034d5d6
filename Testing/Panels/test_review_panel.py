"""Step 4: predictions by need, the map over the views, regions, accepting and correcting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import paint


@pytest.fixture
def review(an_open_module: Any) -> Any:
    """The panel with two predicted cases, the second more doubtful."""
    folder = an_open_module.logic.cohort.cohort.new_round()
    for case, doubt in (("scan_01", 0.1), ("scan_02", 0.4)):
        predict(an_open_module.logic.cohort.cohort, folder, case, doubt)
    an_open_module.panel.review.refresh()
    return an_open_module.panel.review


@pytest.fixture
def review_of_regions(review: Any, an_open_module: Any) -> Any:
    """The panel with a prediction of two regions loaded, at the first one."""
    folder = an_open_module.logic.cohort.cohort.rounds()[0]
    regions = [
        {
            "rank": rank,
            "center_ras_mm": [float(rank), 0.0, 0.0],
            "bounds_ras_mm": [[-2.0, 2.0]] * 3,
            "volume_mm3": 64.0,
            "expected_error_mm3": 10.0,
            "classes": [0, 1],
            "reason": f"place {rank}",
        }
        for rank in (1, 2)
    ]
    predict(an_open_module.logic.cohort.cohort, folder, "scan_02", 0.4, regions=regions)
    review.load("scan_02")
    return review


def predict(cohort: Any, folder: Path, case: str, doubt: float, **record: Any) -> None:
    """Write what the engine writes for one case."""
    from barl.imaging import read_volume, write_volume
    from barl.imaging.segmentations import write_segmentation

    volume = read_volume(cohort.image_path(case))
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2:5, 3:6, 3:8] = 1
    predictions = folder / "predictions"
    predictions.mkdir(exist_ok=True)
    write_segmentation(predictions / f"{case}.seg.nrrd", labels, volume.geometry, cohort.labels)
    doubts = np.full(volume.array.shape, doubt, np.float32)
    write_volume(predictions / f"{case}.uncertainty.nrrd", doubts, volume.geometry)
    record = {"format_version": 1, "case": case, "mean_uncertainty": doubt, **record}
    (predictions / f"{case}.json").write_text(json.dumps(record), encoding="utf-8")


def test_the_most_doubtful_prediction_comes_first(review: Any) -> None:
    table = review.ui.predictionTable

    assert [table.item(row, 0).text() for row in range(table.rowCount)] == ["scan_02", "scan_01"]


def test_the_first_line_stays_selected_when_a_more_doubtful_case_comes(review: Any, an_open_module: Any) -> None:
    table = review.ui.predictionTable
    assert table.currentRow() == 0
    folder = an_open_module.logic.cohort.cohort.rounds()[0]
    predict(an_open_module.logic.cohort.cohort, folder, "scan_03", 0.9)

    review.refresh()

    assert (table.item(0, 0).text(), table.currentRow()) == ("scan_03", 0)


def test_a_chosen_case_stays_chosen_when_others_come(review: Any, an_open_module: Any) -> None:
    table = review.ui.predictionTable
    table.setCurrentCell(1, 0)
    chosen = table.item(1, 0).text()
    folder = an_open_module.logic.cohort.cohort.rounds()[0]
    predict(an_open_module.logic.cohort.cohort, folder, "scan_03", 0.9)

    review.refresh()

    assert table.item(table.currentRow(), 0).text() == chosen


def test_a_prediction_comes_with_its_map_over_the_views(review: Any) -> None:
    review.ui.loadButton.click()

    assert review.state.shown.caseId == "scan_02"
    assert review.overlay.isShown
    assert review.ui.overlayCheck.checked


def test_the_map_can_be_switched_off_and_on(review: Any) -> None:
    review.ui.loadButton.click()

    review.ui.overlayCheck.checked = False
    assert not review.overlay.isShown
    review.ui.overlayCheck.checked = True
    assert review.overlay.isShown


def test_threshold_and_opacity_are_kept_in_the_scene(review: Any, an_open_module: Any) -> None:
    review.ui.loadButton.click()

    review.ui.thresholdSlider.value = 0.3
    review.ui.opacitySlider.value = 0.8

    assert review.overlay.settings.threshold == pytest.approx(0.3)
    assert an_open_module._parameterNode().overlayOpacity == pytest.approx(0.8)


def test_an_accepted_case_is_an_annotation_that_says_so(review: Any, an_open_module: Any) -> None:
    review.ui.loadButton.click()

    review.ui.acceptCaseButton.click()

    version = an_open_module.logic.cohort.cohort.annotation("scan_02")
    assert version.source == "accepted"
    assert "Accepted" in review.ui.messageLabel.text
    assert an_open_module.panel.cohort.state.row("scan_02").version == 1


def test_an_acceptance_can_be_taken_back(review: Any, an_open_module: Any) -> None:
    review.ui.loadButton.click()
    review.ui.acceptCaseButton.click()

    review.ui.undoButton.click()

    assert an_open_module.logic.cohort.cohort.annotation("scan_02") is None


def test_correcting_goes_to_the_editor_with_the_prediction(review: Any, an_open_module: Any) -> None:
    review.ui.loadButton.click()

    review.ui.correctButton.click()

    assert an_open_module.panel.editor.state.case.caseId == "scan_02"
    assert not an_open_module.panel.ui.editorStep.collapsed


def test_closing_the_scene_takes_the_prediction_away(review: Any) -> None:
    import slicer

    review.ui.loadButton.click()

    slicer.mrmlScene.Clear(0)

    assert not review.overlay.isShown
    assert not review.ui.acceptCaseButton.enabled


def test_without_predictions_nothing_can_be_pressed(an_open_module: Any) -> None:
    ui = an_open_module.panel.review.ui

    buttons = (ui.loadButton, ui.nextButton, ui.acceptCaseButton, ui.correctButton, ui.roundButton)
    assert not any(button.enabled for button in buttons)


def box_is_shown(review: Any) -> bool:
    """Whether the region's box is in the views."""
    node = review.review._marker.node
    return node is not None and bool(node.GetDisplayNode().GetVisibility())


def test_the_box_is_hidden_while_an_effect_is_in_hand(review_of_regions: Any, an_open_module: Any) -> None:
    review_of_regions.ui.correctButton.click()
    assert box_is_shown(review_of_regions)
    editor = an_open_module.panel.editor.ui.editor

    editor.setActiveEffectByName("Paint")
    assert not box_is_shown(review_of_regions)
    review_of_regions.review.next()
    assert not box_is_shown(review_of_regions)

    editor.setActiveEffectByName("")
    assert box_is_shown(review_of_regions)


def test_leaving_the_module_with_a_brush_in_hand_brings_the_box_back(
    review_of_regions: Any, an_open_module: Any
) -> None:
    review_of_regions.ui.correctButton.click()
    an_open_module.panel.editor.ui.editor.setActiveEffectByName("Paint")

    an_open_module.exit()

    assert box_is_shown(review_of_regions)


def test_the_panel_says_which_region_it_is_and_why(review_of_regions: Any) -> None:
    words = review_of_regions.ui.progressLabel.text
    assert "region 1 of 2" in words
    assert "place 1" in words

    review_of_regions.ui.acceptRegionButton.click()

    assert "region 2 of 2, 1 accepted" in review_of_regions.ui.progressLabel.text


def test_keys_walk_through_the_regions_while_another_step_is_open(review_of_regions: Any, an_open_module: Any) -> None:
    review_of_regions.ui.correctButton.click()
    assert an_open_module.panel.ui.reviewStep.collapsed
    keys = an_open_module.panel.shortcuts.byKey

    keys["Ctrl+Alt+."].activated.emit()
    assert review_of_regions.review.region.rank == 2
    keys["Ctrl+Alt+,"].activated.emit()
    assert review_of_regions.review.region.rank == 1


def test_keys_open_the_steps(an_open_module: Any) -> None:
    panel = an_open_module.panel

    panel.shortcuts.byKey["Ctrl+Alt+4"].activated.emit()

    assert not panel.ui.reviewStep.collapsed
    assert panel.ui.cohortStep.collapsed


def test_no_box_is_left_over_an_accepted_case_and_it_is_not_accepted_twice(review_of_regions: Any) -> None:
    assert box_is_shown(review_of_regions)
    ui = review_of_regions.ui

    ui.acceptCaseButton.click()
    assert review_of_regions.review.markerNode is None
    assert not ui.acceptCaseButton.enabled
    assert not ui.acceptRegionButton.enabled
    assert ui.progressLabel.text == "scan_02 is accepted as it is. Take back undoes that."

    ui.undoButton.click()
    assert ui.acceptCaseButton.enabled
    ui.nextButton.click()
    assert box_is_shown(review_of_regions)


def test_no_box_is_left_after_a_correction_was_saved(review_of_regions: Any, an_open_module: Any) -> None:
    review_of_regions.ui.correctButton.click()
    paint(an_open_module, "jaw", "teeth")
    an_open_module.panel.editor.ui.editor.setActiveEffectByName("Paint")

    an_open_module.panel.editor.ui.saveButton.click()
    an_open_module.panel.editor.ui.editor.setActiveEffectByName("")
    assert review_of_regions.review.markerNode is None

    an_open_module.panel.shortcuts.byKey["Ctrl+Alt+."].activated.emit()
    assert box_is_shown(review_of_regions)
    assert review_of_regions.review.region.rank == 2


def test_box_and_map_go_with_their_case_also_when_its_drawing_stays(
    review_of_regions: Any, an_open_module: Any
) -> None:
    review_of_regions.ui.correctButton.click()
    review_of_regions.ui.overlayCheck.checked = True
    paint(an_open_module, "jaw", "teeth")

    an_open_module.panel.editor.load("scan_01")

    assert review_of_regions.review.markerNode is None
    assert not review_of_regions.overlay.isShown
    assert review_of_regions.ui.progressLabel.text == ""
    assert "scan_02" in an_open_module.logic.cohort.loadedCases()


def test_box_and_map_go_when_the_next_round_begins(review_of_regions: Any, an_open_module: Any) -> None:
    from test_train_panel import FilesOnly

    from BARLSegmentLib.logic.TrainLogic import TrainLogic

    review_of_regions.ui.acceptCaseButton.click()
    (an_open_module.logic.cohort.cohort.rounds()[0] / "model").mkdir()
    (an_open_module.logic.cohort.cohort.rounds()[0] / "model" / "model.json").write_text("{}")
    an_open_module.panel.train.train = TrainLogic(FilesOnly())
    review_of_regions.load("scan_01")

    review_of_regions.ui.roundButton.click()

    assert an_open_module.panel.train.state.isActive, an_open_module.panel.train.ui.messageLabel.text
    assert review_of_regions.state.shown is None
    assert not review_of_regions.overlay.isShown


def test_a_case_loaded_twice_is_in_the_scene_once(review: Any, slicer: Any) -> None:
    review.load("scan_02")
    review.load("scan_02")

    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_the_prediction_of_an_annotated_case_is_what_is_shown_and_corrected(review: Any, an_open_module: Any) -> None:
    from barl.cohort import Coverage, CoverageKind

    panel = an_open_module.panel
    panel.editor.load("scan_03")
    paint(an_open_module, "jaw")
    slices = [choice for _words, choice in panel.editor._coverages].index(Coverage(kind=CoverageKind.SLICES, axis=0))
    panel.editor.ui.coverageCombo.currentIndex = slices
    panel.editor.save()
    press_yes(panel.editor)
    predict(an_open_module.logic.cohort.cohort, an_open_module.logic.cohort.cohort.rounds()[0], "scan_03", 0.9)
    review.refresh()

    review.load("scan_03")
    assert "annotated already" in review.ui.messageLabel.text
    review.ui.correctButton.click()

    assert "you correct a prediction" in panel.editor.ui.caseLabel.text
    assert panel.editor._coverage() == Coverage()


def test_unsaved_drawing_is_a_draft_when_the_prediction_is_loaded_again(
    review_of_regions: Any, an_open_module: Any
) -> None:
    review_of_regions.ui.correctButton.click()
    paint(an_open_module, "jaw", "teeth")

    review_of_regions.load("scan_02")
    assert "kept as a draft" in review_of_regions.ui.messageLabel.text
    review_of_regions.ui.correctButton.click()

    assert not an_open_module.panel.editor.ui.draftRow.isHidden()
    assert "never saved" in an_open_module.panel.editor.ui.draftLabel.text


def test_what_is_drawn_on_a_prediction_outside_of_the_editor_is_not_lost(review: Any, an_open_module: Any) -> None:
    import slicer

    review.load("scan_02")
    shown = review.state.shown
    identifier = shown.segmentationNode.GetSegmentation().GetNthSegmentID(0)
    volume = an_open_module.logic.cohort.volumeNodeOf("scan_02")
    mask = np.ones((8, 10, 12), np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, shown.segmentationNode, identifier, volume)

    review.load("scan_01")
    assert "scan_02" in an_open_module.logic.cohort.loadedCases()
    slicer.mrmlScene.Clear(0)

    assert len(list((an_open_module.logic.cohort.cohort.folder / "drafts" / "scan_02").glob("*.seg.nrrd"))) == 1


def test_a_newer_prediction_of_the_case_is_told_and_shown_on_wish(review_of_regions: Any, an_open_module: Any) -> None:
    cohort = an_open_module.logic.cohort.cohort
    predict(cohort, cohort.new_round(), "scan_02", 0.2)

    review_of_regions.refresh()
    assert "Round 2 has predicted it anew" in review_of_regions.ui.progressLabel.text
    review_of_regions.load("scan_02")

    assert "anew" not in review_of_regions.ui.progressLabel.text
    assert review_of_regions.state.shown.roundNumber == 2


def test_next_says_so_when_every_region_is_accepted(review_of_regions: Any) -> None:
    ui = review_of_regions.ui
    assert not ui.previousButton.enabled
    ui.acceptRegionButton.click()
    assert ui.previousButton.enabled
    ui.acceptRegionButton.click()
    assert "Every region is accepted" in ui.messageLabel.text
    review_of_regions.message.clear()

    ui.nextButton.click()

    assert "Every region is accepted" in ui.messageLabel.text


def test_an_empty_prediction_is_not_called_sure(review: Any, an_open_module: Any) -> None:
    cohort = an_open_module.logic.cohort.cohort
    predict(cohort, cohort.rounds()[0], "scan_02", 0.4, regions=[], volumes_ml={"jaw": 0.0, "teeth": 0.0})

    review.load("scan_02")

    assert "no structure was found" in review.ui.progressLabel.text


def test_a_prediction_is_not_accepted_to_be_measured_against_itself(review: Any, an_open_module: Any) -> None:
    from barl.cohort import Role

    an_open_module.logic.cohort.setRole("scan_02", Role.VALIDATION)
    review.load("scan_02")

    review.ui.acceptCaseButton.click()

    assert "measured against itself" in review.ui.messageLabel.text
    assert an_open_module.logic.cohort.cohort.annotation("scan_02") is None


def test_a_key_opens_the_step_in_which_it_is_answered(review: Any, an_open_module: Any) -> None:
    panel = an_open_module.panel
    review.load("scan_02")
    review.ui.correctButton.click()
    panel.show(panel.ui.reviewStep)

    panel.shortcuts.byKey["Ctrl+Alt+S"].activated.emit()

    assert not panel.ui.editorStep.collapsed
    assert not panel.editor.ui.questionRow.isHidden()


def press_yes(editor: Any) -> None:
    """Answer what is asked before saving."""
    while editor.state.question is not None:
        editor.ui.yesButton.click()
