"""How much two tasks' common guess of a voxel may be trusted, and what is learned from it.

Shapes: B patches, K classes (0 is background), D H W voxels.
"""

from __future__ import annotations

import math

from torch import Tensor

from barl.losses.entropy import entropy
from barl.losses.reduction import totals

_TINY = 1e-8


def certainty_by_entropy(first: Tensor, second: Tensor) -> Tensor:
    """u = 1 - H((p + q) / 2) / ln K: 1 where both are sure of one class, 0 where their mean says nothing.

    Args:
        first: p, (B, K, D, H, W), a softmax.
        second: q, the same shape.

    Returns:
        (B, D, H, W), 0 to 1.
    """
    return (1 - entropy((first + second) / 2) / math.log(first.shape[1])).clamp(min=0)


def certainty_by_agreement(first: Tensor, second: Tensor) -> Tensor:
    """u = exp(-JS(p, q)) with JS = H((p + q) / 2) - (H(p) + H(q)) / 2: 1 where both agree, 1/2 where they contradict.

    Args:
        first: p, (B, K, D, H, W), a softmax.
        second: q, the same shape.

    Returns:
        (B, D, H, W), 0.5 to 1.
    """
    apart = entropy((first + second) / 2) - (entropy(first) + entropy(second)) / 2
    return (-apart.clamp(min=0)).exp()


def weighted_cross_entropy(log_probability: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """sum_v u (-ln p_label) / sum_v u; 0 where no voxel counts.

    Args:
        log_probability: ln p, (B, K, D, H, W).
        label: (B, D, H, W) class index, every voxel one of the K.
        weight: u, (B, D, H, W), 0 or more, without gradient.
    """
    wrong = -log_probability.gather(1, label.unsqueeze(1))[:, 0]
    return weighted_mean(wrong, weight)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """sum_v u x / sum_v u over two tensors of one shape; 0 where no voxel counts."""
    total, count = totals((weight * values).sum(), weight.sum())
    return total / count.clamp(min=_TINY)
