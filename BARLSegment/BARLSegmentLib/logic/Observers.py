"""Events for whoever wants to know: plain functions, because custom Qt signals crash under PythonQt."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

Event = TypeVar("Event")

logger = logging.getLogger(__name__)


class Observers(Generic[Event]):
    """Functions that are called with each event.

    One that fails is noted in the log and does not keep the others from being called.
    """

    def __init__(self) -> None:
        self._functions: list[Callable[[Event], None]] = []

    def add(self, function: Callable[[Event], None]) -> Callable[[], None]:
        """Call a function from now on; returns what ends that."""
        self._functions.append(function)

        def remove() -> None:
            if function in self._functions:
                self._functions.remove(function)

        return remove

    def notify(self, event: Event) -> None:
        """Call all functions, in the order in which they came."""
        for function in tuple(self._functions):
            try:
                function(event)
            except Exception:
                logger.exception("an observer failed at %s", event)
