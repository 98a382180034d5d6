"""Whether the uncertainty map can be trusted: does it find the wrong voxels, and is its number the share of wrong ones?

All of it inside a shell around the predicted and the reference surface: far from them nearly every voxel is right and
certain, and a figure over the whole volume only tells how much of it is background.

A case is counted once into right and wrong voxels by step of the map. From these counts every figure follows exactly,
for a case, and for many by adding them up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from barl.cohort.labels import UNKNOWN
from barl.errors import LabelError
from barl.inference.expected_error import LEVELS, error_by_entropy
from barl.inference.shells import SHELL_MM, surface_shell

BINS = 15
"""Bins of equal width in which the calibration error compares (Guo et al. 2017)."""

Labels = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ErrorCounts:
    """Voxels of a shell by the step of a map, 0 to 250; both of shape (251,)."""

    right: Counts
    wrong: Counts

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(right=self.right + other.right, wrong=self.wrong + other.wrong)

    @property
    def voxels(self) -> int:
        """All of them."""
        return int(self.right.sum() + self.wrong.sum())

    @property
    def wrong_voxels(self) -> int:
        """Those whose label is wrong."""
        return int(self.wrong.sum())


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Voxels of like confidence."""

    confidence: float
    """Mean of what the model gives as the probability that its label is right."""

    accuracy: float
    """Share of the labels that are right."""

    voxels: int


@dataclass(frozen=True, kw_only=True)
class UncertaintyScore:
    """How good an uncertainty map is inside the shell; None where a figure is not defined."""

    ece: float | None
    """Expected calibration error: mean distance of confidence and accuracy over 15 bins, weighted by voxels
    (Guo et al. 2017, https://arxiv.org/abs/1706.04599), 0 to 1."""

    brier: float | None
    """Mean squared distance of expected error and error, 0 or 1 (Brier 1950): of the label, not of each class."""

    auroc: float | None
    """Area under the ROC curve of finding wrong voxels by their uncertainty; 0.5 is chance, None without any."""

    auprc: float | None
    """Area under precision over recall of the same (average precision); chance is the share of wrong voxels."""

    shell_voxels: int
    """Voxels in the shell that the reference knows."""

    wrong_voxels: int
    """Those of them with another label than the reference."""


def count_errors(
    levels: npt.NDArray[np.uint8],
    prediction: Labels,
    reference: Labels,
    spacing_dhw_mm: tuple[float, float, float],
    shell_mm: float = SHELL_MM,
) -> ErrorCounts:
    """Count the known voxels around the predicted and the reference surface.

    Args:
        levels: (D, H, W) steps of a map, 0 to 250.
        prediction: (D, H, W) values of the label table.
        reference: the same, 255 where not annotated; a border of the known voxels is no surface.
        spacing_dhw_mm: distance of voxel centers.
        shell_mm: farthest distance from a surface.

    Raises:
        LabelError: the arrays have different shapes.
    """
    if not levels.shape == prediction.shape == reference.shape:
        raise LabelError(
            f"Map, prediction and reference must have one shape, got {levels.shape}, {prediction.shape} and "
            f"{reference.shape}. Resample them onto one grid."
        )
    known = reference != UNKNOWN
    # Where nothing is known the prediction stands in, so that the annotation's own border does not count.
    wanted = np.where(known, reference, prediction)
    shell = surface_shell(prediction, spacing_dhw_mm, shell_mm) | surface_shell(wanted, spacing_dhw_mm, shell_mm)
    counted = shell & known
    wrong = (prediction != reference)[counted]
    steps = levels[counted]
    return ErrorCounts(right=_histogram(steps[~wrong]), wrong=_histogram(steps[wrong]))


def score_uncertainty(counts: ErrorCounts, num_classes: int) -> UncertaintyScore:
    """All figures of an entropy map; ``num_classes`` with the background."""
    error = error_by_entropy(num_classes).astype(np.float64)
    return UncertaintyScore(
        ece=_ece(reliability(counts, num_classes), counts.voxels),
        brier=_brier(counts, error),
        auroc=auroc(counts),
        auprc=average_precision(counts),
        shell_voxels=counts.voxels,
        wrong_voxels=counts.wrong_voxels,
    )


def reliability(counts: ErrorCounts, num_classes: int) -> list[ReliabilityBin]:
    """Confidence and accuracy of each bin that holds voxels, from unsure to certain."""
    confidence = 1 - error_by_entropy(num_classes).astype(np.float64)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    voxels = counts.right + counts.wrong
    found = []
    for index in range(BINS):
        inside = bins == index
        total = int(voxels[inside].sum())
        if total:
            mean = float((confidence * voxels)[inside].sum() / total)
            accuracy = float(counts.right[inside].sum() / total)
            found.append(ReliabilityBin(confidence=mean, accuracy=accuracy, voxels=total))
    return found


def auroc(counts: ErrorCounts) -> float | None:
    """Probability that a wrong voxel is more uncertain than a right one, ties counted half (Mann and Whitney 1947)."""
    right, wrong = int(counts.right.sum()), counts.wrong_voxels
    if not right or not wrong:
        return None
    below = np.cumsum(counts.right) - counts.right
    return float((counts.wrong * (below + counts.right / 2)).sum() / (right * wrong))


def average_precision(counts: ErrorCounts) -> float | None:
    """Sum over thresholds of precision times the recall gained there; voxels of one step come together."""
    if not counts.wrong_voxels:
        return None
    wrong = np.cumsum(counts.wrong[::-1])
    called = np.cumsum((counts.right + counts.wrong)[::-1])
    precision = wrong / np.maximum(called, 1)
    return float((precision * counts.wrong[::-1]).sum() / counts.wrong_voxels)


def _histogram(steps: npt.NDArray[np.uint8]) -> Counts:
    return np.bincount(steps, minlength=LEVELS + 1).astype(np.int64)


def _ece(bins: list[ReliabilityBin], voxels: int) -> float | None:
    return sum(one.voxels * abs(one.confidence - one.accuracy) for one in bins) / voxels if voxels else None


def _brier(counts: ErrorCounts, error: npt.NDArray[np.float64]) -> float | None:
    if not counts.voxels:
        return None
    return float((counts.wrong * (1 - error) ** 2 + counts.right * error**2).sum() / counts.voxels)
