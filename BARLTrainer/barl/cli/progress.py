"""A bar for work that runs in this process; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from barl.cli.output import Output

Report = Callable[[float, str], None]
"""Share that is done, 0 to 1, and what is being done."""

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def reporting(out: Output) -> Iterator[Report]:
    """Give a function that shows progress on standard error."""
    if not out.side.is_terminal:
        yield _lines(out)
        return
    with Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), console=out.side) as bar:
        task = bar.add_task("Starting", total=1.0)
        yield lambda share, message: bar.update(task, completed=share, description=escape(message))


def _lines(out: Output) -> Report:
    last = -_SECONDS_BETWEEN_LINES

    def report(share: float, message: str) -> None:
        nonlocal last
        if share < 1 and time.monotonic() - last < _SECONDS_BETWEEN_LINES:
            return
        last = time.monotonic()
        out.note(f"{share:4.0%} {escape(message)}")

    return report


def clock(seconds: float | None) -> str:
    """Remaining time as people say it."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
