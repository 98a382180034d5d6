"""What labels teach: cross entropy and soft Dice, deaf to voxels nobody annotated.

Shapes: B patches, K classes (0 is background), D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from barl.losses.reduction import totals

NOT_ANNOTATED = 255
_SMOOTH = 1e-5


def cross_entropy(log_probability: Tensor, label: Tensor) -> Tensor:
    """Mean of -ln p over the annotated voxels; 0 with a gradient of 0 where there is none.

    Args:
        log_probability: (B, K, D, H, W), a log-softmax, which the Dice term needs as well.
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    return _mean(*totals(*_error_sums(log_probability, label)))


def soft_dice(probability: Tensor, label: Tensor) -> Tensor:
    """1 - (2 sum p y + s) / (sum p^2 + sum y^2 + s), mean over the foreground classes, s = 1e-5.

    The sums run over the whole batch and over annotated voxels only (Milletari et al. 2016,
    https://arxiv.org/abs/1606.04797, eq. 1). A class absent from both is no error: its term is near 0.

    Args:
        probability: (B, K, D, H, W), a softmax.
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    return _dice(*totals(*_overlap_sums(probability, label)))


def dice_ce(logits: Tensor, label: Tensor) -> Tensor:
    """Half cross entropy, half soft Dice: the usual supervised loss of this literature.

    Args:
        logits: (B, K, D, H, W), any floating type; computed in float32.
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    log_probability = logits.float().log_softmax(dim=1)
    return dice_ce_of(log_probability, log_probability.exp(), label)


def dice_ce_of(log_probability: Tensor, probability: Tensor, label: Tensor) -> Tensor:
    """:func:`dice_ce` of a log-softmax and its softmax, where both are at hand for other terms too.

    Args:
        log_probability: (B, K, D, H, W) float32 or float64.
        probability: the same shape.
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    sums = (*_error_sums(log_probability, label), *_overlap_sums(probability, label))
    error, known, overlap, size = totals(*sums)
    return 0.5 * (_mean(error, known) + _dice(overlap, size))


def deep_dice_ce(scales: tuple[Tensor, ...], label: Tensor) -> Tensor:
    """Deep supervision: sum of dice_ce over the decoder scales, weights 1/8, 1/4, 1/2, 1 from coarse to fine.

    The finest scale keeps the weight that it has alone, so that a learning rate means the same with and without.
    Coarse labels are picked at voxel centers (nearest), so that a 255 never turns into a class.

    Args:
        scales: logits, coarse to fine, (B, K, D / s, H / s, W / s) with s = ..., 4, 2, 1 (less along axes that the
            network halves late).
        label: (B, D, H, W) class index, 255 where not annotated.
    """
    weights = [2.0 ** (index + 1 - len(scales)) for index in range(len(scales))]
    losses = [w * dice_ce(logits, shrink_label(label, logits)) for w, logits in zip(weights, scales, strict=True)]
    return torch.stack(losses).sum()


def shrink_label(label: Tensor, logits: Tensor) -> Tensor:
    """The label on a coarser scale's grid, (B, D / s, H / s, W / s)."""
    if label.shape[1:] == logits.shape[2:]:
        return label
    steps = [fine // coarse for fine, coarse in zip(label.shape[1:], logits.shape[2:], strict=True)]
    deep, high, wide = (slice(step // 2, None, step) for step in steps)
    return label[:, deep, high, wide]


def _error_sums(log_probability: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of -ln p over the annotated voxels, and their number."""
    error = functional.nll_loss(log_probability, label, ignore_index=NOT_ANNOTATED, reduction="sum")
    return error, (label != NOT_ANNOTATED).sum()


def _mean(total: Tensor, count: Tensor) -> Tensor:
    return total / count.clamp(min=1)


def _overlap_sums(probability: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of p y and of p^2 + y^2 over annotated voxels, (K - 1,) each: one a foreground class."""
    known = label != NOT_ANNOTATED
    classes = torch.arange(1, probability.shape[1], device=label.device).view(1, -1, 1, 1, 1)
    target = (label.unsqueeze(1) == classes).to(probability.dtype)
    guess = probability[:, 1:] * known.unsqueeze(1)
    over_voxels = (0, 2, 3, 4)
    return (guess * target).sum(over_voxels), guess.square().sum(over_voxels) + target.sum(over_voxels)


def _dice(overlap: Tensor, size: Tensor) -> Tensor:
    return (1 - (2 * overlap + _SMOOTH) / (size + _SMOOTH)).mean()
