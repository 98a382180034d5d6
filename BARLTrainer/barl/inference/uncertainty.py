"""How unsure the branches are together, and how much they disagree; both from 0 to 1.

Shapes: B patches, R branches, K classes, D H W voxels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TINY = 1e-7


def entropy(probability: Tensor, dim: int) -> Tensor:
    """-sum_c p_c ln p_c over the class axis, in nats (Shannon 1948)."""
    return -(probability * probability.clamp(min=_TINY).log()).sum(dim)


def normalized_entropy(probability: Tensor, dim: int) -> Tensor:
    """Entropy over ln K: 0 where one class is certain, 1 where all are equally likely.

    Args:
        probability: mean of the branches' softmaxes, the classes along ``dim``.
    """
    return (entropy(probability, dim) / math.log(probability.shape[dim])).clamp(0, 1)


def disagreement(branches: Tensor) -> Tensor:
    """Mutual information of class and branch: H(mean_r p_r) - mean_r H(p_r), over its largest value ln min(R, K).

    0 where all branches say the same, 1 where each is certain of another class (Houlsby et al. 2011,
    https://arxiv.org/abs/1112.5745; for networks Gal et al. 2017, https://arxiv.org/abs/1703.02910).

    Args:
        branches: (B, R, K, D, H, W) softmaxes.

    Returns:
        (B, D, H, W); zeros for a single branch.
    """
    count, classes = branches.shape[1], branches.shape[2]
    if count == 1:
        return torch.zeros_like(branches[:, 0, 0])
    information = entropy(branches.mean(dim=1), dim=1) - entropy(branches, dim=2).mean(dim=1)
    return (information / math.log(min(count, classes))).clamp(0, 1)
