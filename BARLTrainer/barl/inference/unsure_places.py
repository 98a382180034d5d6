"""Where a model is unsure: the places that hold most of the expected error, each small enough to look at. No torch.

The border of a structure is unsure all around, so that connected unsure voxels would be one place as large as the
structure. Places are therefore taken one after the other: the window that holds most of the expected error left, and in
it the connected component that does. Everything works on the few unsure voxels; blocks of a third of a window's edge
hold their sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import cc3d
import numpy as np
import numpy.typing as npt

from barl.inference.expected_error import Floats, Levels

Integers = npt.NDArray[np.int64]
Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]

_MOST_VOXELS = 2_000_000
"""A model that is unsure of more than so many voxels is asked about the worst of them: time and memory stay bounded."""

_TRIES = 10
"""Windows looked at for each place found, before what is left is taken for crumbs."""


@dataclass(frozen=True)
class UnsureVoxels:
    """The unsure voxels of a volume, in the order of its memory."""

    flat: Integers
    """(N,) index into the raveled volume, increasing."""

    error: Floats
    """(N,) probability that the label is wrong."""

    pair: npt.NDArray[np.uint16]
    """(N,) the two classes in question: lower value * 256 + higher value."""


def unsure_voxels(
    labels: Levels, rival: Levels, entropy: Levels, disagreement: Levels, tables: tuple[Floats, Floats], least: float
) -> UnsureVoxels:
    """Voxels whose probability of error is at least ``least``, by entropy or by disagreement.

    Args:
        labels: (D, H, W) values of the label table.
        rival: the second most likely value.
        entropy: steps of the map, 0 to 250.
        disagreement: the same.
        tables: probability of error by step of each of the two maps.
        least: from 0 to 1.
    """
    by_entropy, by_disagreement = tables
    least = max(least, _least_that_fits(entropy, disagreement, tables))
    steps = [int(np.searchsorted(table, least)) for table in tables]
    found = [
        start + np.flatnonzero((unsure >= steps[0]) | (unlike >= steps[1]))
        for start, unsure, unlike in _planes(entropy, disagreement)
    ]
    flat = np.concatenate(found)
    one, other = labels.reshape(-1)[flat], rival.reshape(-1)[flat]
    # Without a rival a voxel is nearly certain however the maps are read.
    questioned = one != other
    flat, one, other = flat[questioned], one[questioned], other[questioned]
    error = np.maximum(by_entropy[entropy.reshape(-1)[flat]], by_disagreement[disagreement.reshape(-1)[flat]])
    pair = np.minimum(one, other).astype(np.uint16) * 256 + np.maximum(one, other)
    return UnsureVoxels(flat=flat, error=error, pair=pair)


def _planes(entropy: Levels, disagreement: Levels) -> Iterator[tuple[int, Levels, Levels]]:
    """Plane by plane, which stays in the processor's cache."""
    size = entropy[0].size
    for index in range(len(entropy)):
        yield index * size, entropy[index].reshape(-1), disagreement[index].reshape(-1)


def _least_that_fits(entropy: Levels, disagreement: Levels, tables: tuple[Floats, Floats]) -> float:
    """From which probability of error on no more than `_MOST_VOXELS` are unsure, told from every 64th voxel."""
    if entropy.size <= _MOST_VOXELS:
        return 0.0
    sample = np.maximum(tables[0][entropy[::4, ::4, ::4]], tables[1][disagreement[::4, ::4, ::4]]).reshape(-1)
    most = int(sample.size * _MOST_VOXELS / entropy.size)
    kept = float(np.partition(sample, -most)[-most])
    # Of many voxels of one and the same step none are kept: a volume of equal doubt has no worst place.
    return float(np.nextafter(np.float32(kept), np.float32(2))) if (sample >= kept).sum() > 2 * most else kept


