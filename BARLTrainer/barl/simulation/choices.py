"""What the simulated annotator draws in a round, and in which cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from barl.evaluation.annotator import Correction, Desk, correct_regions, draw_case, draw_slices
from barl.evaluation.cost_curves import EVERYTHING
from barl.evaluation.review_regions import ReviewRegion, read_review_regions
from barl.simulation.settings import SimulationSettings

Drawing = Callable[[Desk], Correction]


def choose(
    settings: SimulationSettings, strategy: str, seed: int, number: int, left: Sequence[str], predictions: Path
) -> dict[str, Drawing]:
    """What is drawn, by case.

    Args:
        settings: how much a round.
        strategy: one of ``STRATEGIES``.
        seed: decides what is left to chance.
        number: of the round, from 1.
        left: cases that are not annotated completely.
        predictions: what the training before this round says of them.

    Raises:
        InputError: the predictions list no regions, and the strategy needs them.
    """
    order = by_chance(left, seed, number)
    if strategy == "regions":
        return _regions(settings, order[: settings.region_cases], predictions)
    if strategy == EVERYTHING:
        return dict.fromkeys(left, draw_case)
    chosen = order[: settings.cases_per_round]
    if strategy == "cases":
        return dict.fromkeys(chosen, draw_case)
    counts = [settings.slices_per_round // max(1, len(chosen)) for _ in chosen]
    for index in range(settings.slices_per_round - sum(counts) if chosen else 0):
        counts[index] += 1
    return {
        case_id: partial(draw_slices, axis=settings.slice_axis, count=count, seed=seed)
        for case_id, count in zip(chosen, counts, strict=True)
        if count
    }


def first_drawing(settings: SimulationSettings, seed: int) -> Drawing:
    """How each of the first cases is annotated."""
    if settings.start_slices is None:
        return draw_case
    return partial(draw_slices, axis=settings.slice_axis, count=settings.start_slices, seed=seed)


def by_chance(case_ids: Sequence[str], seed: int, number: int) -> list[str]:
    """In an order that hangs on seed, round and ids alone."""
    ids = sorted(case_ids)
    return [ids[index] for index in np.random.default_rng([seed, number]).permutation(len(ids))]


def _regions(settings: SimulationSettings, cases: Sequence[str], predictions: Path) -> dict[str, Drawing]:
    """The regions with most expected error of some cases."""
    found: list[tuple[str, ReviewRegion]] = [
        (case_id, region) for case_id in cases for region in read_review_regions(predictions / f"{case_id}.json")
    ]
    found.sort(key=lambda one: (-one[1].expected_error_mm3, one[0], one[1].rank))
    by_case: dict[str, list[ReviewRegion]] = {}
    for case_id, region in found[: settings.regions_per_round]:
        by_case.setdefault(case_id, []).append(region)
    how = partial(correct_regions, margin_mm=settings.margin_mm, elsewhere=settings.elsewhere)
    return {case_id: partial(how, regions=regions) for case_id, regions in by_case.items()}
