"""Lines of the case table in a ``QTableWidget``, changed one at a time where they differ from what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import qt

from BARLSegmentLib.logic.CaseTable import CaseRow

ROW_PIXELS = 24
"""Height of a line: tall enough to hit, low enough to see a cohort at a glance."""

_MEASURED_ROWS = 30
"""Lines whose texts decide how wide a column is: measuring hundreds takes a tenth of a second."""


class CaseLines:
    """Hundreds of lines take a tenth of a second to show, so that they can also be shown bit by bit.

    Args:
        table: the widget; the first column holds the case's id.
        texts: the cells of a line.
        toolTip: what is said about a line.
    """

    def __init__(
        self, table: Any, texts: Callable[[CaseRow], Sequence[str]], toolTip: Callable[[CaseRow], str]
    ) -> None:
        self._table, self._texts, self._toolTip = table, texts, toolTip
        self._wanted: tuple[CaseRow, ...] = ()
        self._shown: list[CaseRow] = []
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        header.setResizeContentsPrecision(_MEASURED_ROWS)
        header.highlightSections = False
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(ROW_PIXELS)

    def eachShown(self, rows: Sequence[CaseRow]) -> Iterator[None]:
        """Show these lines, and give way after each that had to be changed.

        Whoever is asked to show others in the meantime does so; then the older ones are given up. The case that was
        selected is selected in the end; the first line stays selected whichever case comes there.
        """
        self._wanted = wanted = tuple(rows)
        selected = self.selectedCase() if self._table.currentRow() > 0 else None
        self._table.setRowCount(len(wanted))
        del self._shown[len(wanted) :]
        for number, row in enumerate(wanted):
            if number >= len(self._shown) or self._shown[number] != row:
                self._showLine(number, row)
                yield
            if self._wanted is not wanted:
                return
        ids = [row.caseId for row in wanted]
        if selected in ids and selected != self.selectedCase():
            self.select(selected)
        elif selected not in ids and ids:
            self._table.setCurrentCell(0, 0)

    def selectedCase(self) -> str | None:
        """The case of the selected line."""
        item = self._table.item(self._table.currentRow(), 0)
        return item.text() if item is not None else None

    def select(self, caseId: str) -> None:
        """Select the line of a case."""
        for number, row in enumerate(self._shown):
            if row.caseId == caseId:
                self._table.setCurrentCell(number, 0)

    def _showLine(self, number: int, row: CaseRow) -> None:
        for column, text in enumerate(self._texts(row)):
            item = self._table.item(number, column)
            if item is None:
                item = qt.QTableWidgetItem(text)
                self._table.setItem(number, column, item)
            elif item.text() != text:
                item.setText(text)
            item.setToolTip(self._toolTip(row) or text)
        self._shown[number : number + 1] = [row]
