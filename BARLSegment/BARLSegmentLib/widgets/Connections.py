"""Connections that can all be undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from BARLSegmentLib.logic.Observers import Observers


class Connections:
    """Both directions of a panel: widgets to functions, and logic to functions."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def signal(self, widget: Any, signature: str, function: Callable[..., Any]) -> None:
        """Call a function at a widget's signal, such as ``clicked(bool)``."""
        widget.connect(signature, function)
        self._undo.append(lambda: widget.disconnect(signature, function))

    def observers(self, observers: Observers[Any], function: Callable[[Any], None]) -> None:
        """Call a function at each event of a logic."""
        self._undo.append(observers.add(function))

    def undoAll(self) -> None:
        """No function is called any more."""
        while self._undo:
            self._undo.pop()()
