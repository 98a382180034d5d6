"""Two networks that learn side by side."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from barl.errors import SettingsError
from barl.networks import EncoderDecoder, NetworkSettings, ResVNet, VNet

SecondNetwork = Literal["same", "residual"]
SECOND_NETWORKS: tuple[SecondNetwork, ...] = ("same", "residual")


class Pair(nn.Module):
    """A V-Net and a second network, each with its own random start."""

    def __init__(self, in_channels: int, num_classes: int, network: NetworkSettings, second: SecondNetwork) -> None:
        super().__init__()
        self.first: EncoderDecoder = VNet(in_channels, num_classes, network)
        kind = VNet if second == "same" else ResVNet
        self.second: EncoderDecoder = kind(in_channels, num_classes, network)

    def predict(self, patch: Tensor) -> Tensor:
        """Both networks' logits of a patch (B, C, D, H, W), (B, 2, K, D, H, W)."""
        return torch.stack([self.first(patch), self.second(patch)], dim=1)


def check_second_network(value: str) -> None:
    """Refuse what no second network can be.

    Raises:
        SettingsError: the value is none of ``SECOND_NETWORKS``.
    """
    if value not in SECOND_NETWORKS:
        raise SettingsError(f"second_network must be one of {SECOND_NETWORKS}, got {value!r}")
