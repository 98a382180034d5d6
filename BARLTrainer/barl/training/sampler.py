"""Patches cut and augmented on the device: what is drawn, and what becomes of it.

What chance decides is drawn on the host first, for all patches of a step; then each process cuts its share of them.
The numbers reach the device in one copy, so that nothing waits for it.

Shapes: L labeled patches, U unlabeled patches, C channels, D H W voxels.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch

from barl.methods.protocol import Batch
from barl.training.cutting import Box, PatchPlaces, Size, brought, cut_image, cut_label
from barl.training.distributed import Share
from barl.training.mixing import Piece, draw_piece, paste
from barl.training.resident import ResidentCase
from barl.training.views import (
    BEND_NUMBERS,
    Chance,
    IntensityChange,
    ViewSettings,
    bend_at,
    change_intensity,
    draw_affine,
    draw_bend,
    draw_intensity,
)

_ITERATIONS = 8
"""Each takes away half of the error or more; an error only moves the patch a little further than it had to be."""

_COMMON = 0.1
"""Share of a volume from which a class is looked for as seldom as allowed: most patches show it anyway."""


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """Sizes and shares of a batch."""

    patch_size_voxels: Size
    spacing_mm: tuple[float, float, float]
    labeled_patches: int
    unlabeled_patches: int
    foreground_share: float
    least_foreground_share: float
    views: ViewSettings


@dataclass(frozen=True)
class Draw:
    """What chance has decided about one patch; nothing is cut yet."""

    case: ResidentCase
    box: Box
    bend: np.ndarray | None
    """(3, 5, 5, 5) float32: shifts of the control points of an elastic deformation, in voxels of the patch."""

    change: IntensityChange
    """Of a labeled patch, or of an unlabeled patch's strong view."""

    guest: Draw | None = None
    """A labeled patch, a piece of which is pasted into this patch's strong view."""

    piece: Piece | None = None
    """Which piece."""

    @property
    def numbers(self) -> np.ndarray:
        """(391,) float32: all that the device needs to know."""
        bend = np.zeros(BEND_NUMBERS, np.float32) if self.bend is None else self.bend.ravel()
        return np.concatenate([self.box.lie.ravel(), np.array(self.change.numbers, np.float32), bend])


