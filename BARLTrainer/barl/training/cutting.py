"""Patches cut out of a volume: where their voxels lie, and what is there.

Shapes: C channels, D H W voxels of a patch, d h w voxels of a box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from barl.losses.supervised import NOT_ANNOTATED
from barl.training.resident import ResidentCase
from barl.training.views import BEND_POINTS, spline_weights

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """The smallest part of a volume that holds a turned patch, and how the patch lies in it."""

    low: Size
    high: Size
    lie: np.ndarray
    """(4, 3) float32: steps along the patch's axes, and its center, as ``grid_sample`` wants them."""

    def of(self, volume: Tensor) -> Tensor:
        """That part of (C, D, H, W)."""
        (d, h, w), (d_end, h_end, w_end) = self.low, self.high
        return volume[:, d:d_end, h:h_end, w:w_end]


class PatchPlaces:
    """Where the voxels of a patch lie.

    Args:
        patch: its size.
        device: of the patches.
    """

    def __init__(self, patch: Size, device: torch.device) -> None:
        self._size = patch
        self._offsets = patch_offsets(patch, device)
        self._weights = [torch.from_numpy(spline_weights(size)).to(device) for size in patch]

    def grid(self, lie: Tensor, bend: Tensor | None = None) -> Tensor:
        """(D, H, W, 3) where each voxel lies in its box, as ``grid_sample`` wants it; in memory one axis after another.

        Args:
            lie: the box's, on the device.
            bend: (375) shifts of the control points of an elastic deformation, in voxels of the patch.
        """
        offsets = self._offsets if bend is None else self._offsets + self._shifts(bend).view(3, -1)
        places = torch.addmm(lie[3].unsqueeze(1), lie[:3].T, offsets)
        return places.view(3, *self._size).movedim(0, -1)

    def _shifts(self, bend: Tensor) -> Tensor:
        """(3, D, H, W) from the control points, one axis after the other."""
        shifts = bend.view(3, BEND_POINTS, BEND_POINTS, BEND_POINTS)
        for weights in self._weights:
            # The axis in front is contracted and comes back last: after three, the order is the old one.
            shifts = torch.tensordot(shifts, weights, dims=([1], [1]))
        return shifts


def patch_offsets(patch: Size, device: torch.device) -> Tensor:
    """(3, D * H * W) offsets of a patch's voxels from its center, along D, H and W."""
    axes = [torch.arange(size, device=device, dtype=torch.float32) - (size - 1) / 2 for size in patch]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).view(3, -1)


def cut_image(volume: Tensor, box: Box, grid: Tensor) -> Tensor:
    """(C, D, H, W) float32 on the grid's device; outside the volume its border goes on."""
    part = brought(box.of(volume), grid.device).float()
    if grid.device.type == "cpu":
        return interpolated(part, grid)
    return functional.grid_sample(part[None], grid[None], padding_mode="border", align_corners=False)[0]


def interpolated(part: Tensor, grid: Tensor) -> Tensor:
    """What ``grid_sample`` gives at the border's padding, in half its time: on a CPU that one takes voxel by voxel.

    Args:
        part: (C, d, h, w).
        grid: (D, H, W, 3), places along w, h and d, -1 to 1 over the part.

    Returns:
        (C, D, H, W) of the part's type.
    """
    # One voxel more on each axis, which only ever counts 0 times: all neighbors then lie equally far from the first.
    sizes, padded = part.shape[1:], functional.pad(part, (0, 1) * 3)
    index, rests = torch.zeros(grid.shape[:3], dtype=torch.int32), []
    for places, size in zip(reversed(grid.unbind(-1)), sizes, strict=True):
        place = (places * (size / 2) + (size - 1) / 2).clamp_(0, size - 1)
        first = place.int()  # Rounds towards 0, and no place is below it.
        rests.append(place.sub_(first))
        index.mul_(size + 1).add_(first)
    return torch.stack([_interpolated_at(index, rests, channel) for channel in padded])


def _interpolated_at(index: Tensor, rests: list[Tensor], channel: Tensor) -> Tensor:
    """(D, H, W) between the voxels at an index and those after them along each axis of (d, h, w)."""
    flat, places, (_, height, width) = channel.flatten(), index.flatten(), channel.shape
    steps = [d + h + w for d in (0, height * width) for h in (0, width) for w in (0, 1)]
    corners = [flat[step:].index_select(0, places).view(index.shape) for step in steps]
    for rest in reversed(rests):
        corners = [low.lerp_(high, rest) for low, high in zip(corners[::2], corners[1::2], strict=True)]
    return corners[0]


def cut_label(case: ResidentCase, box: Box, grid: Tensor) -> Tensor:
    """(D, H, W) int64 on the grid's device; 255 outside the volume."""
    assert case.label is not None
    label = brought(box.of(case.label.unsqueeze(0)), grid.device)[0]
    index = torch.zeros(grid.shape[:3], dtype=torch.int32, device=grid.device)
    inside = torch.ones(grid.shape[:3], dtype=torch.bool, device=grid.device)
    for places, size in zip(reversed(grid.unbind(-1)), label.shape, strict=True):
        voxel = (places * (size / 2) + (size - 1) / 2).round_()
        nearest = voxel.clamp(0, size - 1)
        index.mul_(size).add_(nearest.int())
        inside &= nearest == voxel
    found = label.flatten().index_select(0, index.flatten()).view(index.shape).long()
    return torch.where(inside, found, NOT_ANNOTATED)


def brought(x: Tensor, device: torch.device) -> Tensor:
    """On the device; from the host's memory by a copy that nothing waits for."""
    if device.type != "cuda" or x.device.type == "cuda":
        return x.to(device)
    return torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x).to(device, non_blocking=True)
