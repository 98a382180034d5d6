"""The case table, read again in short steps while a training predicts: the window never waits for hundreds of cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import qt

from BARLSegmentLib.logic.CaseTable import CaseRow
from BARLSegmentLib.logic.CohortLogic import CohortLogic
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine

STEP_SECONDS = 0.01
"""Of reading; a window that is drawn 60 times a second has 16 ms between two pictures."""


class TableRefresh:
    """Asked as often as one likes; reads once at a time, and once more when it was asked meanwhile.

    Args:
        logic: the cohort.
        parent: a widget that lives as long.
        show: functions that are given all lines, each in a step of its own.
        message: where to say what cannot be read.
    """

    def __init__(
        self,
        logic: CohortLogic,
        parent: Any,
        show: Sequence[Callable[[Sequence[CaseRow]], None]],
        message: MessageLine,
    ) -> None:
        self._logic, self._show, self._message = logic, tuple(show), message
        self._reading: Iterator[CaseRow] | None = None
        self._rows: list[CaseRow] = []
        self._showing: list[Callable[[Sequence[CaseRow]], None]] = []
        self._again = False
        self.timer = qt.QTimer(parent)
        self.timer.setInterval(0)
        self._connections = Connections()
        self._connections.signal(self.timer, "timeout()", self.step)

    @property
    def isBusy(self) -> bool:
        """Whether lines are still to be read or shown."""
        return self._again or self._reading is not None or bool(self._showing)

    def cleanup(self) -> None:
        """Stop, and undo the connection."""
        self.timer.stop()
        self._connections.undoAll()

    def request(self) -> None:
        """Have the table read soon."""
        self._again = True
        self.timer.start()

    def step(self) -> None:
        """Read some lines, or show all of them in one place."""
        if self._showing:
            self._showing.pop(0)(self._rows)
        elif self._reading is not None:
            self._read()
        elif self._again and self._logic.isOpen:
            self._again = False
            self._rows = []
            with self._message.telling(keep=True):
                self._reading = self._logic.eachRow()
        else:
            self.timer.stop()

    def _read(self) -> None:
        until = time.perf_counter() + STEP_SECONDS
        rows, self._reading = self._reading, None
        with self._message.telling(keep=True):
            for row in rows or ():
                self._rows.append(row)
                if time.perf_counter() > until:
                    self._reading = rows
                    return
            self._showing = list(self._show)