class Sampler:
    """Draws one batch after the other from resident cases.

    Args:
        labeled: cases with annotations, at least one.
        unlabeled: cases for the unlabeled terms; annotated ones belong to them too.
        settings: of the whole batch.
        share: which part of the batch is cut here. Chance goes on as if it were the whole.
    """

    def __init__(
        self,
        labeled: Sequence[ResidentCase],
        unlabeled: Sequence[ResidentCase],
        settings: SamplerSettings,
        chance: Chance,
        share: Share | None = None,
    ) -> None:
        self.labeled = list(labeled)
        self.unlabeled = list(unlabeled)
        self.settings = settings
        self.chance = chance
        self.share = share or Share()
        self._places = PatchPlaces(settings.patch_size_voxels, chance.device)
        self._weights = [_weight(case) for case in self.labeled]
        self._alike = len(set(self._weights)) <= 1

    def next_batch(self) -> Batch:
        """Labeled patches with labels, unlabeled patches in two views."""
        labeled, unlabeled = self.draw()
        return self.cut(self.share.of(labeled), self.share.of(unlabeled))

    def draw(self) -> tuple[list[Draw], list[Draw]]:
        """The next labeled and unlabeled patches of the whole batch; the device is not asked."""
        settings = self.settings
        labeled = [self._labeled() for _ in range(settings.labeled_patches)]
        return labeled, [self._unlabeled() for _ in range(settings.unlabeled_patches if self.unlabeled else 0)]

    def cut(self, labeled: Sequence[Draw], unlabeled: Sequence[Draw]) -> Batch:
        """The patches as they were drawn, at least one labeled; what has to be known is on the host already."""
        device = self.chance.device
        guests = [draw.guest for draw in unlabeled if draw.guest is not None]
        annotated = [*labeled, *guests]
        numbers = brought(torch.from_numpy(np.stack([draw.numbers for draw in (*annotated, *unlabeled)])), device)
        lies, changes, bends = numbers[:, :12].view(-1, 4, 3), numbers[:, 12:16], numbers[:, 16:]
        drawn = [*annotated, *unlabeled]
        grids = [
            self._places.grid(lie, None if draw.bend is None else bend)
            for draw, lie, bend in zip(drawn, lies, bends, strict=True)
        ]
        images, labels, weak = [], [], []
        for draw, grid in zip(annotated, grids[: len(annotated)], strict=True):
            images.append(cut_image(draw.case.image, draw.box, grid))
            labels.append(cut_label(draw.case, draw.box, grid))
        for draw, grid in zip(unlabeled, grids[len(annotated) :], strict=True):
            weak.append(cut_image(draw.case.image, draw.box, grid))
        plain, label = torch.stack(images), torch.stack(labels)
        views = torch.stack(weak) if weak else plain[:0]
        shown = change_intensity(plain, [draw.change for draw in annotated], changes[: len(annotated)])
        strong = change_intensity(views, [draw.change for draw in unlabeled], changes[len(annotated) :])
        count, pasted = len(labeled), None
        if guests:
            strong, pasted = paste(strong, shown[count:], label[count:], [draw.piece for draw in unlabeled])
        return Batch(labeled=shown[:count], label=label[:count], weak=views, strong=strong, pasted=pasted)

    def _labeled(self) -> Draw:
        case = self.labeled[self._labeled_index()]
        return self._draw(case, self._labeled_place(case), self.settings.views.labeled_intensity)

    def _labeled_index(self) -> int:
        """By weight; where all cases weigh the same, as without weights."""
        return self.chance.index(len(self.labeled)) if self._alike else self._by_weight(self._weights)

    def _unlabeled(self) -> Draw:
        case = self.unlabeled[self.chance.index(len(self.unlabeled))]
        draw = self._draw(case, [self.chance.index(size) for size in case.shape], 1.0, shows_place=False)
        views = self.settings.views
        piece = draw_piece(self.settings.patch_size_voxels, views.paste_share, views.paste_side, self.chance)
        return draw if piece is None else replace(draw, guest=self._labeled(), piece=piece)

    def _draw(self, case: ResidentCase, place: Sequence[int], strength: float, *, shows_place: bool = True) -> Draw:
        settings = self.settings
        center = keep_inside(place, case.shape, settings.patch_size_voxels)
        affine = draw_affine(settings.views, settings.spacing_mm, self.chance)
        bend = draw_bend(settings.views, settings.patch_size_voxels, self.chance)
        if shows_place:
            center = keep_in_sight(place, center, affine, settings.patch_size_voxels, bend)
        box = find_box(center, affine, settings.patch_size_voxels, case.shape, farthest(bend))
        return Draw(case, box, bend, draw_intensity(settings.views, self.chance, strength))

    def _labeled_place(self, case: ResidentCase) -> list[int]:
        """A foreground voxel of an evenly drawn class, or any annotated voxel."""
        groups = case.places
        if len(groups) > 1 and self.chance.happens(self._foreground_share(case)):
            group = groups[1 + self.chance.index(len(groups) - 1)]
        else:
            group = groups[self._by_weight([places.count for places in groups])]
        return [int(v) for v in group.indices[self.chance.index(len(group.indices))]]

    def _foreground_share(self, case: ResidentCase) -> float:
        """The rarer a case's rarest class is, the more often classes are looked for."""
        settings = self.settings
        rarest = min(places.count for places in case.places[1:]) / math.prod(case.shape)
        less = max(0.0, settings.foreground_share - settings.least_foreground_share)
        return settings.foreground_share - less * min(1.0, rarest / _COMMON)

    def _by_weight(self, weights: Sequence[float]) -> int:
        ends = list(accumulate(weights))
        return min(bisect_right(ends, self.chance.uniform(0.0, ends[-1])), len(ends) - 1)


