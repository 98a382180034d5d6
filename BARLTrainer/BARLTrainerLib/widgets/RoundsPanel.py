"""The trainings of a cohort: scores, disk use, and what can go."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from barl.cohort import Cohort
from barl.errors import JobError
from barl.jobs import read_status
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLTrainerLib.Rounds import RoundRow, roundRows


@dataclass
class RoundsState:
    """What the panel shows."""

    cohort: Cohort | None = None
    rows: tuple[RoundRow, ...] = ()


class RoundsPanel:
    """Reads a cohort's rounds from their files.

    Args:
        loadUi: gives the widget of a .ui file.
    """

    def __init__(self, loadUi: Callable[[str], Any]) -> None:
        self.state = RoundsState()
        self.widget = loadUi("RoundsPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self._connections = Connections()
        header = self.ui.roundTable.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(3, qt.QHeaderView.Stretch)
        self.ui.roundTable.verticalHeader().hide()
        self._connect()
        self._show()

    def cleanup(self) -> None:
        """Undo all connections."""
        self._connections.undoAll()

    def open(self, folder: str) -> None:
        """Show the rounds of the cohort in a folder, or say why not."""
        self.ui.folderPath.currentPath = folder
        with self.message.telling():
            self.state.cohort = Cohort.open(Path(folder))
            self.ui.folderPath.addCurrentPathToHistory()
        self.refresh()

    def refresh(self) -> None:
        """Read the files again."""
        with self.message.telling():
            self.state.rows = tuple(roundRows(self.state.cohort)) if self.state.cohort is not None else ()
        self._show()

    def delete(self, row: RoundRow) -> None:
        """Delete a round; one that is being trained stays."""
        with self.message.telling():
            if read_status(row.folder).state.is_active:
                raise JobError(_("Round {n} is being trained. Stop it first.").format(n=row.number))
            shutil.rmtree(row.folder)
            self.message.good(_("Round {n} is deleted.").format(n=row.number))
            self.state.rows = tuple(each for each in self.state.rows if each != row)
        self._show()

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.openButton, "clicked(bool)", lambda _checked: self.open(ui.folderPath.currentPath))
        connect(ui.roundTable, "itemSelectionChanged()", self._showSelected)
        connect(ui.folderButton, "clicked(bool)", lambda _checked: self._onFolder())
        connect(ui.deleteButton, "clicked(bool)", lambda _checked: self._ask(self._selected()))
        connect(ui.yesButton, "clicked(bool)", lambda _checked: self._onYes())
        connect(ui.noButton, "clicked(bool)", lambda _checked: self._ask(None))

    def _selected(self) -> RoundRow | None:
        row = self.ui.roundTable.currentRow()
        return self.state.rows[row] if 0 <= row < len(self.state.rows) else None

    def _onFolder(self) -> None:
        row = self._selected()
        if row is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(row.folder)))

    def _onYes(self) -> None:
        row = self._selected()
        self._ask(None)
        if row is not None:
            self.delete(row)

    def _ask(self, row: RoundRow | None) -> None:
        self.ui.questionRow.visible = row is not None
        if row is not None:
            words = _("Delete round {n} with its model and predictions ({size} MB)? Annotations stay.")
            self.ui.questionLabel.setText(words.format(n=row.number, size=round(row.megabytes)))
            self.ui.noButton.setFocus()

    def _show(self) -> None:
        self.ui.roundTable.setRowCount(len(self.state.rows))
        for number, row in enumerate(self.state.rows):
            size = _("{n} MB").format(n=round(row.megabytes))
            for column, text in enumerate((str(row.number), row.method, row.state, row.diceWords, size)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(row.problem or text)
                self.ui.roundTable.setItem(number, column, item)
        self._showSelected()

    def _showSelected(self) -> None:
        row = self._selected()
        self.ui.folderButton.enabled = self.ui.deleteButton.enabled = row is not None
        scores = ", ".join(f"{name} {value:.2f}" for name, value in row.byClass) if row is not None else ""
        self.ui.classLabel.setText(_("Dice by structure: {scores}").format(scores=scores) if scores else "")
