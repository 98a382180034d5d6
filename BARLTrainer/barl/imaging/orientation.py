"""Axis permutations and flips of arrays, exact in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Axes = tuple[int, int, int]
Flips = tuple[bool, bool, bool]


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """How an array of axes (D, H, W) is turned: first permuted, then flipped."""

    axes: Axes = (0, 1, 2)
    """For each axis of the result, the axis of the array that it comes from."""

    flips: Flips = (False, False, False)
    """Whether an axis of the result runs backwards."""

    def __post_init__(self) -> None:
        if sorted(self.axes) != [0, 1, 2]:
            raise ValueError(f"axes must be a permutation of (0, 1, 2), got {self.axes}")

    def apply(self, array: Array) -> Array:
        """Turn an array; the result is a view."""
        return np.flip(array.transpose(self.axes), self._flipped_axes())

    def undo(self, array: Array) -> Array:
        """Turn a turned array back; the result is a view."""
        return np.flip(array, self._flipped_axes()).transpose(np.argsort(self.axes))

    def permute(self, values: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        """Bring one value per axis (a shape, a spacing) into the order of the result."""
        return values[self.axes[0]], values[self.axes[1]], values[self.axes[2]]

    def _flipped_axes(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(3) if self.flips[axis])
