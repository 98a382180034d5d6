"""An order in which the first few are worth most and not alike. Only numbers: no files, no words.

Shapes: N cases to order, M cases that are known already, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Place:
    """One case in the order."""

    index: int
    """Which of the N."""

    novelty: float
    """How unlike everything known or placed before it is, 0 to 1; 1 where there is nothing to be like."""

    nearest: int | None
    """What it is most like: below N a case placed before, from N on a known case (index - N); None without any."""


def diverse_order(worth: Numbers, features: Numbers, known: Numbers) -> list[Place]:
    """Order N cases greedily by worth times novelty; ties go to the first.

    Novelty is d / (d + s): d the distance to the nearest known or placed case, s the median distance of all cases. It
    is 0 for a copy, 1/2 at the usual distance. With equal worth this is the farthest-first order, which covers the
    features within twice the best possible radius (Gonzalez 1985); where nothing is known it starts at the most
    central case.

    Args:
        worth: (N,) what each is worth by itself, 0 or more.
        features: (N, F) on one scale.
        known: (M, F) of cases that need not be placed, such as annotated ones.
    """
    everything = np.concatenate([features, known])
    apart = np.linalg.norm(features[:, None] - everything[None], axis=2)
    usual = _usual(apart)
    nearest = np.full(len(worth), -1)
    distance = np.full(len(worth), np.inf)
    for index in range(len(worth), len(everything)):
        _notice(index, apart, distance, nearest)
    left = np.ones(len(worth), bool)
    places: list[Place] = []
    for _ in range(len(worth)):
        novelty = 1 - usual / (distance + usual)
        value = np.where(left, worth * novelty, -1.0)
        chosen = int(np.argmax(value))
        if not places and not len(known) and np.ptp(worth) == 0:
            chosen = int(np.argmin(apart.sum(axis=1)))
        like = int(nearest[chosen])
        places.append(Place(index=chosen, novelty=float(novelty[chosen]), nearest=None if like < 0 else like))
        left[chosen] = False
        _notice(chosen, apart, distance, nearest)
    return places


def _usual(apart: Numbers) -> float:
    some = apart[apart > 0]
    return float(np.median(some)) if some.size else 1.0


def _notice(index: int, apart: Numbers, distance: Numbers, nearest: npt.NDArray[np.int64]) -> None:
    """From now on a case counts among those that others are like."""
    closer = apart[:, index] < distance
    distance[closer] = apart[closer, index]
    nearest[closer] = index
