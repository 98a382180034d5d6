"""What methods expect of a network, and what users may choose about it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from barl.errors import SettingsError
from barl.networks.blocks import NORMALIZATIONS, Normalization
from barl.networks.decoder import Decoder, Taps
from barl.networks.halvings import Halvings

MAX_CLASSES = 32


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Size and kind of a network; the same for all branches of a method."""

    base_filters: int = 16
    """Channels at full resolution; each level down has twice as many."""

    normalization: Normalization = "instance"
    """`instance` does not depend on what else is in the batch, so weak and strong views cannot leak into each other."""

    dropout: float = 0.0
    """Share of channels dropped at the bottleneck and before the head."""

    late_halvings: tuple[int, ...] = ()
    """How many of the first halvings of the grid pass an axis by (head to foot, front to back, side to side), where its
    voxels are much longer than the others. Empty: a new training decides by the cohort's spacing; its model's card
    says how."""

    def __post_init__(self) -> None:
        _ = self.halvings
        if self.normalization not in NORMALIZATIONS:
            raise SettingsError(f"normalization must be one of {NORMALIZATIONS}, got {self.normalization!r}")
        if not 4 <= self.base_filters <= 64:
            raise SettingsError(f"base_filters must be from 4 to 64, got {self.base_filters}")
        if not 0.0 <= self.dropout < 1.0:
            raise SettingsError(f"dropout must be from 0 up to, but not including, 1, got {self.dropout}")

    @property
    def halvings(self) -> Halvings:
        """How the networks halve their grid; all axes alike where nothing is said."""
        return Halvings(self.late_halvings or (0, 0, 0))


class EncoderDecoder(nn.Module):
    """An encoder with four skips and the tapped decoder.

    ``forward`` gives the finest logits only, as inference needs; ``taps`` gives every scale, as training does.

    Raises:
        SettingsError: the number of classes is outside 2 to 32, or a patch is no multiple of 16 voxels (less along an
            axis that is halved late).
    """

    def __init__(self, num_classes: int, settings: NetworkSettings) -> None:
        super().__init__()
        if not 2 <= num_classes <= MAX_CLASSES:
            raise SettingsError(f"a network has 2 to {MAX_CLASSES} classes, background included, got {num_classes}")
        self.halvings = settings.halvings
        self.decoder = Decoder(
            num_classes, settings.base_filters, settings.normalization, settings.dropout, self.halvings
        )
        self.bottleneck_dropout = nn.Dropout3d(settings.dropout)

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Bottleneck and skips (strides 1, 2, 4, 8) of a patch (B, C, D, H, W)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to logits (B, K, D, H, W)."""
        bottom, skips = self._checked(x)
        logits: Tensor = self.decoder(bottom, skips)
        return logits

    def taps(self, x: Tensor) -> Taps:
        """(B, C, D, H, W) to logits at all scales and the features below them."""
        bottom, skips = self._checked(x)
        return self.decoder.taps(bottom, skips)

    def _checked(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        check_patch(x, self.halvings)
        bottom, skips = self.encode(x)
        return self.bottleneck_dropout(bottom), skips


def check_patch(x: Tensor, halvings: Halvings) -> None:
    """Refuse a patch, (B, C, D, H, W), whose deepest level would hold parts of voxels.

    Raises:
        SettingsError: an extent is no multiple of what it is halved by.
    """
    if not halvings.fit(x.shape[2:]):
        raise SettingsError(f"patch sizes must be multiples of {halvings} voxels, got {tuple(x.shape[2:])}")


def init_weights(module: nn.Module) -> None:
    """He initialization for convolutions, as both papers' networks use it; leaves normalization at its default."""
    for part in module.modules():
        if isinstance(part, nn.Conv3d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                torch.nn.init.zeros_(part.bias)