class Windows:
    """Unsure voxels in blocks, and how much expected error the window around each block still holds.

    Args:
        voxels: those of the whole volume.
        shape: of the volume.
        spacing_dhw_mm: distance of voxel centers.
        extent_mm: edge of a window, three blocks.
    """

    def __init__(self, voxels: UnsureVoxels, shape: Shape, spacing_dhw_mm: Spacing, extent_mm: float) -> None:
        self._voxels = voxels
        self._place = np.stack(np.unravel_index(voxels.flat, shape), axis=1)
        self._alive = np.ones(len(voxels.flat), bool)
        _, pair = np.unique(voxels.pair, return_inverse=True)
        edges = [max(1, round(extent_mm / 3 / spacing)) for spacing in spacing_dhw_mm]
        # A rim of empty blocks keeps neighbors from wrapping around.
        counts = [size // edge + 3 for size, edge in zip(shape, edges, strict=True)]
        key = pair.astype(np.int64)
        for axis in range(3):
            key = key * counts[axis] + self._place[:, axis] // edges[axis] + 1
        self._order = np.argsort(key, kind="stable")
        self._blocks, starts = np.unique(key[self._order], return_index=True)
        self._home = np.searchsorted(self._blocks, key)
        self._ends = np.append(starts, len(key))
        strides = (counts[1] * counts[2], counts[2], 1)
        self._near = _offsets(1, strides)
        self._far = _offsets(2, strides)
        self._sums = np.add.reduceat(voxels.error[self._order], starts, dtype=np.float64) if len(key) else np.zeros(0)
        self._around = self._window_sums(np.arange(len(self._blocks)))

    def forget(self, rows: Integers) -> None:
        """Leave some voxels (rows of the unsure voxels) out from now on."""
        self._alive[rows] = False
        self._update(np.unique(self._home[rows]))

    def places(self, count: int, least_voxels: float) -> Iterator[Integers]:
        """Rows of the voxels of up to ``count`` places, the ones with most expected error first; crumbs are dropped."""
        found = 0
        for _ in range(count * _TRIES):
            if found == count or not len(self._blocks) or self._around.max() <= 0:
                return
            window = self._existing(self._blocks[np.argmax(self._around)] + self._near)
            rows = self._rows(window.tolist())
            place = self._component(rows)
            large = len(place) >= least_voxels
            # Where the best component is a crumb, so are all others of the window.
            self._alive[place if large else rows] = False
            self._update(window)
            if large:
                found += 1
                yield np.sort(place)

    def _component(self, rows: Integers) -> Integers:
        """Of the voxels in these rows, the 26-connected ones that hold most of the expected error together."""
        place = self._place[rows]
        # With a rim: cc3d 4.1.1 fails on boxes that are one voxel thick in two directions.
        corner = place.min(axis=0) - 1
        local = np.zeros(place.max(axis=0) - corner + 2, bool)
        inside = tuple((place - corner).T)
        local[inside] = True
        piece = cc3d.connected_components(local, connectivity=26)[inside]
        chosen: Integers = rows[piece == np.argmax(np.bincount(piece, weights=self._voxels.error[rows]))]
        return chosen

    def _update(self, blocks: Integers) -> None:
        for block in blocks.tolist():
            self._sums[block] = self._voxels.error[self._rows([block])].sum(dtype=np.float64)
        if not len(blocks):
            return
        touched = self._existing(np.unique(self._blocks[blocks][:, None] + self._far))
        self._around[touched] = self._window_sums(touched)

    def _rows(self, blocks: list[int]) -> Integers:
        rows = np.concatenate([self._order[self._ends[block] : self._ends[block + 1]] for block in blocks])
        left: Integers = rows[self._alive[rows]]
        return left

    def _existing(self, keys: Integers) -> Integers:
        """Which blocks the keys stand for; keys of empty blocks are left out."""
        index = np.minimum(np.searchsorted(self._blocks, keys), len(self._blocks) - 1)
        existing: Integers = index[self._blocks[index] == keys]
        return existing

    def _window_sums(self, blocks: Integers) -> npt.NDArray[np.float64]:
        total = np.zeros(len(blocks))
        if not len(blocks):
            return total
        for offset in self._near:
            keys = self._blocks[blocks] + offset
            index = np.minimum(np.searchsorted(self._blocks, keys), len(self._blocks) - 1)
            total += np.where(self._blocks[index] == keys, self._sums[index], 0.0)
        return total


def _offsets(reach: int, strides: tuple[int, int, int]) -> Integers:
    steps = range(-reach, reach + 1)
    return np.array([int(np.dot(step, strides)) for step in product(steps, steps, steps)], np.int64)
