"""What labels teach: cross entropy and soft Dice, deaf to voxels nobody annotated.

Shapes: B patches, K classes (0 is background), D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NOT_ANNOTATED = 255
_SMOOTH = 1e-5


def cross_entropy(log_probability: Tensor, label: Tensor) -> Tensor:
    """Mean of -ln p over the annotated voxels; 0 with a gradient of 0 where there is none.

    Args:
        log_probability: (B, K, D, H, W), a log-softmax, which the Dice term needs as well.
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    total = functional.nll_loss(log_probability, label, ignore_index=NOT_ANNOTATED, reduction="sum")
    return total / (label != NOT_ANNOTATED).sum().clamp(min=1)


def soft_dice(probability: Tensor, label: Tensor) -> Tensor:
    """1 - (2 sum p y + s) / (sum p^2 + sum y^2 + s), mean over the foreground classes, s = 1e-5.

    The sums run over the whole batch and over annotated voxels only (Milletari et al. 2016,
    https://arxiv.org/abs/1606.04797, eq. 1). A class absent from both is no error: its term is near 0.

    Args:
        probability: (B, K, D, H, W), a softmax.
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    known = label != NOT_ANNOTATED
    classes = torch.arange(1, probability.shape[1], device=label.device).view(1, -1, 1, 1, 1)
    target = (label.unsqueeze(1) == classes).to(probability.dtype)
    guess = probability[:, 1:] * known.unsqueeze(1)
    over_voxels = (0, 2, 3, 4)
    overlap = (guess * target).sum(over_voxels)
    size = guess.square().sum(over_voxels) + target.sum(over_voxels)
    return (1 - (2 * overlap + _SMOOTH) / (size + _SMOOTH)).mean()


def dice_ce(logits: Tensor, label: Tensor) -> Tensor:
    """Half cross entropy, half soft Dice: the usual supervised loss of this literature.

    Args:
        logits: (B, K, D, H, W), any floating type; computed in float32.
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    log_probability = logits.float().log_softmax(dim=1)
    return 0.5 * (cross_entropy(log_probability, label) + soft_dice(log_probability.exp(), label))


def deep_dice_ce(scales: tuple[Tensor, ...], label: Tensor) -> Tensor:
    """Deep supervision: sum of dice_ce over the decoder scales, weights 1/8, 1/4, 1/2, 1 from coarse to fine.

    The finest scale keeps the weight that it has alone, so that a learning rate means the same with and without.
    Coarse labels are picked at voxel centers (nearest), so that a 255 never turns into a class.

    Args:
        scales: logits, coarse to fine, (B, K, D / s, H / s, W / s) with s = ..., 4, 2, 1.
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    weights = [2.0 ** (index + 1 - len(scales)) for index in range(len(scales))]
    losses = [w * dice_ce(logits, shrink_label(label, logits)) for w, logits in zip(weights, scales, strict=True)]
    return torch.stack(losses).sum()


def shrink_label(label: Tensor, logits: Tensor) -> Tensor:
    """The label on a coarser scale's grid, (B, D / s, H / s, W / s)."""
    if label.shape[1:] == logits.shape[2:]:
        return label
    step = label.shape[1] // logits.shape[2]
    return label[:, step // 2 :: step, step // 2 :: step, step // 2 :: step]
