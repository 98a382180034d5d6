"""What this computer has, what is missing, and its installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from BARLSegmentLib.Examination import Examination, Findings
from BARLSegmentLib.logic.ChildPython import ChildPython, Command, Task
from BARLSegmentLib.logic.Installation import Installation
from BARLSegmentLib.logic.InstallLogic import Installing, InstallLogic, InstallPlan, Package
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine

_POLL_MS = 300
_ROW_PIXELS = 22
_MOST_LETTERS = 160
"""Of a line that pip prints: some hold half a screen of file names."""


@dataclass
class DiagnosticsState:
    """What the panel shows."""

    findings: Findings | None = None
    plan: InstallPlan | None = None
    """What the person is being asked about."""

    installation: Installation | None = None
    """What is being installed, or tried before."""

    then: Callable[[tuple[Package, ...]], None] | None = None
    """Called with how the packages are when it is over."""


class DiagnosticsPanel:
    """Shows an ``Examination`` and drives an ``InstallLogic``.

    Args:
        examination: looks at the computer in a process of its own.
        install: says what is missing, and how it is installed.
        python: does it, in processes of their own.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(
        self, examination: Examination, install: InstallLogic, python: ChildPython, loadUi: Callable[[str], Any]
    ) -> None:
        self.examination, self.install, self._python = examination, install, python
        self.state = DiagnosticsState()
        self.widget = loadUi("DiagnosticsPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.timer = qt.QTimer(self.widget)
        self.timer.setInterval(_POLL_MS)
        self.installTimer = qt.QTimer(self.widget)
        self.installTimer.setInterval(_POLL_MS)
        self._connections = Connections()
        header = self.ui.factTable.horizontalHeader()
        header.highlightSections = False
        header.setSectionResizeMode(0, qt.QHeaderView.ResizeToContents)
        header.setStretchLastSection(True)
        self.ui.factTable.verticalHeader().hide()
        self.ui.factTable.verticalHeader().setDefaultSectionSize(_ROW_PIXELS)
        self._connect()
        self._show()

    def cleanup(self) -> None:
        """Undo all connections; an examination or an installation that is going on is ended."""
        self.timer.stop()
        self.installTimer.stop()
        self.examination.stop()
        if self.state.installation is not None:
            self.state.installation.stop()
        self._connections.undoAll()

    def examine(self) -> None:
        """Look at the computer; the answer comes in seconds, and the window does not wait."""
        with self.message.telling():
            self.examination.start()
            self.timer.start()
        self._show()

    def poll(self) -> None:
        """See whether the answer is there."""
        findings = self.examination.read()
        if findings is not None:
            self.state.findings = findings
            self.timer.stop()
        self._show()

    def installOn(self) -> None:
        """See how far the installation is."""
        installation = self.state.installation
        if installation is None:
            self._show()
            return
        with self.message.telling():
            if self._orForget(installation.look):
                then = self.state.then
                self._endInstalling()
                assert then is not None
                then(installation.packages)
        self._show()

    def stopInstalling(self) -> None:
        """End it where it is."""
        if self.state.installation is not None:
            self.state.installation.stop()
            self._endInstalling()
            self.message.info(_("Stopped. What is half installed is found and mended when you install again."))
        self._show()

    def text(self) -> str:
        """The table as text."""
        findings = self.state.findings
        lines = [f"{what}: {found}" for what, found in findings.facts] if findings is not None else []
        return "\n".join([*lines, *(findings.problems if findings is not None else ())])

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.checkButton, "clicked(bool)", lambda _checked: self.examine())
        connect(ui.copyButton, "clicked(bool)", lambda _checked: self._onCopy())
        connect(ui.installButton, "clicked(bool)", lambda _checked: self._onInstall())
        connect(ui.yesButton, "clicked(bool)", lambda _checked: self._onYes())
        connect(ui.noButton, "clicked(bool)", lambda _checked: self._ask(None))
        connect(ui.stopButton, "clicked(bool)", lambda _checked: self.stopInstalling())
        connect(self.timer, "timeout()", self.poll)
        connect(self.installTimer, "timeout()", self.installOn)

    def _onCopy(self) -> None:
        slicer.app.clipboard().setText(self.text())
        self.message.good(_("Copied. Paste it where you ask your question."))

    def _onInstall(self) -> None:
        """What pip has noted may be half there: all of it is tried first, which takes seconds."""
        self._ask(None)
        self._follow(self.install.checking(), self._tellPlan)

    def _tellPlan(self, packages: tuple[Package, ...]) -> None:
        wheels = self.ui.wheelPath.currentPath.strip()
        plan = self.install.plan(packages, wheelFolder=Path(wheels) if wheels else None)
        if plan.isEmpty:
            self.message.good(str(plan))
        else:
            self._ask(plan)

    def _tellInstalled(self, _packages: tuple[Package, ...]) -> None:
        self.message.good(_("Everything is installed and was tried."))
        self.examination.start()
        self.timer.start()

    def _follow(self, steps: Installing, then: Callable[[tuple[Package, ...]], None]) -> None:
        with self.message.telling():
            self.state.installation, self.state.then = Installation(steps, self._python), then
            self._orForget(self.state.installation.start)
            self.installTimer.start()
        self.installOn()

    def _ask(self, plan: InstallPlan | None) -> None:
        self.state.plan = plan
        self.ui.questionRow.visible = plan is not None
        self.ui.questionLabel.setText("" if plan is None else str(plan))
        if plan is not None:
            self.ui.yesButton.setFocus()

    def _onYes(self) -> None:
        plan = self.state.plan
        self._ask(None)
        if plan is not None:
            self._follow(self.install.installing(plan), self._tellInstalled)

    def _orForget(self, step: Callable[[], Any]) -> Any:
        """Take a step of the installation; one that fails was the last."""
        try:
            return step()
        except Exception:
            self._endInstalling()
            raise

    def _endInstalling(self) -> None:
        self.installTimer.stop()
        self.state.installation = self.state.then = None

    def _show(self) -> None:
        findings, busy = self.state.findings, self.examination.isRunning
        self._showInstallation()
        self.ui.checkButton.enabled = not busy
        self.ui.copyButton.enabled = findings is not None
        if busy:
            self.ui.verdictLabel.setText(_("Looking at this computer..."))
        elif findings is None:
            self.ui.verdictLabel.setText(_("Press Check again to see what this computer has."))
        else:
            words = "\n".join(findings.problems) or _("Everything that BARL needs is here.")
            self.ui.verdictLabel.setText(words)
        self._showFacts(findings.facts if findings is not None else ())

    def _showInstallation(self) -> None:
        installation = self.state.installation
        self.ui.installBox.visible = installation is not None
        self.ui.installButton.enabled = self.ui.wheelPath.enabled = installation is None
        if installation is not None:
            words = (_commandWords(installation.command), installation.lastLine[:_MOST_LETTERS])
            self.ui.installLabel.setText("\n".join(filter(None, words)))

    def _showFacts(self, facts: tuple[tuple[str, str], ...]) -> None:
        self.ui.factTable.setRowCount(len(facts))
        for row, (what, found) in enumerate(facts):
            self.ui.factTable.setItem(row, 0, qt.QTableWidgetItem(what))
            self.ui.factTable.setItem(row, 1, qt.QTableWidgetItem(found))


def _commandWords(command: Command | None) -> str:
    if command is None:
        return ""
    words = {
        Task.REMOVE: _("Removing what is broken: {packages}."),
        Task.INSTALL: _("Installing {packages}. You can go on working."),
        Task.TRY: _("Trying what is installed. You can go on working."),
    }
    return words[command.task].format(packages=", ".join(command.packages))
