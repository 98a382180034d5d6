"""Dual-distribution alignment: two codes of one image say the same, and what the code of its mask says.

SemiGDA (Huang et al. 2026, https://arxiv.org/abs/2604.23274) aligns means and variances of Gaussian codes; its released
code, the means by their squared difference. Both together are the squared 2-Wasserstein distance.

Shapes: B patches, Z latent channels, d h w latent cells of 8 voxels' edge, D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from barl.losses.reduction import totals
from barl.losses.supervised import NOT_ANNOTATED

_TINY = 1e-8


def wasserstein(mean: Tensor, deviation: Tensor, other_mean: Tensor, other_deviation: Tensor) -> Tensor:
    """(m - m')^2 + (s - s')^2 of each channel and cell: W_2^2 of two normal distributions of one dimension.

    All arguments and the result are (B, Z, d, h, w).
    """
    return (mean - other_mean).square() + (deviation - other_deviation).square()


def divergence_from_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(m, s^2) || N(0, 1)) = (m^2 + s^2 - 1 - ln s^2) / 2 of each channel and cell, all (B, Z, d, h, w)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def mean_over_cells(values: Tensor, weight: Tensor) -> Tensor:
    """sum w x / sum w over cells and channels; 0 where no cell counts.

    Args:
        values: (B, Z, d, h, w).
        weight: (B, 1, d, h, w), see :func:`known_share`.
    """
    total, count = totals((values * weight).sum(), weight.sum())
    return total / (count * values.shape[1]).clamp(min=_TINY)


def known_share(label: Tensor, cell: tuple[int, int, int]) -> Tensor:
    """Share of annotated voxels in each latent cell.

    A code of a mask says as much about a cell as is known of it.

    Args:
        label: (B, D, H, W) class index, 255 where not annotated.
        cell: its voxels along each axis.

    Returns:
        (B, 1, d, h, w), 0 to 1.
    """
    return functional.avg_pool3d((label != NOT_ANNOTATED).unsqueeze(1).float(), cell)


def known_classes(label: Tensor, num_classes: int) -> Tensor:
    """(B, D, H, W) to (B, K, D, H, W) float32: 1 where a voxel is of a class, all 0 where nobody annotated it."""
    index = torch.arange(num_classes, device=label.device).view(1, -1, 1, 1, 1)
    return (label.unsqueeze(1) == index).float()
