"""Copy-paste mixing: pieces of labeled patches in the strong views of unlabeled ones.

Bidirectional copy-paste (Bai et al. 2023, https://arxiv.org/abs/2305.00673): a box of a labeled patch in an unlabeled
one, or an unlabeled box in a labeled patch. The strong view is mixed, the weak one is not: beliefs come from whole
views, and :meth:`barl.methods.protocol.Batch.belief_on_strong` puts the true classes where the labeled piece is. So
every method that learns from strong views can use it. Deviation: the paper also mixes for a network that learns from
labels alone.

Shapes: U unlabeled patches, G labeled patches that are pasted (guests), C channels, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from barl.losses.supervised import NOT_ANNOTATED
from barl.training.views import Chance

Size = tuple[int, int, int]
NOT_PASTED = -1


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What is pasted into one strong view."""

    low: Size
    """First voxel of the box."""

    size: Size
    """Its voxels."""

    inside: bool
    """Whether the guest is seen in the box, or around it."""


def draw_piece(patch: Size, share: float, side: float, chance: Chance) -> Piece | None:
    """A piece for one strong view, or None.

    Args:
        patch: voxels of a patch.
        share: of views that are mixed at all, 0 to 1.
        side: edges of the box as a share of the patch's, 0 to 1; two thirds in the paper.
        chance: where it is drawn from.
    """
    if not chance.happens(share):
        return None
    depth, height, width = (max(1, round(side * extent)) for extent in patch)
    low = [chance.index(extent - length + 1) for extent, length in zip(patch, (depth, height, width), strict=True)]
    return Piece(low=(low[0], low[1], low[2]), size=(depth, height, width), inside=chance.happens(0.5))


def paste(strong: Tensor, guests: Tensor, labels: Tensor, pieces: Sequence[Piece | None]) -> tuple[Tensor, Tensor]:
    """Mix strong views with labeled patches.

    Voxels that nobody annotated are not pasted: what they show would have no class.

    Args:
        strong: (U, C, D, H, W).
        guests: (G, C, D, H, W), one for each view that is mixed, in their order.
        labels: (G, D, H, W) class index, 255 where not annotated.
        pieces: U of them, None for a view that stays as it is.

    Returns:
        The mixed views, (U, C, D, H, W), and the class of what was pasted, (U, D, H, W), -1 elsewhere.
    """
    mixed = strong.clone()
    pasted = torch.full((len(strong), *labels.shape[1:]), NOT_PASTED, dtype=labels.dtype, device=labels.device)
    chosen = [(index, piece) for index, piece in enumerate(pieces) if piece is not None]
    for (index, piece), guest, label in zip(chosen, guests, labels, strict=True):
        shown = _mask(piece, label) & (label != NOT_ANNOTATED)
        pasted[index] = torch.where(shown, label, NOT_PASTED)
        mixed[index] = torch.where(shown, guest, strong[index])
    return mixed, pasted


def _mask(piece: Piece, like: Tensor) -> Tensor:
    """(D, H, W) bool: where the labeled patch is seen."""
    box = torch.zeros(like.shape, dtype=torch.bool, device=like.device)
    box[tuple(slice(low, low + size) for low, size in zip(piece.low, piece.size, strict=True))] = True
    return box if piece.inside else ~box
