"""Activations that are computed again for the backward pass instead of being kept for it.

A convolution keeps its input until its gradient is computed. Where this input is a ReLU of a normalization, it follows
in one cheap pass from what the normalization keeps anyway, so that nearly half of a network's activations need not be
kept (in the spirit of Chen et al. 2016, https://arxiv.org/abs/1604.06174). The second time the same numbers come out.

Shapes: B patches, C channels, D H W voxels; P pieces that are normalized one after the other, c channels of a piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_ATTRIBUTE = "_barl_recipe"
_LAST = torch.channels_last_3d


class Recipe(Protocol):
    """How a tensor is computed again."""

    def again(self, *, shared: bool = True) -> Tensor:
        """The same numbers; ``shared``: the gradient of the normalization, which comes next, needs them too."""
        ...


def normalized_relu(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """max(0, w (x - mean) / sqrt(variance + eps) + b), mean and variance of each patch and channel; on a CPU.

    Instance normalization and ReLU, for whose gradient only ``x`` is kept. With :func:`sparing` and :func:`added` what
    follows does not keep the result either.

    Args:
        x: (B, C, D, H, W), contiguous or with the channels last.
        weight: w, (C).
        bias: b, (C).
        eps: added to the variance.
    """
    if not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return _first(x, weight, bias, eps)[0]
    made: list[_Normalized] = []
    result: Tensor = _NormalizedReLU.apply(x, weight, bias, eps, made)  # type: ignore[no-untyped-call]
    return _remember(result, made[0])


def added(x: Tensor, skip: Tensor) -> Tensor:
    """x + skip, which is not kept where both can be computed again; x, of which only this may know, is changed."""
    first, second = recipe_of(x), recipe_of(skip)
    if first is None or second is None:
        return x + skip
    # Not even the ReLU that gave it needs x any more.
    return _remember(x.add_(skip), _Sum(first, second))


def sparing(x: Tensor) -> AbstractContextManager[Any]:
    """Around an operation on x: what it would keep of x is computed again, if somebody knows how."""
    recipe = recipe_of(x)
    if recipe is None:
        return nullcontext()
    place = (x.data_ptr(), x.shape, x.dtype)

    def pack(kept: Tensor) -> Tensor | Recipe:
        return recipe if (kept.data_ptr(), kept.shape, kept.dtype) == place else kept

    def unpack(packed: Tensor | Recipe) -> Tensor:
        return packed if isinstance(packed, Tensor) else packed.again()

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def recipe_of(x: Tensor) -> Recipe | None:
    """How x is computed again; None where nobody knows."""
    return x.__dict__.get(_ATTRIBUTE)


def _remember(x: Tensor, recipe: Recipe) -> Tensor:
    x.__dict__[_ATTRIBUTE] = recipe
    return x


class _Shared:
    """Where a result that was computed again waits for its second use."""

    def __init__(self) -> None:
        self._waiting: Tensor | None = None

    def put(self, result: Tensor) -> None:
        self._waiting = result

    def take(self) -> Tensor | None:
        result, self._waiting = self._waiting, None
        return result


@dataclass(frozen=True)
class _Normalized:
    """The recipe of a normalization and its ReLU."""

    x: Tensor
    weight: Tensor
    bias: Tensor
    means: Tensor
    """(P, c)."""

    inverses: Tensor
    """(P, c) 1 / sqrt(variance + eps)."""

    shared: _Shared

    def again(self, *, shared: bool = True) -> Tensor:
        """See :class:`Recipe`."""
        result = _again(self.x, self.weight, self.bias, self.means, self.inverses)
        if shared:
            self.shared.put(result)
        return result


@dataclass(frozen=True)
class _Sum:
    """The recipe of a sum with a skip, whose own gradient is computed much later."""

    x: Recipe
    skip: Recipe

    def again(self, *, shared: bool = True) -> Tensor:
        """See :class:`Recipe`."""
        return self.skip.again(shared=False).add_(self.x.again(shared=shared))


class _NormalizedReLU(torch.autograd.Function):
    """Keeps the input and its statistics."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, made: list[_Normalized]) -> Tensor:
        result, means, inverses = _first(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, bias, means, inverses)
        ctx.eps, ctx.shared = eps, _Shared()
        made.append(_Normalized(x.detach(), weight.detach(), bias.detach(), means, inverses, ctx.shared))
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, means, inverses = ctx.saved_tensors
        result = ctx.shared.take()
        if result is None:
            result = _again(x, weight, bias, means, inverses)
        return *_gradients(given, result, x, weight, means, inverses, ctx.eps), None, None


