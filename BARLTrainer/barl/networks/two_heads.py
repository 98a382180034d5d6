"""One backbone that says two things of each voxel: its class, and how far it is from each class's surface.

DTC (Luo et al. 2021, https://arxiv.org/abs/2009.04448) puts both heads on the last features of a V-Net.

Shapes: B patches, C channels, K classes, D H W voxels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from barl.networks.network import NetworkSettings, init_weights
from barl.networks.vnet import VNet


class TwoTasks(NamedTuple):
    """What the heads say."""

    scales: tuple[Tensor, ...]
    """Logits of the segmentation at all decoder scales, coarse to fine, (B, K, D / s, H / s, W / s)."""

    distance: Tensor
    """(B, K - 1, D, H, W) float32: signed distance a foreground class, -1 to 1, positive inside."""

    @property
    def logits(self) -> Tensor:
        """(B, K, D, H, W) of the segmentation at full resolution."""
        return self.scales[-1]


class TwoHeads(nn.Module):
    """A V-Net with a segmentation and a signed-distance head.

    Args:
        in_channels: channels of the image, 1 or more.
        num_classes: K, background included, 2 to 32.
        settings: size and kind.
        reach: what the distance head's 1 stands for, in voxels. Its tanh is as wide: the features then say voxels, and
            what follows from them moves about as fast as the other head. A tanh of the features themselves, scaled up
            to logits afterwards, would move hundreds of times as fast, and tremble.
    """

    def __init__(self, in_channels: int, num_classes: int, settings: NetworkSettings, reach: float) -> None:
        super().__init__()
        self.reach = reach
        self.backbone = VNet(in_channels, num_classes, settings)
        self.distance_head = nn.Conv3d(settings.base_filters, num_classes - 1, 1)
        init_weights(self.distance_head)

    def forward(self, x: Tensor) -> TwoTasks:
        """(B, C, D, H, W) to what both heads say."""
        taps = self.backbone.taps(x)
        features = self.backbone.decoder.dropout(taps.features)
        # Labels, which distances are compared with, lie in the usual order: half the time of mixed ones.
        distance = self.distance_head(features).float().contiguous()
        return TwoTasks(taps.logits, torch.tanh(distance / self.reach))
