"""V-Net and residual V-Net: size, taps, what they refuse, and the convolution that bfloat16 cannot spoil."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from engine_doubles import PATCH, TINY
from torch import Tensor, nn

from barl.errors import SettingsError
from barl.networks import RESNET18, EncoderDecoder, NetworkSettings, ResVNet, VNet, halvings_for
from barl.networks.blocks import Conv3, InstanceNorm

NETWORKS = [VNet, ResVNet]


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_vnet_of_16_filters_has_the_size_of_the_literature() -> None:
    network = VNet(1, 2, NetworkSettings())
    assert parameters(network) / 1e6 == pytest.approx(9.44, abs=0.02)
    coarse_heads = sum(parameters(head) for head in network.decoder.heads[:-1])
    assert coarse_heads == 2 * (128 + 64 + 32) + 2 * 3


def test_residual_vnet_is_another_network_with_the_same_decoder() -> None:
    first, second = VNet(1, 3, TINY), ResVNet(1, 3, TINY)
    shapes = [{n: p.shape for n, p in network.decoder.named_parameters()} for network in (first, second)]
    assert shapes[0] == shapes[1]
    assert parameters(second) > parameters(first)
    assert parameters(ResVNet(1, 3, TINY, RESNET18)) < parameters(second)


@pytest.mark.parametrize("network_class", NETWORKS)
@pytest.mark.parametrize("patch", [PATCH, (32, 16, 48)])
def test_taps_show_every_scale_of_the_decoder(network_class: type[EncoderDecoder], patch: tuple[int, int, int]) -> None:
    taps = network_class(2, 5, TINY).taps(torch.randn(3, 2, *patch))
    shapes = [tuple(logits.shape) for logits in taps.logits]
    assert shapes == [(3, 5, *(extent // scale for extent in patch)) for scale in (8, 4, 2, 1)]
    assert taps.half_features.shape == (3, 8, *(extent // 2 for extent in patch))
    assert taps.features.shape == (3, 4, *patch)
    assert taps.finest is taps.logits[-1]


@pytest.mark.parametrize("network_class", NETWORKS)
@pytest.mark.parametrize(
    ("late", "patch", "shrunk"),
    [
        ((2, 0, 0), (4, 32, 16), [(2, 4, 2), (4, 8, 4), (4, 16, 8), (4, 32, 16)]),
        ((0, 0, 3), (16, 32, 2), [(2, 4, 2), (4, 8, 2), (8, 16, 2), (16, 32, 2)]),
        ((1, 0, 2), (24, 16, 4), [(6, 2, 2), (12, 4, 4), (24, 8, 4), (24, 16, 4)]),
    ],
)
def test_an_axis_may_be_halved_later_than_the_others(
    network_class: type[EncoderDecoder],
    late: tuple[int, int, int],
    patch: tuple[int, int, int],
    shrunk: list[tuple[int, int, int]],
) -> None:
    network = network_class(1, 3, replace(TINY, late_halvings=late))
    taps = network.taps(torch.randn(2, 1, *patch))
    assert [tuple(logits.shape[2:]) for logits in taps.logits] == shrunk
    assert tuple(taps.half_features.shape[2:]) == shrunk[-2]


def test_until_an_axis_is_halved_convolutions_look_at_one_slice() -> None:
    network = VNet(1, 2, replace(TINY, late_halvings=(2, 0, 0)))
    kernels = [next(part.kernel_size for part in block if isinstance(part, Conv3)) for block in network.blocks]
    assert kernels == [(1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)]
    assert [down[0].stride for down in network.downs] == [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]
    assert [up[0].stride for up in network.decoder.ups] == [(2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)]


@pytest.mark.parametrize("network_class", NETWORKS)
def test_a_patch_must_be_halved_as_often_as_its_axis(network_class: type[EncoderDecoder]) -> None:
    network = network_class(1, 2, replace(TINY, late_halvings=(2, 0, 0)))
    with pytest.raises(SettingsError, match=r"multiples of 4 x 16 x 16 voxels, got \(6, 32, 32\)"):
        network(torch.randn(1, 1, 6, 32, 32))


@pytest.mark.parametrize(
    ("spacing_mm", "late"),
    [
        ((1.0, 1.0, 1.0), (0, 0, 0)),
        ((2.0, 1.0, 1.0), (0, 0, 0)),
        ((2.1, 1.0, 1.0), (1, 0, 0)),
        ((8.0, 1.5, 1.5), (2, 0, 0)),
        ((0.5, 0.5, 5.0), (0, 0, 3)),
        ((100.0, 1.0, 1.0), (3, 0, 0)),
        ((10.0, 3.0, 1.0), (3, 1, 0)),
        ((0.9, 4.0, 0.5), (0, 2, 0)),
    ],
)
def test_the_spacing_decides_which_axes_are_halved_late(
    spacing_mm: tuple[float, float, float], late: tuple[int, int, int]
) -> None:
    assert halvings_for(spacing_mm).late == late


@pytest.mark.parametrize("late", [(4, 0, 0), (-1, 0, 0), (1, 1, 1), (1, 0), (0,)])
def test_halvings_that_no_network_can_have_are_refused(late: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match=r"late_halvings must be three numbers from 0 to 3 \(.*; got [-\d,]+$"):
        NetworkSettings(late_halvings=late)


@pytest.mark.parametrize("network_class", NETWORKS)
def test_forward_gives_the_finest_tap(network_class: type[EncoderDecoder]) -> None:
    network = network_class(1, 3, TINY)
    x = torch.randn(1, 1, *PATCH)
    assert torch.equal(network(x), network.taps(x).finest)


@pytest.mark.parametrize("network_class", NETWORKS)
@pytest.mark.parametrize("classes", [2, 32])
def test_two_to_32_classes_are_possible(network_class: type[EncoderDecoder], classes: int) -> None:
    assert network_class(1, classes, TINY)(torch.randn(1, 1, *PATCH)).shape == (1, classes, *PATCH)


@pytest.mark.parametrize("network_class", NETWORKS)
@pytest.mark.parametrize("classes", [0, 1, 33])
def test_other_numbers_of_classes_are_refused(network_class: type[EncoderDecoder], classes: int) -> None:
    with pytest.raises(SettingsError, match=f"2 to 32 classes, background included, got {classes}"):
        network_class(1, classes, TINY)


@pytest.mark.parametrize("network_class", NETWORKS)
@pytest.mark.parametrize("look", ["forward", "taps"])
def test_patches_that_are_no_multiple_of_16_are_refused_with_their_size(
    network_class: type[EncoderDecoder], look: str
) -> None:
    with pytest.raises(SettingsError, match=r"multiples of 16 voxels, got \(16, 24, 32\)"):
        getattr(network_class(1, 2, TINY), look)(torch.randn(1, 1, 16, 24, 32))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("normalization", "group"), ("base_filters", 3), ("base_filters", 65), ("dropout", 1.0), ("dropout", -0.1)],
)
def test_settings_outside_the_bounds_are_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must be .* got {value!r}"):
        NetworkSettings(**{setting: value})


@pytest.mark.parametrize("network_class", NETWORKS)
def test_with_instance_normalization_patches_do_not_see_each_other(network_class: type[EncoderDecoder]) -> None:
    network, x = network_class(1, 2, TINY).double(), torch.randn(2, 1, 48, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("network_class", NETWORKS)
def test_with_batch_normalization_they_do_in_training_and_not_after(network_class: type[EncoderDecoder]) -> None:
    network = network_class(1, 2, NetworkSettings(base_filters=4, normalization="batch")).double()
    x = torch.randn(2, 1, 48, 16, 16, dtype=torch.float64)
    assert not torch.allclose(network(x)[:1], network(x[:1]), atol=1e-2)
    network.eval()
    torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("network_class", NETWORKS)
def test_every_parameter_learns_from_the_taps(network_class: type[EncoderDecoder]) -> None:
    network = network_class(1, 2, TINY)
    sum(logits.square().mean() for logits in network.taps(torch.randn(2, 1, *PATCH)).logits).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("shape", [(2, 3, 8, 10, 8), (2, 3, 4, 4, 4)], ids=["by patch", "at once"])
def test_instance_normalization_keeps_channels_last_and_the_numbers_of_torch(shape: tuple[int, ...]) -> None:
    ours, theirs = InstanceNorm(3), torch.nn.InstanceNorm3d(3, affine=True)
    with torch.no_grad():
        ours.weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
        ours.bias.copy_(torch.tensor([0.0, 1.0, 3.0]))
    theirs.load_state_dict(ours.state_dict())
    x = (3 * torch.randn(shape) + 5).to(memory_format=torch.channels_last_3d).requires_grad_()
    y = x.detach().clone().requires_grad_()
    mine, reference = ours(x), theirs(y)
    assert mine.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4)
    (mine.square() * torch.arange(mine.shape[-1])).sum().backward()
    (reference.square() * torch.arange(mine.shape[-1])).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-3, atol=1e-2)


def test_dropout_acts_in_training_only() -> None:
    network, x = VNet(1, 2, NetworkSettings(base_filters=4, dropout=0.5)), torch.randn(1, 1, *PATCH)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


TWO_DEEP = [(1, 256, 2, 3, 2), (2, 64, 2, 4, 4)]


@pytest.mark.parametrize("shape", TWO_DEEP)
def test_the_bfloat16_gradient_of_inputs_two_slices_deep_is_right(shape: tuple[int, ...]) -> None:
    assert worst_gradient_error(Conv3(shape[1], shape[1], (3, 3, 3)), shape) < 0.02


@pytest.mark.parametrize("shape", [(1, 32, 3, 4, 4), (1, 32, 1, 4, 4), (1, 32, 4, 2, 2)])
def test_the_bfloat16_gradient_of_other_inputs_is_right_too(shape: tuple[int, ...]) -> None:
    assert worst_gradient_error(Conv3(shape[1], shape[1], (3, 3, 3)), shape) < 0.05


@pytest.mark.parametrize("kernel", [(1, 3, 3), (3, 1, 3), (3, 3, 1)])
@pytest.mark.parametrize("shape", [*TWO_DEEP, (1, 256, 1, 2, 2), (1, 128, 2, 2, 2), (2, 64, 4, 2, 4)])
def test_the_bfloat16_gradient_of_kernels_that_pass_an_axis_by_is_right(
    kernel: tuple[int, int, int], shape: tuple[int, ...]
) -> None:
    assert worst_gradient_error(Conv3(shape[1], shape[1], kernel), shape) < 0.02


def test_the_fault_that_conv3_avoids_is_still_there() -> None:
    shape = TWO_DEEP[0]
    if not worst_gradient_error(nn.Conv3d(256, 256, 3, padding=1, bias=False), shape) > 0.05:
        pytest.skip(
            f"torch {torch.__version__} computes it correctly on this CPU; Conv3 may be plain if it does on all"
        )


def worst_gradient_error(conv: nn.Conv3d, shape: tuple[int, ...], repeats: int = 12) -> float:
    """Largest relative distance of the bfloat16 weight gradient from the float32 one; infinite if it is no number."""
    torch.manual_seed(0)
    x, target = torch.randn(shape), torch.randn(shape)
    exact = weight_gradient(conv, x, target, bf16=False)
    worst = 0.0
    for _ in range(repeats):
        litter = [torch.full_like(exact, 1e30, dtype=torch.bfloat16) for _ in range(2)]
        del litter  # The next tensors of this size find it.
        error = float((weight_gradient(conv, x, target, bf16=True) - exact).norm() / exact.norm())
        worst = max(worst, error if error == error else float("inf"))
    return worst


def weight_gradient(conv: nn.Conv3d, x: Tensor, target: Tensor, *, bf16: bool) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = conv(x)
    (gradient,) = torch.autograd.grad((y.float() * target).mean(), conv.weight)
    return gradient.float()
