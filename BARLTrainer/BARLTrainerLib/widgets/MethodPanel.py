"""The methods there are, and when to choose which."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from barl.catalog import CARDS, MethodCard
from BARLSegmentLib.widgets.Connections import Connections


class MethodPanel:
    """Shows the catalog's cards.

    Args:
        loadUi: gives the widget of a .ui file.
    """

    def __init__(self, loadUi: Callable[[str], Any]) -> None:
        self.widget = loadUi("MethodPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self._connections = Connections()
        for card in CARDS:
            self.ui.methodCombo.addItem(card.title)
        self._connections.signal(self.ui.methodCombo, "currentIndexChanged(int)", self._show)
        self._show(self.ui.methodCombo.currentIndex)

    def cleanup(self) -> None:
        """Undo all connections."""
        self._connections.undoAll()

    def _show(self, index: int) -> None:
        self.ui.methodText.setText(_cardWords(CARDS[index]))


def _cardWords(card: MethodCard) -> str:
    lines = (
        card.sentence,
        _("When: {text}").format(text=card.when_to_choose),
        _("Cost of a step: {n} times that of supervised training.").format(n=card.cost),
        _("Reference: {text}").format(text=card.reference),
    )
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)
