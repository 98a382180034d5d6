"""What a cohort takes on the disk, and what of it may go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLTrainerLib.logic.DiskUse import DiskUse, Kind, Part
from BARLTrainerLib.logic.OpenCohort import OpenCohort
from BARLTrainerLib.widgets.FitHeight import fitHeight
from BARLTrainerLib.widgets.RoundWords import sizeWord

ROW_PIXELS = 24
_MOST_LINES = 12


@dataclass
class DiskState:
    """What the panel shows."""

    use: DiskUse | None = None
    asked: Part | None = None
    """What the person is being asked about."""


class DiskPanel:
    """Drives a ``DiskUse``.

    Args:
        cohort: whose folder.
        loadUi: gives the widget of a .ui file.

    Attributes:
        deleted: told the part that is gone.
    """

    def __init__(self, cohort: OpenCohort, loadUi: Callable[[str], Any]) -> None:
        self.cohort = cohort
        self.state = DiskState()
        self.deleted: Observers[Part] = Observers()
        self.widget = loadUi("DiskPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.timer = qt.QTimer(self.widget)
        self._connections = Connections()
        header = self.ui.partTable.horizontalHeader()
        header.highlightSections = False
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setStretchLastSection(True)
        self.ui.partTable.verticalHeader().hide()
        self.ui.partTable.verticalHeader().setDefaultSectionSize(ROW_PIXELS)
        self._connect()
        self._show()

    def cleanup(self) -> None:
        """Undo all connections."""
        self.timer.stop()
        self._connections.undoAll()

    def refresh(self) -> None:
        """Add up anew, some files at a time."""
        with self.message.telling(keep=True):
            self._ask(None)
            self.state.use = DiskUse(self.cohort.cohort) if self.cohort.cohort is not None else None
        self.timer.start(0)
        self._show()

    def forget(self) -> None:
        """Show nothing, for nobody looks; adding up asks for every file."""
        self.timer.stop()
        self._ask(None)
        self.message.clear()
        self.state.use = None
        self._show()

    def count(self) -> None:
        """Look at some more files."""
        if self.state.use is None or not self.state.use.look():
            self.timer.stop()
        self._show()

    def delete(self, part: Part) -> None:
        """Delete a part, or say why not."""
        with self.message.telling():
            assert self.state.use is not None
            self.state.use.delete(part)
            self.message.good(_("Deleted: {part}.").format(part=_partWords(part)))
            self.deleted.notify(part)
        self._show()

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.partTable, "itemSelectionChanged()", self._showChoices)
        connect(ui.folderButton, "clicked(bool)", lambda _checked: self._onFolder())
        connect(ui.deleteButton, "clicked(bool)", lambda _checked: self._ask(self._selected()))
        connect(ui.againButton, "clicked(bool)", lambda _checked: self.refresh())
        connect(ui.yesButton, "clicked(bool)", lambda _checked: self._onYes())
        connect(ui.noButton, "clicked(bool)", lambda _checked: self._ask(None))
        connect(self.timer, "timeout()", self.count)

    def _selected(self) -> Part | None:
        parts, row = self.state.use.parts if self.state.use is not None else [], self.ui.partTable.currentRow()
        return parts[row] if 0 <= row < len(parts) else None

    def _onFolder(self) -> None:
        part = self._selected()
        if part is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(part.path)))

    def _onYes(self) -> None:
        part = self.state.asked
        self._ask(None)
        if part is not None:
            self.delete(part)

    def _ask(self, part: Part | None) -> None:
        self.state.asked = part
        self.ui.questionRow.visible = part is not None
        if part is not None and self.state.use is not None:
            self.ui.questionLabel.setText(_questionWords(self.state.use, part))
            self.ui.noButton.setFocus()

    def _show(self) -> None:
        use = self.state.use
        self.ui.totalLabel.setText(_totalWords(use))
        parts = use.parts if use is not None else []
        for widget in (self.ui.partTable, self.ui.folderButton, self.ui.deleteButton, self.ui.againButton):
            widget.visible = use is not None
        self.ui.partTable.setRowCount(len(parts))
        for number, part in enumerate(parts):
            size = sizeWord(part.bytes) if part.isCounted else _("{size} so far").format(size=sizeWord(part.bytes))
            for column, text in enumerate((_partWords(part), size, _mayGoWords(part))):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(str(part.path))
                self.ui.partTable.setItem(number, column, item)
        fitHeight(self.ui.partTable, max(3, len(parts)), _MOST_LINES, ROW_PIXELS)
        self._showChoices()

    def _showChoices(self) -> None:
        part = self._selected()
        self.ui.folderButton.enabled = part is not None
        self.ui.deleteButton.enabled = part is not None and part.mayGo


def _totalWords(use: DiskUse | None) -> str:
    if use is None:
        return _("Choose the folder of a cohort above, and press Show.")
    words = _("{size} in all; {free} are free on this drive. Images that were not copied count elsewhere.")
    return words.format(size=sizeWord(use.total), free=sizeWord(use.freeBytes()))


def _partWords(part: Part) -> str:
    words = {
        Kind.IMAGES: _("Copied images"),
        Kind.ANNOTATIONS: _("Annotations"),
        Kind.DRAFTS: _("Unsaved drawing"),
        Kind.CACHE: _("Cache"),
        Kind.ROUND: _("Round {n}").format(n=part.number),
        Kind.CHECKPOINTS: _("   of which checkpoints"),
    }
    return words[part.kind]


def _mayGoWords(part: Part) -> str:
    words = {
        Kind.IMAGES: _("no"),
        Kind.ANNOTATIONS: _("no: this is your work"),
        Kind.DRAFTS: _("no: step 2 offers it with its case"),
        Kind.CACHE: _("yes: it is made again when needed"),
        Kind.ROUND: _("yes, with its model and predictions"),
        Kind.CHECKPOINTS: _("yes: the round is finished"),
    }
    return words[part.kind]


def _questionWords(use: DiskUse, part: Part) -> str:
    words = {
        Kind.CACHE: _("Delete the cache ({size})? The next training makes it again, which takes some minutes."),
        Kind.ROUND: _("Delete round {n} with its model and predictions ({size})? Annotations stay."),
        Kind.CHECKPOINTS: _("Delete the checkpoints of round {n} ({size})? Its model and predictions stay."),
    }
    text = words[part.kind].format(n=part.number, size=sizeWord(part.bytes))
    others = use.roundsThatBeginFrom(part.number) if part.kind is Kind.ROUND else []
    if others:
        waiting = ", ".join(map(str, others))
        text += " " + _("Begun from it and not finished, these could not go on: {rounds}.").format(rounds=waiting)
    return text
