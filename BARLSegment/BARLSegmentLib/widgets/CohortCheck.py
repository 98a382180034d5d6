"""The check of a cohort: begun and given up with one button, and what it found, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from barl.imaging.audit import Finding
from BARLSegmentLib.logic.ChildWork import StartWork, Work, WorkLook
from BARLSegmentLib.logic.CohortLogic import CohortLogic
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine

POLL_MS = 150
"""Often enough for a bar that moves."""


class CohortCheck:
    """Part of the cohort panel; a process of its own reads every image, and the window lives on.

    Args:
        logic: the cohort.
        ui: the widgets of the cohort panel.
        message: where the verdict stands.
        startWork: begins the work.
        showCase: is given the case that the person wants to see.
    """

    def __init__(
        self, logic: CohortLogic, ui: Any, message: MessageLine, startWork: StartWork, showCase: Callable[[str], None]
    ) -> None:
        self._logic, self._ui, self._message, self._showCase = logic, ui, message, showCase
        self.startWork = startWork
        self.findings: tuple[Finding, ...] = ()
        self._work: Work | None = None
        self.timer = qt.QTimer(ui.auditButton)
        self.timer.setInterval(POLL_MS)
        self._connections = Connections()
        connect = self._connections.signal
        connect(self.timer, "timeout()", self.poll)
        connect(ui.auditButton, "clicked(bool)", lambda _checked: self._onButton())
        connect(ui.showButton, "clicked(bool)", lambda _checked: self._onShow())
        connect(ui.findingList, "itemActivated(QListWidgetItem*)", lambda _item: self._onShow())
        connect(ui.findingList, "currentRowChanged(int)", lambda _row: self.show())
        self.show()

    @property
    def isRunning(self) -> bool:
        """Whether the answer is still to come."""
        return self._work is not None

    def cleanup(self) -> None:
        """Undo all connections, and give up a check that goes on."""
        self.forget()
        self._connections.undoAll()

    def start(self) -> None:
        """Begin, or say why not."""
        with self._message.telling():
            self.forget()
            self._work = self.startWork({"work": "check", "cohort": str(self._logic.cohort.folder)})
            self.timer.start()
        self.show()

    def forget(self) -> None:
        """Give up a check that goes on, and forget what was found."""
        self.timer.stop()
        if self._work is not None:
            self._work.end()
            self._work = None
        self.findings = ()
        self._list()

    def poll(self) -> None:
        """Look how far it is."""
        if self._work is None:
            return
        look = self._work.look()
        self._ui.auditBar.value = round(100 * look.share)
        if look.isOver:
            self._conclude(look)
        self.show()

    def show(self) -> None:
        """Show what can be pressed now."""
        ui = self._ui
        ui.auditButton.text = _("Stop c&hecking") if self.isRunning else _("C&heck cohort")
        ui.auditButton.enabled = self._logic.isOpen
        ui.auditButton.visible = self._logic.isOpen
        ui.auditBar.visible = self.isRunning
        ui.findingList.visible = ui.showButton.visible = bool(self.findings)
        ui.showButton.enabled = self._chosenCase() is not None

    def _onButton(self) -> None:
        if not self.isRunning:
            self.start()
            return
        self.forget()
        self._message.info(_("The check was stopped; it changes nothing."))
        self.show()

    def _conclude(self, look: WorkLook) -> None:
        self.timer.stop()
        self._work = None
        if look.error:
            self._message.error(look.error)
            return
        self.findings = tuple(Finding(**record) for record in look.answer or ())
        self._list()
        self._tellVerdict()

    def _tellVerdict(self) -> None:
        errors = sum(finding.severity == "error" for finding in self.findings)
        notes = len(self.findings) - errors
        if errors:
            self._message.error(_("To be mended before training: {n}. The list says how.").format(n=errors))
        elif notes:
            self._message.info(_("Ready for training. Worth a look: {n}.").format(n=notes))
        else:
            self._message.good(_("All is well: ready for training."))

    def _list(self) -> None:
        self._ui.findingList.clear()
        for finding in self.findings:
            case = f"{finding.case_id}: " if finding.case_id else ""
            sign = "✖" if finding.severity == "error" else "•"
            self._ui.findingList.addItem(f"{sign} {case}{finding.message} {finding.advice}")

    def _chosenCase(self) -> str | None:
        row = self._ui.findingList.currentRow
        return self.findings[row].case_id if 0 <= row < len(self.findings) else None

    def _onShow(self) -> None:
        caseId = self._chosenCase()
        if caseId is not None:
            self._showCase(caseId)
