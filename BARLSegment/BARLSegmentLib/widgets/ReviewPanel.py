"""Step 4: look where the model is unsure, and accept or correct."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import slicer
from slicer.i18n import tr as _

from barl.cohort import Role
from barl.errors import CohortError
from BARLSegmentLib.logic.CaseTable import CaseRow
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
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
        isUnsaved: whether a case has drawing in the scene that is not saved.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(
        self,
        cohort: CohortLogic,
        results: ResultLogic,
        overlay: OverlayLogic,
        review: ReviewLogic,
        author: Callable[[], str],
        isUnsaved: Callable[[str], bool],
        loadUi: Callable[[str], Any],
    ) -> None:
        self.cohort, self.results, self.overlay, self.review = cohort, results, overlay, review
        self._author, self._isUnsaved = author, isUnsaved
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
        self._showProgress()
        self._showChoices()

    def load(self, caseId: str) -> None:
        """Bring a prediction and its map into the scene, and begin at its first region."""
        with self.message.telling():
            self.cohort.requireFolder()  # Else the case would be told to be not predicted.
            folder = self.results.newest(self.cohort.cohort, caseId)
            if folder is None:
                self.message.info(_("Case {case} is not predicted yet. Train first.").format(case=caseId))
                return
            self._drop()
            wasUnsaved = self._isUnsaved(caseId)
            case = self.cohort.loadPrediction(caseId)
            shown = self.results.load(folder, caseId, imageNode=case.volumeNode, segmentationNode=case.segmentationNode)
            self.state.shown = shown
            self.review.start(shown)
            self._tellAbout(shown, wasUnsaved)
            if shown.mapNode is not None:
                self.ui.overlayCheck.checked = True
                self.overlay.show(shown.mapNode)
            self.review.next()
        self._showProgress()
        self._showChoices()

    def rest(self, caseId: str) -> None:
        """The person has saved a correction of a case: nothing shall lie over what was drawn."""
        if self.state.shown is not None and self.state.shown.caseId == caseId:
            self.review.rest()

    def finish(self) -> None:
        """Look at no prediction any more: the next round begins."""
        self._drop()
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
        connect(ui.nextButton, "clicked(bool)", lambda _checked: self._do(self._next))
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

    def _tellAbout(self, shown: ShownPrediction, wasUnsaved: bool) -> None:
        """What the person may not expect; the most important last, for there is one line."""
        row = self._shownRow()
        if shown.missing:
            self.message.info(shown.missing)
        if row is not None and row.version is not None:
            words = _("{case} is annotated already: this is the prediction. Version {n} stays, whatever you save.")
            self.message.info(words.format(case=shown.caseId, n=row.version))
        if wasUnsaved:
            words = _("What was drawn in {case} and not saved is kept as a draft; step 2 offers it.")
            self.message.info(words.format(case=shown.caseId))

    def _acceptRegion(self) -> None:
        self.review.accept()
        self._next()

    def _next(self) -> None:
        if self.review.next() is None:
            self.message.good(_("Every region is accepted. Accept the case, or correct it."))

    def _acceptCase(self) -> None:
        self._refuseToMeasureItself()
        version = self.review.acceptCase(self.cohort.cohort, self._author())
        self.message.good(_("Accepted: version {n} of {case}.").format(n=version.number, case=version.case_id))
        self.refresh()
        self._lines.select(self.state.rows[0].caseId)  # The next one that needs a look; Enter loads it.
        self.wishes.notify(ReviewWish(kind="changed", caseId=version.case_id))

    def _refuseToMeasureItself(self) -> None:
        row = self._shownRow()
        if row is not None and row.role is Role.VALIDATION:
            words = _(
                "{case} is only to measure (validation). Accepted, the prediction would be measured against itself. "
                "Correct and save it, or give the case another use in step 1."
            )
            raise CohortError(words.format(case=row.caseId))

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
        shown = self.state.shown
        isOurs = shown is not None and event.caseId == shown.caseId
        leaves = event.kind in ("unloaded", "lost") and isOurs
        isOther = event.kind == "loaded" and shown is not None and not isOurs
        if event.kind in ("opened", "closed") or leaves or isOther:
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
        self.ui.progressLabel.setText("\n".join(line for line in self._progressLines() if line))

    def _progressLines(self) -> list[str]:
        shown, region = self.state.shown, self.review.region
        if shown is None:
            return []
        if self.review.isCaseAccepted:
            return [_("{case} is accepted as it is. Take back undoes that.").format(case=shown.caseId)]
        words = f"{shown.caseId}: {progressWords(self.review.progress)}"
        return [words, "" if region is None else region.reason, self._newerWords()]

    def _shownRow(self) -> CaseRow | None:
        """The line of the case that is looked at."""
        shown = self.state.shown
        return None if shown is None else next((row for row in self.state.rows if row.caseId == shown.caseId), None)

    def _newerWords(self) -> str:
        """Whether a later round has predicted the case once more since it was loaded."""
        shown, row = self.state.shown, self._shownRow()
        if shown is None or row is None or row.lastRound in (None, shown.roundNumber):
            return ""
        return _("Round {n} has predicted it anew: Load prediction shows that.").format(n=row.lastRound)

    def _showChoices(self) -> None:
        ui, shown = self.ui, self.state.shown
        regions = shown is not None and bool(self.review.regions)
        isWaiting = shown is not None and not self.review.isCaseAccepted
        ui.previousButton.enabled = regions and self.review.hasPrevious
        ui.nextButton.enabled = regions
        ui.acceptRegionButton.enabled = regions and isWaiting and self.review.region is not None
        ui.acceptCaseButton.enabled = isWaiting
        ui.correctButton.enabled = shown is not None
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
