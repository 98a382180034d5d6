"""How unsure a prediction is, voxel by voxel, and which voxels are sure enough.

Shapes: B patches, K classes, D H W voxels.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-8
_MOST_SORTED = 65_536


def entropy(probability: Tensor) -> Tensor:
    """-sum_c p_c ln p_c of every voxel, 0 to ln K: (B, K, D, H, W) to (B, D, H, W)."""
    return -(probability * probability.clamp(min=_TINY).log()).sum(dim=1)


def below_quantile(values: Tensor, share: float) -> Tensor:
    """Which values belong to the lowest ``share`` of them; bool of the same shape, no gradient.

    The bound is read from at most 65,536 evenly spaced values, or sorting would take longer than a network's pass.
    The least value always belongs to them, or a map of equal values would have none.

    Args:
        values: any shape.
        share: 0 to 1.
    """
    flat = values.detach().flatten()
    some = flat[:: max(1, flat.numel() // _MOST_SORTED)]
    return values.detach() <= torch.quantile(some, share)
