"""Features of unsure voxels are drawn to the prototype of the class they seem to be, prototypes apart from each other.

Dual Networks (Lu et al. 2025, https://arxiv.org/abs/2505.17690), published for two classes; several classes are our
completion, with the same numbers for two. The released code adds the distance of the prototypes instead of subtracting
it, which would draw them together, but computes all of it without gradient.

Shapes: B patches, F features, K classes, N voxels of all patches, M chosen ones, D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from barl.losses.supervised import NOT_ANNOTATED

EVERY = 100
"""One in so many voxels is looked at, as in the published code; evenly, so that no number of voxels has to be known."""


def prototype_contrast(features: Tensor, reliable: Tensor, guess: Tensor, num_classes: int, start: int = 0) -> Tensor:
    """2 mean_k mean_v |f_v - sg c_k| - mean_(k < l) |c_k - c_l| over unsure voxels v that are guessed to be of class k.

    All vectors have length 1; c_k is the mean feature of the sure voxels of class k, shortened afterwards, as in the
    released code. sg: no gradient (our completion: what is sure is not drawn to what is not). Classes without a
    reliable or without an unsure voxel are left out of the first term, classes without a reliable voxel out of the
    second; a term without classes is 0 with a gradient of 0.

    Args:
        features: (B, F, D, H, W), with gradient.
        reliable: (B, D, H, W) class index, 255 for unsure voxels.
        guess: (B, D, H, W) class index that the network itself gives to each voxel.
        num_classes: K.
        start: the first voxel that is looked at, of each ``EVERY``.
    """
    vectors = features.float().movedim(1, 0).flatten(1)
    centers, present = _prototypes(vectors, reliable.flatten(), num_classes)
    chosen = slice(start % EVERY, None, EVERY)
    unsure = reliable.flatten()[chosen] == NOT_ANNOTATED
    members = _members(guess.flatten()[chosen], num_classes) * unsure * present.unsqueeze(1)
    apart = _distance(centers.detach() @ functional.normalize(vectors[:, chosen], dim=0))
    counts = members.sum(dim=1)
    means = (members * apart).sum(dim=1) / counts.clamp(min=1)
    return 2 * means.sum() / (counts > 0).sum().clamp(min=1) - _separation(centers, present)


def _prototypes(vectors: Tensor, label: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mean vectors (K, F) of length 1, and which classes have any voxel, (K,)."""
    members = _members(label, num_classes)
    counts = members.sum(dim=1)
    means = members @ vectors.T / counts.clamp(min=1).unsqueeze(1)
    return functional.normalize(means, dim=1), counts > 0


def _members(label: Tensor, num_classes: int) -> Tensor:
    """(K, N) float, 1 where a voxel is of the class."""
    return (label.unsqueeze(0) == torch.arange(num_classes, device=label.device).unsqueeze(1)).float()


def _separation(centers: Tensor, present: Tensor) -> Tensor:
    pairs = (present.unsqueeze(0) & present.unsqueeze(1)).float().triu(diagonal=1)
    return (pairs * _distance(centers @ centers.T)).sum() / pairs.sum().clamp(min=1)


def _distance(cosine: Tensor) -> Tensor:
    """|a - b| of unit vectors; the bound below keeps the root's gradient finite where they are equal."""
    return (2 - 2 * cosine).clamp(min=1e-6).sqrt()
