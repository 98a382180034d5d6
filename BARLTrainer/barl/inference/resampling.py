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

from barl.inference.calibration import Calibration, least_unsure, tempered
from barl.inference.expected_error import LEVELS
from barl.inference.sliding_window import Size, Slab
from barl.inference.uncertainty import normalized_entropy

_SLICES_AT_ONCE = {"cpu": 4, "cuda": 32}
"""On a CPU they stay in its caches, on a GPU each transfer to the host makes it wait (there an estimate)."""


@dataclass(frozen=True, kw_only=True)
class Maps:
    """What is kept of a prediction on some grid, all (D, H, W)."""

    classes: np.ndarray
    """uint8 class index."""

    entropy: np.ndarray
    """uint8, 0 to 250 for 0 to 1."""

    disagreement: np.ndarray
    """uint8, 0 to 250 for 0 to 1."""

    rival: np.ndarray
    """uint8 index of the second most likely class; the most likely one where the entropy is next to nothing."""


def collect(slabs: Iterable[Slab], shape_in: Size, shape_out: Size, calibration: Calibration | None = None) -> Maps:
    """Resample slabs on a (D, H, W) grid onto another one over the same extent, and calibrate them."""
    found = np.zeros((4, *shape_out), np.uint8)
    for first, rows in _resampled(slabs, shape_in, shape_out):
        found[:, first : first + rows.shape[1]] = _read(rows[:-1], rows[-1], calibration).cpu().numpy()
    return Maps(classes=found[0], entropy=found[1], disagreement=found[2], rival=found[3])


def _read(probability: Tensor, unlike: Tensor, calibration: Calibration | None) -> Tensor:
    """uint8 (4, d, H, W) of (K, d, H, W) and (d, H, W): class, entropy, disagreement, rival.

    What is next to certain, as most of a volume is, needs neither a temperature nor a rival.
    """
    # The interpolation of sums to 1 sums to 1 again, up to rounding.
    unsure = normalized_entropy(probability, dim=0)
    best = most_likely(probability)
    rival = best.clone()
    questioned = unsure > least_unsure(calibration, 0.5 / LEVELS, len(probability))
    columns, winner = probability[:, questioned], best[questioned]
    if calibration is not None:
        before = unsure[questioned]
        after = normalized_entropy(tempered(columns, winner, calibration), dim=0)
        unsure[questioned] = after
        # The branches keep their share of the entropy.
        unlike = unlike.clone()
        unlike[questioned] *= after / before
    rival[questioned] = most_likely(columns.scatter(0, winner.long()[None], -1.0))
    return torch.stack([best, _levels(unsure), _levels(unlike), rival])


def most_likely(probability: Tensor) -> Tensor:
    """uint8 index of the largest of (K, ...), the first one where several are; K up to 255.

    torch's argmax over the first axis takes 50 times as long on a CPU (torch 2.13).
    """
    best = probability[0]
    winner = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for index, rival in enumerate(probability[1:], start=1):
        # A later class has a higher index: where it wins, it is also the larger of the two.
        winner = torch.maximum(winner, (rival > best).view(torch.uint8) * index)
        best = torch.maximum(best, rival)
    return winner


def _levels(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * LEVELS).round_().to(torch.uint8)


def _resampled(slabs: Iterable[Slab], shape_in: Size, shape_out: Size) -> Iterator[tuple[int, Tensor]]:
    """(first output slice, (K + 1, d, H, W)) in order; the last row is the disagreement."""
    if shape_in[0] == shape_out[0]:
        yield from ((start, _in_plane(rows, shape_out)) for start, rows in _thin(slabs))
        return
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
        count = _SLICES_AT_ONCE.get(slab.probability.device.type, 4)
        for first in range(0, slab.probability.shape[1], count):
            some = slice(first, first + count)
            yield slab.start + first, torch.cat([slab.probability[:, some], slab.disagreement[None, some]])


def _in_plane(rows: Tensor, shape_out: Size) -> Tensor:
    if rows.shape[2:] == shape_out[1:]:
        return rows
    flat = rows.flatten(0, 1)[None]
    plane = functional.interpolate(flat, size=shape_out[1:], mode="bilinear", align_corners=False)
    return plane.reshape(*rows.shape[:2], *shape_out[1:])
