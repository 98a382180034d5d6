"""Pseudo labels that count less the further two networks are apart (URPC's rectification, Luo et al. 2021,
https://arxiv.org/abs/2012.07042, between networks as in Dual Networks, https://arxiv.org/abs/2505.17690).

Shapes: B patches, K classes, D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from barl.losses.bias_correction import divergence


def discounted_supervision(log_probability: Tensor, belief: Tensor) -> Tensor:
    """mean_v [exp(-KL(q || p)) CE(p, argmax q)] + mean_v KL(q || p), KL with its gradient in both places.

    The second term keeps the first from being made small on purpose.

    Args:
        log_probability: ln p of the network that learns, (B, K, D, H, W).
        belief: q of the network that teaches, the same shape, a softmax; no gradient passes through it.
    """
    taught = belief.detach()
    apart = divergence(log_probability, taught)
    wrong = functional.nll_loss(log_probability, taught.max(dim=1).indices, reduction="none")
    return (torch.exp(-apart) * wrong).mean() + apart.mean()
