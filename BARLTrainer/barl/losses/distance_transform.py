"""How far each voxel is from a set of voxels: exactly for hard sets, differentiably for soft ones.

All distances are Euclidean, between centers of voxels, in voxels of the patch's own grid, and end at a reach: what is
farther away than that counts as that far. Sets that lie beyond the patch are not seen.

Shapes: B patches, M sets, D H W voxels.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

_RATIO = 1.5
"""Between the widths of neighboring Gaussians: the sum is then within 0.05 voxels of exp(-r / h) once read as r."""

_SHORT_REACH = 11
"""Where squares still fit into 8 bits: 11 * 11 + 10 * 10 is below 256."""


def distance_to(members: Tensor, reach: int) -> Tensor:
    """Exact distance to the nearest member, at most ``reach``.

    Args:
        members: (B, M, D, H, W) bool.
        reach: voxels, 1 to 100.

    Returns:
        (B, M, D, H, W) float32; 0 in the set, ``reach`` everywhere where the set is empty.
    """
    return squared_distance_to(members, reach).float().sqrt()


def squared_distance_to(members: Tensor, reach: int) -> Tensor:
    """Its square, in whole numbers: who compares distances needs no roots; min-plus along one axis after the other.

    d^2(v) = min over offsets of |offset|^2 + far * [v + offset is no member], which separates into axes (Saito and
    Toriwaki 1994, https://doi.org/10.1016/0031-3203(94)90133-3). Runs on the tensor's device.

    Args:
        members: (B, M, D, H, W) bool.
        reach: voxels, 1 to 100: squares are kept in 16 bits, up to 11 voxels in 8.

    Returns:
        (B, M, D, H, W) uint8 or int16; 0 in the set, ``reach`` squared everywhere where the set is empty.
    """
    kind = torch.uint8 if reach <= _SHORT_REACH else torch.int16
    square = (~members).to(kind) * (reach * reach)
    for axis in (-1, -2, -3):
        square = _nearest_along(square, axis, reach)
    return square


def soft_distance_to(membership: Tensor, reach: float, smoothness: float) -> Tensor:
    """D(v) = -h ln sum_u m(u) exp(-|u - v| / h), the differentiable distance to a soft set, at most ``reach``.

    DBiSL's transformer (Li 2026, https://arxiv.org/abs/2602.09378) after the convolutional distance transform (Pham et
    al. 2021, https://doi.org/10.24963/ijcai.2021/83). For a hard set it is the distance to the nearest member minus h
    times the logarithm of how many are about as near: at most 0.9 voxels too short within 10 voxels at h = 0.15.

    Args:
        membership: (B, M, D, H, W), 0 to 1, floating; not autocast.
        reach: voxels.
        smoothness: h, voxels. exp(-reach / h) must be a number: reach at most 80 h.

    Returns:
        (B, M, D, H, W) of the same type, slightly below 0 inside a large set.
    """
    total: Tensor = _Spread.apply(membership, reach, smoothness)  # type: ignore[no-untyped-call]
    return -smoothness * total.clamp(min=math.exp(-reach / smoothness)).log()


def spread(values: Tensor, reach: float, smoothness: float, kind: torch.dtype | None = None) -> Tensor:
    """sum_u x(u) exp(-|u - v| / h) for each v, by separable Gaussians.

    The kernel itself does not separate into axes, but it is a mixture of Gaussians, which do (see :func:`gaussians`).
    A product with a matrix along each axis is what processors and graphics cards do best; all terms are positive,
    so that even exp(-50) keeps its digits. A Fourier transform would lose them next to values of 1.

    Args:
        values: (B, M, D, H, W) floating.
        reach: voxels within which the kernel is right.
        smoothness: h, voxels.
        kind: what the products are computed in, by default the type of the values. bfloat16 has float32's range, and
            its three digits suffice for a sum whose logarithm is multiplied by h.
    """
    batch, sets, *shape = values.shape
    kernel = (reach, smoothness, values.device, kind or values.dtype)
    adding, height, width = _adding_up(shape[0], *kernel), *(_along_axis(size, *kernel) for size in shape[1:])
    with torch.autocast(values.device.type, enabled=False):
        given = values.to(adding.dtype).reshape(-1, shape[2])
        parts = given.new_empty(batch * sets, len(height), *shape)
        for part, along_h, along_w in zip(parts.unbind(1), height, width, strict=True):
            part.copy_(along_h @ (given @ along_w).view(part.shape))
        total = (adding @ parts.view(batch * sets, -1, shape[1] * shape[2])).view(values.shape)
    return torch.add(total, values, alpha=1 - float(gaussians(reach, smoothness)[1].sum()))


@lru_cache(maxsize=64)
def gaussians(reach: float, smoothness: float) -> tuple[np.ndarray, np.ndarray]:
    """Exponents a_j and weights w_j with sum_j w_j exp(-a_j r^2) = exp(-r / h) for r from 1 voxel to ``reach``.

    exp(-x) = 1 / (2 sqrt(pi)) * integral of t^(-1/2) exp(-1 / (4 t) - t x^2) d(ln t), as a sum over steps in ln t; the
    integrand's peak for x lies at t = 1 / (2 x). At r = 0 the sum falls short of 1: :func:`spread` adds the rest.

    Returns:
        Two float64 arrays of one length, seven Gaussians for a reach of ten voxels.
    """
    first, last = smoothness / (2.1 * reach), smoothness / 1.8
    count = max(2, round(math.log(last / first) / math.log(_RATIO)) + 1)
    logarithms = np.linspace(math.log(first), math.log(last), count)
    t = np.exp(logarithms)
    step = logarithms[1] - logarithms[0]
    return t / smoothness**2, step * t**-0.5 * np.exp(-1 / (4 * t)) / (2 * math.sqrt(math.pi))


class _Spread(torch.autograd.Function):
    """:func:`spread`; the kernel is symmetric, so that the gradient is spread in the same way and nothing is kept."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, reach: float, smoothness: float) -> Tensor:
        where = values.device.type
        short = torch.is_autocast_enabled(where) and torch.get_autocast_dtype(where) == torch.bfloat16
        ctx.kernel = (reach, smoothness, torch.bfloat16 if short else values.dtype)
        return spread(values, *ctx.kernel)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return spread(gradients[0], *ctx.kernel), None, None


@lru_cache(maxsize=64)
def _along_axis(size: int, reach: float, smoothness: float, device: torch.device, kind: torch.dtype) -> Tensor:
    """(J, size, size) for J Gaussians: exp(-a (i - j)^2). Patches have few sizes, so that they are made once."""
    return torch.from_numpy(_falling_off(size, reach, smoothness)).to(device, kind)


@lru_cache(maxsize=64)
def _adding_up(size: int, reach: float, smoothness: float, device: torch.device, kind: torch.dtype) -> Tensor:
    """(size, J * size): the same side by side with their weights, one product that adds the Gaussians up as well."""
    weights = gaussians(reach, smoothness)[1]
    weighted = weights[:, None, None] * _falling_off(size, reach, smoothness)
    return torch.from_numpy(weighted.transpose(1, 0, 2).reshape(size, -1)).to(device, kind)


def _falling_off(size: int, reach: float, smoothness: float) -> np.ndarray:
    place = np.arange(size)
    squares = np.square(place[:, None] - place[None])
    fallen: np.ndarray = np.exp(-gaussians(reach, smoothness)[0][:, None, None] * squares)
    return fallen


def _nearest_along(square: Tensor, axis: int, reach: int) -> Tensor:
    """min over k of square[v + k] + k^2 along one axis."""
    nearest = square.clone()
    size = square.shape[axis]
    for offset in range(1, min(reach, size)):
        moved = square + offset * offset
        for to, source in ((offset, 0), (0, offset)):
            here = nearest.narrow(axis, to, size - offset)
            torch.minimum(here, moved.narrow(axis, source, size - offset), out=here)
    return nearest
