"""Settings with their values, to be changed in place; what differs from its default is bold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from barl.errors import SettingsError
from barl.setting_cards import Kind, SettingCard, Value
from BARLSegmentLib.widgets.Connections import Connections

_NAME, _VALUE, _DEFAULT = range(3)
_ROW_PIXELS = 24


class SettingsTable:
    """Shows one group of settings in a table.

    Args:
        table: a ``QTableWidget`` with three columns.
        onChange: called with key and value when the person changes one.
        onProblem: called with what is wrong with what was typed; the value from before is shown again.
    """

    def __init__(self, table: Any, onChange: Callable[[str, Value], None], onProblem: Callable[[str], None]) -> None:
        self._table, self._onChange, self._onProblem = table, onChange, onProblem
        self._cards: tuple[SettingCard, ...] = ()
        self._values: dict[str, Value] = {}
        self._connections = Connections()
        self._combos = Connections()
        header = table.horizontalHeader()
        header.highlightSections = False
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_NAME, qt.QHeaderView.Stretch)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(_ROW_PIXELS)
        self._connections.signal(table, "cellChanged(int,int)", self._onCell)

    def cleanup(self) -> None:
        """Undo all connections."""
        self._combos.undoAll()
        self._connections.undoAll()

    def show(self, cards: Sequence[SettingCard], changes: Mapping[str, Value]) -> None:
        """Show these settings with their defaults, and the values that differ."""
        self._combos.undoAll()
        self._cards = tuple(cards)
        self._values = {card.key: changes.get(card.key, card.default) for card in cards}
        blocked = self._table.blockSignals(True)
        self._table.setRowCount(0)  # Takes the combo boxes of other settings away.
        self._table.setRowCount(len(cards))
        for row, card in enumerate(cards):
            self._showRow(row, card)
        self._table.blockSignals(blocked)

    def selected(self) -> SettingCard | None:
        """The setting whose line is selected."""
        row = self._table.currentRow()
        return self._cards[row] if 0 <= row < len(self._cards) else None

    def _showRow(self, row: int, card: SettingCard) -> None:
        value = self._values[card.key]
        fixed = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        chosen = _choices(card)
        editable = fixed if chosen else fixed | qt.Qt.ItemIsEditable
        texts = (card.name, "" if chosen else _text(value), _text(card.default))
        for column, (text, flags) in enumerate(zip(texts, (fixed, editable, fixed), strict=True)):
            item = qt.QTableWidgetItem(text)
            item.setFlags(flags)
            item.setToolTip(card.explanation)
            font = item.font()
            font.setBold(column < _DEFAULT and value != card.default)
            item.setFont(font)
            self._table.setItem(row, column, item)
        if chosen:
            self._addCombo(row, card, chosen)

    def _addCombo(self, row: int, card: SettingCard, chosen: tuple[Value, ...]) -> None:
        combo = qt.QComboBox()
        for value in chosen:
            combo.addItem(_text(value))
        combo.currentIndex = chosen.index(self._values[card.key])
        combo.setToolTip(card.explanation)
        self._combos.signal(combo, "activated(int)", lambda index: self._take(row, chosen[index]))
        self._table.setCellWidget(row, _VALUE, combo)

    def _onCell(self, row: int, column: int) -> None:
        if column != _VALUE or row >= len(self._cards):
            return
        try:
            value = self._cards[row].parse(self._table.item(row, _VALUE).text())
        except SettingsError as error:
            self._onProblem(str(error))
            value = self._values[self._cards[row].key]
        self._take(row, value)

    def _take(self, row: int, value: Value) -> None:
        card = self._cards[row]
        isNew = value != self._values[card.key]
        self._values[card.key] = value
        self._showValue(row, card, value)
        if isNew:
            self._onChange(card.key, value)

    def _showValue(self, row: int, card: SettingCard, value: Value) -> None:
        blocked = self._table.blockSignals(True)
        for column in (_NAME, _VALUE):
            item = self._table.item(row, column)
            font = item.font()
            font.setBold(value != card.default)
            item.setFont(font)
        if not _choices(card):
            self._table.item(row, _VALUE).setText(_text(value))
        self._table.blockSignals(blocked)


def _choices(card: SettingCard) -> tuple[Value, ...]:
    """What a combo box offers; nothing for numbers, which are typed."""
    return (True, False) if card.kind is Kind.SWITCH else tuple(card.choices)


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return f"{value:g}" if isinstance(value, float) else str(value)
