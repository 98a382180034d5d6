"""Two ways from an image to the latent code of its segmentation, as different from each other as they come.

After SemiGDA (Huang et al. 2026, https://arxiv.org/abs/2604.23274), whose image mapping network is a residual U-Net
with attention on the code of a large pretrained autoencoder, and whose other encoder is a ResNet.

Shapes: B patches, C channels, Z latent channels, d h w latent cells of 8 voxels' edge, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from barl.networks.blocks import ConvStack, Down, Normalization, ResidualBlock, Up, norm
from barl.networks.halvings import Halvings
from barl.networks.latent import LATENT_LEVEL, Gaussian, GaussianHead
from barl.networks.network import NetworkSettings, check_patch, init_weights
from barl.networks.res_vnet import RESNET34, stages, stem

_HEADS = 4


class Encoded(NamedTuple):
    """What an encoder makes of an image."""

    code: Gaussian
    """(B, Z, d, h, w)."""

    skips: tuple[Tensor, ...]
    """Features at strides 1, 2, 4, 8 with 1, 2, 4, 8 times the base filters."""


class MappingEncoder(nn.Module):
    """An image code of plain convolutions, then a residual U-Net with self-attention that maps it to a mask's code.

    Args:
        in_channels: channels of the image, 1 or more.
        latent_channels: Z.
        settings: size and kind.
    """

    def __init__(self, in_channels: int, latent_channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        kind, base = settings.normalization, settings.base_filters
        widths = [base, 2 * base, 4 * base, 8 * base]
        depths = (1, 1, 2, 2)
        halvings = settings.halvings
        self.blocks = nn.ModuleList(
            ConvStack(depth, in_channels if level == 0 else width, width, kind, halvings.kernel(level))
            for level, (depth, width) in enumerate(zip(depths, widths, strict=True))
        )
        self.downs = nn.ModuleList(
            Down(before, after, kind, halvings.stride(level)) for level, (before, after) in enumerate(pairwise(widths))
        )
        self.mapping = LatentMapping(8 * base, kind, halvings)
        self.halvings = halvings
        self.dropout = nn.Dropout3d(settings.dropout)
        init_weights(self)
        self.head = GaussianHead(8 * base, latent_channels)

    def forward(self, x: Tensor) -> Encoded:
        """(B, C, D, H, W) to a code and skips."""
        check_patch(x, self.halvings)
        skips = [self.blocks[0](x)]
        for down, block in zip(self.downs, self.blocks[1:], strict=True):
            skips.append(block(down(skips[-1])))
        return Encoded(self.head(self.dropout(self.mapping(skips[-1]))), tuple(skips))


class LatentMapping(nn.Module):
    """A residual U-Net of one level on the latent grid; attention where the grid is coarsest."""

    def __init__(self, channels: int, kind: Normalization, halvings: Halvings) -> None:
        super().__init__()
        kernel, stride = halvings.kernel(LATENT_LEVEL), halvings.stride(LATENT_LEVEL)
        self.before = ResidualBlock(channels, channels, kind, kernel)
        self.down = ResidualBlock(channels, 2 * channels, kind, halvings.kernel(LATENT_LEVEL + 1), stride)
        self.attention = SelfAttention(2 * channels, kind)
        self.up = Up(2 * channels, channels, kind, stride)
        self.after = ResidualBlock(channels, channels, kind, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, d, h, w) to the same shape."""
        near = self.before(x)
        far = self.up(self.attention(self.down(near)))
        mapped: Tensor = self.after(near + far)
        return mapped


class SelfAttention(nn.Module):
    """x + attention of all cells to all cells, four heads (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762)."""

    def __init__(self, channels: int, kind: Normalization) -> None:
        super().__init__()
        self.norm = norm(kind, channels)
        self.ask = nn.Conv3d(channels, 3 * channels, 1, bias=False)
        self.give = nn.Conv3d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, d, h, w) to the same shape."""
        parts = self.ask(self.norm(x)).flatten(2).chunk(3, dim=1)
        query, key, value = (part.unflatten(1, (_HEADS, -1)).transpose(2, 3) for part in parts)
        found = functional.scaled_dot_product_attention(query, key, value)
        attended: Tensor = x + self.give(found.transpose(2, 3).reshape(x.shape))
        return attended


class ResidualEncoder(nn.Module):
    """A ResNet-34 down to stride 8, without its last stage.

    Args:
        in_channels: channels of the image, 1 or more.
        latent_channels: Z.
        settings: size and kind.
        stage_blocks: residual blocks in each stage.
    """

    def __init__(
        self,
        in_channels: int,
        latent_channels: int,
        settings: NetworkSettings,
        stage_blocks: Sequence[int] = RESNET34[:3],
    ) -> None:
        super().__init__()
        base, self.halvings = settings.base_filters, settings.halvings
        self.stem = stem(in_channels, settings)
        self.stages = stages(stage_blocks, settings)
        self.mixing = ConvStack(1, 8 * base, 8 * base, settings.normalization, self.halvings.kernel(LATENT_LEVEL))
        self.dropout = nn.Dropout3d(settings.dropout)
        init_weights(self)
        self.head = GaussianHead(8 * base, latent_channels)

    def forward(self, x: Tensor) -> Encoded:
        """(B, C, D, H, W) to a code and skips."""
        check_patch(x, self.halvings)
        skips = [self.stem(x)]
        for stage in self.stages:
            skips.append(stage(skips[-1]))
        return Encoded(self.head(self.dropout(self.mixing(skips[-1]))), tuple(skips))
