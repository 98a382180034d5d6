"""Keys that work as long as the module is shown, whichever of its steps is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from BARLSegmentLib.widgets.Connections import Connections


class Shortcuts:
    """A key on a button would sleep while the button's step is closed; these belong to the whole column.

    Args:
        widget: the column; while it is hidden, the keys are free for others.
    """

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        self._connections = Connections()
        self.byKey: dict[str, Any] = {}

    def add(self, key: str, action: Callable[[], Any]) -> None:
        """Do something at a key such as ``Ctrl+Alt+S``, also when a floating view has the focus."""
        shortcut = qt.QShortcut(qt.QKeySequence(key), self._widget)
        shortcut.context = qt.Qt.ApplicationShortcut
        self.byKey[key] = shortcut
        self._connections.signal(shortcut, "activated()", action)

    def cleanup(self) -> None:
        """No key does anything any more."""
        self._connections.undoAll()
        for shortcut in self.byKey.values():
            shortcut.enabled = False
