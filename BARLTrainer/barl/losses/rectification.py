"""Supervision where two networks dispute with confidence (MCF, Wang et al. 2023,
https://doi.org/10.1109/CVPR52729.2023.01535; also in Dual Networks, https://arxiv.org/abs/2505.17690).

Published for one foreground class; several classes are our completion, with the same numbers for one.

Shapes: B patches, K classes (0 is background), D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from barl.losses.reduction import totals
from barl.losses.supervised import NOT_ANNOTATED


def disputed_voxels(first: Tensor, second: Tensor, confidence: float) -> Tensor:
    """Where the networks' confident foreground differs, (B, D, H, W) bool.

    A network is confident of a foreground class whose probability is the largest and at least ``confidence``. With one
    class this is the exclusive or of both masks.

    Args:
        first: (B, K, D, H, W), a softmax.
        second: the other network's.
        confidence: 0 to 1.
    """
    return _confident_foreground(first, confidence) != _confident_foreground(second, confidence)


def rectification(probability: Tensor, label: Tensor, disputed: Tensor) -> Tensor:
    """sum_v m 1/2 |p - onehot(y)|^2 / sum_v m over annotated, disputed voxels; with two classes (p_1 - y)^2.

    0 with a gradient of 0 where nothing is disputed.

    Args:
        probability: p, (B, K, D, H, W), a softmax.
        label: y, (B, D, H, W) class index, 255 where not annotated.
        disputed: (B, D, H, W) bool, see :func:`disputed_voxels`.
    """
    counted = (disputed & (label != NOT_ANNOTATED)).to(probability.dtype)
    classes = torch.arange(probability.shape[1], device=label.device).view(1, -1, 1, 1, 1)
    squares = (probability - (label.unsqueeze(1) == classes).to(probability.dtype)).square().sum(dim=1)
    distance, voxels = totals((0.5 * counted * squares).sum(), counted.sum())
    return distance / voxels.clamp(min=1)


def _confident_foreground(probability: Tensor, confidence: float) -> Tensor:
    highest, label = probability.detach().max(dim=1)
    return torch.where(highest >= confidence, label, 0)
