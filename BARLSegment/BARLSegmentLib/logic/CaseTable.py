"""The cohort as a table: one plain record a case, read from files each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from barl.cohort import AnnotationVersion, Case, CaseState, Cohort, CoverageKind, Role
from barl.cohort.layout import RANKING_FILE, prediction_path
from barl.errors import InputError
from barl.records import read_fields


@dataclass(frozen=True, kw_only=True)
class RankedCase:
    """How urgently a case wants a person's look."""

    rank: int
    """1 is the first."""

    reason: str
    """A sentence for people."""


class Ranked(Protocol):
    """What the table shows of a ranked case; other classes have it, too."""

    @property
    def rank(self) -> int:
        """1 is the first."""
        ...

    @property
    def reason(self) -> str:
        """A sentence for people."""
        ...


Ranking = Callable[[Cohort], Mapping[str, Ranked]]
"""Gives the ranked cases by id; others have no rank. It is asked with every table, so it must be quick."""


@dataclass(frozen=True, kw_only=True)
class CaseRow:
    """One line of the case table."""

    caseId: str
    role: Role
    state: CaseState | None
    """None when the case's files are damaged; then ``problem`` says how."""

    coverage: CoverageKind | None
    """Of the newest annotation; None when there is none."""

    version: int | None
    """Number of the newest annotation."""

    lastRound: int | None
    """The newest round that predicted the case."""

    meanUncertainty: float | None
    """0 to 1, of that prediction."""

    rank: int | None
    reason: str
    problem: str = ""
    """What keeps the case from being used, for people; empty when nothing does."""


def eachRow(cohort: Cohort, ranking: Ranking) -> Iterator[CaseRow]:
    """All cases in the cohort's order; a damaged one does not hide the others."""
    rounds = [path for path in reversed(cohort.rounds()) if (path / "predictions").is_dir()]
    ranked = ranking(cohort)
    for case in cohort.cases:
        yield _row(cohort, case, rounds, ranked.get(case.id))


def rankingOfNewestRound(cohort: Cohort) -> Mapping[str, Ranked]:
    """The ranking that the newest round left in ``ranking.json``; empty when there is none that can be read."""
    for folder in reversed(cohort.rounds()):
        path = folder / RANKING_FILE
        if path.is_file():
            return _readRanking(path)
    return {}


def latestPrediction(rounds: list[Path], caseId: str) -> tuple[int, Path] | None:
    """Number of the first round in a list that predicted a case, and the prediction's json."""
    for folder in rounds:
        segmentation = prediction_path(folder, caseId)
        record = segmentation.with_name(f"{caseId}.json")
        if record.is_file() and segmentation.is_file():
            return int(folder.name), record
    return None


def _row(cohort: Cohort, case: Case, rounds: list[Path], ranked: Ranked | None) -> CaseRow:
    problem, newest, state = "", None, None
    predicted = latestPrediction(rounds, case.id)
    try:
        newest = cohort.annotation(case.id)
        state = _state(newest, predicted is not None)
    except InputError as error:
        problem = str(error)
    image = cohort.image_path(case.id)
    if not image.exists():
        problem = f"The image {image} is missing. Check that its drive is connected, or exclude the case."
    return CaseRow(
        caseId=case.id,
        role=case.role,
        state=state,
        coverage=newest.coverage.kind if newest else None,
        version=newest.number if newest else None,
        lastRound=predicted[0] if predicted else None,
        meanUncertainty=_meanUncertainty(predicted[1]) if predicted else None,
        rank=ranked.rank if ranked else None,
        reason=ranked.reason if ranked else "",
        problem=problem,
    )


def _state(newest: AnnotationVersion | None, predicted: bool) -> CaseState:
    """As ``Cohort.state``, which would look through all rounds again for every case."""
    if newest is None:
        return CaseState.PREDICTED if predicted else CaseState.UNLABELED
    if newest.coverage.kind is not CoverageKind.COMPLETE:
        return CaseState.PARTLY_ANNOTATED
    return CaseState.ACCEPTED if newest.source == "accepted" else CaseState.ANNOTATED


def _meanUncertainty(record: Path) -> float | None:
    try:
        return read_fields(record, InputError).optional_number("mean_uncertainty")
    except InputError:
        return None


def _readRanking(path: Path) -> Mapping[str, Ranked]:
    try:
        rows = read_fields(path, InputError).children("cases")
        return {row.text("case"): RankedCase(rank=row.integer("rank"), reason=row.text("reason", "")) for row in rows}
    except InputError:
        return {}
