"""The V-Net decoder on a 3-D ResNet encoder, the structurally different second branch.

The pairing is that of MCF (Wang et al. 2023, https://doi.org/10.1109/CVPR52729.2023.01535) and Dual Networks
(https://arxiv.org/abs/2505.17690): stem 7 x 7 x 7 at full resolution, then four stages of stride 2.
"""

from __future__ import annotations

from torch import Tensor, nn

from barl.networks.blocks import Normalization, ResidualBlock, norm_relu
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
        kind = settings.normalization
        base = settings.base_filters
        self.stem = nn.Sequential(nn.Conv3d(in_channels, base, 7, padding=3, bias=False), *norm_relu(kind, base))
        self.stages = nn.ModuleList(
            _stage(base * 2**level, base * 2 ** (level + 1), blocks, kind) for level, blocks in enumerate(stage_blocks)
        )
        init_weights(self)

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Bottleneck at stride 16 and skips at strides 1, 2, 4, 8."""
        x = self.stem(x)
        skips = [x]
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        return skips[-1], skips[:-1]


def _stage(in_channels: int, out_channels: int, blocks: int, kind: Normalization) -> nn.Sequential:
    first = ResidualBlock(in_channels, out_channels, 2, kind)
    return nn.Sequential(first, *(ResidualBlock(out_channels, out_channels, 1, kind) for _ in range(blocks - 1)))
