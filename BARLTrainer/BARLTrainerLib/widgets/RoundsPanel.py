"""The trainings of a cohort: how they stand, their curves and figures side by side; go on, stop, export."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from barl.errors import InputError
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLTrainerLib.logic.FiguresTable import writeFigures
from BARLTrainerLib.logic.ModelExport import exportFolder, exporting
from BARLTrainerLib.logic.OpenCohort import OpenCohort
from BARLTrainerLib.logic.RoundCurves import RoundCurves
from BARLTrainerLib.logic.RoundRow import RoundRow
from BARLTrainerLib.logic.RoundsLogic import RoundsLogic
from BARLTrainerLib.widgets.Comparison import Comparison
from BARLTrainerLib.widgets.FitHeight import fitHeight
from BARLTrainerLib.widgets.RoundWords import askedWords, diceWords, methodWord, stateWord

LOOK_MS = 1000
"""From one look at running rounds to the next."""

ROW_PIXELS = 24
_MOST_LINES = 8
FIGURES_FILE = "rounds.csv"


@dataclass
class RoundsState:
    """What the panel shows and does."""

    shown: tuple[RoundRow, ...] = ()
    """The rows as they are in the table."""

    chosen: frozenset[Path] = field(default_factory=frozenset)
    """Folders of the selected rounds."""

    copying: Generator[float, None, None] | None = None
    target: Path | None = None


class RoundsPanel:
    """Drives a ``RoundsLogic``.

    Args:
        rounds: reads the rounds.
        curves: draws them.
        cohort: whose rounds.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(
        self, rounds: RoundsLogic, curves: RoundCurves, cohort: OpenCohort, loadUi: Callable[[str], Any]
    ) -> None:
        self.rounds, self.cohort = rounds, cohort
        self.state = RoundsState()
        self.widget = loadUi("RoundsPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.comparison = Comparison(curves, rounds, self.ui)
        self.timer = qt.QTimer(self.widget)
        self.copyTimer = qt.QTimer(self.widget)
        self._connections = Connections()
        self._arrange()
        self._connect()
        self._show()

    def cleanup(self) -> None:
        """Undo all connections; an export that is going on leaves nothing."""
        self.timer.stop()
        self._stopCopying()
        self.comparison.cleanup()
        self._connections.undoAll()

    def refresh(self) -> None:
        """List the rounds anew, and read on where something is new."""
        with self.message.telling(keep=True):
            self.rounds.refresh()
        self._show()
        self.look()

    def look(self) -> None:
        """A short look at the files; a long history comes in parts, so that the window never waits."""
        hasMore = self.rounds.look()
        self._show()
        if hasMore or self.rounds.isAnyActive:
            self.timer.start(0 if hasMore else LOOK_MS)
        else:
            self.timer.stop()

    def selected(self) -> tuple[RoundRow, ...]:
        """The selected rounds, the newest first."""
        return tuple(row for row in self.state.shown if row.folder in self.state.chosen)

    def resume(self) -> None:
        """Go on with the selected round."""
        with self.message.telling():
            for row in self.selected():
                self.rounds.resume(row)
                self.message.good(_("Round {n} goes on from its last checkpoint.").format(n=row.number))
        self.look()

    def stop(self) -> None:
        """Ask the selected round to stop."""
        with self.message.telling():
            for row in self.selected():
                self.rounds.stop(row)
                self.message.info(_("Round {n} saves its state and stops.").format(n=row.number))
        self.look()

    def exportModel(self) -> None:
        """Begin to copy the model of the selected round."""
        with self.message.telling():
            (row,) = self.selected()
            assert self.cohort.cohort is not None
            self.state.target = exportFolder(self.cohort.cohort, row.number, self._exportPath())
            self.state.copying = exporting(row.folder, self.state.target)
            self.copyTimer.start(0)
        self._showChoices()

    def copyOn(self) -> None:
        """Copy a little more."""
        copying = self.state.copying
        if copying is None:
            return
        share: float | None = None
        with self.message.telling():
            share = next(copying, None)
            if share is None:
                self.message.good(_("The model is in {folder}.").format(folder=self.state.target))
        self.ui.exportBar.value = round(100 * (share or 0.0))
        if share is None:
            self._stopCopying()
            self._showChoices()

    def exportFigures(self) -> None:
        """Write the figures of all rounds."""
        with self.message.telling():
            path = self._exportPath() / FIGURES_FILE
            writeFigures(path, self.state.shown)
            self.message.good(_("The figures are in {path}.").format(path=path))

    def _arrange(self) -> None:
        header = self.ui.roundTable.horizontalHeader()
        header.highlightSections = False
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        self.ui.roundTable.verticalHeader().hide()
        self.ui.roundTable.verticalHeader().setDefaultSectionSize(ROW_PIXELS)

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.roundTable, "itemSelectionChanged()", self._onSelection)
        connect(ui.quantityCombo, "currentIndexChanged(int)", lambda _index: self._compare())
        connect(ui.resumeButton, "clicked(bool)", lambda _checked: self.resume())
        connect(ui.stopButton, "clicked(bool)", lambda _checked: self.stop())
        connect(ui.folderButton, "clicked(bool)", lambda _checked: self._onFolder())
        connect(ui.modelButton, "clicked(bool)", lambda _checked: self.exportModel())
        connect(ui.tableButton, "clicked(bool)", lambda _checked: self.exportFigures())
        connect(self.timer, "timeout()", self.look)
        connect(self.copyTimer, "timeout()", self.copyOn)
        self._connections.observers(self.cohort.changed, self._onCohort)

    def _onCohort(self, cohort: Any) -> None:
        self.message.clear()
        self._stopCopying()
        self.state = RoundsState()
        self.rounds.show(cohort)
        newest = self.rounds.rows[:1]
        self.state.chosen = frozenset(row.folder for row in newest)
        self._show()
        self.look()

    def _onSelection(self) -> None:
        rows = {index.row() for index in self.ui.roundTable.selectionModel().selectedRows()}
        self.state.chosen = frozenset(self.state.shown[row].folder for row in rows if row < len(self.state.shown))
        self._showChoices()
        self._compare()

    def _onFolder(self) -> None:
        for row in self.selected():
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(row.folder)))

    def _exportPath(self) -> Path:
        text = self.ui.exportPath.currentPath.strip()
        if not text:
            raise InputError(_("Choose the folder to export to."))
        self.ui.exportPath.addCurrentPathToHistory()
        return Path(text)

    def _stopCopying(self) -> None:
        self.copyTimer.stop()
        if self.state.copying is not None:
            self.state.copying.close()
        self.state.copying = None

    def _show(self) -> None:
        if self.rounds.rows != self.state.shown:
            self.state.shown = self.rounds.rows
            self._showRows()
        self._showChoices()
        self._compare()

    def _showRows(self) -> None:
        table = self.ui.roundTable
        blocked = table.blockSignals(True)
        table.clearSelection()
        table.setRowCount(len(self.state.shown))
        for number, row in enumerate(self.state.shown):
            for column, text in enumerate((str(row.number), methodWord(row), stateWord(row), diceWords(row))):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(askedWords(row) or text)
                table.setItem(number, column, item)
                item.setSelected(row.folder in self.state.chosen)
        table.blockSignals(blocked)
        fitHeight(table, max(3, len(self.state.shown)), _MOST_LINES, ROW_PIXELS)

    def _showChoices(self) -> None:
        ui, chosen = self.ui, self.selected()
        row = chosen[0] if len(chosen) == 1 else None
        ui.hintLabel.visible = not self.state.shown
        isOpen = self.cohort.cohort is not None
        ui.hintLabel.setText(
            _("This cohort has no training yet.")
            if isOpen
            else _("Choose the folder of a cohort above, and press Show.")
        )
        for widget in (ui.roundTable, ui.resumeButton, ui.stopButton, ui.folderButton, ui.compareBox, ui.exportBox):
            widget.visible = bool(self.state.shown)
        copies = self.state.copying is not None
        ui.resumeButton.enabled = row is not None and row.mayResume
        ui.stopButton.enabled = row is not None and row.isActive
        ui.folderButton.enabled = bool(chosen)
        ui.modelButton.enabled = row is not None and row.hasModel and not copies
        ui.tableButton.enabled = not copies
        ui.exportBar.visible = copies

    def _compare(self) -> None:
        self.comparison.show(self.selected())
