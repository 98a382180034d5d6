"""Work beside the window: copied in short steps by the window's thread, then written by another one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

STEP_BYTES = 8 << 20
"""Copied in 5 to 10 ms, with the new memory that it takes."""

_MOMENT_S = 0.001


class SteppedWriting:
    """Call ``step`` from a timer until it says that the file is there.

    Args:
        copyMore: copies some more; gives what is to be written once the copy is whole, as ``inThread`` wants it.
    """

    def __init__(self, copyMore: Callable[[], Callable[[], None] | None]) -> None:
        self._copyMore = copyMore
        self._written: Future[None] | None = None

    def step(self) -> bool:
        """Copy some more, or look whether it is written; returns whether it is over, and raises what either raises."""
        if self._written is None:
            write = self._copyMore()
            if write is not None:
                self._written = inThread(write)
            return False
        if not isDone(self._written):
            return False
        self._written.result()
        return True

    def finish(self) -> None:
        """Wait until it is written; raises as ``step``."""
        while self._written is None:
            self.step()
        self._written.result()

    def waitForWriting(self) -> None:
        """Wait for what is just being written, however it ends."""
        if self._written is not None:
            self._written.exception()


def inThread(work: Callable[[], Result]) -> Future[Result]:
    """Have one thing done beside the window; the thread ends with it.

    Args:
        work: may know arrays and paths, but nothing that knows a node: the thread may be the last to let go of it, and
            a node that goes in another thread than the window's ends the program.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="barl-write")
    try:
        return executor.submit(work)
    finally:
        executor.shutdown(wait=False)


def isDone(work: Future[Any]) -> bool:
    """Whether a thread has done its work; gives it a moment.

    An application whose event loop keeps Python to itself lets threads run Python only while the window's own Python
    sleeps. What compresses and writes needs none of it, and goes on meanwhile.
    """
    if not work.done():
        time.sleep(_MOMENT_S)
    return work.done()
