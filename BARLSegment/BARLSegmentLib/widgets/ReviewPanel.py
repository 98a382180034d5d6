"""Step 4: look where the model is unsure, and accept or correct."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import slicer
from slicer.i18n import tr as _

from BARLSegmentLib.logic.CaseTable import CaseRow
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic, Start
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.OverlayLogic import OverlayLogic
from BARLSegmentLib.logic.ResultLogic import ResultLogic, ShownPrediction
from BARLSegmentLib.logic.ReviewLogic import ReviewLogic
from BARLSegmentLib.widgets.CaseLines import CaseLines
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLSegmentLib.widgets.Suggestion import byNeed
from BARLSegmentLib.widgets.Words import progressWords, stateWord


@dataclass
class ReviewState:
    """What the panel works on."""

    rows: tuple[CaseRow, ...] = ()
    shown: ShownPrediction | None = None

    @property
    def lastRound(self) -> int | None:
        """The newest round that predicted anything."""
        return max((row.lastRound for row in self.rows if row.lastRound is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class ReviewWish:
    """What the person wants to happen in another step."""

    kind: Literal["correct", "next round", "changed"]
    caseId: str = ""
    fromRound: int | None = None


class ReviewPanel:
    """Drives results, overlay and review; asks for corrections and rounds through ``wishes``.

    Args:
        cohort: loads cases.
        results: brings predictions into the scene.
        overlay: lays the map over the slice views.
        review: walks through the regions.
        author: gives the name of who accepts.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(
        self,
        cohort: CohortLogic,
        results: ResultLogic,
        overlay: OverlayLogic,
        review: ReviewLogic,
        author: Callable[[], str],
        loadUi: Callable[[str], Any],
    ) -> None:
        self.cohort, self.results, self.overlay, self.review = cohort, results, overlay, review
        self._author = author
        self.state = ReviewState()
        self.widget = loadUi("ReviewPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.wishes: Observers[ReviewWish] = Observers()
        self._connections = Connections()
        self._lines = CaseLines(self.ui.predictionTable, _texts, lambda row: row.reason)
        self.ui.thresholdSlider.value = overlay.settings.threshold
        self.ui.opacitySlider.value = overlay.settings.opacity
        self._connect()
        self.refresh()

    def cleanup(self) -> None:
        """Undo all connections."""
        self._connections.undoAll()

    def refresh(self) -> None:
        """Read which predictions there are."""
        rows: tuple[CaseRow, ...] = ()
        if self.cohort.isOpen:
            with self.message.telling(keep=True):
                rows = self.cohort.table()
        self.showRows(rows)

    def showRows(self, rows: Sequence[CaseRow]) -> None:
        """Show those of the case table that are predicted, by need."""
        for _step in self.eachShown(rows):
            pass

    def eachShown(self, rows: Sequence[CaseRow]) -> Iterator[None]:
        """The same bit by bit."""
        self.state.rows = tuple(byNeed(rows))
        yield from self._lines.eachShown(self.state.rows)
        self._showChoices()

    def load(self, caseId: str) -> None:
        """Bring a prediction and its map into the scene, and begin at its first region."""
        with self.message.telling():
            folder = self.results.newest(self.cohort.cohort, caseId)
            if folder is None:
                self.message.info(_("Case {case} is not predicted yet. Train first.").format(case=caseId))
                return
            self._drop()
            case = self.cohort.loadCase(caseId)
            shown = self.results.load(
                folder,
                caseId,
                imageNode=case.volumeNode,
                segmentationNode=case.segmentationNode if case.start is Start.PREDICTION else None,
            )
            self.state.shown = shown
            self.review.start(shown)
            if shown.missing:
                self.message.info(shown.missing)
            if shown.mapNode is not None:
                self.ui.overlayCheck.checked = True
                self.overlay.show(shown.mapNode)
            self.review.next()
        self._showProgress()
        self._showChoices()

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.loadButton, "clicked(bool)", lambda _checked: self._onLoad())
        connect(ui.predictionTable, "cellActivated(int,int)", lambda _row, _column: self._onLoad())
        connect(ui.predictionTable, "itemSelectionChanged()", self._showChoices)
        connect(ui.overlayCheck, "toggled(bool)", self._onOverlay)
        connect(ui.thresholdSlider, "valueChanged(double)", self.overlay.setThreshold)
        connect(ui.opacitySlider, "valueChanged(double)", self.overlay.setOpacity)
        connect(ui.nextButton, "clicked(bool)", lambda _checked: self._do(self.review.next))
        connect(ui.previousButton, "clicked(bool)", lambda _checked: self._do(self.review.previous))
        connect(ui.acceptRegionButton, "clicked(bool)", lambda _checked: self._do(self._acceptRegion))
        connect(ui.acceptCaseButton, "clicked(bool)", lambda _checked: self._do(self._acceptCase))
        connect(ui.undoButton, "clicked(bool)", lambda _checked: self._do(self._takeBack))
        connect(ui.correctButton, "clicked(bool)", lambda _checked: self._wish("correct"))
        connect(ui.roundButton, "clicked(bool)", lambda _checked: self._wish("next round"))
        self._connections.observers(self.cohort.events, self._onCohortEvent)
        self._connections.observers(self.review.observers, lambda _progress: self._showProgress())

    def _do(self, action: Callable[[], Any]) -> None:
        with self.message.telling():
            action()
        self._showProgress()
        self._showChoices()

    def _acceptRegion(self) -> None:
        self.review.accept()
        if self.review.next() is None:
            self.message.good(_("Every region is accepted. Accept the case, or correct it."))

    def _acceptCase(self) -> None:
        version = self.review.acceptCase(self.cohort.cohort, self._author())
        self.message.good(_("Accepted: version {n} of {case}.").format(n=version.number, case=version.case_id))
        self.refresh()
        self._lines.select(self.state.rows[0].caseId)  # The next one that needs a look; Enter loads it.
        self.wishes.notify(ReviewWish(kind="changed", caseId=version.case_id))

    def _takeBack(self) -> None:
        self.review.undo()
        self.refresh()
        self.wishes.notify(ReviewWish(kind="changed"))

    def _wish(self, kind: Literal["correct", "next round"]) -> None:
        caseId = self.state.shown.caseId if self.state.shown is not None else ""
        if kind == "correct":
            self.ui.overlayCheck.checked = False  # Who draws wants to see the image.
        self.wishes.notify(ReviewWish(kind=kind, caseId=caseId, fromRound=self.state.lastRound))

    def _onLoad(self) -> None:
        caseId = self._lines.selectedCase()
        if caseId is not None:
            self.load(caseId)

    def _onOverlay(self, shown: bool) -> None:
        if self.state.shown is None:
            return
        with self.message.telling():
            self.overlay.show(self.state.shown.mapNode) if shown else self.overlay.hide()

    def _onCohortEvent(self, event: CohortEvent) -> None:
        gone = event.kind in ("unloaded", "lost") and self.state.shown and event.caseId == self.state.shown.caseId
        if event.kind in ("opened", "closed") or gone:
            self._drop()
        if event.kind in ("opened", "closed", "changed"):
            self.refresh()
        self._showProgress()
        self._showChoices()

    def _drop(self) -> None:
        """Take what is shown out of the scene."""
        self.overlay.hide()
        self.review.finish()
        if self.state.shown is not None:
            self.results.remove(self.state.shown)
            self.state.shown = None

    def _showProgress(self) -> None:
        shown, region = self.state.shown, self.review.region
        words = "" if shown is None else f"{shown.caseId}: {progressWords(self.review.progress)}"
        self.ui.progressLabel.setText(f"{words}\n{region.reason}" if words and region is not None else words)

    def _showChoices(self) -> None:
        ui, shown = self.ui, self.state.shown
        regions = shown is not None and bool(self.review.regions)
        for button in (ui.previousButton, ui.nextButton):
            button.enabled = regions
        ui.acceptRegionButton.enabled = regions and self.review.region is not None
        ui.acceptCaseButton.enabled = ui.correctButton.enabled = shown is not None
        ui.overlayCheck.enabled = shown is not None and shown.mapNode is not None
        ui.undoButton.enabled = self.review.canUndo
        number = ui.predictionTable.currentRow()
        ui.loadButton.enabled = number >= 0
        reason = self.state.rows[number].reason if 0 <= number < len(self.state.rows) else ""
        ui.reasonLabel.setText(reason)
        ui.reasonLabel.visible = bool(reason)
        ui.roundButton.enabled = bool(self.state.rows)


def _texts(row: CaseRow) -> tuple[str, ...]:
    unsure = "" if row.meanUncertainty is None else f"{row.meanUncertainty:.2f}"
    return row.caseId, stateWord(row.state, row.role), unsure, str(row.lastRound)
