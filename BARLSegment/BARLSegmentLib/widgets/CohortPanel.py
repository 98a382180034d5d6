"""Step 1: make or open a cohort, see its cases, check it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import qt
import slicer
from slicer.i18n import tr as _

from barl.cohort import Role
from barl.imaging.audit import Finding, audit
from BARLSegmentLib.logic.CaseTable import CaseRow
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.SceneTypes import Scene
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.LabelPresets import LabelPreset
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLSegmentLib.widgets.NewCohortForm import NewCohortForm
from BARLSegmentLib.widgets.Words import coverageWord, roleWord, stateWord

ROW_PIXELS = 24
"""Height of a line: tall enough to hit, low enough to see a cohort at a glance."""

_ROLES = tuple(Role)


@dataclass
class CohortState:
    """What the panel shows."""

    rows: tuple[CaseRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    isChecking: bool = False

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
        loadUi: gives the widget of a .ui file.
        presets: label tables to start from.
    """

    def __init__(
        self, logic: CohortLogic, scene: Scene, loadUi: Callable[[str], Any], presets: list[LabelPreset]
    ) -> None:
        self.logic = logic
        self.state = CohortState()
        self.widget = loadUi("CohortPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.wishes: Observers[CohortWish] = Observers()
        self.form = NewCohortForm(logic, scene, self.ui, presets, self.message)
        self._connections = Connections()
        self._arrange()
        self._connect()
        self.refresh()

    def cleanup(self) -> None:
        """Undo all connections."""
        self.form.cleanup()
        self._connections.undoAll()

    def refresh(self) -> None:
        """Read the cohort's files again and show them."""
        if not self.logic.isOpen:
            self.state.rows = ()
        else:
            with self.message.telling(keep=True):
                self.state.rows = self.logic.table()
        self._showRows()
        self._showFindings()
        self._showChoices()

    def open(self, folder: str) -> None:
        """Open the cohort in a folder, or say why not."""
        self.ui.folderPath.currentPath = folder
        with self.message.telling():
            cohort = self.logic.open(Path(folder))
            self.message.good(_("{name} is open. Cases: {n}.").format(name=cohort.name, n=len(cohort.cases)))

    def check(self) -> None:
        """Audit the cohort, and list what it found in words."""
        self.state.isChecking = True
        self._showChoices()
        with self.message.telling():
            self.state.findings = tuple(audit(self.logic.cohort, progress=self._onProgress))
            self._tellVerdict()
        self.state.isChecking = False
        self._showFindings()
        self._showChoices()

    def selectedCase(self) -> str | None:
        """The case of the selected line."""
        item = self.ui.caseTable.item(self.ui.caseTable.currentRow(), 0)
        return item.data(qt.Qt.UserRole) if item is not None else None

    def selectCase(self, caseId: str) -> None:
        """Select the line of a case."""
        for row in range(self.ui.caseTable.rowCount):
            if self.ui.caseTable.item(row, 0).data(qt.Qt.UserRole) == caseId:
                self.ui.caseTable.setCurrentCell(row, 0)

    def _arrange(self) -> None:
        header = self.ui.caseTable.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        self.ui.caseTable.verticalHeader().hide()
        self.ui.caseTable.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        for role in _ROLES:
            self.ui.roleCombo.addItem(roleWord(role))

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.openButton, "clicked(bool)", lambda _checked: self.open(ui.folderPath.currentPath))
        connect(ui.auditButton, "clicked(bool)", lambda _checked: self.check())
        connect(ui.loadButton, "clicked(bool)", lambda _checked: self._wishToLoad(self.selectedCase()))
        connect(ui.caseTable, "cellActivated(int,int)", lambda _row, _column: self._wishToLoad(self.selectedCase()))
        connect(ui.caseTable, "itemSelectionChanged()", self._showChoices)
        connect(ui.roleCombo, "activated(int)", self._onRole)
        connect(ui.showButton, "clicked(bool)", lambda _checked: self._showFinding())
        connect(ui.findingList, "itemActivated(QListWidgetItem*)", lambda _item: self._showFinding())
        connect(ui.findingList, "currentRowChanged(int)", lambda _row: self._showChoices())
        self._connections.observers(self.logic.events, self._onCohortEvent)

    def _onCohortEvent(self, event: CohortEvent) -> None:
        if event.kind in ("opened", "closed"):
            self.state.findings = ()
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

    def _onProgress(self, done: int, total: int) -> None:
        self.ui.auditBar.maximum = total
        self.ui.auditBar.value = done
        slicer.app.processEvents()

    def _wishToLoad(self, caseId: str | None) -> None:
        if caseId is not None:
            self.wishes.notify(CohortWish(kind="load", caseId=caseId))

    def _showFinding(self) -> None:
        row = self.ui.findingList.currentRow
        if row >= 0 and self.state.findings[row].case_id:
            self.selectCase(self.state.findings[row].case_id)
            self._wishToLoad(self.state.findings[row].case_id)

    def _tellVerdict(self) -> None:
        errors = sum(finding.severity == "error" for finding in self.state.findings)
        notes = len(self.state.findings) - errors
        if errors:
            self.message.error(_("To be mended before training: {n}. The list says how.").format(n=errors))
        elif notes:
            self.message.info(_("Ready for training. Worth a look: {n}.").format(n=notes))
        else:
            self.message.good(_("All is well: ready for training."))

    def _showRows(self) -> None:
        selected = self.selectedCase()
        blocked = self.ui.caseTable.blockSignals(True)
        self.ui.caseTable.setRowCount(len(self.state.rows))
        for number, row in enumerate(self.state.rows):
            self._showRow(number, row)
        self.ui.caseTable.blockSignals(blocked)
        if self.state.rows:
            self.selectCase(selected or self.state.rows[0].caseId)

    def _showRow(self, number: int, row: CaseRow) -> None:
        unsure = "" if row.meanUncertainty is None else f"{row.meanUncertainty:.2f}"
        order = "" if row.rank is None else str(row.rank)
        texts = (row.caseId, stateWord(row.state, row.role), coverageWord(row.coverage), unsure, order)
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(row.problem or row.reason or text)
            item.setData(qt.Qt.UserRole, row.caseId)
            self.ui.caseTable.setItem(number, column, item)

    def _showFindings(self) -> None:
        self.ui.findingList.clear()
        for finding in self.state.findings:
            case = f"{finding.case_id}: " if finding.case_id else ""
            sign = "✖" if finding.severity == "error" else "•"
            self.ui.findingList.addItem(f"{sign} {case}{finding.message} {finding.advice}")
        self.ui.findingList.visible = self.ui.showButton.visible = bool(self.state.findings)

    def _showChoices(self) -> None:
        row = self.state.row(self.selectedCase())
        self.ui.loadButton.enabled = row is not None and not row.problem
        self.ui.roleCombo.enabled = row is not None
        if row is not None:
            self.ui.roleCombo.currentIndex = _ROLES.index(row.role)
        self.ui.auditButton.enabled = self.logic.isOpen and not self.state.isChecking
        self.ui.auditBar.visible = self.state.isChecking
        self.ui.showButton.enabled = self.ui.findingList.currentRow >= 0
        for widget in (
            self.ui.caseTable,
            self.ui.loadButton,
            self.ui.roleLabel,
            self.ui.roleCombo,
            self.ui.auditButton,
        ):
            widget.visible = self.logic.isOpen
