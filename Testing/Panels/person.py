"""Who sits in front of the module in the journey: presses buttons, draws, waits and looks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from standin.install import StandIn
from tutorial_pictures import Camera

from barl.cohort import CaseState, Role
from barl.phantom import make_case

SHAPE, SPACING_MM = (32, 48, 48), 1.6
"""Of the sample scans, so that what is drawn is what is there."""

PATIENCE_S = 300.0


class Person:
    """Works in BARL Segment, and looks into BARL Trainer.

    Args:
        standin: the application.
        widget: the module BARL Segment.
        camera: takes pictures of what is seen.
    """

    def __init__(self, standin: StandIn, widget: Any, camera: Camera) -> None:
        self.application, self.camera = standin.application, camera
        self._sit_at(widget)

    def _sit_at(self, widget: Any) -> None:
        self.panel, self.logic = widget.panel, widget.logic

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

    def opens(self, step: Any) -> None:
        """Show one step."""
        self.panel.show(step)

    def gives_role(self, case: str, role: Role) -> None:
        """Choose the case's line, and what it is for."""
        self.panel.cohort.selectCase(case)
        combo = self.panel.cohort.ui.roleCombo
        combo.currentIndex = tuple(Role).index(role)
        combo.activated.emit(combo.currentIndex)

    def annotates(self, case: str) -> None:
        """Load the case by its line, draw, and save."""
        self.panel.cohort.selectCase(case)
        self.panel.cohort.ui.loadButton.click()
        assert self.panel.editor.state.case.caseId == case, self.says()
        self.draws(case)
        self.saves()
        assert "Saved as version 1" in self.panel.editor.ui.messageLabel.text, self.says()

    def draws(self, case: str, *, everySlice: int = 1) -> None:
        """Draw what is there, as strokes in every slice would, or in every so many, and say so."""
        import slicer

        truth = make_case(int(case[-2:]) - 1, SHAPE, SPACING_MM)[1]
        loaded = self.panel.editor.state.case
        truth[np.arange(len(truth)) % everySlice != everySlice - 1] = 0  # The middle slice, which is shown, is drawn.
        combo = self.panel.editor.ui.coverageCombo
        combo.currentIndex = 0 if everySlice == 1 else 1
        combo.activated.emit(combo.currentIndex)
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

    def waits_for_steps(self) -> None:
        """Until the training learns, or has ended."""
        train = self.panel.train
        self.waits_for(lambda: train.state.isActive or train.ui.lossView.isVisible(), "the training")
        self.waits_for(lambda: (train.state.status.step or 0) > 2 or not train.state.isActive, "steps")

    def sees_curves_move(self) -> None:
        """Look until there are more points."""
        table, train = self.panel.train.monitor.losses.tableNode, self.panel.train
        rows = table.GetNumberOfRows()
        self.waits_for(lambda: table.GetNumberOfRows() > rows + 2 or not train.state.isActive, "curves that move")

    def steps_learned(self) -> int:
        """The last step of the curves."""
        table = self.panel.train.monitor.losses.tableNode.GetTable()
        return int(table.GetColumnByName("step").GetValue(table.GetNumberOfRows() - 1))

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
        self.waits_for(lambda: not self.panel.refreshing.isBusy, "the table")

    def loads_a_prediction(self, state: CaseState) -> str:
        """Load the case of this state that needs a look most; returns which it is."""
        review = self.panel.review
        states = [row.state for row in review.state.rows]
        assert state in states, states
        review.ui.predictionTable.setCurrentCell(states.index(state), 0)
        review.ui.loadButton.click()
        assert review.state.shown is not None, self.says()
        assert review.overlay.isShown
        case: str = review.state.shown.caseId
        return case

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

    def comes_back(self) -> None:
        """Slicer was closed, and is there again."""
        widget = self.application.reload("BARLSegment")
        self._sit_at(widget)
        self.camera.turn_to(widget.parent)

    def compares_rounds(self, standin: StandIn, module: Any) -> Any:
        """Open BARL Trainer and choose all rounds; returns its panel."""
        standin.application.load(module)
        trainer = standin.application.widget("BARLTrainer")
        trainer.enter()
        panel = trainer.panel
        self.waits_for(lambda: not panel.rounds.look(), "the rounds")
        panel.rounds.ui.roundTable.selectAll()
        self.camera.turn_to(trainer.parent)
        return panel.rounds
