"""The table in which a person names structures."""

from __future__ import annotations

from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from barl.cohort import Label, LabelTable, default_color
from barl.errors import LabelError

_VALUE, _NAME, _COLOR = range(3)


class LabelTableEditor:
    """Shows a label table in a ``QTableWidget`` with the columns value, name and color, and reads it back."""

    def __init__(self, table: Any) -> None:
        self._table = table
        table.horizontalHeader().setSectionResizeMode(_NAME, qt.QHeaderView.Stretch)
        table.horizontalHeader().setSectionResizeMode(_VALUE, qt.QHeaderView.ResizeToContents)
        table.verticalHeader().hide()

    def show(self, labels: LabelTable) -> None:
        """Replace all rows."""
        self._table.setRowCount(0)
        for label in labels.labels:
            self._addRow(label)

    def addLabel(self) -> None:
        """One more structure, with the next free value."""
        used = [int(text) for text in self._texts(_VALUE) if text.isdigit()]
        value = next(candidate for candidate in range(1, 255) if candidate not in used)
        name = _("structure {n}").format(n=value)
        self._addRow(Label(value=value, name=name, color=default_color(self._table.rowCount)))
        self._table.setCurrentCell(self._table.rowCount - 1, _NAME)

    def removeLabel(self) -> None:
        """Remove the selected row."""
        if self._table.currentRow() >= 0:
            self._table.removeRow(self._table.currentRow())

    def read(self) -> LabelTable:
        """The table as it is shown.

        Raises:
            LabelError: a value is no number, or two structures have the same value or name.
        """
        return LabelTable(tuple(self._label(row) for row in range(self._table.rowCount)))

    def _label(self, row: int) -> Label:
        value = self._table.item(row, _VALUE).text().strip()
        name = self._table.item(row, _NAME).text().strip()
        if not value.isdigit():
            raise LabelError(f"The value of {name or 'a structure'} must be a number from 1 to 254, got {value!r}.")
        color = self._table.cellWidget(row, _COLOR).color
        return Label(value=int(value), name=name, color=(color.red(), color.green(), color.blue()))

    def _addRow(self, label: Label) -> None:
        row = self._table.rowCount
        self._table.insertRow(row)
        self._table.setItem(row, _VALUE, qt.QTableWidgetItem(str(label.value)))
        self._table.setItem(row, _NAME, qt.QTableWidgetItem(label.name))
        button = ctk.ctkColorPickerButton()
        button.color = qt.QColor(*label.color)
        button.displayColorName = False
        button.toolTip = _("Color of {name}").format(name=label.name)
        self._table.setCellWidget(row, _COLOR, button)

    def _texts(self, column: int) -> list[str]:
        return [self._table.item(row, column).text() for row in range(self._table.rowCount)]
