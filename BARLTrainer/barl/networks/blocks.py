"""The pieces both networks are made of.

Shapes: B patches, C channels, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from barl.networks.halvings import Triple
from barl.networks.recomputed import normalized_relu, sparing

Normalization = Literal["instance", "batch"]
NORMALIZATIONS: tuple[Normalization, ...] = ("instance", "batch")


def norm(kind: Normalization, channels: int) -> nn.Module:
    """Normalization over a patch and channel (instance) or over the whole batch and channel (batch)."""
    return InstanceNorm(channels) if kind == "instance" else nn.BatchNorm3d(channels)


def norm_relu(kind: Normalization, channels: int) -> tuple[nn.Module, nn.Module]:
    """Normalization and ReLU; the second is empty where the first does both, so that layers keep their numbers."""
    if kind == "instance":
        return InstanceNormReLU(channels), nn.Identity()
    return nn.BatchNorm3d(channels), nn.ReLU(inplace=True)


class InstanceNorm(nn.InstanceNorm3d):
    """Instance normalization that keeps channels-last tensors as they are on a CPU.

    torch's own one copies them to the usual layout and the next convolution copies them back: a quarter of a training
    step. Normalizing a batch of one patch is the same and needs no copies; small tensors are not worth the extra calls.
    """

    LEAST_VOXELS = 512

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to the same shape, type and layout."""
        last = torch.channels_last_3d
        if x.device.type != "cpu" or not _has_channels_last(x):
            return super().forward(x)
        if x.shape[2:].numel() < self.LEAST_VOXELS:
            return super().forward(x).contiguous(memory_format=last)
        return torch.cat([self._one(patch) for patch in torch.split(x, 1)])

    def _one(self, patch: Tensor) -> Tensor:
        return functional.batch_norm(patch, None, None, self.weight, self.bias, training=True, eps=self.eps)


class InstanceNormReLU(InstanceNorm):
    """Instance normalization and ReLU; on a CPU what they give is not kept for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to the same shape, type and layout."""
        if x.device.type != "cpu" or x.shape[2:].numel() < self.LEAST_VOXELS:
            return functional.relu(super().forward(x), inplace=True)
        return normalized_relu(x if _has_channels_last(x) else x.contiguous(), self.weight, self.bias, self.eps)


def _has_channels_last(x: Tensor) -> bool:
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last_3d)


class Conv(nn.Conv3d):
    """A convolution that does not keep what can be computed again."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D', H', W')."""
        with sparing(x):
            return super().forward(x)


class UpConv(nn.ConvTranspose3d):
    """A transposed convolution as long as its stride, that does not keep what can be computed again."""

    def __init__(self, in_channels: int, out_channels: int, stride: Triple) -> None:
        super().__init__(in_channels, out_channels, stride, stride=stride, bias=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, D, H, W) to (B, C', D, H, W times the stride)."""
        with sparing(x):
            return super().forward(x, output_size)


def around(kernel: Sequence[int]) -> Triple:
    """Padding with which a convolution of odd lengths keeps the grid."""
    depth, height, width = (length // 2 for length in kernel)
    return depth, height, width


class Conv3(Conv):
    """A padded convolution, 3 voxels long or 1 along an axis that is passed by, safe in bfloat16 on a CPU.

    oneDNN (as of torch 2.13) leaves parts of the bfloat16 weight gradient unwritten when the input is exactly two
    slices deep: the gradient then holds whatever lay in that memory. Those inputs, which the deepest levels have, get
    their padding as slices of their own. ``Testing/Engine/test_networks.py`` shows the fault and its absence.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> None:
        # The normalization that follows subtracts any bias again.
        super().__init__(in_channels, out_channels, kernel, stride=stride, padding=around(kernel), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D, H, W over the stride)."""
        if x.device.type == "cpu" and x.shape[2] == 2 and self.kernel_size[0] == 3:
            deeper = functional.pad(x, (0, 0, 0, 0, 1, 1))
            return functional.conv3d(deeper, self.weight, None, self.stride, (0, *around(self.kernel_size)[1:]))
        return super().forward(x)


class ConvStack(nn.Sequential):
    """``depth`` times convolution, normalization, ReLU; keeps the resolution."""

    def __init__(self, depth: int, in_channels: int, out_channels: int, kind: Normalization, kernel: Triple) -> None:
        layers: list[nn.Module] = []
        for index in range(depth):
            layers += [
                Conv3(in_channels if index == 0 else out_channels, out_channels, kernel),
                *norm_relu(kind, out_channels),
            ]
        super().__init__(*layers)


class Down(nn.Sequential):
    """A coarser grid, by a convolution as long as its stride."""

    def __init__(self, in_channels: int, out_channels: int, kind: Normalization, stride: Triple) -> None:
        super().__init__(
            Conv(in_channels, out_channels, stride, stride=stride, bias=False),
            *norm_relu(kind, out_channels),
        )


class Up(nn.Sequential):
    """A finer grid, by a transposed convolution as long as its stride."""

    def __init__(self, in_channels: int, out_channels: int, kind: Normalization, stride: Triple) -> None:
        super().__init__(
            UpConv(in_channels, out_channels, stride),
            *norm_relu(kind, out_channels),
        )


class ResidualBlock(nn.Module):
    """Two convolutions around a shortcut (He et al. 2016, https://arxiv.org/abs/1512.03385)."""

    def __init__(
        self, in_channels: int, out_channels: int, kind: Normalization, kernel: Triple, stride: Triple = (1, 1, 1)
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Conv3(in_channels, out_channels, kernel, stride),
            *norm_relu(kind, out_channels),
            Conv3(out_channels, out_channels, kernel),
            norm(kind, out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != (1, 1, 1) or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                Conv(in_channels, out_channels, 1, stride=stride, bias=False),
                norm(kind, out_channels),
            )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to (B, C', D, H, W over the stride)."""
        out: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out
