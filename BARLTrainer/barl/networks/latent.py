"""Segmentations as Gaussians on a coarse grid, and one decoder that turns them into segmentations again.

SemiGDA (Huang et al. 2026, https://arxiv.org/abs/2604.23274) takes both from a large pretrained autoencoder of
pictures; here they are small and learn from the cohort's own annotations.

Shapes: B patches, K classes, Z latent channels, d h w latent cells of 8 voxels' edge, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from barl.networks.adapters import SkipAdapters
from barl.networks.blocks import Conv, ConvStack, Down, Up
from barl.networks.network import NetworkSettings, init_weights

LATENT_LEVEL = 3
"""Halvings down to the latent grid: cells of 8 voxels' edge, as in the published system."""

_MOST = 6.0
"""Largest logarithm of a variance in size: e^-6 to e^6 is all there is, and none of it overflows."""


_LEAST_VARIANCE = 0.1
"""What the mask encoder adds to a variance before it divides by it; half a mask of 0 and 1 has 0.25."""

_FIRST = -3.0
"""Logarithm of a variance in the beginning."""


class Gaussian(NamedTuple):
    """Independent normal distributions, one a channel and cell."""

    mean: Tensor
    """(B, Z, d, h, w) float32, or float64 where the networks are."""

    log_variance: Tensor
    """The same shape."""

    @property
    def deviation(self) -> Tensor:
        """Standard deviation, the same shape."""
        return torch.exp(0.5 * self.log_variance)

    def detached(self) -> Gaussian:
        """Without gradient."""
        return Gaussian(self.mean.detach(), self.log_variance.detach())

    def patches(self, first: int, last: int | None = None) -> Gaussian:
        """Some of the batch."""
        return Gaussian(self.mean[first:last], self.log_variance[first:last])


class GaussianHead(nn.Module):
    """Features to a Gaussian; all begin narrow, or noise would hide the first codes and their variances all else."""

    def __init__(self, in_channels: int, latent_channels: int) -> None:
        super().__init__()
        self.mean = nn.Conv3d(in_channels, latent_channels, 1)
        self.log_variance = nn.Conv3d(in_channels, latent_channels, 1)
        for part, gain in ((self.mean, 1.0), (self.log_variance, 0.1)):
            nn.init.normal_(part.weight, std=gain * in_channels**-0.5)

    def forward(self, features: Tensor) -> Gaussian:
        """(B, C, d, h, w) to a Gaussian on the same grid."""
        mean, log_variance = (_exact(part(features)) for part in (self.mean, self.log_variance))
        return Gaussian(mean, (log_variance + _FIRST).clamp(-_MOST, _MOST))


def _exact(x: Tensor) -> Tensor:
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class MaskEncoder(nn.Module):
    """From a label to the Gaussian of its latent code.

    Masks have no noise, and a patch that is nearly all one class hardly varies: usual normalization would blow up a
    voxel, or a rounding error, to a whole code. Here what varies little stays small, and the shares of the classes in
    each cell, given to the head directly, tell such patches apart.

    Args:
        num_classes: K.
        latent_channels: Z.
        settings: size and kind; half of the base filters suffice for what has no noise.
    """

    def __init__(self, num_classes: int, latent_channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        kind, base = settings.normalization, settings.base_filters
        layers: list[nn.Module] = []
        widths = [num_classes, base, 2 * base, 4 * base]
        for level, (before, after) in enumerate(pairwise(widths)):
            layers += [
                Down(before, after, kind, settings.halvings.stride(level)),
                ConvStack(1, after, after, kind, settings.halvings.kernel(level + 1)),
            ]
        self.body = nn.Sequential(*layers)
        for part in self.body.modules():
            if isinstance(part, nn.InstanceNorm3d | nn.BatchNorm3d):
                part.eps = _LEAST_VARIANCE
        self.shares = nn.AvgPool3d(settings.halvings.shrink(LATENT_LEVEL))
        init_weights(self)
        self.head = GaussianHead(widths[-1] + num_classes, latent_channels)

    def forward(self, classes: Tensor) -> Gaussian:
        """(B, K, D, H, W), 1 where a voxel is of a class and 0 elsewhere, all 0 where unknown."""
        classes = classes.to(self.head.mean.weight.dtype)
        code: Gaussian = self.head(torch.cat([self.body(classes), self.shares(classes)], dim=1))
        return code


class LatentDecoder(nn.Module):
    """From a latent code, and skips where there are any, to logits; what all codes share.

    Args:
        num_classes: K.
        latent_channels: Z.
        settings: size and kind.
    """

    def __init__(self, num_classes: int, latent_channels: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.num_classes = num_classes
        kind, base, halvings = settings.normalization, settings.base_filters, settings.halvings
        widths = [8 * base, 4 * base, 2 * base, base]
        self.entry = nn.Conv3d(latent_channels, widths[0], 1)
        self.ups = nn.ModuleList(
            Up(before, after, kind, halvings.stride(2 - index))
            for index, (before, after) in enumerate(pairwise(widths))
        )
        self.blocks = nn.ModuleList(
            ConvStack(depth, width, width, kind, halvings.kernel(3 - index))
            for index, (depth, width) in enumerate(zip((2, 2, 2, 1), widths, strict=True))
        )
        self.dropout = nn.Dropout3d(settings.dropout)
        self.head = Conv(base, num_classes, 1)
        self.coarse_heads = nn.ModuleList(Conv(width, num_classes, 1) for width in widths[:-1])
        self.register_load_state_dict_pre_hook(_with_coarse_heads)  # type: ignore[no-untyped-call]
        init_weights(self)

    def forward(
        self, code: Tensor, skips: Sequence[Tensor] | None = None, adapters: SkipAdapters | None = None
    ) -> tuple[Tensor, ...]:
        """A code, and a branch's skips through its adapters where there are any, to logits at all scales.

        Args:
            code: (B, Z, d, h, w).
            skips: of the branch's encoder, at strides 1, 2, 4, 8.
            adapters: of the branch.

        Returns:
            Logits coarse to fine, (B, K, D / s, H / s, W / s), s = 8, 4, 2, 1.
        """
        logits: list[Tensor] = []
        x = self.entry(code)
        for level, block in enumerate(self.blocks):
            if level > 0:
                x = self.ups[level - 1](x)
            if skips is not None and adapters is not None:
                x = adapters(x, skips[-1 - level], level)
            x = block(x)
            if level < len(self.coarse_heads):
                logits.append(self.coarse_heads[level](x))
        return (*logits, self.head(self.dropout(x)))


def _with_coarse_heads(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Models of earlier versions have no coarse heads, which no prediction asks: fresh ones take their place."""
    fresh = module.state_dict(prefix=prefix)
    if f"{prefix}head.weight" in state:
        state |= {key: fresh[key] for key in fresh if key.startswith(f"{prefix}coarse_heads.") and key not in state}
