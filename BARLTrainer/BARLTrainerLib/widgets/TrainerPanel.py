"""The engineer's column: rounds, methods, diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import slicer

from BARLSegmentLib.Examination import Examination
from BARLSegmentLib.logic.InstallLogic import InstallLogic
from BARLTrainerLib.widgets.DiagnosticsPanel import DiagnosticsPanel
from BARLTrainerLib.widgets.MethodPanel import MethodPanel
from BARLTrainerLib.widgets.RoundsPanel import RoundsPanel


class Logics(Protocol):
    """What the panels drive."""

    examination: Examination
    install: InstallLogic


class TrainerPanel:
    """Makes the panels.

    Args:
        logic: the module's logics.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(self, logic: Logics, loadUi: Callable[[str], Any]) -> None:
        self.widget = loadUi("TrainerPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.rounds = RoundsPanel(loadUi)
        self.methods = MethodPanel(loadUi)
        self.diagnostics = DiagnosticsPanel(logic.examination, logic.install, loadUi)
        self.ui.roundsStep.layout().addWidget(self.rounds.widget)
        self.ui.methodStep.layout().addWidget(self.methods.widget)
        self.ui.diagnosticsStep.layout().addWidget(self.diagnostics.widget)

    def refresh(self) -> None:
        """Read the files again."""
        self.rounds.refresh()

    def cleanup(self) -> None:
        """Undo everything."""
        for panel in (self.rounds, self.methods, self.diagnostics):
            panel.cleanup()
