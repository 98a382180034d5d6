"""A study through widgets alone, with a real training process on the CPU.

    LOGNAME=anna BARL_PICTURES=docs/images/tutorial python -m pytest Testing/Panels/test_journey.py

also writes the pictures of docs/tutorial.md.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from standin.install import StandIn
from tutorial_pictures import Camera, useTheme

from barl.phantom import make_case

SHAPE, SPACING_MM = (32, 48, 48), 1.6
LEARNING_MINUTES = 0.7
PATIENCE_S = 420.0


class Person:
    """Who sits in front of the module: presses buttons, draws, waits and looks."""

    def __init__(self, standin: StandIn, widget: Any, camera: Camera) -> None:
        self.application, self.panel, self.logic, self.camera = standin.application, widget.panel, widget.logic, camera

    def waits_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait while the application lives."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}: {self.says()}"
            self.application.process(0.1)

    def says(self) -> str:
        """All that the panels say now."""
        panels = (self.panel.cohort, self.panel.editor, self.panel.train, self.panel.review, self.panel.batch)
        return " | ".join(panel.ui.messageLabel.text for panel in panels if panel.ui.messageLabel.text)

    def draws(self, case: str) -> None:
        """Draw what is there, as strokes in every slice would, and save it."""
        import slicer

        truth = make_case(int(case[-2:]) - 1, SHAPE, SPACING_MM)[1]
        loaded = self.panel.editor.state.case
        segmentation = loaded.segmentationNode.GetSegmentation()
        for label in self.logic.cohort.cohort.labels.labels:
            identifier = segmentation.GetSegmentIdBySegmentName(label.name)
            mask = (truth == label.value).astype(np.uint8)
            slicer.util.updateSegmentBinaryLabelmapFromArray(
                mask, loaded.segmentationNode, identifier, loaded.volumeNode
            )
        self.panel.editor.ui.editor.updateWidgetFromMRML()

    def saves(self) -> None:
        """Press Save, and answer what is asked."""
        self.panel.editor.ui.saveButton.click()
        while self.panel.editor.state.question is not None:
            self.panel.editor.ui.yesButton.click()

    def trains_to_the_end(self) -> None:
        """Wait; when the time was too short for this computer, give as much as the panel says."""
        train = self.panel.train
        self.waits_for(lambda: not train.state.isActive, "the end of the training")
        wanted = re.search(r"Choose at least ([\d.]+) minutes", train.ui.statusLabel.text)
        if wanted:
            train.ui.minutesSpin.value = 1.5 * float(wanted[1])
            train.ui.trainButton.click()
            self.waits_for(lambda: not train.state.isActive, "the end of the second training")
        assert train.state.status.state.value == "finished", train.ui.statusLabel.text

    def walks_through_regions(self) -> None:
        """To the second region and back, accept the first and take that back, and stand at the second."""
        review, ui = self.panel.review, self.panel.review.ui
        count = len(review.review.regions)
        assert count > 1, self.says()
        assert f"region 1 of {count}" in ui.progressLabel.text
        ui.nextButton.click()
        assert f"region 2 of {count}" in ui.progressLabel.text
        ui.previousButton.click()
        ui.acceptRegionButton.click()
        assert review.review.accepted == {1}
        assert f"region 2 of {count}" in ui.progressLabel.text
        ui.undoButton.click()
        assert not review.review.accepted

    def opens(self, step: Any) -> None:
        """Show one step."""
        self.panel.show(step)


@pytest.fixture
def person(standin: StandIn, segment: Any) -> Iterator[Person]:
    """With a camera, when pictures are wanted."""
    folder = os.environ.get("BARL_PICTURES")
    useTheme(dark=bool(os.environ.get("BARL_DARK")))
    camera = Camera(standin, segment.parent, Path(folder).absolute() if folder else None)
    yield Person(standin, segment, camera)
    camera.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Path]:
    """Where the study lies; in pictures under a name that fits into the fields."""
    if not os.environ.get("BARL_PICTURES"):
        yield tmp_path
        return
    folder = Path(tempfile.gettempdir()) / "dental"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(900)
def test_a_study_from_six_scans_to_a_segmented_folder(person: Person, standin: StandIn, desk: Path) -> None:
    panel, ui, picture = person.panel, person.panel.ui, person.camera.take
    picture("01-start")

    # Make a cohort of six scans that are in the scene.
    cohort = panel.cohort.ui
    cohort.sampleButton.click()
    cohort.folderPath.currentPath = str(desk / "jaws")
    cohort.nameEdit.text = "Jaws"
    picture("02-new-cohort")
    cohort.createButton.click()
    person.waits_for(lambda: not panel.cohort.form.isMaking, "the cohort")
    assert cohort.caseTable.rowCount == 6, person.says()
    picture("03-cases")

    # Annotate two of them.
    panel.editor.ui.nextButton.click()
    ui.editorStep.collapsed = False
    person.opens(ui.editorStep)
    person.camera.fit()
    picture("04-empty-case")
    for case in ("scan_01", "scan_02"):
        if panel.editor.state.case.caseId != case:
            panel.editor.ui.nextButton.click()
        assert panel.editor.state.case.caseId == case
        person.draws(case)
        person.saves()
        assert "Saved as version 1" in panel.editor.ui.messageLabel.text, person.says()
    picture("05-drawn")
    assert ui.nextLabel.text.startswith("Next: train")

    # Check what was made.
    person.opens(ui.cohortStep)
    cohort.auditButton.click()
    person.waits_for(lambda: not panel.cohort.check.isRunning, "the check")
    picture("06-checked")

    # Train, and go on annotating meanwhile.
    person.opens(ui.trainStep)
    panel.train.ui.methodCombo.currentIndex = 0
    panel.train.ui.minutesSpin.value = LEARNING_MINUTES
    panel.train.settings = {"network.base_filters": 4, "training.labeled_patches": 1}
    person.waits_for(lambda: panel.train.state.findings is not None, "what the computer has")
    picture("07-before-training")
    panel.train.ui.trainButton.click()
    person.waits_for(lambda: panel.train.ui.lossView.isVisible() or panel.train.state.isActive, "the training")
    person.waits_for(lambda: (panel.train.state.status.step or 0) > 2 or not panel.train.state.isActive, "steps")
    rows = panel.train.monitor.losses.tableNode.GetNumberOfRows()
    moving = lambda: panel.train.monitor.losses.tableNode.GetNumberOfRows() > rows + 2  # noqa: E731
    person.waits_for(lambda: moving() or not panel.train.state.isActive, "curves that move")
    picture("08-training")
    person.opens(ui.editorStep)
    panel.editor.ui.nextButton.click()
    person.draws("scan_03")
    person.saves()
    assert "The training runs" in ui.nextLabel.text or not panel.train.state.isActive
    picture("09-annotating-meanwhile")
    person.trains_to_the_end()
    person.opens(ui.trainStep)
    picture("10-trained")

    # Review: the overlay, regions, accept, correct.
    person.opens(ui.reviewStep)
    person.waits_for(lambda: not panel.refreshing.isBusy, "the table")
    assert panel.review.ui.predictionTable.rowCount > 0, person.says()
    panel.review.ui.loadButton.click()
    person.camera.fit()
    assert panel.review.state.shown is not None, person.says()
    picture("11-unsure")
    person.walks_through_regions()
    picture("11-region")
    panel.review.ui.overlayCheck.checked = False
    picture("12-prediction")
    panel.review.ui.acceptCaseButton.click()
    assert "Accepted" in panel.review.ui.messageLabel.text, person.says()
    picture("13-accepted")
    panel.review.ui.predictionTable.setCurrentCell(0, 0)
    panel.review.ui.loadButton.click()
    corrected = panel.review.state.shown.caseId
    panel.review.ui.correctButton.click()
    panel.editor.ui.editor.setActiveEffectByName("Paint")
    person.draws(corrected)
    person.saves()
    assert corrected in panel.editor.ui.messageLabel.text, person.says()
    picture("14-corrected")

    panel.editor.ui.editor.setActiveEffectByName("")

    # Segment a folder with the round's model.
    person.opens(ui.batchStep)
    panel.batch.ui.inputPath.currentPath = str(desk / "jaws" / "images")
    panel.batch.ui.outputPath.currentPath = str(desk / "segmented")
    panel.batch.ui.runButton.click()
    person.waits_for(lambda: not panel.batch.state.isBusy, "the batch")
    assert (desk / "segmented" / "volumes.csv").is_file(), person.says()
    picture("15-everything")

    # Begin the next round, close in the middle, come back: the training is found, and stops when asked.
    panel.train.ui.minutesSpin.value = 30.0
    panel.review.ui.roundButton.click()
    person.waits_for(lambda: (panel.train.state.status.step or 0) > 0, "the second round")
    again = standin.application.reload("BARLSegment")
    assert again.logic.cohort.isOpen
    assert again.panel.cohort.ui.caseTable.rowCount == 6
    assert again.panel.train.state.isActive
    again.panel.train.ui.trainButton.click()
    person.waits_for(lambda: not again.panel.train.state.isActive, "the stop")
    assert again.panel.train.state.status.state.value in ("stopped", "interrupted")
