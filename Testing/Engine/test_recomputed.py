"""Activations that are computed again: the same numbers, the same gradients, and nothing kept meanwhile."""

from __future__ import annotations

import weakref

import pytest
import torch
from engine_doubles import TINY
from torch import Tensor, nn
from torch.nn import functional

from barl.networks import EncoderDecoder, ResVNet, VNet
from barl.networks.blocks import Conv, ConvStack, Down, InstanceNormReLU, ResidualBlock, Up
from barl.networks.recomputed import added, normalized_relu, recipe_of, sparing

LAYOUTS = [torch.contiguous_format, torch.channels_last_3d]
TYPES = [torch.bfloat16, torch.float32, torch.float64]
EPS = 1e-3


def an_input(layout: torch.memory_format, kind: torch.dtype = torch.float64, size: int = 3) -> Tensor:
    torch.manual_seed(0)
    x = (3 * torch.randn(2, 3, size, size + 1, size) + 1).to(kind)
    return x.contiguous(memory_format=layout).requires_grad_()


def parameters(kind: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    kind = torch.float32 if kind == torch.bfloat16 else kind
    weight, bias = torch.tensor([1.0, 2.0, -0.5], dtype=kind), torch.tensor([0.1, 1.0, -0.3], dtype=kind)
    return weight.requires_grad_(), bias.requires_grad_()


def plain(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """What it stands for, patch by patch."""
    patches = [functional.batch_norm(p, None, None, weight, bias, training=True, eps=eps) for p in x.split(1)]
    return torch.cat(patches).relu()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", TYPES)
def test_it_is_the_plain_composition_and_keeps_the_layout(layout: torch.memory_format, kind: torch.dtype) -> None:
    x, (weight, bias) = an_input(layout, kind, size=8), parameters(kind)
    ours, theirs = normalized_relu(x, weight, bias, EPS), plain(x, weight, bias, EPS)
    assert ours.dtype == kind
    assert ours.is_contiguous(memory_format=layout)
    torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        assert torch.equal(normalized_relu(x, weight, bias, EPS), ours)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_its_gradients_are_those_of_the_plain_composition(layout: torch.memory_format) -> None:
    x, (weight, bias) = an_input(layout), parameters()
    gradients = []
    for function in (normalized_relu, plain):
        y = function(x, weight, bias, EPS)
        gradients.append(torch.autograd.grad((y * torch.arange(y.shape[-1])).square().sum(), (x, weight, bias)))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_its_gradients_are_right_through_convolutions_and_sums(layout: torch.memory_format) -> None:
    """A little network with a skip, everything in it computed again."""
    conv, up = Conv(3, 3, 1).double(), nn.ConvTranspose3d(3, 3, 1).double()

    def network(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        skip = normalized_relu(x, weight, bias, EPS)
        deep = normalized_relu(conv(skip), weight, bias, EPS)
        with sparing(deep):
            back = up(deep)
        total = added(normalized_relu(back, weight, bias, EPS), skip)
        result: Tensor = conv(total)
        return result.square()

    assert torch.autograd.gradcheck(network, (an_input(layout), *parameters()), atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", TYPES)
def test_the_second_time_the_same_numbers_come_out_bit_by_bit(layout: torch.memory_format, kind: torch.dtype) -> None:
    x, (weight, bias) = an_input(layout, kind, size=8), parameters(kind)
    skip = normalized_relu(x, weight, bias, EPS)
    total = added(normalized_relu(2 * x + x.square(), weight, bias, EPS), skip)
    for y in (skip, total):
        recipe = recipe_of(y)
        assert recipe is not None
        again = recipe.again()
        assert torch.equal(again, y)
        assert again.stride() == y.stride()


def test_a_convolution_does_not_keep_what_can_be_computed_again() -> None:
    x, (weight, bias) = an_input(torch.channels_last_3d), parameters()
    alive = []
    for conv in (Conv(3, 3, 1).double(), nn.Conv3d(3, 3, 1).double()):
        y = normalized_relu(x, weight, bias, EPS)
        reference, result = weakref.ref(y), conv(y)
        del y
        alive.append(reference() is not None)
        assert result.requires_grad
    assert alive == [False, True]


@pytest.mark.parametrize("network_class", [VNet, ResVNet])
def test_a_network_keeps_of_its_activations_only_those_it_shows(network_class: type[EncoderDecoder]) -> None:
    network, made = network_class(1, 2, TINY), []
    for part in network.modules():
        if isinstance(part, InstanceNormReLU):
            part.register_forward_hook(lambda part, given, result: made.append((result.shape, weakref.ref(result))))
    taps = network.taps(torch.randn(1, 1, 32, 32, 32))
    large = [(shape, reference) for shape, reference in made if shape[2:].numel() >= InstanceNormReLU.LEAST_VOXELS]
    assert len(large) >= 10
    shown = {id(taps.features), id(taps.half_features)}
    kept = [shape for shape, reference in large if reference() is not None and id(reference()) not in shown]
    assert kept == []


def test_without_a_gradient_nothing_is_remembered() -> None:
    x, (weight, bias) = an_input(torch.contiguous_format), parameters()
    with torch.no_grad():
        assert recipe_of(normalized_relu(x, weight, bias, EPS)) is None
    assert recipe_of(x) is None
    first = torch.ones(2)
    assert torch.equal(added(first, first), torch.full((2,), 2.0))
    assert torch.equal(first, torch.ones(2))


def test_gradients_can_be_asked_for_twice() -> None:
    x, (weight, bias) = an_input(torch.channels_last_3d), parameters()
    conv = Conv(3, 2, 1).double()
    y = conv(normalized_relu(x, weight, bias, EPS)).square().sum()
    once = torch.autograd.grad(y, (x, conv.weight), retain_graph=True)
    twice = torch.autograd.grad(y, (x, conv.weight))
    assert all(torch.equal(first, second) for first, second in zip(once, twice, strict=True))


def test_frozen_weights_let_the_gradient_through() -> None:
    x, (weight, bias) = an_input(torch.channels_last_3d), (p.detach() for p in parameters())
    (ours,) = torch.autograd.grad(normalized_relu(x, weight, bias, EPS).square().sum(), x)
    (theirs,) = torch.autograd.grad(plain(x, weight, bias, EPS).square().sum(), x)
    torch.testing.assert_close(ours, theirs)


CUBE, HALVED = (3, 3, 3), (2, 2, 2)


@pytest.mark.parametrize("kind", ["instance", "batch"])
def test_layers_have_the_numbers_that_models_on_disk_know(kind: str) -> None:
    names = [name for name, _ in ConvStack(2, 1, 2, kind, CUBE).named_parameters()]  # type: ignore[arg-type]
    assert names == ["0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias"]
    for pair in (Down(2, 4, kind, HALVED), Up(4, 2, kind, HALVED)):  # type: ignore[arg-type]
        assert [name for name, _ in pair.named_parameters()] == ["0.weight", "1.weight", "1.bias"]
    body = ResidualBlock(2, 2, kind, CUBE).body  # type: ignore[arg-type]
    names = [name for name, _ in body.named_parameters()]
    assert names == ["0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias"]
