"""Skip adapters: how a branch adds its encoder's details to a decoder that it shares with another branch.

SemiGDA (Huang et al. 2026, https://arxiv.org/abs/2604.23274) joins the decoder's feature and the encoder's skip and
passes them through a residual adapter of the branch's own.

Shapes: B patches, C channels, D H W voxels of a level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from barl.networks.blocks import norm
from barl.networks.network import NetworkSettings, init_weights

_SMALL = 0.1
"""Adapters begin with little of their own to say: the decoder has learned without them."""


class SkipAdapter(nn.Module):
    """x + A(x, skip) on one level; 1 x 1 x 1, for the decoder's own block looks at the neighborhood."""

    def __init__(self, channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.mix = nn.Conv3d(2 * channels, channels, 1, bias=False)
        self.norm = norm(settings.normalization, channels)
        self.activation = nn.ReLU(inplace=True)
        self.give = nn.Conv3d(channels, channels, 1)
        init_weights(self)
        with torch.no_grad():
            self.give.weight.mul_(_SMALL)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Two (B, C, D, H, W) to one of this shape."""
        mixed = self.activation(self.norm(self.mix(torch.cat([x, skip], dim=1))))
        adapted: Tensor = x + self.give(mixed)
        return adapted


class SkipAdapters(nn.Module):
    """One adapter a decoder level, from stride 8 to full resolution.

    Args:
        settings: size and kind.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.levels = nn.ModuleList(SkipAdapter(settings.base_filters * width, settings) for width in (8, 4, 2, 1))

    def forward(self, x: Tensor, skip: Tensor, level: int) -> Tensor:
        """The adapted feature of a level, 0 at stride 8."""
        adapted: Tensor = self.levels[level](x, skip)
        return adapted
