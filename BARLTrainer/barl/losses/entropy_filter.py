"""Pseudo labels of two networks together, without the voxels of which neither is sure.

Dual Networks (Lu et al. 2025, https://arxiv.org/abs/2505.17690), after U2PL (Wang et al. 2022,
https://arxiv.org/abs/2203.03884).

Shapes: B patches, K classes (0 is background), D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from barl.losses.entropy import below_quantile, entropy
from barl.losses.reduction import totals
from barl.losses.supervised import NOT_ANNOTATED, cross_entropy


def united_label(first: Tensor, second: Tensor) -> Tensor:
    """Foreground where any network says so, (B, D, H, W) int64.

    Where the networks name two foreground classes, the more probable one (our completion for several classes).

    Args:
        first: (B, K, D, H, W), a softmax.
        second: the other network's.
    """
    (sure, label), (sure_too, label_too) = first.detach().max(dim=1), second.detach().max(dim=1)
    of_first = torch.where((label > 0) == (label_too > 0), sure >= sure_too, label > 0)
    return torch.where(of_first, label, label_too)


def reliable_label(first: Tensor, second: Tensor, share: float) -> Tensor:
    """The united label where the entropy of any network is among the lowest ``share`` of its map, 255 elsewhere.

    Args:
        first: (B, K, D, H, W), a softmax.
        second: the other network's.
        share: of the voxels of a map, 0 to 1.
    """
    sure = below_quantile(entropy(first), share) | below_quantile(entropy(second), share)
    return torch.where(sure, united_label(first, second), NOT_ANNOTATED)


def filtered_supervision(log_probability: Tensor, label: Tensor) -> Tensor:
    """N / N_r times the mean cross entropy over the N_r reliable ones of all N voxels; 0 where there is none.

    Args:
        log_probability: (B, K, D, H, W), a log-softmax.
        label: (B, D, H, W) class index, 255 where unreliable.
    """
    reliable = (label != NOT_ANNOTATED).to(log_probability.dtype)
    kept, voxels = totals(reliable.sum(), torch.ones_like(reliable).sum())
    return voxels / kept.clamp(min=1) * cross_entropy(log_probability, label)
