"""Follows a job by its files, and draws its curves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from barl.errors import InputError
from barl.jobs import Status
from BARLSegmentLib.logic.CurveChart import CurveChart
from BARLSegmentLib.logic.JobFollower import JobFollower
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.SceneEvents import SceneEvents
from BARLSegmentLib.logic.SceneTypes import Scene

SECONDS_BETWEEN_CURVES = 1.0
_NO_CURVE = {"time", "kind", "step", "seconds"}


class Change(str, Enum):
    """What a monitor tells."""

    STATUS = "status"
    EVENT = "event"
    CURVES = "curves"
    """The chart nodes are new ones: a plot view must be given them."""

    PROBLEM = "problem"
    """The job cannot be read just now; it is tried again with each tick."""

    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class MonitorEvent:
    """One thing that a monitor tells its observers."""

    change: Change
    folder: Path
    status: Status | None
    """How the job stands; None when that could not be read yet."""

    event: Mapping[str, Any] | None = None
    """With ``EVENT``: a line of ``events.jsonl``."""

    isPast: bool = False
    """With ``EVENT``: it happened before the monitor was attached."""

    message: str = ""
    """With ``PROBLEM``: what is wrong, for people; empty when all is well again."""


class MonitorLogic:
    """Watches one job at a time; ``tick`` is called by a timer and takes a few milliseconds.

    Running, stopped and interrupted jobs are told apart by their files and by whether their process lives, so that it
    does not matter who started the job, or whether Slicer has been started anew since.

    Args:
        scene: a ``vtkMRMLScene``; gets two charts, with ``showCurves``.
        clock: seconds that only their differences matter of; it may be set back.

    Attributes:
        observers: told what is new.
        losses: the chart of the losses.
        scores: the chart of the Dice scores of the validation cases.
    """

    def __init__(self, scene: Scene, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._follower: JobFollower | None = None
        self._status: Status | None = None
        self._problem = ""
        self._drawn = float("-inf")
        self._showsCurves = False
        self._events = SceneEvents(scene, closed=self._onSceneClosed)
        self.observers: Observers[MonitorEvent] = Observers()
        self.losses = CurveChart(scene, "Training", "loss")
        self.scores = CurveChart(scene, "Validation", "Dice", marksPoints=True)

    @property
    def folder(self) -> Path | None:
        """The folder of the job that is watched."""
        return None if self._follower is None else self._follower.job.path

    @property
    def status(self) -> Status | None:
        """How the watched job, or the one watched last, stood at the last tick."""
        return self._status

    def attach(self, folder: Path) -> None:
        """Watch a job from its first event on, in the place of another one.

        Raises:
            JobError: there is no such job, or it is damaged.
            NewerFormatError: a newer BARL wrote it.
        """
        follower = JobFollower(Path(folder), self._clock)
        self.detach()
        self._follower = follower
        self._clearCurves()

    def detach(self) -> None:
        """Watch no longer; the job goes on, and the curves stay."""
        self._drawCurves(now=self._clock())
        self._follower, self._status, self._problem = None, None, ""

    def showCurves(self) -> None:
        """Put the charts into the scene, also when the user has removed them."""
        self._showsCurves = True
        self.losses.show()
        self.scores.show()

    def tick(self) -> bool:
        """See what is new and tell it; returns whether another tick at once would find more.

        Never raises for what is wrong with the folder: that is told as ``PROBLEM``.
        """
        follower = self._follower
        if follower is None:
            return False
        try:
            look = follower.look()
        except (InputError, OSError) as error:
            self._setProblem(str(error))
            return False
        self._setProblem("")
        for event in look.events:
            self._plot(event)
            self._tell(Change.EVENT, status=look.status, event=event, isPast=look.arePast)
            if self._follower is not follower:  # An observer has turned to another job.
                return False
        if look.status != self._status:
            self._status = look.status
            self._tell(Change.STATUS, status=look.status)
        if self._follower is not follower:
            return False
        self._drawWhenDue()
        if not look.status.state.is_active and not look.hasMore:
            self._end(follower, look.status)
        return look.hasMore

    def cleanup(self) -> None:
        """Watch nothing, take the charts away; called when the module goes."""
        self._follower = None
        self._events.stop()
        self.losses.remove()
        self.scores.remove()

    def _end(self, follower: JobFollower, status: Status) -> None:
        self.detach()
        self._status = status
        self.observers.notify(MonitorEvent(change=Change.ENDED, folder=follower.job.path, status=status))

    def _setProblem(self, message: str) -> None:
        if message != self._problem:
            self._problem = message
            self._tell(Change.PROBLEM, status=self._status, message=message)

    def _tell(self, change: Change, **details: Any) -> None:
        if self.folder is not None:  # An observer may have detached.
            self.observers.notify(MonitorEvent(change=change, folder=self.folder, **details))

    def _plot(self, event: Mapping[str, Any]) -> None:
        step = event.get("step")
        if event.get("kind") == "started":
            self._clearCurves()
        elif not isinstance(step, int | float):
            return
        elif event.get("kind") == "resumed":
            self.losses.rewind(step)
            self.scores.rewind(step)
        elif event.get("kind") == "metric" and "dice" in event:
            self.scores.add(step, _numbers({"mean": event["dice"], **_byClass(event)}))
        elif event.get("kind") == "metric":
            self.losses.add(step, _terms({name: event[name] for name in event.keys() - _NO_CURVE}))

    def _clearCurves(self) -> None:
        self.losses.clear()
        self.scores.clear()

    def _drawWhenDue(self) -> None:
        now = self._clock()
        if not 0.0 <= now - self._drawn < SECONDS_BETWEEN_CURVES:  # Below 0 the clock was set back.
            self._drawCurves(now)

    def _drawCurves(self, now: float) -> None:
        if any([self.losses.update(), self.scores.update()]):
            self._drawn = now

    def _onSceneClosed(self) -> None:
        """The user has closed the scene, not the job: what is still watched is drawn into the new one."""
        if self._showsCurves and self._follower is not None:
            self.showCurves()
            self._tell(Change.CURVES, status=self._status)


def _byClass(event: Mapping[str, Any]) -> dict[str, Any]:
    scores = event.get("dice_by_class")
    return scores if isinstance(scores, dict) else {}


def _terms(values: Mapping[str, Any]) -> dict[str, float]:
    """The losses; a loss of a single term is drawn once."""
    numbers = _numbers(values)
    return {"loss": numbers["loss"]} if len(numbers) == 2 and len({*numbers.values()}) == 1 else numbers


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Those that can be drawn, in a fixed order; what was infinite came as None."""
    return {name: float(values[name]) for name in sorted(values) if isinstance(values[name], int | float)}
