"""Slabs on the prepared grid become labels and maps on a finer or coarser grid, a few slices at a time.

Probabilities are interpolated, not labels: borders stay smooth. Both grids cover the same extent, so that an output
index o lies at (o + 1/2) * n_in / n_out - 1/2 (torch's align_corners=False).

Shapes: K classes, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from barl.inference.sliding_window import Size, Slab
from barl.inference.uncertainty import normalized_entropy

_SLICES_AT_ONCE = 4
LEVELS = 250
"""Steps of a map between 0 and 1; they fit a byte, compress well, and 0.004 is finer than any use of the map."""


@dataclass(frozen=True, kw_only=True)
class Maps:
    """What is kept of a prediction on some grid, all (D, H, W)."""

    classes: np.ndarray
    """uint8 class index."""

    entropy: np.ndarray
    """uint8, 0 to 250 for 0 to 1."""

    disagreement: np.ndarray
    """uint8, 0 to 250 for 0 to 1."""


def collect(slabs: Iterable[Slab], shape_in: Size, shape_out: Size) -> Maps:
    """Resample slabs on a (D, H, W) grid onto another one over the same extent."""
    arrays = [np.zeros(shape_out, np.uint8) for _ in range(3)]
    for first, rows in _resampled(slabs, shape_in, shape_out):
        where = slice(first, first + rows.shape[1])
        probability, unlike = rows[:-1], rows[-1]
        # The interpolation of sums to 1 sums to 1 again, up to rounding.
        parts = (probability.argmax(dim=0), _levels(normalized_entropy(probability, dim=0)), _levels(unlike))
        for array, part in zip(arrays, parts, strict=True):
            array[where] = part.to(torch.uint8).cpu().numpy()
    return Maps(classes=arrays[0], entropy=arrays[1], disagreement=arrays[2])


def _levels(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * LEVELS).round()


def _resampled(slabs: Iterable[Slab], shape_in: Size, shape_out: Size) -> Iterator[tuple[int, Tensor]]:
    """(first output slice, (K + 1, d, H, W)) in order; the last row is the disagreement."""
    source = torch.arange(shape_out[0], dtype=torch.float64).add(0.5).mul(shape_in[0] / shape_out[0]).sub(0.5)
    source = source.clamp(0, shape_in[0] - 1)
    lower = source.floor().long()
    upper = (lower + 1).clamp(max=shape_in[0] - 1)
    share = (source - lower).float()
    written, held, held_from = 0, None, 0
    for start, rows in _thin(slabs):
        flat = _in_plane(rows, shape_out)
        held = flat if held is None else torch.cat([held[:, lower[written] - held_from :], flat], dim=1)
        held_from = start + rows.shape[1] - held.shape[1]
        ready = int((upper < start + rows.shape[1]).sum())
        if ready == written:
            continue
        pick = slice(written, ready)
        below, above = held[:, lower[pick] - held_from], held[:, upper[pick] - held_from]
        yield written, torch.lerp(below, above, share[pick].to(held.device)[None, :, None, None])
        written = ready
        if written == shape_out[0]:
            return


def _thin(slabs: Iterable[Slab]) -> Iterator[tuple[int, Tensor]]:
    for slab in slabs:
        rows = torch.cat([slab.probability, slab.disagreement[None]])
        for first in range(0, rows.shape[1], _SLICES_AT_ONCE):
            yield slab.start + first, rows[:, first : first + _SLICES_AT_ONCE]


def _in_plane(rows: Tensor, shape_out: Size) -> Tensor:
    if rows.shape[2:] == shape_out[1:]:
        return rows
    plane = functional.interpolate(rows.transpose(0, 1), size=shape_out[1:], mode="bilinear", align_corners=False)
    return plane.transpose(0, 1)
