"""Predict a volume of any size window by window, with memory that does not grow with the number of windows.

Windows go through the volume slice direction first; as soon as no later window reaches a slice, it is final and leaves.

Shapes: B windows, R branches, C channels, K classes, D H W voxels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from barl.inference.uncertainty import disagreement

Size = tuple[int, int, int]
Predict = Callable[[Tensor], Tensor]
"""Logits (B, R, K, D, H, W) of windows (B, C, D, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Slab:
    """Consecutive final slices."""

    start: int
    """Index of the first one."""

    probability: Tensor
    """(K, d, H, W) mean over branches, sums to 1."""

    disagreement: Tensor
    """(d, H, W), 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class WindowSettings:
    """How the windows lie."""

    size_voxels: Size
    overlap: float = 0.5
    """Share of a window that its neighbor covers too, 0 up to, but not including, 1."""

    batch: int = 1
    """Windows in one pass."""


def slide(
    predict: Predict,
    volume: Tensor,
    settings: WindowSettings,
    device: torch.device,
    on_window: Callable[[float], None] = lambda share: None,
) -> Iterator[Slab]:
    """Predict (C, D, H, W) slab by slab; windows are blended with weights that fall off from their center.

    Args:
        predict: the networks; called under the caller's precision.
        volume: any floating type, on any device; windows go to ``device`` as float32.
        on_window: gets the share of windows done, 0 to 1.
    """
    size = settings.size_voxels
    padded, margin = _padded(volume, size)
    shape = padded.shape[1:]
    starts = [window_starts(extent, window, settings.overlap) for extent, window in zip(shape, size, strict=True)]
    weight = blending_weight(size, device)
    plane = list(itertools.product(starts[1], starts[2]))
    total, done = len(starts[0]) * len(plane), 0
    keep = _Inside([(before, before + extent) for (before, _), extent in zip(margin, volume.shape[1:], strict=True)])
    blended: _Buffer | None = None
    for index, first in enumerate(starts[0]):
        for chunk in _chunks(plane, settings.batch):
            corners = [(first, row, column) for row, column in chunk]
            probability, unlike = _look(predict, padded, corners, size, device)
            if blended is None:
                blended = _Buffer(probability.shape[1], (size[0], *shape[1:]), device)
            blended.add(corners, probability, unlike, weight)
            done += len(chunk)
            on_window(done / total)
        assert blended is not None
        following = starts[0][index + 1] if index + 1 < len(starts[0]) else first + size[0]
        yield from keep.of(first, *blended.pop(following - first))


def window_starts(extent: int, window: int, overlap: float) -> list[int]:
    """First voxels of evenly spread windows that cover an axis, with at least the overlap asked for."""
    if extent <= window:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    count = -(-(extent - window) // step) + 1
    return [round(i * (extent - window) / (count - 1)) for i in range(count)]


def blending_weight(size: Size, device: torch.device) -> Tensor:
    """Gaussian of standard deviation size / 8 around the center, at least 0.001 (as nnU-Net blends)."""
    axes = []
    for extent in size:
        place = torch.arange(extent, dtype=torch.float32, device=device) - (extent - 1) / 2
        axes.append(torch.exp(-0.5 * (place / (extent / 8)) ** 2))
    return (axes[0][:, None, None] * axes[1][:, None] * axes[2]).clamp(min=1e-3)


def _look(
    predict: Predict, volume: Tensor, corners: Sequence[Size], size: Size, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Mean probability (B, K, D, H, W) and disagreement (B, D, H, W) of some windows."""
    d, h, w = size
    windows = torch.stack([volume[:, z : z + d, y : y + h, x : x + w] for z, y, x in corners]).to(device).float()
    branches = predict(windows).float().softmax(dim=2)
    return branches.mean(dim=1), disagreement(branches)


class _Buffer:
    """Weighted sums over the slices that are not final yet."""

    def __init__(self, classes: int, shape: Size, device: torch.device) -> None:
        # The last two rows hold the disagreement and the sum of weights.
        self.sums = torch.zeros(classes + 2, *shape, device=device)

    def add(self, corners: Sequence[Size], probability: Tensor, unlike: Tensor, weight: Tensor) -> None:
        height, width = weight.shape[1:]
        for index, (_, row, column) in enumerate(corners):
            target = self.sums[:, :, row : row + height, column : column + width]
            target[:-2].addcmul_(probability[index], weight)
            target[-2].addcmul_(unlike[index], weight)
            target[-1].add_(weight)

    def pop(self, count: int) -> tuple[Tensor, Tensor]:
        """Take the first ``count`` slices out and move the others up."""
        total = self.sums[-1, :count]
        probability = self.sums[:-2, :count] / total
        unlike = self.sums[-2, :count] / total
        kept = self.sums[:, count:].clone()
        self.sums.zero_()
        self.sums[:, : kept.shape[1]] = kept
        return probability, unlike


@dataclass(frozen=True)
class _Inside:
    """The volume inside its padding: first and end index of each axis."""

    box: Sequence[tuple[int, int]]

    def of(self, start: int, probability: Tensor, unlike: Tensor) -> Iterator[Slab]:
        """The part of some slices that belongs to the volume, if any."""
        (first, end), (top, bottom), (left, right) = self.box
        low, high = max(first, start), min(end, start + probability.shape[1])
        if low < high:
            rows = slice(low - start, high - start)
            yield Slab(
                start=low - first,
                probability=probability[:, rows, top:bottom, left:right],
                disagreement=unlike[rows, top:bottom, left:right],
            )


def _padded(volume: Tensor, size: Size) -> tuple[Tensor, list[tuple[int, int]]]:
    """Continue the border of a volume that is smaller than a window; returns what was added before and after."""
    missing = [max(0, window - extent) for extent, window in zip(volume.shape[1:], size, strict=True)]
    margin = [(m // 2, m - m // 2) for m in missing]
    if not any(missing):
        return volume, margin
    flat = [amount for pair in reversed(margin) for amount in pair]
    return functional.pad(volume.float()[None], flat, mode="replicate")[0], margin


def _chunks(items: Sequence[tuple[int, int]], count: int) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(items), count):
        yield items[start : start + count]
