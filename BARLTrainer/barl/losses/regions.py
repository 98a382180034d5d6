"""Region-level alignment: each class has one direction in feature space, the same in both branches.

BARL's abstract (https://arxiv.org/abs/2510.16863) names region-level matching between branches, a second-hand summary
its class prototypes, masks and cosine; the rest is our completion.

Shapes: B patches, F features, K classes (0 is background), D H W voxels of the feature grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from barl.losses.supervised import NOT_ANNOTATED

_TINY = 1e-12


@dataclass(frozen=True)
class Prototypes:
    """One unit vector a patch and class."""

    vectors: Tensor
    """(B, K, F) of length 1; anything where the class is not there."""

    present: Tensor
    """(B, K) bool: enough voxels to say something."""

    def of_class(self, index: int) -> Tensor:
        """(M, F) vectors of one class, where it is present."""
        return self.vectors[:, index][self.present[:, index]]


def prototypes(features: Tensor, classes: Tensor, num_classes: int, least_voxels: int) -> Prototypes:
    """pi_c = sum_v [y_v = c] F_v, brought to length 1, a patch and class.

    Args:
        features: (B, F, D, H, W), each voxel's vector of length 1.
        classes: (B, D, H, W) class index, 255 where unknown.
        num_classes: K.
        least_voxels: a class with fewer voxels in a patch is left out there.
    """
    index = torch.arange(num_classes, device=classes.device).view(1, -1, 1)
    masks = (classes.flatten(1).unsqueeze(1) == index).to(features.dtype)
    sums = torch.einsum("bkv,bfv->bkf", masks, features.flatten(2))
    return Prototypes(functional.normalize(sums, dim=2), masks.sum(dim=2) >= least_voxels)


def region_alignment(first: Prototypes, second: Prototypes) -> Tensor:
    """Mean over classes of 1 - 1/2 [cos(pi_1, sg pi_2) + cos(sg pi_1, pi_2)], sg: no gradient.

    Classes that are not there in both branches are left out; 0 with a gradient of 0 where none is.
    """
    towards_second = (first.vectors * second.vectors.detach()).sum(dim=2)
    towards_first = (first.vectors.detach() * second.vectors).sum(dim=2)
    both = (first.present & second.present).to(towards_first.dtype)
    apart = 1 - 0.5 * (towards_second + towards_first)
    return (apart * both).sum() / both.sum().clamp(min=1)


def region_separation(of_branch: Prototypes, margin: float) -> Tensor:
    """Mean over pairs of different classes in a patch of max(0, cos(pi_c, pi_c') - margin).

    Args:
        of_branch: the prototypes of one branch.
        margin: similarity that costs nothing, -1 to 1.
    """
    similarity = of_branch.vectors @ of_branch.vectors.transpose(1, 2)
    pairs = of_branch.present.unsqueeze(1) & of_branch.present.unsqueeze(2)
    pairs = pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)
    excess = (similarity - margin).clamp(min=0) * pairs.to(similarity.dtype)
    return excess.sum() / pairs.sum().clamp(min=1)


def unit_features(features: Tensor) -> Tensor:
    """Each voxel's vector brought to length 1, in float32 or float64, (B, F, D, H, W)."""
    unit: Tensor = _Unit.apply(features)  # type: ignore[no-untyped-call]
    return unit


class _Unit(torch.autograd.Function):
    """y = x / |x| with dL/dx = (g - (g . y) y) / |x|: half the passes over the features that torch's own needs.

    In memory a voxel's features lie side by side: what follows adds up whole vectors.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        kind = torch.promote_types(features.dtype, torch.float32)
        vectors = features.movedim(1, -1).to(kind).contiguous()
        lengths = vectors.norm(dim=-1, keepdim=True).clamp_(min=_TINY)
        unit: Tensor = vectors / lengths
        ctx.save_for_backward(unit, lengths)
        ctx.kind = features.dtype
        return unit.movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> Tensor:
        unit, lengths = ctx.saved_tensors
        towards = given.movedim(1, -1).contiguous()
        along = (towards * unit).sum(dim=-1, keepdim=True)
        gradient: Tensor = torch.addcmul(towards, unit, along, value=-1).div_(lengths).to(ctx.kind)
        return gradient.movedim(-1, 1)


def agreed_classes(labels: Sequence[Tensor]) -> Tensor:
    """The class where all agree, 255 elsewhere; label maps of one shape, 255 where one knows nothing."""
    agreed = labels[0]
    for label in labels[1:]:
        agreed = torch.where(agreed == label, agreed, NOT_ANNOTATED)
    return agreed
