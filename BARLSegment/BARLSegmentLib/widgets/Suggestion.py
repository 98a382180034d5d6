"""Which case to look at next."""

from __future__ import annotations

from collections.abc import Sequence

from barl.cohort import CaseState, Role
from BARLSegmentLib.logic.CaseTable import CaseRow

_DONE = (CaseState.ANNOTATED, CaseState.ACCEPTED)


def suggestedCase(rows: Sequence[CaseRow], current: str | None = None) -> CaseRow | None:
    """The case that is worth annotating next: by rank where the last round left one, else by doubt, else in order.

    Args:
        rows: the case table.
        current: a case that is open already, and not suggested again.

    Returns:
        None when every case is annotated, excluded or damaged.
    """
    waiting = [row for row in rows if _waits(row) and row.caseId != current]
    return min(waiting, key=_urgency, default=None)


def byNeed(rows: Sequence[CaseRow]) -> list[CaseRow]:
    """The predicted cases, those first that need a look most; accepted ones last."""
    predicted = [row for row in rows if row.lastRound is not None]
    return sorted(predicted, key=lambda row: (row.state in _DONE, *_urgency(row)))


def _waits(row: CaseRow) -> bool:
    return not row.problem and row.role is not Role.EXCLUDED and row.state not in _DONE


def _urgency(row: CaseRow) -> tuple[float, float]:
    rank = float("inf") if row.rank is None else float(row.rank)
    return rank, -(row.meanUncertainty or 0.0)
