"""The V-Net decoder on a 3-D ResNet encoder, the structurally different second branch.

The pairing is that of MCF (Wang et al. 2023, https://doi.org/10.1109/CVPR52729.2023.01535) and Dual Networks
(https://arxiv.org/abs/2505.17690): stem 7 x 7 x 7 at full resolution, then four stages of stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from barl.networks.blocks import ResidualBlock, around, norm_relu
from barl.networks.network import EncoderDecoder, NetworkSettings, init_weights

RESNET34 = (3, 4, 6, 3)
RESNET18 = (2, 2, 2, 2)


class ResVNet(EncoderDecoder):
    """Four levels of residual blocks down, the V-Net decoder up.

    Args:
        in_channels: channels of the image, 1 or more.
        num_classes: K, background included, 2 to 32.
        settings: size and kind.
        stage_blocks: residual blocks in each stage.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        settings: NetworkSettings,
        stage_blocks: tuple[int, int, int, int] = RESNET34,
    ) -> None:
        super().__init__(num_classes, settings)
        self.stem = stem(in_channels, settings)
        self.stages = stages(stage_blocks, settings)
        init_weights(self)

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Bottleneck at stride 16 and skips at strides 1, 2, 4, 8."""
        x = self.stem(x)
        skips = [x]
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        return skips[-1], skips[:-1]


def stem(in_channels: int, settings: NetworkSettings) -> nn.Sequential:
    """The first convolution, at full resolution: 7 voxels long, 1 along an axis that is passed by."""
    kind, base = settings.normalization, settings.base_filters
    kernel = settings.halvings.kernel(0, 7)
    return nn.Sequential(
        nn.Conv3d(in_channels, base, kernel, padding=around(kernel), bias=False), *norm_relu(kind, base)
    )


def stages(stage_blocks: Sequence[int], settings: NetworkSettings) -> nn.ModuleList:
    """Stages of residual blocks, each of which halves first and has twice as many channels as the one before."""
    return nn.ModuleList(_stage(level, blocks, settings) for level, blocks in enumerate(stage_blocks))


def _stage(level: int, blocks: int, settings: NetworkSettings) -> nn.Sequential:
    kind, before, halvings = settings.normalization, settings.base_filters * 2**level, settings.halvings
    kernel = halvings.kernel(level + 1)
    first = ResidualBlock(before, 2 * before, kind, kernel, halvings.stride(level))
    return nn.Sequential(first, *(ResidualBlock(2 * before, 2 * before, kind, kernel) for _ in range(blocks - 1)))
