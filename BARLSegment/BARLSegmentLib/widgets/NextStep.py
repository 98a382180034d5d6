"""One sentence that says what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from slicer.i18n import tr as _

from barl.cohort import CaseState, Role
from BARLSegmentLib.logic.CaseTable import CaseRow

_ENOUGH = 2
"""Annotated cases from which a first training is worth its time."""

_DRAWN = (CaseState.ANNOTATED, CaseState.PARTLY_ANNOTATED, CaseState.ACCEPTED)


def nextStep(rows: Sequence[CaseRow], *, isOpen: bool, isTraining: bool) -> str:
    """What is worth doing now."""
    training = [row for row in rows if row.role is Role.TRAINING]
    drawn = sum(row.state in _DRAWN for row in training)
    predicted = sum(row.lastRound is not None and row.state not in _DRAWN for row in rows)
    if not isOpen:
        return _("Next: open a cohort, or make a new one.")
    if not rows:
        return _("Next: add images to the cohort.")
    if isTraining:
        return _("The training runs. Go on annotating meanwhile; what you save is learned from within seconds.")
    if predicted:
        return _("Next: review the predictions in step 4, the most doubtful first. Waiting: {n}.").format(n=predicted)
    if drawn < _ENOUGH:
        return _("Next: annotate cases in step 2, or some of their slices. Still wanted: {n}.").format(
            n=_ENOUGH - drawn
        )
    return _("Next: train in step 3. {n} cases are annotated.").format(n=drawn)
