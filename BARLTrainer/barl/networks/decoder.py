"""The V-Net decoder with its taps: what both networks have in common.

Shapes: B patches, C channels, K classes, D H W voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from barl.networks.blocks import Conv, ConvStack, Normalization, Up
from barl.networks.halvings import Halvings
from barl.networks.recomputed import added


@dataclass(frozen=True, kw_only=True)
class Taps:
    """What a network shows of its decoder, coarse to fine."""

    logits: tuple[Tensor, ...]
    """One (B, K, D / s, H / s, W / s) a scale, s = 8, 4, 2, 1; less along an axis that is halved late."""

    half_features: Tensor
    """(B, 2 * base, D / 2, H / 2, W / 2): features of the half-resolution block."""

    features: Tensor
    """(B, base, D, H, W): features below the last head."""

    @property
    def finest(self) -> Tensor:
        """Logits at full resolution, (B, K, D, H, W)."""
        return self.logits[-1]


class Decoder(nn.Module):
    """Four levels up, each adding the encoder's skip (Milletari et al. 2016, https://arxiv.org/abs/1606.04797).

    A 1 x 1 x 1 head stands at every level, so that coarse scales can be trained and compared.

    Args:
        num_classes: K, background included.
        base: channels at full resolution.
        kind: normalization.
        dropout: share of channels dropped before the last head.
        halvings: of the encoder, which are taken back here.
    """

    def __init__(self, num_classes: int, base: int, kind: Normalization, dropout: float, halvings: Halvings) -> None:
        super().__init__()
        widths = [16 * base, 8 * base, 4 * base, 2 * base, base]
        depths = [3, 3, 2, 1]
        self.ups = nn.ModuleList(Up(widths[i], widths[i + 1], kind, halvings.stride(3 - i)) for i in range(4))
        self.blocks = nn.ModuleList(
            ConvStack(depths[i], widths[i + 1], widths[i + 1], kind, halvings.kernel(3 - i)) for i in range(4)
        )
        self.heads = nn.ModuleList(Conv(width, num_classes, 1) for width in widths[1:])
        self.dropout = nn.Dropout3d(dropout)

    def forward(self, bottom: Tensor, skips: list[Tensor]) -> Tensor:
        """Logits at full resolution from the bottleneck and the skips (strides 1, 2, 4, 8), which are used up."""
        features = self._features(bottom, skips)
        logits: Tensor = self.heads[-1](self.dropout(features[-1]))
        return logits

    def taps(self, bottom: Tensor, skips: list[Tensor]) -> Taps:
        """All scales at once."""
        features = self._features(bottom, skips)
        inputs = [*features[:-1], self.dropout(features[-1])]
        logits = tuple(head(x) for head, x in zip(self.heads, inputs, strict=True))
        return Taps(logits=logits, half_features=features[2], features=features[3])

    def _features(self, bottom: Tensor, skips: list[Tensor]) -> list[Tensor]:
        features = []
        x = bottom
        for up, block in zip(self.ups, self.blocks, strict=True):
            x = block(added(up(x), skips.pop()))  # Nobody holds the skip while the block computes.
            features.append(x)
        return features
