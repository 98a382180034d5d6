"""Temperatures that make a model's probabilities honest (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

A probability p becomes p^(1/T) over the sum of all classes: T above 1 makes it less sure, below 1 surer. T is that of
the most likely class, which therefore stays the most likely one: labels do not change, only how sure they are.

Shapes: K classes, N voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_TINY = 1e-7


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was learned from the validation cases."""

    temperatures: tuple[float, ...]
    """By class of the network, background first; classes of one group share theirs."""

    cases: int
    """Validation cases it was fitted on."""

    def to_json(self) -> dict[str, Any]:
        """Write as plain values."""
        return {"temperatures": [round(value, 4) for value in self.temperatures], "cases": self.cases}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Calibration:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: a temperature is not a positive number.
        """
        temperatures = tuple(float(one) for one in value["temperatures"])
        if not all(0 < one < math.inf for one in temperatures):
            raise ValueError(f"temperatures must be positive, got {temperatures}")
        return cls(temperatures=temperatures, cases=int(value["cases"]))


def tempered(probability: Tensor, best: Tensor, calibration: Calibration) -> Tensor:
    """Calibrated probabilities (K, N) of voxels whose most likely classes are ``best`` (N)."""
    inverse = torch.tensor(calibration.temperatures, device=probability.device).reciprocal()
    return (probability.clamp(min=_TINY).log() * inverse[best.long()]).softmax(dim=0)


def least_unsure(calibration: Calibration | None, step: float, num_classes: int) -> float:
    """Below which entropy (over ln K) no temperature lifts a voxel to ``step``, so that it needs no calibration.

    An error e becomes about e^(1/T): what is to stay below an error x must be below x^T before.
    """
    highest = max(calibration.temperatures) if calibration else 1.0
    if highest <= 1:
        return step
    error = 1e-12
    while _entropy(error * 2) < step * math.log(num_classes) and error < 0.1:
        error *= 2
    return float(_entropy(error**highest) / math.log(num_classes))


def _entropy(error: float) -> float:
    return -(error * math.log(error) + (1 - error) * math.log1p(-error))
