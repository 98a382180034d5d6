"""Fit the temperatures that make a model's probabilities honest, on cases that it never learned from. No torch.

Shapes: K classes, D H W voxels, N voxels of the shells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from barl.cohort.labels import UNKNOWN
from barl.inference.shells import SHELL_MM, surface_shell

LEAST_CASES = 3
"""Fewer validation cases say more about themselves than about the model, and leave it uncalibrated."""

_LEAST_WRONG = 50
"""Wrong voxels that a class needs for a temperature of its own; with fewer it shares that of the other structures."""

_CASE_VOXELS = 100_000
"""Voxels kept of a case, evenly spread over its shell: one number is learned from them."""

_BOUNDS = 0.2, 10.0
_TINY = 1e-7


@dataclass(frozen=True, kw_only=True)
class ShellSample:
    """What a model says of the known voxels around the surfaces of one case, and what is true."""

    log_probability: npt.NDArray[np.float32]
    """(K, N)."""

    truth: npt.NDArray[np.uint8]
    """(N,) class."""

    @property
    def best(self) -> npt.NDArray[np.intp]:
        """(N,) the most likely class."""
        best: npt.NDArray[np.intp] = self.log_probability.argmax(axis=0)
        return best


def shell_sample(
    probability: npt.NDArray[np.floating], label: npt.NDArray[np.uint8], spacing_dhw_mm: tuple[float, float, float]
) -> ShellSample | None:
    """The known voxels of a case within 5 mm of the predicted or the reference surface; None without any.

    Args:
        probability: (K, D, H, W).
        label: (D, H, W) true class, 255 where not annotated.
        spacing_dhw_mm: distance of voxel centers.
    """
    guess = probability.argmax(axis=0).astype(np.uint8)
    known = label != UNKNOWN
    wanted = np.where(known, label, guess)
    shell = surface_shell(guess, spacing_dhw_mm, SHELL_MM) | surface_shell(wanted, spacing_dhw_mm, SHELL_MM)
    flat = np.flatnonzero(shell & known)
    if not len(flat):
        return None
    flat = flat[:: max(1, math.ceil(len(flat) / _CASE_VOXELS))]
    chosen = probability.reshape(len(probability), -1)[:, flat].astype(np.float32)
    return ShellSample(log_probability=np.log(np.maximum(chosen, _TINY)), truth=label.reshape(-1)[flat])


def fit_temperatures(samples: Sequence[ShellSample]) -> tuple[float, ...] | None:
    """A temperature for each class, or None with fewer than `LEAST_CASES` samples.

    A class has voxels where it is the most likely one. With enough of them wrong, in enough cases, it is a group of its
    own; all other structures are one group, and what is still too small takes the temperature of all voxels.
    """
    if len(samples) < LEAST_CASES:
        return None
    num_classes = len(samples[0].log_probability)
    everything = _temperature(samples, range(num_classes))
    structures = range(1, num_classes)
    shared = _temperature(samples, structures) if _enough(samples, structures) else everything
    return tuple(
        _temperature(samples, [index]) if _enough(samples, [index]) else (shared if index else everything)
        for index in range(num_classes)
    )


def _enough(samples: Sequence[ShellSample], classes: Iterable[int]) -> bool:
    wrong = [int(np.count_nonzero((one.best != one.truth)[np.isin(one.best, list(classes))])) for one in samples]
    return sum(wrong) >= _LEAST_WRONG and sum(count > 0 for count in wrong) >= LEAST_CASES


def _temperature(samples: Sequence[ShellSample], classes: Iterable[int]) -> float:
    """The temperature of the highest likelihood, from 0.2 to 10, over the voxels of some classes of all samples."""
    chosen = [np.isin(one.best, list(classes)) for one in samples]
    logs = np.concatenate([one.log_probability[:, some] for one, some in zip(samples, chosen, strict=True)], axis=1)
    truth = np.concatenate([one.truth[some] for one, some in zip(samples, chosen, strict=True)])
    if not len(truth):
        return 1.0
    of_truth = logs[truth, np.arange(len(truth))]

    def unlikelihood(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        scaled = logs * inverse
        top = scaled.max(axis=0)
        total = top + np.log(np.exp(scaled - top).sum(axis=0))
        return float((total - of_truth * inverse).mean(dtype=np.float64))

    low, high = (math.log(bound) for bound in _BOUNDS)
    best = minimize_scalar(unlikelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
    return float(math.exp(best.x))
