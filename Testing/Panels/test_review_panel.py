"""Step 4: predictions by need, the map over the views, regions, accepting and correcting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def review(an_open_module: Any) -> Any:
    """The panel with two predicted cases, the second more doubtful."""
    folder = an_open_module.logic.cohort.cohort.new_round()
    for case, doubt in (("scan_01", 0.1), ("scan_02", 0.4)):
        predict(an_open_module.logic.cohort.cohort, folder, case, doubt)
    an_open_module.panel.review.refresh()
    return an_open_module.panel.review


def predict(cohort: Any, folder: Path, case: str, doubt: float) -> None:
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
    record = {"format_version": 1, "case": case, "mean_uncertainty": doubt}
    (predictions / f"{case}.json").write_text(json.dumps(record), encoding="utf-8")


def test_the_most_doubtful_prediction_comes_first(review: Any) -> None:
    table = review.ui.predictionTable

    assert [table.item(row, 0).text() for row in range(table.rowCount)] == ["scan_02", "scan_01"]


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