def _weight(case: ResidentCase) -> float:
    """How often a labeled case is drawn: the root of the share of its voxels that is known.

    Drawn as often as complete ones, many cases of a few corrected voxels each leave a training little else to learn
    from (docs/lab-notes.md); drawn by their voxels, a person's strokes would hardly be seen.
    """
    assert case.label is not None
    return math.sqrt(sum(places.count for places in case.places) / case.label.numel())


def keep_in_sight(
    place: Sequence[int], center: Sequence[float], affine: np.ndarray, patch: Size, bend: np.ndarray | None = None
) -> list[float]:
    """Move the center of a turned and bent patch as little as it takes to show a voxel.

    A patch that was kept inside the volume has a voxel of the border in its corner, and turns it out of sight; of a
    thin stroke at the border nothing might be left.
    """
    offset = np.linalg.solve(affine, np.subtract(place, center))
    reach = (np.array(patch) - 1) / 2
    if (np.abs(offset) + farthest(bend) <= reach).all():
        return list(center)
    if bend is None:
        offset = offset.clip(-reach, reach)
    else:
        shown = _bent_back(offset, reach, patch, bend)
        offset = shown + bend_at(bend, shown, patch)
    moved: list[float] = (np.array(place) - affine @ offset).tolist()
    return moved


def _bent_back(offset: np.ndarray, reach: np.ndarray, patch: Size, bend: np.ndarray) -> np.ndarray:
    """Where in the patch an offset is seen, by iteration; the nearest place in it where it is out of sight."""
    shown = offset.clip(-reach, reach)
    for _ in range(_ITERATIONS):
        shown = (offset - bend_at(bend, shown, patch)).clip(-reach, reach)
    return shown


def keep_inside(center: Sequence[int], shape: Size, patch: Size) -> list[float]:
    """Move a center so that an upright patch stays in the volume and its voxels lie on the volume's.

    Half a voxel beside them, images would be blurred and labels rounded to either side. A shorter axis is centered.
    """
    moved = []
    for place, size, extent in zip(center, shape, patch, strict=True):
        first = (size - extent) // 2 if size <= extent else min(max(place - extent // 2, 0), size - extent)
        moved.append(first + (extent - 1) / 2)
    return moved


def farthest(bend: np.ndarray | None) -> Sequence[float]:
    """How far an elastic deformation reaches beyond the patch along D, H and W, in voxels of the patch, at most."""
    reach: list[float] = [0.0] * 3 if bend is None else np.abs(bend).max(axis=(1, 2, 3)).tolist()
    return reach


def find_box(
    center: Sequence[float], affine: np.ndarray, patch: Size, shape: Size, beyond: Sequence[float] = (0.0, 0.0, 0.0)
) -> Box:
    """Where a patch lies in a volume.

    Args:
        center: D, H, W of the patch's center, in voxels of the volume.
        affine: (3, 3) from patch offsets to volume offsets, both in voxels.
        patch: its size.
        shape: the volume's.
        beyond: how far an elastic deformation reaches beyond the patch along its axes, in voxels of the patch.
    """
    reach = np.abs(affine) @ (np.array(patch) / 2 + beyond)
    low, high = [], []
    for place, extent, size in zip(center, reach.tolist(), shape, strict=True):
        low.append(min(max(int(place - extent) - 1, 0), size - 1))
        high.append(max(min(int(place + extent) + 3, size), low[-1] + 1))
    extent = np.subtract(high, low)
    # grid_sample's range is -1 to 1 over the box, its order W, H, D.
    steps = (affine * (2 / extent)[:, None]).T[:, ::-1]
    start = ((2 * np.subtract(center, low) + 1) / extent - 1)[::-1]
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]), np.vstack([steps, start]).astype(np.float32))
