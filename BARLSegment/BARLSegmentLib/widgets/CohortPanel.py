"""Step 1: make or open a cohort, see its cases, check it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import slicer
from slicer.i18n import tr as _

from barl.cohort import Role
from BARLSegmentLib.logic.CaseTable import CaseRow
from BARLSegmentLib.logic.ChildWork import StartWork
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.widgets.CaseLines import CaseLines
from BARLSegmentLib.widgets.CohortCheck import CohortCheck
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.LabelPresets import LabelPreset
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLSegmentLib.widgets.NewCohortForm import NewCohortForm
from BARLSegmentLib.widgets.Words import coverageWord, roleWord, stateWord

_ROLES = tuple(Role)


@dataclass
class CohortState:
    """What the panel shows."""

    rows: tuple[CaseRow, ...] = ()

    def row(self, caseId: str | None) -> CaseRow | None:
        """The line of a case."""
        return next((row for row in self.rows if row.caseId == caseId), None)


@dataclass(frozen=True, kw_only=True)
class CohortWish:
    """What the person wants to happen outside this panel."""

    kind: Literal["load"]
    caseId: str


class CohortPanel:
    """Drives a ``CohortLogic``; asks to load a case through ``wishes``.

    Args:
        logic: the cohort.
        scene: where loaded volumes are.
        startWork: begins what takes long, in a process of its own.
        loadSamples: brings the sample scans into the scene.
        loadUi: gives the widget of a .ui file.
        presets: label tables to start from.
    """

    def __init__(
        self,
        logic: CohortLogic,
        scene: Scene,
        startWork: StartWork,
        loadSamples: Callable[[], Sequence[Node]],
        loadUi: Callable[[str], Any],
        presets: list[LabelPreset],
    ) -> None:
        self.logic, self._loadSamples = logic, loadSamples
        self.state = CohortState()
        self.widget = loadUi("CohortPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.wishes: Observers[CohortWish] = Observers()
        self.form = NewCohortForm(logic, scene, self.ui, presets, self.message, startWork)
        self.check = CohortCheck(logic, self.ui, self.message, startWork, self._showCase)
        self._connections = Connections()
        self._lines = CaseLines(self.ui.caseTable, _texts, lambda row: row.problem or row.reason)
        for role in _ROLES:
            self.ui.roleCombo.addItem(roleWord(role))
        self._connect()
        self.refresh()

    def cleanup(self) -> None:
        """Undo all connections."""
        self.form.cleanup()
        self.check.cleanup()
        self._connections.undoAll()

    def refresh(self) -> None:
        """Read the cohort's files again and show them."""
        rows: tuple[CaseRow, ...] = ()
        if self.logic.isOpen:
            with self.message.telling(keep=True):
                rows = self.logic.table()
        self.showRows(rows)

    def showRows(self, rows: Sequence[CaseRow]) -> None:
        """Show the case table."""
        for _step in self.eachShown(rows):
            pass

    def eachShown(self, rows: Sequence[CaseRow]) -> Iterator[None]:
        """The same bit by bit."""
        self.state.rows = tuple(rows)
        yield from self._lines.eachShown(rows)
        self._showChoices()

    def open(self, folder: str) -> None:
        """Open the cohort in a folder, or say why not."""
        self.ui.folderPath.currentPath = folder
        with self.message.telling():
            cohort = self.logic.open(Path(folder))
            self.message.good(_("{name} is open. Cases: {n}.").format(name=cohort.name, n=len(cohort.cases)))

    def loadSamples(self) -> None:
        """Bring the sample scans into the scene, and open the form for a cohort of them."""
        with self.message.telling():
            nodes = self._loadSamples()
            self.form.useScene()
            self.message.good(
                _("Sample scans in the scene: {n}. Choose an empty folder, and press Create cohort.").format(
                    n=len(nodes)
                )
            )

    def selectedCase(self) -> str | None:
        """The case of the selected line."""
        return self._lines.selectedCase()

    def selectCase(self, caseId: str) -> None:
        """Select the line of a case."""
        self._lines.select(caseId)

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.openButton, "clicked(bool)", lambda _checked: self.open(ui.folderPath.currentPath))
        connect(ui.sampleButton, "clicked(bool)", lambda _checked: self.loadSamples())
        connect(ui.loadButton, "clicked(bool)", lambda _checked: self._wishToLoad(self.selectedCase()))
        connect(ui.caseTable, "cellActivated(int,int)", lambda _row, _column: self._wishToLoad(self.selectedCase()))
        connect(ui.caseTable, "itemSelectionChanged()", self._showChoices)
        connect(ui.roleCombo, "activated(int)", self._onRole)
        self._connections.observers(self.logic.events, self._onCohortEvent)

    def _onCohortEvent(self, event: CohortEvent) -> None:
        if event.kind in ("opened", "closed"):
            self.check.forget()
            self.ui.newSection.collapsed = self.logic.isOpen
        if event.kind == "opened":
            self.ui.folderPath.currentPath = str(self.logic.cohort.folder)
            self.ui.folderPath.addCurrentPathToHistory()
        self.refresh()

    def _onRole(self, index: int) -> None:
        caseId = self.selectedCase()
        if caseId is not None:
            with self.message.telling():
                self.logic.setRole(caseId, _ROLES[index])

    def _wishToLoad(self, caseId: str | None) -> None:
        if caseId is not None:
            self.wishes.notify(CohortWish(kind="load", caseId=caseId))

    def _showCase(self, caseId: str) -> None:
        self.selectCase(caseId)
        self._wishToLoad(caseId)

    def _showChoices(self) -> None:
        row = self.state.row(self.selectedCase())
        self.ui.loadButton.enabled = row is not None and not row.problem
        self.ui.roleCombo.enabled = row is not None
        if row is not None:
            self.ui.roleCombo.currentIndex = _ROLES.index(row.role)
        self.ui.welcomeRow.visible = not self.logic.isOpen
        for widget in (self.ui.caseTable, self.ui.loadButton, self.ui.roleLabel, self.ui.roleCombo):
            widget.visible = self.logic.isOpen
        self.check.show()


def _texts(row: CaseRow) -> tuple[str, ...]:
    unsure = "" if row.meanUncertainty is None else f"{row.meanUncertainty:.2f}"
    order = "" if row.rank is None else str(row.rank)
    return row.caseId, stateWord(row.state, row.role), coverageWord(row.coverage), unsure, order
