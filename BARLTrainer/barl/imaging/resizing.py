"""Resize volumes between grids that cover the same extent.

Each axis is averaged by the triangle filter of torch's ``interpolate(..., antialias=True, align_corners=False)``:
linear interpolation when an axis grows and smooths when it shrinks. An axis of unchanged length is untouched.
Only sums of a few scaled rows are used, no matrix product: those give the same bits on every computer, and do not
depend on how many threads a linear algebra library finds free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.cohort.labels import UNKNOWN

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Shape = tuple[int, int, int]

_BLOCK_VALUES = 1 << 20


def resize(array: Array, shape: Shape) -> Floats:
    """Resize an image (D, H, W) of any number type to ``shape``, as float32.

    Works plane by plane and then column by column, so that besides the result only one intermediate volume exists.
    """
    if array.shape == shape:
        return np.ascontiguousarray(array, dtype=np.float32)
    return _apply(array, [_Axis.between(old, new) for old, new in zip(array.shape, shape, strict=True)])


def resize_labels(array: Labels, shape: Shape) -> Labels:
    """Resize labels (D, H, W) to ``shape``: each voxel takes the label with the largest share of its surroundings.

    Where anything around is not annotated (255), only the old voxels within the new one count, and any that is known
    outvotes 255: a thin stroke stays. Values are never mixed, and an empty array stays empty.
    """
    if array.shape == shape:
        return np.ascontiguousarray(array)
    around = [_Axis.between(old, new) for old, new in zip(array.shape, shape, strict=True)]
    result = _largest_share(array, around, np.ones(shape, np.float32))
    unknown = array == UNKNOWN
    if not unknown.any():
        return result
    within = [_Axis.within(old, new) for old, new in zip(array.shape, shape, strict=True)]
    known = _apply(~unknown, within)
    votes = _largest_share(array, within, known)
    votes[known == 0] = UNKNOWN
    return np.where(_apply(unknown, around) > 0, votes, result)


def _largest_share(array: Labels, axes: list[_Axis], whole: Floats) -> Labels:
    """The known label with the largest share; what the others leave of the whole is background's, a tie the label's."""
    result: Labels = np.zeros(whole.shape, np.uint8)
    best: Floats = np.zeros(whole.shape, np.float32)
    rest = whole.copy()
    for value in sorted(set().union(*(np.unique(plane).tolist() for plane in array)) - {0, UNKNOWN}):
        # Only the surroundings of a label are computed, which for most labels are a small part of the volume.
        box = _box_of(array, value)
        parts, reached = zip(*(axis.of(cut) for axis, cut in zip(axes, box, strict=True)), strict=True)
        share = _apply(array[box] == value, list(parts))
        rest[reached] -= share
        result[reached][share > best[reached]] = value
        np.maximum(best[reached], share, out=best[reached])
    result[rest > best] = 0
    return result


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """For each new voxel along an axis, the old ones it averages."""

    indices: npt.NDArray[np.intp]
    """(taps, new) old voxels."""

    weights: Floats
    """(taps, new) their weights: shares that sum to 1 for each new voxel of a whole axis, or 1 for each that counts."""

    unchanged: bool = False

    @classmethod
    def between(cls, old: int, new: int) -> _Axis:
        scale = old / new
        reach = max(1.0, scale)
        centers = (np.arange(new) + 0.5) * scale - 0.5
        indices = np.floor(centers - reach).astype(np.intp) + 1 + np.arange(math.ceil(2 * reach))[:, None]
        weights = np.maximum(0.0, 1.0 - np.abs(indices - centers) / reach)
        weights[(indices < 0) | (indices >= old)] = 0.0
        # At the border the weights of what is missing go to what is there, as in torch.
        weights /= weights.sum(axis=0)
        return cls(indices=indices.clip(0, old - 1), weights=weights.astype(np.float32), unchanged=old == new)

    @classmethod
    def within(cls, old: int, new: int) -> _Axis:
        """The old voxels with their center in the new one; where that is finer and has none, the one it lies in."""
        nearest = (2 * np.arange(new) + 1) * old // (2 * new)
        edges = -((new - 2 * old * np.arange(new + 1)) // (2 * new))  # In whole numbers, or a center may be lost.
        starts, ends = np.minimum(edges[:-1], nearest), np.maximum(edges[1:], nearest + 1)
        indices = starts + np.arange((ends - starts).max())[:, None]
        weights = (indices < ends).astype(np.float32)
        return cls(indices=indices.clip(0, old - 1), weights=weights, unchanged=old == new)

    def of(self, cut: slice) -> tuple[_Axis, slice]:
        """Leave out old voxels outside a cut; returns the new voxels that still see any, and where these lie."""
        inside = (self.indices >= cut.start) & (self.indices < cut.stop)
        weights = np.where(inside, self.weights, np.float32(0))
        seen = _span(np.asarray(weights.any(axis=0)))
        indices = (self.indices - cut.start).clip(0, cut.stop - cut.start - 1)
        return _Axis(indices=indices[:, seen], weights=weights[:, seen], unchanged=self.unchanged), seen

    def average(self, rows: Array) -> Floats:
        """Average along the first axis: (old, any) to (new, any)."""
        if self.unchanged:
            return rows.astype(np.float32, copy=False)
        result: Floats = np.zeros((self.indices.shape[1], rows.shape[1]), np.float32)
        for index, weight in zip(self.indices, self.weights, strict=True):
            taken = rows[index].astype(np.float32, copy=False)
            taken *= weight[:, None]
            result += taken
        return result


def _apply(array: Array, axes: list[_Axis]) -> Floats:
    """Average (D, H, W) along all three axes."""
    depth, height, width = axes
    flat: Floats = np.empty((array.shape[0], height.indices.shape[1], width.indices.shape[1]), np.float32)
    for index, plane in enumerate(array):
        rows = height.average(np.ascontiguousarray(plane))
        flat[index] = rows if width.unchanged else width.average(np.ascontiguousarray(rows.T)).T
    if depth.unchanged:
        return flat
    result: Floats = np.empty((depth.indices.shape[1], *flat.shape[1:]), np.float32)
    columns, block = flat.reshape(flat.shape[0], -1), max(1, _BLOCK_VALUES // flat.shape[0])
    for start in range(0, columns.shape[1], block):
        part = slice(start, start + block)
        result.reshape(result.shape[0], -1)[:, part] = depth.average(columns[:, part])
    return result


def _box_of(array: Labels, value: int) -> tuple[slice, slice, slice]:
    """Smallest box around a value that occurs."""
    deep = _span(np.array([bool((plane == value).any()) for plane in array]))
    rows, columns = np.zeros(array.shape[1], bool), np.zeros(array.shape[2], bool)
    for plane in array[deep]:
        mask = plane == value
        rows |= mask.any(axis=1)
        columns |= mask.any(axis=0)
    return deep, _span(rows), _span(columns)


def _span(flags: npt.NDArray[np.bool_]) -> slice:
    found = np.flatnonzero(flags)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0)
