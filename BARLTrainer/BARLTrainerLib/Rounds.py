"""The rounds of a cohort as a table: read from their files each time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barl.cohort import Cohort, Role
from barl.errors import InputError
from barl.jobs import EventReader, JobFolder, read_spec, read_status

_TOO_FEW = 2
"""Validation cases up to which a mean says nothing."""


@dataclass(frozen=True, kw_only=True)
class RoundRow:
    """One training."""

    number: int
    folder: Path
    method: str
    state: str
    dice: float | None
    """Mean over classes and validation cases at the last measurement."""

    validationCases: int
    """As the cohort says now; the round's events do not hold it."""

    byClass: tuple[tuple[str, float], ...]
    megabytes: float
    problem: str = ""

    @property
    def diceWords(self) -> str:
        """The score, with how far it can be trusted."""
        if self.dice is None:
            return "not measured"
        cases = f"{self.validationCases} case{'s' if self.validationCases != 1 else ''}"
        trust = ", too few to say" if self.validationCases <= _TOO_FEW else ""
        return f"{self.dice:.2f} ({cases}{trust})"


def roundRows(cohort: Cohort) -> list[RoundRow]:
    """All rounds, the newest first; one that cannot be read does not hide the others."""
    validation = sum(case.role is Role.VALIDATION for case in cohort.cases)
    return [_row(folder, validation) for folder in reversed(cohort.rounds())]


def _row(folder: Path, validation: int) -> RoundRow:
    method, state, problem, last = "", "", "", {}
    try:
        method = str(read_spec(folder).payload.get("method", ""))
        state = read_status(folder).state.value
        last = _lastScores(folder)
    except (InputError, OSError) as error:
        problem = str(error)
    scores = last.get("dice_by_class") or {}
    return RoundRow(
        number=int(folder.name),
        folder=folder,
        method=method,
        state=state,
        dice=last.get("dice"),
        validationCases=validation,
        byClass=tuple((name, value) for name, value in scores.items() if value is not None),
        megabytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
        problem=problem,
    )


def _lastScores(folder: Path) -> dict[str, Any]:
    if not JobFolder(folder).events.is_file():
        return {}
    events = EventReader(folder).read_new()
    measured = [event for event in events if event.get("kind") == "metric" and event.get("dice") is not None]
    return measured[-1] if measured else {}
