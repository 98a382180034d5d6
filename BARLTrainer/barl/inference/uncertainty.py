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
    return probability.clamp(min=_TINY).log_().mul_(probability).sum(dim).neg_()


def normalized_entropy(probability: Tensor, dim: int) -> Tensor:
    """Entropy over ln K: 0 where one class is certain, 1 where all are equally likely.

    Args:
        probability: mean of the branches' softmaxes, the classes along ``dim``.
    """
    return (entropy(probability, dim) / math.log(probability.shape[dim])).clamp(0, 1)


def consensus(logits: Tensor) -> tuple[Tensor, Tensor]:
    """What the branches say together, and how much they disagree.

    The disagreement is the mutual information of class and branch: H(mean_r p_r) - mean_r H(p_r), over its largest
    value ln min(R, K). It is 0 where all branches say the same, 1 where each is certain of another class (Houlsby et
    al. 2011, https://arxiv.org/abs/1112.5745; for networks Gal et al. 2017, https://arxiv.org/abs/1703.02910).

    Args:
        logits: (B, R, K, D, H, W), any floating type; computed in float32.

    Returns:
        The mean of the branches' softmaxes (B, K, D, H, W), and the disagreement (B, D, H, W), zeros for one branch.
    """
    count, classes = logits.shape[1], logits.shape[2]
    # Classes as planes: the passes below then run along memory, which a network's channels-last output does not.
    log_probability = logits.float().contiguous().log_softmax(dim=2)
    branches = log_probability.exp()
    mean = branches.mean(dim=1)
    if count == 1:
        return mean, torch.zeros_like(mean[:, 0])
    of_each = (log_probability.mul_(branches)).sum(dim=(1, 2)).div_(-count)
    information = entropy(mean, dim=1).sub_(of_each)
    return mean, information.div_(math.log(min(count, classes))).clamp_(0, 1)
