"""The whole column: the steps in their order, and one line that says what to do next."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from BARLSegmentLib.Examination import Examination
from BARLSegmentLib.logic.BatchLogic import BatchLogic
from BARLSegmentLib.logic.CaseTable import CaseRow
from BARLSegmentLib.logic.ChildWork import Work
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
from BARLSegmentLib.logic.CorrectionLogic import CorrectionLogic
from BARLSegmentLib.logic.MonitorLogic import Change, MonitorEvent, MonitorLogic
from BARLSegmentLib.logic.OverlayLogic import OverlayLogic
from BARLSegmentLib.logic.Requirements import ALL, installedVersion, unfit
from BARLSegmentLib.logic.ResultLogic import ResultLogic
from BARLSegmentLib.logic.ReviewLogic import ReviewLogic
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.logic.TrainLogic import TrainLogic
from BARLSegmentLib.widgets.BatchPanel import BatchPanel
from BARLSegmentLib.widgets.CohortPanel import CohortPanel, CohortWish
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.EditorPanel import EditorPanel
from BARLSegmentLib.widgets.LabelPresets import readPresets
from BARLSegmentLib.widgets.NextStep import nextStep
from BARLSegmentLib.widgets.ReviewPanel import ReviewPanel, ReviewWish
from BARLSegmentLib.widgets.Shortcuts import Shortcuts
from BARLSegmentLib.widgets.TableRefresh import TableRefresh
from BARLSegmentLib.widgets.TrainPanel import TrainPanel

AUTOSAVE_TICK_MS = 5000
DRAFT_STEP_MS = 20
"""Between two steps of a draft that is on its way."""


class Logics(Protocol):
    """What the panels drive."""

    scene: Scene
    cohort: CohortLogic
    correction: CorrectionLogic
    train: TrainLogic
    monitor: MonitorLogic
    examination: Examination
    results: ResultLogic
    overlay: OverlayLogic
    review: ReviewLogic
    batch: BatchLogic

    def startWork(self, request: Mapping[str, Any]) -> Work:
        """Begin what takes long, in a process of its own."""
        ...

    def loadSampleScans(self) -> Sequence[Node]:
        """Bring the sample scans into the scene."""
        ...


class SegmentPanel:
    """Makes the panels and carries what one of them wants to the others.

    Args:
        logic: the module's logics.
        loadUi: gives the widget of a .ui file.
        resources: the module's Resources folder.
    """

    def __init__(self, logic: Logics, loadUi: Callable[[str], Any], resources: Path) -> None:
        self.logic = logic
        self.widget = loadUi("SegmentPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        presets = readPresets(resources / "LabelPresets.json")
        self.cohort = CohortPanel(logic.cohort, logic.scene, logic.startWork, logic.loadSampleScans, loadUi, presets)
        self.editor = EditorPanel(logic.correction, logic.cohort, logic.scene, loadUi)
        self.train = TrainPanel(logic.train, logic.monitor, logic.cohort, logic.examination, logic.scene, loadUi)
        self.review = ReviewPanel(
            logic.cohort,
            logic.results,
            logic.overlay,
            logic.review,
            lambda: logic.correction.author,
            self._isUnsaved,
            loadUi,
        )
        self.batch = BatchPanel(logic.batch, logic.cohort, logic.scene, loadUi)
        self._steps: tuple[tuple[Any, Any], ...] = (
            (self.ui.cohortStep, self.cohort),
            (self.ui.editorStep, self.editor),
            (self.ui.trainStep, self.train),
            (self.ui.reviewStep, self.review),
            (self.ui.batchStep, self.batch),
        )
        for step, panel in self._steps:
            step.layout().addWidget(panel.widget)
        self.refreshing = TableRefresh(
            logic.cohort,
            self.widget,
            (self.cohort.eachShown, self.review.eachShown, self._nextShown),
            self.cohort.message,
        )
        self.timer = qt.QTimer(self.widget)
        self.timer.setInterval(AUTOSAVE_TICK_MS)
        self.draftTimer = qt.QTimer(self.widget)
        self.draftTimer.setInterval(DRAFT_STEP_MS)
        self._tag: Any = None
        self._parameters: Any = None
        self._hasPackages = False
        """Looked up until they are there: asking takes tens of milliseconds."""
        self._connections = Connections()
        self.shortcuts = Shortcuts(self.widget)
        self._connect()
        self._addShortcuts()
        self._showNext()

    def enter(self, parameters: Any) -> None:
        """The module is shown, or the scene is a new one.

        Args:
            parameters: the module's parameter node.
        """
        self.exit()
        self._parameters = parameters
        self._tag = parameters.connectGui(self.review.widget)
        self.editor.enter()
        self.train.enter()
        self.timer.start()
        if parameters.cohortFolder and not self.logic.cohort.isOpen:
            self.cohort.open(parameters.cohortFolder)
        self.cohort.form.listVolumes()
        self.batch.volumes.refresh()
        self._showSetup()
        self._showNext()

    def exit(self) -> None:
        """The module is left, or its scene goes; a training goes on."""
        if self._parameters is None:
            return
        self._parameters.disconnectGui(self._tag)
        self._parameters = None
        self.editor.exit()

    def cleanup(self) -> None:
        """Undo everything."""
        self.exit()
        self.timer.stop()
        self.draftTimer.stop()
        self.shortcuts.cleanup()
        self.refreshing.cleanup()
        self._connections.undoAll()
        for _step, panel in self._steps:
            panel.cleanup()

    def show(self, step: Any) -> None:
        """Open one step and close the others."""
        for each, _panel in self._steps:
            each.collapsed = each is not step
        step.setFocus()

    def autosave(self) -> None:
        """Begin the drafts that are due, and bring those on their way a step on."""
        if self.logic.correction.tick():
            self.draftTimer.start()
        else:
            self.draftTimer.stop()

    def _connect(self) -> None:
        observe = self._connections.observers
        observe(self.logic.cohort.events, self._onCohortEvent)
        observe(self.logic.monitor.observers, self._onMonitorEvent)
        observe(self.cohort.wishes, self._onCohortWish)
        observe(self.editor.saved, self._onSaved)
        # Who draws wants to see the image: the box comes back when the effect is put down.
        observe(self.editor.drawing, lambda isDrawing: self.logic.review.setMarkerVisible(not isDrawing))
        observe(self.review.wishes, self._onReviewWish)
        for timer in (self.timer, self.draftTimer):
            self._connections.signal(timer, "timeout()", self.autosave)
        self._connections.signal(self.ui.trainStep, "contentsCollapsed(bool)", self._onTrainStep)

        self._connections.signal(
            self.ui.setupButton, "clicked(bool)", lambda _checked: slicer.util.selectModule("BARLTrainer")
        )

    def _addShortcuts(self) -> None:
        """A key presses its button, so that what cannot be pressed cannot be typed either."""
        review = self.review.ui
        answering = {
            "Ctrl+Alt+S": (self.editor.ui.saveButton, self.ui.editorStep),
            "Ctrl+Alt+N": (self.editor.ui.nextButton, self.ui.editorStep),
            "Ctrl+Alt+T": (self.train.ui.trainButton, self.ui.trainStep),
        }
        for key, (button, step) in answering.items():
            self.shortcuts.add(key, functools.partial(self._pressIn, step, button))
        buttons = {
            "Ctrl+Alt+U": review.overlayCheck,
            "Ctrl+Alt+.": review.nextButton,
            "Ctrl+Alt+,": review.previousButton,
            "Ctrl+Alt+A": review.acceptRegionButton,
        }
        for key, button in buttons.items():
            self.shortcuts.add(key, functools.partial(_press, button))
        for number, (step, _panel) in enumerate(self._steps, start=1):
            self.shortcuts.add(f"Ctrl+Alt+{number}", functools.partial(self.show, step))

    def _pressIn(self, step: Any, button: Any) -> None:
        """The step is opened, for there it is asked and answered."""
        if button.enabled:
            self.show(step)
        _press(button)

    def _showSetup(self) -> None:
        """Say it before the person runs into it: without its packages BARL can neither save nor train."""
        if self._hasPackages:
            return
        missing = ", ".join(each.name for each in unfit(ALL, installedVersion))
        self._hasPackages = not missing
        self.ui.setupRow.visible = bool(missing)
        self.ui.setupLabel.setText(_("To be installed once, from the internet: {packages}.").format(packages=missing))

    def _onCohortEvent(self, event: CohortEvent) -> None:
        if event.kind == "loaded" and event.caseId is not None:
            self._watch(event.caseId)
            self._showOnly(event.caseId)
        if event.kind in ("opened", "closed"):
            self.refreshing.forget()
        if event.kind in ("opened", "closed") and self._parameters is not None:
            self._parameters.cohortFolder = str(self.logic.cohort.cohort.folder) if event.kind == "opened" else ""
        self._showNext()

    def _watch(self, caseId: str) -> None:
        """Also what is drawn elsewhere, such as in Slicer's own Segment Editor, is kept as a draft."""
        cohort = self.logic.cohort
        self.logic.correction.watch(cohort.cohort, cohort.segmentationNodeOf(caseId))

    def _showOnly(self, caseId: str) -> None:
        """Cases lie on top of each other: the others leave, or are hidden while they hold unsaved drawing."""
        cohort = self.logic.cohort
        for other in cohort.loadedCases():
            node = cohort.segmentationNodeOf(other)
            if other != caseId and not self.logic.correction.hasUnsavedChanges(node):
                cohort.unloadCase(other)
            elif node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(other == caseId)

    def _onMonitorEvent(self, event: MonitorEvent) -> None:
        predicted = event.event is not None and event.event.get("kind") == "prediction" and not event.isPast
        if predicted or event.change is Change.ENDED:
            self.refreshing.request()
        if event.change is Change.ENDED:
            self.batch.refresh()
        if event.change in (Change.STATUS, Change.ENDED):
            self._showNext()

    def _onCohortWish(self, wish: CohortWish) -> None:
        self.editor.load(wish.caseId)
        self.show(self.ui.editorStep)  # Also when it failed: there it says why.

    def _onTrainStep(self, collapsed: bool) -> None:
        """Only who comes to train wants to know the device; finding out takes a process and some seconds."""
        if not collapsed:
            self.train.examine()

    def _isUnsaved(self, caseId: str) -> bool:
        node = self.logic.cohort.segmentationNodeOf(caseId)
        return node is not None and self.logic.correction.hasUnsavedChanges(node)

    def _onSaved(self, caseId: str) -> None:
        self.review.rest(caseId)
        self.cohort.refresh()
        self.review.refresh()
        self._showNext()

    def _onReviewWish(self, wish: ReviewWish) -> None:
        if wish.kind == "correct":
            self.editor.load(wish.caseId)
            self.show(self.ui.editorStep)
        elif wish.kind == "next round":
            self.show(self.ui.trainStep)
            before = self.train.state.folder
            self.train.start(fromRound=wish.fromRound)
            if self.train.state.folder != before:
                self.review.finish()
        elif wish.kind == "changed":
            self.cohort.refresh()
            self._showNext()

    def _nextShown(self, _rows: Sequence[CaseRow]) -> Iterator[None]:
        yield
        self._showNext()

    def _showNext(self) -> None:
        self.ui.nextLabel.setText(
            nextStep(self.cohort.state.rows, isOpen=self.logic.cohort.isOpen, isTraining=self.train.state.isActive)
        )


def _press(button: Any) -> None:
    button.click()  # Does nothing while the button is disabled.
