"""The pieces both networks are made of.

Shapes: B patches, C channels, D H W voxels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Normalization = Literal["instance", "batch"]
NORMALIZATIONS: tuple[Normalization, ...] = ("instance", "batch")


def norm(kind: Normalization, channels: int) -> nn.Module:
    """Normalization over a patch and channel (instance) or over the whole batch and channel (batch)."""
    if kind == "instance":
        return nn.InstanceNorm3d(channels, affine=True)
    return nn.BatchNorm3d(channels)


class Conv3(nn.Conv3d):
    """A 3 x 3 x 3 convolution with padding 1 that is safe in bfloat16 on a CPU.

    oneDNN (as of torch 2.13) leaves parts of the bfloat16 weight gradient unwritten when the input is exactly two
    slices deep: the gradient then holds whatever lay in that memory. Those inputs, which only the deepest level ever
    has, are computed in float32 instead. ``Testing/Engine/test_networks.py`` shows the fault and its absence here.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        # The normalization that follows subtracts any bias again.
        super().__init__(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D / stride, H / stride, W / stride)."""
        if x.device.type == "cpu" and x.shape[2] == 2:
            with torch.autocast("cpu", enabled=False):
                return functional.conv3d(x.float(), self.weight.float(), None, self.stride, self.padding)
        return super().forward(x)


class ConvStack(nn.Sequential):
    """``depth`` times 3 x 3 x 3 convolution, normalization, ReLU; keeps the resolution."""

    def __init__(self, depth: int, in_channels: int, out_channels: int, kind: Normalization) -> None:
        layers: list[nn.Module] = []
        for index in range(depth):
            layers += [
                Conv3(in_channels if index == 0 else out_channels, out_channels),
                norm(kind, out_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class Down(nn.Sequential):
    """Half the resolution by a 2 x 2 x 2 convolution of stride 2."""

    def __init__(self, in_channels: int, out_channels: int, kind: Normalization) -> None:
        super().__init__(
            nn.Conv3d(in_channels, out_channels, 2, stride=2, bias=False),
            norm(kind, out_channels),
            nn.ReLU(inplace=True),
        )


class Up(nn.Sequential):
    """Double the resolution by a 2 x 2 x 2 transposed convolution of stride 2."""

    def __init__(self, in_channels: int, out_channels: int, kind: Normalization) -> None:
        super().__init__(
            nn.ConvTranspose3d(in_channels, out_channels, 2, stride=2, bias=False),
            norm(kind, out_channels),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions around a shortcut (He et al. 2016, https://arxiv.org/abs/1512.03385)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, kind: Normalization) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv3(in_channels, out_channels, stride),
            norm(kind, out_channels),
            nn.ReLU(inplace=True),
            Conv3(out_channels, out_channels),
            norm(kind, out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, stride=stride, bias=False),
                norm(kind, out_channels),
            )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D / stride, H / stride, W / stride)."""
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out