# What torch computes of one piece after the other, straight into the place where it belongs


def _pieces(x: Tensor) -> Sequence[Tensor]:
    """Tensors (1, c, D, H, W) whose batch normalization is the instance normalization of x."""
    if x.is_contiguous():
        return (x.view(1, -1, *x.shape[2:]),)
    return torch.split(x, 1)


def _of_pieces(parameter: Tensor, pieces: Sequence[Tensor]) -> Tensor:
    """(c) from (C): the same for each patch."""
    times = pieces[0].shape[1] // len(parameter)
    return parameter if times == 1 else parameter.repeat(times)


def _first(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The result and, (P, c) each, means and inverse standard deviations."""
    result = torch.empty_like(x)
    pieces = _pieces(x)
    weight, bias = (_of_pieces(parameter.detach(), pieces) for parameter in (weight, bias))
    means, inverses = (weight.new_empty(len(pieces), len(weight)) for _ in range(2))
    for piece, place, mean, inverse in zip(pieces, _pieces(result), means, inverses, strict=True):
        torch.ops.aten.native_batch_norm.out(
            piece, weight, bias, None, None, True, 0.0, eps, out=place, save_mean=mean, save_invstd=inverse
        )
        place.relu_()  # Now, while it is in the cache.
    return result, means, inverses


def _again(x: Tensor, weight: Tensor, bias: Tensor, means: Tensor, inverses: Tensor) -> Tensor:
    """The result, bit by bit: torch multiplies weight and inverse first, too."""
    result = torch.empty_like(x)
    pieces = _pieces(x)
    weight, bias = (_of_pieces(parameter, pieces) for parameter in (weight, bias))
    one, none = torch.ones_like(weight), weight.new_empty(0)
    scales = weight * inverses
    for piece, place, mean, scale in zip(pieces, _pieces(result), means, scales, strict=True):
        torch.ops.aten.native_batch_norm.out(
            piece, scale, bias, mean, one, False, 0.0, 0.0, out=place, save_mean=none, save_invstd=none
        )
        place.relu_()
    return result


def _gradients(
    given: Tensor, result: Tensor, x: Tensor, weight: Tensor, means: Tensor, inverses: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Of x, weight and bias; that of x is written over the result, which nobody needs any more."""
    pieces, channels = _pieces(x), len(weight)
    given = given.contiguous() if x.is_contiguous() else given.contiguous(memory_format=_LAST)
    weight = _of_pieces(weight, pieces)
    rows = zip(_pieces(given), _pieces(result), pieces, means, inverses, strict=True)
    of_parameters = [_gradients_of_piece(*row, weight, eps) for row in rows]
    of_weight, of_bias = torch.cat(of_parameters, dim=1).view(2, -1, channels).sum(dim=1)
    return result, of_weight, of_bias


def _gradients_of_piece(
    given: Tensor, result: Tensor, x: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor, eps: float
) -> Tensor:
    """(2, c) of weight and bias."""
    open_part = torch.ops.aten.threshold_backward(given, result, 0)
    of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
        open_part, x, weight, None, None, mean, inverse, True, eps, [True, True, True]
    )
    result.copy_(of_x)
    return torch.stack([of_weight, of_bias])
