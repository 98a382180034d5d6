"""Which of the unlabeled cases to annotate next, and why.

With predictions at hand: the cases whose structures are the most doubtful. The doubt of a structure is that of the
most unsure tenth of the shell around it (``doubt`` in ``<case>.json``), so that neither a large background nor a large
other structure dilutes it. Before any model: a spread over the images. In both, a case like an annotated one, or like
one that stands higher, is worth less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from barl.cohort import CaseState, Cohort, Role
from barl.errors import CohortError, ImageError
from barl.ranking.features import FEATURES, image_features, standardized
from barl.ranking.order import Place, diverse_order
from barl.records import read_fields

Doubt = dict[str, float | None]
"""By label name, 0 to 1; None where the label is not predicted."""

_ALIKE = 0.25
"""Below this novelty the reason says what a case is like: it has lost three quarters of its worth by that."""

_AGAIN = "Predict the case again."

_USUALLY = 0.5
"""A label is missed in a case when at least this share of the predictions has it."""


@dataclass(frozen=True, kw_only=True)
class RankedCase:
    """One case of the list."""

    rank: int
    """1 is to be annotated first."""

    case_id: str
    score: float
    """Doubt times novelty, 0 to 1; before any model novelty alone."""

    reason: str
    """Why it stands here, in words."""

    predicted: bool
    """Whether a model has predicted it."""


@dataclass(frozen=True, kw_only=True)
class _Worth:
    value: float
    why: str


def next_cases(
    cohort: Cohort, *, most: int | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[RankedCase]:
    """Rank the training cases without an annotation.

    Args:
        cohort: the cohort.
        most: how many to give; None for all.
        progress: called with (images looked at, images in all); those of earlier calls cost next to nothing.

    Returns:
        First come the cases to annotate first. Cases whose image cannot be read are last, with the reason. Equal
        cohorts give equal lists; ties go by id.

    Raises:
        CohortError: a prediction's record is damaged.
    """
    wanted, annotated = _cases(cohort)
    features, problems = _features(cohort, [*wanted, *annotated], progress)
    ranked = [case_id for case_id in wanted if case_id in features]
    known = [case_id for case_id in annotated if case_id in features]
    scaled = standardized([features[case_id] for case_id in [*ranked, *known]])
    doubts = {case_id: doubt for case_id in ranked if (doubt := _doubt(cohort, case_id)) is not None}
    worth = _worths(ranked, doubts, cohort.labels.names)
    values = np.array([worth[case_id].value for case_id in ranked])
    places = diverse_order(values, scaled[: len(ranked)], scaled[len(ranked) :]) if ranked else []
    names = [*ranked, *known]
    listed = [
        RankedCase(
            rank=number,
            case_id=names[place.index],
            score=worth[names[place.index]].value * place.novelty,
            reason=_reason(place, names, worth[names[place.index]].why, features, scaled, bool(doubts)),
            predicted=names[place.index] in doubts,
        )
        for number, place in enumerate(places, start=1)
    ]
    unreadable = [case_id for case_id in wanted if case_id in problems]
    listed += [
        RankedCase(rank=len(listed) + number, case_id=case_id, score=0.0, reason=problems[case_id], predicted=False)
        for number, case_id in enumerate(unreadable, start=1)
    ]
    return listed[:most]


def _cases(cohort: Cohort) -> tuple[list[str], list[str]]:
    """Training cases without and with an annotation, by id."""
    wanted, annotated = [], []
    for case in sorted(cohort.cases, key=lambda case: case.id):
        if case.role is Role.EXCLUDED:
            continue
        if cohort.state(case.id) not in (CaseState.UNLABELED, CaseState.PREDICTED):
            annotated.append(case.id)
        elif case.role is Role.TRAINING:
            wanted.append(case.id)
    return wanted, annotated


def _features(
    cohort: Cohort, case_ids: Sequence[str], progress: Callable[[int, int], None]
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """By case, the features of its image, or why there are none."""
    found, problems = {}, {}
    for index, case_id in enumerate(case_ids):
        try:
            found[case_id] = image_features(cohort, case_id)
        except ImageError as error:
            words = str(error).replace(str(cohort.image_path(case_id)), "Its image")
            problems[case_id] = f"Cannot be ranked. {words}"
        progress(index + 1, len(case_ids))
    return found, problems


def _doubt(cohort: Cohort, case_id: str) -> Doubt | None:
    """From the newest prediction; None without one, or where an earlier version wrote it without doubt."""
    segmentation = cohort.latest_prediction(case_id)
    if segmentation is None:
        return None
    record = read_fields(segmentation.with_name(f"{case_id}.json"), CohortError, _AGAIN)
    return _checked(record.values.get("doubt"), segmentation)


def _checked(value: Any, segmentation: Path) -> Doubt | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(one is None or isinstance(one, int | float) for one in value.values()):
        raise CohortError(
            f"{segmentation.parent}: the record of {segmentation.name} has a doubt that is no numbers by label, "
            f"got {value!r:.80}. {_AGAIN}"
        )
    return {str(name): None if one is None else float(one) for name, one in value.items()}


def _worths(case_ids: Sequence[str], doubts: dict[str, Doubt], labels: Sequence[str]) -> dict[str, _Worth]:
    """What each case is worth by itself: half the mean over the labels, half the worst one, so that a small structure
    is not lost among many. A case without a prediction is worth what the others are in the middle."""
    if not doubts:
        return {case_id: _Worth(value=1.0, why="") for case_id in case_ids}
    by_label = {name: _of_label(name, doubts) for name in labels}
    usual = {name: median(values.values()) for name, values in by_label.items() if values}
    found = {case_id: _worth(case_id, by_label, usual, doubts) for case_id in doubts}
    middle = median(one.value for one in found.values())
    unpredicted = _Worth(value=middle, why="Not predicted yet, so only its image counts.")
    return {case_id: found.get(case_id, unpredicted) for case_id in case_ids}


def _of_label(name: str, doubts: dict[str, Doubt]) -> dict[str, float]:
    """By case; a label missed where most predictions have it is as doubtful as can be, a rare one is left out."""
    having = sum(doubt.get(name) is not None for doubt in doubts.values())
    usual = having >= _USUALLY * len(doubts) and having > 0
    values = {case_id: doubt.get(name) for case_id, doubt in doubts.items()}
    return {case_id: 1.0 if value is None else value for case_id, value in values.items() if value is not None or usual}


def _worth(
    case_id: str, by_label: dict[str, dict[str, float]], usual: dict[str, float], doubts: dict[str, Doubt]
) -> _Worth:
    own = {name: values[case_id] for name, values in by_label.items() if case_id in values}
    if not own:
        return _Worth(value=0.0, why="No structure was found in it, as in most of the other cases.")
    # The label that stands out is told, not the one that is doubtful everywhere.
    told = max(own, key=lambda name: (own[name] - usual[name], own[name]))
    value = 0.5 * fmean(own.values()) + 0.5 * max(own.values())
    if doubts[case_id].get(told) is None:
        having = sum(doubt.get(told) is not None for doubt in doubts.values())
        return _Worth(value=value, why=f"No {told} was found, though {having} of {len(doubts)} predictions have it.")
    why = f"{told}: the most unsure tenth of its border is {own[told]:.0%} unsure, the usual being {usual[told]:.0%}."
    return _Worth(value=value, why=why)


def _reason(
    place: Place,
    names: Sequence[str],
    why: str,
    features: dict[str, dict[str, float]],
    scaled: np.ndarray,
    with_model: bool,
) -> str:
    if place.nearest is None:
        return why or "The most typical image of the cohort: a good one to begin with."
    name, nearest = names[place.index], names[place.nearest]
    if place.novelty < _ALIKE:
        return f"{why} Much like {nearest}, so it comes later.".strip()
    if with_model and why and not why.startswith("Not predicted"):
        return why
    feature = list(FEATURES)[int(np.argmax(np.abs(scaled[place.index] - scaled[place.nearest])))]
    own, other = features[name][feature], features[nearest][feature]
    words = (
        f"Its nearest is {nearest}, from which it differs most in {FEATURES[feature]}: {own:.3g} against {other:.3g}."
    )
    return f"{why} {words}".strip()
