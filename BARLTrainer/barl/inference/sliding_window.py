"""Predict a volume of any size window by window, with memory that does not grow with the number of windows.

Windows go through the volume slice direction first; as soon as no later window reaches a slice, it is final and leaves.
Windows that hold nothing but one value, as air does once it is clipped, are all asked about in one.

Shapes: B windows, R branches, C channels, K classes, D H W voxels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from barl.inference.uncertainty import consensus

Size = tuple[int, int, int]
Predict = Callable[[Tensor], Tensor]
"""Logits (B, R, K, D, H, W) of windows (B, C, D, H, W)."""

_WIDTHS = 3
"""Standard deviations of the blending weight that a window is wide."""

Fill = tuple[float, ...]
"""The one value of each channel."""


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
    looks = _Looks(predict, padded, settings, device)
    blended: _Buffer | None = None
    for index, first in enumerate(starts[0]):
        for corners, probability, unlike in looks.at([(first, row, column) for row, column in plane]):
            if blended is None:
                blended = _Buffer(probability.shape[1], (size[0], *shape[1:]), device)
            blended.add(corners, probability, unlike, weight)
            done += len(corners)
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
    """Gaussian of standard deviation size / 3 around the center: 0.32 at a side, 0.03 in a corner.

    nnU-Net's size / 8 hardly lets neighbors have a say; it costs 0.3 to 1.2 points of Dice here, and no weight at all
    up to 1 (docs/lab-notes.md).
    """
    axes = []
    for extent in size:
        place = torch.arange(extent, dtype=torch.float32, device=device) - (extent - 1) / 2
        axes.append(torch.exp(-0.5 * (_WIDTHS * place / extent) ** 2))
    return axes[0][:, None, None] * axes[1][:, None] * axes[2]


class _Looks:
    """What the networks say of windows; of those that hold one value only they are asked once."""

    def __init__(self, predict: Predict, volume: Tensor, settings: WindowSettings, device: torch.device) -> None:
        self._predict = predict
        self._volume = volume
        self._settings = settings
        self._device = device
        self._air: tuple[Fill, tuple[Tensor, Tensor]] | None = None

    def at(self, corners: Sequence[Size]) -> Iterator[tuple[Sequence[Size], Tensor, Tensor]]:
        """Corners with their mean probability (B, K, D, H, W) and disagreement (B, D, H, W), in the order given."""
        pairs = zip(corners, self._fills(corners), strict=True)
        for fill, run in itertools.groupby(pairs, key=lambda pair: pair[1]):
            same = [corner for corner, _ in run]
            if fill is None:
                yield from ((chunk, *self._ask(chunk)) for chunk in _chunks(same, self._settings.batch))
            else:
                # One after the other, as if each had been asked about: sums in another order would round otherwise.
                yield from (([corner], *self._ask_of_air(fill, corner)) for corner in same)

    def _ask(self, corners: Sequence[Size]) -> tuple[Tensor, Tensor]:
        windows = torch.stack([self._window(corner) for corner in corners])
        return consensus(self._predict(windows.to(self._device).float()))

    def _ask_of_air(self, fill: Fill, corner: Size) -> tuple[Tensor, Tensor]:
        """Only the newest is kept, so that memory does not grow with the values there are."""
        if self._air is None or self._air[0] != fill:
            self._air = (fill, self._ask([corner]))
        return self._air[1]

    def _fills(self, corners: Sequence[Size]) -> list[Fill | None]:
        """Each channel's value where a window holds no other, None elsewhere; waits for the device once."""
        windows = [self._window(corner) for corner in corners]
        alike = torch.stack([(window == window[:, :1, :1, :1]).all() for window in windows]).tolist()
        return [tuple(w[:, 0, 0, 0].tolist()) if same else None for w, same in zip(windows, alike, strict=True)]

    def _window(self, corner: Size) -> Tensor:
        return self._volume[(slice(None), *map(_span, corner, self._settings.size_voxels))]


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
        depth = self.sums.shape[1]
        for first in range(count, depth, count):
            block = self.sums[:, first : first + count]
            self.sums[:, first - count : first - count + block.shape[1]] = block
        self.sums[:, depth - count :].zero_()
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


def _span(first: int, length: int) -> slice:
    return slice(first, first + length)


def _chunks(items: Sequence[Size], count: int) -> Iterator[Sequence[Size]]:
    for start in range(0, len(items), count):
        yield items[start : start + count]
