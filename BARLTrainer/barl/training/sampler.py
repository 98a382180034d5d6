"""Patches cut and augmented on the device: where they lie, and how they are cut.

Shapes: L labeled patches, U unlabeled patches, C channels, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from barl.methods.protocol import Batch
from barl.training.resident import NOT_ANNOTATED, ResidentCase
from barl.training.views import Chance, ViewSettings, change_intensity, draw_affine

Size = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """Sizes and shares of a batch."""

    patch_size_voxels: Size
    spacing_mm: tuple[float, float, float]
    labeled_patches: int
    unlabeled_patches: int
    foreground_share: float
    views: ViewSettings


class Sampler:
    """Draws one batch after the other from resident cases.

    Args:
        labeled: cases with annotations, at least one.
        unlabeled: cases for the unlabeled terms; annotated ones belong to them too.
    """

    def __init__(
        self,
        labeled: Sequence[ResidentCase],
        unlabeled: Sequence[ResidentCase],
        settings: SamplerSettings,
        chance: Chance,
    ) -> None:
        self.labeled = list(labeled)
        self.unlabeled = list(unlabeled)
        self.settings = settings
        self.chance = chance

    def next_batch(self) -> Batch:
        """Labeled patches with labels, unlabeled patches in two views."""
        images, labels = self._labeled_patches()
        views = self.settings.views
        labeled = change_intensity(images, views, self.chance, views.labeled_intensity)
        weak = self._unlabeled_patches(like=images)
        strong = change_intensity(weak, views, self.chance) if len(weak) else weak
        return Batch(labeled=labeled, label=labels, weak=weak, strong=strong)

    def _labeled_patches(self) -> tuple[Tensor, Tensor]:
        images, labels = [], []
        for _ in range(self.settings.labeled_patches):
            case = self.labeled[self.chance.index(len(self.labeled))]
            assert case.label is not None
            center = self._labeled_center(case)
            affine = draw_affine(self.settings.views, self.settings.spacing_mm, self.chance)
            image, label = cut_patch(case, center, affine, self.settings.patch_size_voxels, self.chance.device)
            images.append(image)
            labels.append(label)
        return torch.stack(images), torch.stack(labels)

    def _unlabeled_patches(self, like: Tensor) -> Tensor:
        patches = []
        for _ in range(self.settings.unlabeled_patches if self.unlabeled else 0):
            case = self.unlabeled[self.chance.index(len(self.unlabeled))]
            center = [self.chance.index(size) for size in case.shape]
            affine = draw_affine(self.settings.views, self.settings.spacing_mm, self.chance)
            inside = keep_inside(center, case.shape, self.settings.patch_size_voxels)
            patches.append(cut_image(case.image, inside, affine, self.settings.patch_size_voxels, self.chance.device))
        return torch.stack(patches) if patches else like[:0]

    def _labeled_center(self, case: ResidentCase) -> list[float]:
        """On a foreground voxel of an evenly drawn class, or on any annotated voxel."""
        groups = case.places
        if len(groups) > 1 and self.chance.happens(self.settings.foreground_share):
            group = groups[1 + self.chance.index(len(groups) - 1)]
        else:
            ends = torch.tensor([places.count for places in groups], dtype=torch.float64).cumsum(0)
            draw = self.chance.uniform(0.0, float(ends[-1]))
            group = groups[min(int(torch.searchsorted(ends, draw, right=True)), len(groups) - 1)]
        place = [int(v) for v in group.indices[self.chance.index(len(group.indices))]]
        return keep_inside(place, case.shape, self.settings.patch_size_voxels)


def keep_inside(center: Sequence[int], shape: Size, patch: Size) -> list[float]:
    """Move a center so that an upright patch stays in the volume and its voxels lie on the volume's.

    Half a voxel beside them, images would be blurred and labels rounded to either side. A shorter axis is centered.
    """
    moved = []
    for place, size, extent in zip(center, shape, patch, strict=True):
        first = (size - extent) // 2 if size <= extent else min(max(place - extent // 2, 0), size - extent)
        moved.append(first + (extent - 1) / 2)
    return moved


def cut_patch(
    case: ResidentCase, center: Sequence[float], affine: Tensor, patch: Size, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Image (C, D, H, W) float32 and label (D, H, W) int64 on the device; outside the volume the label is 255."""
    assert case.label is not None
    image = cut_image(case.image, center, affine, patch, device)
    # One is added, so that what lies outside samples to 0 and is told from background.
    label = _sample(case.label.unsqueeze(0), center, affine, patch, device, mode="nearest", shift=1.0)[0]
    label = label.round().long() - 1
    return image, torch.where(label < 0, NOT_ANNOTATED, label)


def cut_image(volume: Tensor, center: Sequence[float], affine: Tensor, patch: Size, device: torch.device) -> Tensor:
    """(C, D, H, W) float32 on the device; outside the volume its border goes on."""
    return _sample(volume, center, affine, patch, device, mode="bilinear", shift=0.0)


def _sample(
    volume: Tensor,
    center: Sequence[float],
    affine: Tensor,
    patch: Size,
    device: torch.device,
    *,
    mode: str,
    shift: float,
) -> Tensor:
    """One ``grid_sample`` on the smallest box that holds the turned patch."""
    low, high = _box(center, affine, patch, volume.shape[1:])
    box = volume[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]].to(device).float() + shift
    sizes = [h - b for h, b in zip(high, low, strict=True)]
    grid = _grid(center, affine, patch, low, sizes, device)
    padding = "border" if shift == 0 else "zeros"
    return functional.grid_sample(box[None], grid[None], mode=mode, padding_mode=padding, align_corners=False)[0]


def _box(center: Sequence[float], affine: Tensor, patch: Size, shape: Sequence[int]) -> tuple[list[int], list[int]]:
    half = torch.tensor(patch, dtype=torch.float64) / 2
    reach = affine.abs() @ half
    low, high = [], []
    for place, extent, size in zip(center, reach.tolist(), shape, strict=True):
        low.append(min(max(int(place - extent) - 1, 0), size - 1))
        high.append(max(min(int(place + extent) + 3, size), low[-1] + 1))
    return low, high


def _grid(
    center: Sequence[float], affine: Tensor, patch: Size, low: Sequence[int], sizes: Sequence[int], device: torch.device
) -> Tensor:
    """(D, H, W, 3) in grid_sample's order (W, H, D) and range, -1 to 1 over the box."""
    extent = torch.tensor(sizes, dtype=torch.float64)
    offset = torch.tensor(center, dtype=torch.float64) - torch.tensor(low, dtype=torch.float64)
    scale = 2 / extent
    matrix = (affine * scale[:, None]).flip(0).float().to(device)
    start = ((2 * offset + 1) / extent - 1).flip(0).float().to(device)
    axes = [torch.arange(size, device=device, dtype=torch.float32) - (size - 1) / 2 for size in patch]
    d, h, w = (axis.view([-1 if i == k else 1 for i in range(3)] + [1]) * matrix[:, k] for k, axis in enumerate(axes))
    return d + h + w + start
