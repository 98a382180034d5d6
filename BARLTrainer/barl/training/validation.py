"""How a training does on cases it never learns from, on the prepared grid.

Shapes: C channels, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from barl.cohort import UNKNOWN, LabelTable
from barl.inference.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class ValidationCase:
    """A prepared case with its annotation."""

    case_id: str
    image: np.ndarray
    """(C, D, H, W) float16."""

    label: np.ndarray
    """(D, H, W) uint8 class index, 255 where not annotated."""


def mean_dice(predictor: Predictor, cases: Sequence[ValidationCase], table: LabelTable) -> dict[str, float]:
    """Mean Dice of each class over the cases that hold it; classes that no case holds are left out.

    Only annotated voxels count: a prediction is neither right nor wrong where nobody has drawn.
    """
    scores: dict[str, list[float]] = {name: [] for name in table.names}
    for case in cases:
        depth, height, width = case.label.shape
        guess = predictor.maps(case.image, (depth, height, width)).classes
        known = case.label != UNKNOWN
        for index, name in enumerate(table.names, start=1):
            score = dice((guess == index) & known, case.label == index)
            if score is not None:
                scores[name].append(score)
    return {name: float(np.mean(values)) for name, values in scores.items() if values}


def known_share(labels: Sequence[np.ndarray]) -> float:
    """Share of the voxels of (D, H, W) labels that are annotated, 0 to 1; 1 where there is no label at all."""
    voxels = sum(label.size for label in labels)
    return sum(int(np.count_nonzero(label != UNKNOWN)) for label in labels) / voxels if voxels else 1.0


def dice(guess: np.ndarray, truth: np.ndarray) -> float | None:
    """2 |A and B| / (|A| + |B|); None where the truth is empty."""
    if not truth.any():
        return None
    return float(2 * np.count_nonzero(guess & truth) / (np.count_nonzero(guess) + np.count_nonzero(truth)))
