"""The case table, read again in short steps while a training predicts: the window never waits for hundreds of cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import qt

from BARLSegmentLib.logic.CaseTable import CaseRow
from BARLSegmentLib.logic.CohortLogic import CohortLogic
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine

Step = TypeVar("Step")

STEP_SECONDS = 0.01
"""Of reading; a window that is drawn 60 times a second has 16 ms between two pictures."""


class TableRefresh:
    """Asked as often as one likes; reads once at a time, and once more when it was asked meanwhile.

    Args:
        logic: the cohort.
        parent: a widget that lives as long.
        show: functions that are given all lines, and give way every now and then.
        message: where to say what cannot be read.
    """

    def __init__(
        self,
        logic: CohortLogic,
        parent: Any,
        show: Sequence[Callable[[Sequence[CaseRow]], Iterator[None]]],
        message: MessageLine,
    ) -> None:
        self._logic, self._show, self._message = logic, tuple(show), message
        self._reading: Iterator[CaseRow] | None = None
        self._rows: list[CaseRow] = []
        self._showing: Iterator[None] | None = None
        self._again = False
        self._isWhole = False
        """Whether the last reading came to its end."""
        self.timer = qt.QTimer(parent)
        self.timer.setInterval(0)
        self._connections = Connections()
        self._connections.signal(self.timer, "timeout()", self.step)

    @property
    def isBusy(self) -> bool:
        """Whether lines are still to be read or shown."""
        return self._again or self._reading is not None or self._showing is not None

    def cleanup(self) -> None:
        """Stop, and undo the connection."""
        self.timer.stop()
        self._connections.undoAll()

    def forget(self) -> None:
        """Give up what is being read or shown: it is another cohort's."""
        self._again, self._reading, self._showing = False, None, None

    def request(self) -> None:
        """Have the table read soon."""
        self._again = True
        self.timer.start()

    def step(self) -> None:
        """Read some lines, or show some."""
        if self._showing is not None:
            self._showing = self._advance(self._showing, lambda _step: None)
        elif self._reading is not None:
            self._reading = self._advance(self._reading, self._rows.append)
            if self._reading is None and self._isWhole:
                self._showing = self._shown()
        elif self._again and self._logic.isOpen:
            self._again = False
            self._rows = []
            with self._message.telling(keep=True):
                self._reading = self._logic.eachRow()
        else:
            self.timer.stop()

    def _shown(self) -> Iterator[None]:
        for show in self._show:
            yield from show(self._rows)

    def _advance(self, steps: Iterator[Step], take: Callable[[Step], Any]) -> Iterator[Step] | None:
        """As many steps as fit into the time; None when there are no more."""
        until, self._isWhole = time.perf_counter() + STEP_SECONDS, False
        with self._message.telling(keep=True):
            for step in steps:
                take(step)
                if time.perf_counter() > until:
                    return steps
            self._isWhole = True
        return None
