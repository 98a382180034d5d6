"""What the job folder learns of a training: events for programs, a status for whoever looks."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from barl.errors import BarlError, JobFailedError, OutOfMemoryError, StorageError
from barl.jobs import EventWriter, State, Status, clear_stop, stop_requested, write_status

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN = 1.0
_SECONDS_BETWEEN_BEATS = 10.0
"""A reader on another computer takes a job for dead after a minute without a sign of life."""

_TRAINING_ENDS_AT = 90.0
"""Percent shown when the training itself is over; predictions are the rest."""


class StopAskedError(Exception):
    """Somebody asked the job to stop; not an error of the job."""


def rank() -> int:
    """Place of this process among those that ``torchrun`` started for one job; the first one, 0, writes the folder."""
    return int(os.environ.get("RANK", "0")) if processes() > 1 else 0


def processes() -> int:
    """How many were started for the job."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How an error is told to people and programs."""

    message: str
    kind: str
    """Which of ``barl.errors`` it is, or ``unexpected``."""

    exit_code: int

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """The words for an error."""
        if isinstance(error, BarlError):
            return cls(message=str(error), kind=type(error).__name__, exit_code=error.exit_code)
        if isinstance(error, MemoryError):
            message = "Memory did not suffice. Close other programs, or choose a smaller preset."
            return cls(message=message, kind=OutOfMemoryError.__name__, exit_code=OutOfMemoryError.exit_code)
        message = f"Unexpected error: {error}. The log has the details; please report it."
        return cls(message=message, kind="unexpected", exit_code=JobFailedError.exit_code)


class Reporter:
    """Writes events and status of one job; a thread shows that it lives while something takes long.

    A drive that fails for a moment does not end a training of hours: what only informs is then left out and noted in
    the log. Checkpoints and results are written elsewhere and do fail.

    Args:
        folder: the job folder.
        predicts: whether predictions follow the training.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, *, predicts: bool = True, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._events = EventWriter(folder)
        self._clock = clock
        self._training_share = _TRAINING_ENDS_AT if predicts else 100.0
        self._written = 0.0
        self._status = Status(state=State.RUNNING, stage="starting", percent=0.0).by_this_process()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Reporter:
        self._beats.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._beats.join()

    def start(self, *, resumed_at: int | None = None) -> None:
        """The process is there. A wish to stop from the seconds since the launch, which voids older ones, holds."""
        if resumed_at is None:
            self._events.write("started")
        else:
            self._events.write("resumed", step=resumed_at, message=f"Going on from step {resumed_at}.")
        self._put(force=True)

    def stage(self, name: str, share: float = 0.0) -> None:
        """A part that is not training: checking, preparing, predicting.

        Raises:
            StopAskedError: the job is to stop.
        """
        spans = {"checking": (0.0, 1.0), "preparing": (1.0, 2.0), "predicting": (self._training_share, 100.0)}
        low, high = spans[name]
        changed = name != self._status.stage
        self._status = replace(self._status, stage=name, percent=low + share * (high - low), remaining_s=None)
        self._put(force=changed)
        self.refuse_when_stopped()

    def refuse_when_stopped(self) -> None:
        """Between two parts of what takes long.

        Raises:
            StopAskedError: the job is to stop.
        """
        if self.wants_stop():
            raise StopAskedError

    def progress(self, step: int, total_steps: int | None, remaining_s: float | None) -> None:
        """Where the training stands; written at most once a second. The total is None while steps are being timed."""
        share = step / total_steps if total_steps else 0.0
        percent = 2.0 + (self._training_share - 2.0) * share
        self._status = replace(
            self._status, stage="training", percent=percent, remaining_s=remaining_s, step=step, total_steps=total_steps
        )
        if self._put():
            self._inform("progress", step=step, total_steps=total_steps, percent=percent, remaining_s=remaining_s)

    def metric(self, **values: Any) -> None:
        """Numbers over steps: losses, Dice."""
        self._inform("metric", **values)

    def log(self, message: str, **values: Any) -> None:
        """Something a person may want to know."""
        self._inform("log", message=message, **values)

    def warning(self, message: str, **values: Any) -> None:
        """Something a person should know."""
        self._inform("warning", message=message, **values)

    def annotation(self, message: str, **values: Any) -> None:
        """An annotation or a role has changed while the training runs, and holds from now on."""
        self._inform("annotation", message=message, **values)

    def checkpoint(self, step: int) -> None:
        """A place to go on from has been written."""
        self._inform("checkpoint", step=step)

    def prediction(self, **values: Any) -> None:
        """A case has been predicted, or could not be."""
        self._inform("prediction", **values)

    def wants_stop(self) -> bool:
        """Whether somebody asked for a graceful stop; shown at once."""
        if not stop_requested(self._folder):
            return False
        if self._status.state is not State.STOPPING:
            self._status = replace(self._status, state=State.STOPPING)
            self._put(force=True)
        return True

    def stopped(self) -> None:
        """Ended because it was asked to."""
        self._end(State.STOPPED, "stopped", message="Stopped as asked. Resuming the round goes on from here.")
        clear_stop(self._folder)

    def finished(self) -> None:
        """All done."""
        self._status = replace(self._status, percent=100.0, remaining_s=0.0)
        self._end(State.FINISHED, "finished")

    def _end(self, state: State, kind: Any, **fields: Any) -> None:
        self._status = replace(self._status, state=state, stage=state.value, remaining_s=None)
        self._over.set()
        self._events.write(kind, step=self._status.step, **fields)
        self._put(force=True)

    def _inform(self, kind: Any, **fields: Any) -> None:
        if "message" in fields:
            logger.log(logging.WARNING if kind == "warning" else logging.INFO, "%s", fields["message"])
        try:
            self._events.write(kind, **fields)
        except StorageError as error:
            logger.warning("an event was lost: %s", error)

    def _put(self, *, force: bool = False) -> bool:
        now = self._clock()
        if not force and 0 <= now - self._written < _SECONDS_BETWEEN:
            return False
        with self._lock:
            self._written = now
            try:
                write_status(self._folder, replace(self._status, heartbeat=now))
            except StorageError as error:
                logger.warning("the status was not written: %s", error)
        return True

    def _beat(self) -> None:
        while not self._over.wait(_SECONDS_BETWEEN_BEATS):
            if self._clock() - self._written >= _SECONDS_BETWEEN_BEATS:
                self._put(force=True)


class SilentReporter(Reporter):
    """Of a process that follows another one, which tells everything."""

    def __enter__(self) -> SilentReporter:
        return self

    def __exit__(self, *details: object) -> None:
        return

    def wants_stop(self) -> bool:
        """Never: the leader asks."""
        return False

    def _inform(self, kind: Any, **fields: Any) -> None:
        return

    def _put(self, *, force: bool = False) -> bool:
        return False
