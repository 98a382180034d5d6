"""What unlabeled patches teach: agreement between two predictions.

Shapes: B patches, K classes (0 is background), D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from barl.losses.supervised import NOT_ANNOTATED, dice_ce


def squared_distance(probability: Tensor, belief: Tensor) -> Tensor:
    """Mean over voxels and classes of (p - q)^2 (Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780).

    A mean over whole patches: that of several processes with equally many patches is the mean of theirs.

    Args:
        probability: (B, K, D, H, W), a softmax.
        belief: the same shape; carries no gradient where the caller stopped it.
    """
    return (probability - belief).square().mean()


def confident_label(belief: Tensor, threshold: float) -> Tensor:
    """The most likely class where its probability exceeds the threshold, 255 elsewhere.

    Args:
        belief: (B, K, D, H, W), a softmax.
        threshold: least probability, 0 to 1.

    Returns:
        (B, D, H, W) int64 without gradient.
    """
    confidence, label = belief.detach().max(dim=1)
    return torch.where(confidence > threshold, label, NOT_ANNOTATED)


def pseudo_supervision(logits: Tensor, pseudo_label: Tensor) -> Tensor:
    """Half cross entropy, half soft Dice against the confident labels of another view or branch.

    1/2 [ sum_v m CE(p, y) / sum_v m  +  Dice over voxels with m = 1 ], where m = 0 is written as label 255
    (FixMatch's confidence mask, https://arxiv.org/abs/2001.07685, crossed between branches as in
    cross pseudo supervision, https://arxiv.org/abs/2106.01226).

    Args:
        logits: (B, K, D, H, W).
        pseudo_label: (B, D, H, W) class index, 255 where nobody is confident.
    """
    return dice_ce(logits, pseudo_label)


def cosine_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean over voxels of 1 - cos(p, q), the angle between class vectors; 0 to 1 for probabilities.

    Args:
        first: (B, K, D, H, W), a softmax, so that no vector has length 0.
        second: the same shape; both sides carry a gradient unless the caller stopped it.
    """
    product = (first * second).sum(dim=1)
    # In parts, torch's own cosine_similarity takes three times as long here.
    lengths = first.square().sum(dim=1) * second.square().sum(dim=1)
    return 1 - (product * lengths.rsqrt()).mean()
