"""Islands and holes: pieces of a label that anatomy makes unlikely, however sure the model is of them. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from barl.inference.expected_error import Levels

Integers = npt.NDArray[np.int64]
Shape = tuple[int, int, int]
Box = tuple[slice, slice, slice]

_SEARCHED_VOXELS = 2**24
"""A larger volume is searched on every second or third voxel of each axis; what is found is looked at in full."""

_MOST_SEEN = 4
"""Candidates looked at in full, as a multiple of the pieces asked for."""


@dataclass(frozen=True)
class UnlikelyPiece:
    """A connected piece of one value, apart from the rest of it, or a hole."""

    flat: Integers
    """Index of its voxels into the raveled volume, increasing."""

    rim: Integers
    """The same of the voxels around it."""

    value: int
    """Its label; 0 for a hole."""

    around: int
    """The most frequent label of the voxels around it."""


def unlikely_pieces(labels: Levels, *, share: float, least_voxels: float, most: int) -> list[UnlikelyPiece]:
    """The largest islands and holes, by 6-connected components.

    An island has less than ``share`` of the voxels of its label's largest component; teeth, which are many and alike,
    are none. A hole is background without a way out, with less than ``share`` of the component around it.

    Args:
        labels: (D, H, W) values of the label table.
        share: from 0 to 1.
        least_voxels: smaller ones are left out.
        most: how many at most.
    """
    step = max(1, math.ceil((labels.size / _SEARCHED_VOXELS) ** (1 / 3)))
    thin = np.ascontiguousarray(labels[::step, ::step, ::step])
    # Background is a label among others here: 0 would be skipped.
    component, count = cc3d.connected_components(thin + np.uint8(1), connectivity=6, return_N=True)
    facts = cc3d.statistics(component, no_slice_conversion=True)
    owner = np.zeros(count + 1, np.uint8)
    owner[component.reshape(-1)] = thin.reshape(-1)
    sizes = facts["voxel_counts"].astype(np.int64)
    largest = np.zeros(256, np.int64)
    np.maximum.at(largest, owner[1:], sizes[1:])
    limit = np.where(owner > 0, share * largest[owner], share * largest[1:].max(initial=0))
    small = (sizes < largest[owner]) & (sizes < limit) & (sizes * step**3 >= least_voxels / 2)
    small[0] = False
    by_size = np.argsort(-sizes, kind="stable")
    wanted = by_size[small[by_size]][: most * _MOST_SEEN].tolist()
    # By first voxel: what the search took for two pieces may be one.
    found: dict[int, UnlikelyPiece] = {}
    for one in wanted:
        piece = _in_full(labels, component, one, facts["bounding_boxes"][one], step, int(owner[one]))
        if piece is None or len(piece.flat) < least_voxels:
            continue
        if piece.value == 0 and len(piece.flat) >= share * largest[piece.around] * step**3:
            continue
        found.setdefault(int(piece.flat[0]), piece)
        if len(found) == most:
            break
    return list(found.values())


def _in_full(labels: Levels, component: Any, one: int, bounds: Any, step: int, value: int) -> UnlikelyPiece | None:
    """The piece on the grid of the labels; None where it is not apart, or leads out of the volume as holes do not."""
    low, high = bounds[::2].astype(int), bounds[1::2].astype(int)
    thin = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    seed = (np.argwhere(component[thin] == one)[0] + low) * step
    first = np.maximum(low * step - step - 1, 0)
    last = np.minimum((high + 1) * step + 1, np.array(labels.shape) - 1)
    window = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
    local = labels[window]
    pieces = cc3d.connected_components(local == value, connectivity=6)
    piece = pieces == pieces[tuple(seed - first)]
    if _leaves(piece, first, last, labels.shape, value):
        return None
    rim = _neighbors(piece)
    around = int(np.bincount(local[rim]).argmax()) if rim.any() else 0
    return UnlikelyPiece(
        flat=_flat(piece, first, labels.shape), rim=_flat(rim, first, labels.shape), value=value, around=around
    )


def _leaves(piece: npt.NDArray[np.bool_], first: Integers, last: Integers, shape: tuple[int, ...], value: int) -> bool:
    """Whether a piece reaches the window's faces; for a label the volume's own faces do not count."""
    for axis in range(3):
        sides = np.moveaxis(piece, axis, 0)
        at_start, at_end = first[axis] == 0, last[axis] == shape[axis] - 1
        if sides[0].any() and (value == 0 or not at_start):
            return True
        if sides[-1].any() and (value == 0 or not at_end):
            return True
    return False


def _neighbors(piece: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The voxels outside that touch one of the piece by a face."""
    grown = piece.copy()
    for axis in range(3):
        moved, into = np.moveaxis(piece, axis, 0), np.moveaxis(grown, axis, 0)
        into[1:] |= moved[:-1]
        into[:-1] |= moved[1:]
    return grown & ~piece


def _flat(mask: npt.NDArray[np.bool_], first: Integers, shape: tuple[int, ...]) -> Integers:
    place = np.argwhere(mask) + first
    flat: Integers = np.ravel_multi_index(tuple(place.T), shape).astype(np.int64)
    return flat
