"""Agreement with a teacher only where it is certain (UA-MT, Yu et al. 2019, https://arxiv.org/abs/1907.07034).

Shapes: B patches, K classes, D H W voxels.
"""

from __future__ import annotations

import math

from torch import Tensor

from barl.losses.entropy import entropy
from barl.losses.reduction import totals


def certain_voxels(mean: Tensor, share: float) -> Tensor:
    """Where the entropy of a mean prediction is below ``share`` of the largest possible one, (B, D, H, W) bool.

    Args:
        mean: (B, K, D, H, W), the mean softmax of several passes: its entropy is the predictive entropy
            u = -sum_c mu_c ln mu_c.
        share: of ln K, 0 to 1.
    """
    return entropy(mean) < share * math.log(mean.shape[1])


def certain_distance(probability: Tensor, belief: Tensor, certain: Tensor) -> Tensor:
    """sum_v m |p - q|^2 / (K sum_v m): the mean squared distance over the certain voxels.

    0 with a gradient of 0 where no voxel is certain.

    Args:
        probability: p, (B, K, D, H, W), a softmax.
        belief: q, the same shape; carries no gradient where the caller stopped it.
        certain: m, (B, D, H, W) bool.
    """
    counted = certain.to(probability.dtype)
    squares = (probability - belief).square().mean(dim=1)
    distance, voxels = totals((counted * squares).sum(), counted.sum())
    return distance / voxels.clamp(min=1)
