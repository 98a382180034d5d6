"""The engineer's column: rounds, method and settings, disk use, diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import slicer
from slicer.i18n import tr as _

from barl.errors import InputError
from BARLSegmentLib.Examination import Examination
from BARLSegmentLib.logic.ChildPython import ChildPython
from BARLSegmentLib.logic.InstallLogic import InstallLogic
from BARLSegmentLib.logic.TrainLogic import TrainLogic
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLTrainerLib.logic.OpenCohort import OpenCohort
from BARLTrainerLib.logic.RoundCurves import RoundCurves
from BARLTrainerLib.logic.RoundsLogic import RoundsLogic
from BARLTrainerLib.widgets.DiagnosticsPanel import DiagnosticsPanel
from BARLTrainerLib.widgets.DiskPanel import DiskPanel
from BARLTrainerLib.widgets.MethodPanel import HandOver, MethodPanel
from BARLTrainerLib.widgets.RoundsPanel import RoundsPanel


class Logics(Protocol):
    """What the panels drive."""

    cohort: OpenCohort
    train: TrainLogic
    rounds: RoundsLogic
    curves: RoundCurves
    examination: Examination
    install: InstallLogic
    python: ChildPython


class TrainerPanel:
    """Makes the panels, and opens the cohort that all of them show.

    Args:
        logic: the module's logics.
        handOver: takes a wish to BARL Segment.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(self, logic: Logics, handOver: HandOver, loadUi: Callable[[str], Any]) -> None:
        self.cohort = logic.cohort
        self.widget = loadUi("TrainerPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.rounds = RoundsPanel(logic.rounds, logic.curves, logic.cohort, loadUi)
        self.methods = MethodPanel(logic.train, logic.cohort, logic.python, handOver, loadUi)
        self.disk = DiskPanel(logic.cohort, loadUi)
        self.diagnostics = DiagnosticsPanel(logic.examination, logic.install, logic.python, loadUi)
        self._connections = Connections()
        self._arrange()
        self._connect()

    def open(self, folder: str) -> None:
        """Show the cohort in a folder, or say why not."""
        self.ui.folderPath.currentPath = folder
        with self.message.telling():
            if not folder.strip():
                raise InputError(_("Choose the folder of a cohort first."))
            cohort = self.cohort.open(Path(folder.strip()))
            self.ui.folderPath.addCurrentPathToHistory()
            words = _("{name}: {n} cases.").format(name=cohort.name, n=len(cohort.cases))
            self.message.good(words)

    def refresh(self) -> None:
        """Read the files again."""
        self.rounds.refresh()
        self.methods.refresh()
        self._onDisk()

    def cleanup(self) -> None:
        """Undo everything."""
        self._connections.undoAll()
        for panel in (self.rounds, self.methods, self.disk, self.diagnostics):
            panel.cleanup()

    def _arrange(self) -> None:
        parts = (
            (self.ui.roundsStep, self.rounds),
            (self.ui.methodStep, self.methods),
            (self.ui.diskStep, self.disk),
            (self.ui.diagnosticsStep, self.diagnostics),
        )
        for step, panel in parts:
            step.layout().addWidget(panel.widget)

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.openButton, "clicked(bool)", lambda _checked: self.open(ui.folderPath.currentPath))
        connect(ui.diskStep, "contentsCollapsed(bool)", lambda _collapsed: self._onDisk())
        connect(ui.diagnosticsStep, "contentsCollapsed(bool)", self._onDiagnostics)
        self._connections.observers(self.cohort.changed, lambda _cohort: self._onDisk())
        self._connections.observers(self.methods.started, lambda _folder: self._onRounds())
        self._connections.observers(self.disk.deleted, lambda _part: self._onRounds())

    def _onDisk(self) -> None:
        """Only who opens the section wants every file to be asked for."""
        if self.ui.diskStep.collapsed:
            self.disk.forget()
        else:
            self.disk.refresh()

    def _onDiagnostics(self, collapsed: bool) -> None:
        if not collapsed and self.diagnostics.state.findings is None:
            self.diagnostics.examine()

    def _onRounds(self) -> None:
        """There is another round, or one less."""
        self.rounds.refresh()
        self.methods.refresh()
