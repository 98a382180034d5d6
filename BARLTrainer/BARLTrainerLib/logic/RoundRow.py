"""One training of a cohort, as a line of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barl.jobs import State
from BARLTrainerLib.logic.RoundHistory import Score

TOO_FEW_CASES = 2
"""Validation cases up to which a mean says nothing."""


@dataclass(frozen=True, kw_only=True)
class RoundRow:
    """What is known of a round."""

    number: int
    folder: Path
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What ``job.json`` asks for: method, preset, minutes, settings, ..."""

    state: State | None = None
    """None when it cannot be read."""

    percent: float | None = None
    score: Score | None = None
    """The last measurement."""

    validationCases: int = 0
    """Behind the score; for rounds that did not note it, as many annotated ones as the cohort has now."""

    hasModel: bool = False
    problem: str = ""
    """Why it failed, or why it cannot be read; for people."""

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.asked.get("method", ""))

    @property
    def isActive(self) -> bool:
        """Whether a process is, or should be, at work."""
        return self.state is not None and self.state.is_active

    @property
    def mayResume(self) -> bool:
        """Whether it can go on from its last checkpoint."""
        return self.state in (State.STOPPED, State.INTERRUPTED, State.FAILED)

    @property
    def isTooFew(self) -> bool:
        """Whether its score is of so few cases that it says nothing."""
        return self.validationCases <= TOO_FEW_CASES
