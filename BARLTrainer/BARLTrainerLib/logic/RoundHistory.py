"""What a round's events tell of its scores and its loss, read in parts that are short however long it trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barl.jobs import EventReader

BYTES_A_LOOK = 64 * 1024
"""About 600 events: reading and decoding them takes 2 ms on a processor of 2020."""

MOST_POINTS = 2000
"""More than a plot has pixels; beyond it every second one is left out."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measurement on the validation cases."""

    step: int
    dice: float
    """Mean over the structures."""

    byClass: Mapping[str, float] = field(default_factory=dict)
    """Structures that no validation case holds are not in it."""

    cases: int | None = None
    """How many validation cases it was measured on; None where the round is from before this was noted."""


class RoundHistory:
    """Scores and losses of one round over its steps.

    Args:
        folder: the job folder.

    Attributes:
        scores: in the order of their steps.
        losses: (step, loss) in the order of the steps.
    """

    def __init__(self, folder: Path) -> None:
        self._reader = EventReader(folder)
        self._stride, self._skipped = 1, 0
        self.scores: list[Score] = []
        self.losses: list[tuple[float, float]] = []

    def readOn(self) -> bool:
        """Read a bounded part of what is new; returns whether another call would find more at once.

        Raises:
            OSError: the folder cannot be reached.
        """
        before = self._reader.offset
        for event in self._reader.read_new(BYTES_A_LOOK):
            self._take(event)
        return self._reader.offset - before >= BYTES_A_LOOK

    def curve(self, quantity: str) -> list[tuple[float, float]]:
        """Points (step, value) of one quantity.

        Args:
            quantity: ``loss``, ``dice`` for the mean, or ``dice:<structure>``.
        """
        if quantity == "loss":
            return self.losses
        structure = quantity.partition(":")[2]
        if not structure:
            return [(score.step, score.dice) for score in self.scores]
        return [(score.step, score.byClass[structure]) for score in self.scores if structure in score.byClass]

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, step = event.get("kind"), event.get("step")
        if kind == "started":
            self._forgetAfter(-1)
        elif not isinstance(step, int | float):
            return
        elif kind == "resumed":  # Steps after the checkpoint are taken once more.
            self._forgetAfter(step)
        elif kind == "metric" and isinstance(event.get("dice"), int | float):
            self.scores.append(_score(event))
        elif kind == "metric" and isinstance(event.get("loss"), int | float):
            self._addLoss(step, event["loss"])

    def _forgetAfter(self, step: float) -> None:
        self.scores = [score for score in self.scores if score.step <= step]
        self.losses = [point for point in self.losses if point[0] <= step]

    def _addLoss(self, step: float, loss: float) -> None:
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self.losses.append((step, loss))
        if len(self.losses) > MOST_POINTS:
            self._stride *= 2
            del self.losses[::2]


def _score(event: Mapping[str, Any]) -> Score:
    byClass = event.get("dice_by_class")
    cases = event.get("validation_cases")
    return Score(
        step=int(event["step"]),
        dice=float(event["dice"]),
        byClass=_numbers(byClass) if isinstance(byClass, Mapping) else {},
        cases=cases if isinstance(cases, int) else None,
    )


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
