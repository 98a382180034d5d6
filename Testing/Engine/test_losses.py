"""Losses against numbers computed by hand; what nobody annotated teaches nothing.

Shapes: B patches, K classes, D H W voxels; most tests lay voxels along W.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from barl.losses.consistency import confident_label, pseudo_supervision, squared_distance
from barl.losses.supervised import cross_entropy, deep_dice_ce, dice_ce, shrink_label, soft_dice

Loss = Callable[[Tensor, Tensor], Tensor]

LABEL_LOSSES: dict[str, Loss] = {
    "cross_entropy": lambda logits, label: cross_entropy(logits.log_softmax(dim=1), label),
    "soft_dice": lambda logits, label: soft_dice(logits.softmax(dim=1), label),
    "dice_ce": dice_ce,
    "deep_dice_ce": lambda logits, label: deep_dice_ce((logits[:, :, 1::2, 1::2, 1::2], logits), label),
    "pseudo_supervision": pseudo_supervision,
}


@pytest.fixture(params=LABEL_LOSSES)
def loss(request: pytest.FixtureRequest) -> Loss:
    """Each loss that compares logits with a label."""
    return LABEL_LOSSES[request.param]


def row(*voxels: list[float]) -> Tensor:
    """(1, K, 1, 1, W) from one list of class values a voxel."""
    return torch.tensor(voxels, dtype=torch.float64).T.reshape(1, -1, 1, 1, len(voxels))


def labels(*values: int) -> Tensor:
    """(1, 1, 1, W)."""
    return torch.tensor(values).reshape(1, 1, 1, -1)


def some_logits(classes: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(2, classes, 4, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_label(seed: int = 1) -> Tensor:
    """All of classes 0, 1, 2 and a fifth unknown."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (2, 4, 4, 4), generator=generator)
    return torch.where(torch.rand(label.shape, generator=generator) < 0.2, 255, label)


def test_cross_entropy_is_the_mean_of_minus_log_p_over_known_voxels() -> None:
    logits = row([math.log(3), 0.0], [0.0, 0.0], [5.0, -5.0])
    expected = (-math.log(3 / 4) - math.log(1 / 2)) / 2
    assert float(cross_entropy(logits.log_softmax(dim=1), labels(0, 1, 255))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("foreground", "label", "expected"),
    [
        ([0.5, 1.0], [1, 0], 1 - 1 / 2.25),
        ([1.0, 0.0], [1, 0], 0.0),
        ([0.0, 1.0], [1, 0], 1.0),
        ([0.5, 0.5], [1, 1], 1 - 2 / 2.5),
        ([0.5, 0.9], [1, 255], 1 - 1 / 1.25),
        ([0.0, 0.0], [0, 0], 0.0),
    ],
)
def test_soft_dice_of_one_class(foreground: list[float], label: list[int], expected: float) -> None:
    probability = row(*([1 - p, p] for p in foreground))
    assert float(soft_dice(probability, labels(*label))) == pytest.approx(expected, abs=2e-5)


def test_soft_dice_is_the_mean_over_the_foreground_classes() -> None:
    probability = row([0.0, 1.0, 0.0], [0.0, 0.5, 0.5])
    first, second = 1 - 2 * 1 / (1.25 + 1), 1 - 2 * 0.5 / (0.25 + 1)
    assert float(soft_dice(probability, labels(1, 2))) == pytest.approx((first + second) / 2, abs=2e-5)


def test_soft_dice_sums_over_the_whole_batch_before_it_divides() -> None:
    one = row([0.5, 0.5], [0.5, 0.5])
    both = torch.cat([one, one])
    label = torch.cat([labels(1, 1), labels(0, 0)])
    assert float(soft_dice(both, label)) == pytest.approx(1 - 2 * 1 / (1 + 2), abs=2e-5)


def test_a_class_absent_from_label_and_prediction_is_no_error() -> None:
    probability = row([0.0, 1.0, 0.0], [1.0, 0.0, 0.0])
    assert float(soft_dice(probability, labels(1, 0))) == pytest.approx(0.0, abs=1e-6)


def test_a_class_absent_from_the_label_but_predicted_is_pushed_away() -> None:
    logits = row([0.0, 0.5], [0.0, 1.0]).requires_grad_()
    soft_dice(logits.softmax(dim=1), labels(0, 0)).backward()
    assert (logits.grad[:, 1] > 0).all()


def test_dice_ce_is_half_of_each() -> None:
    logits, label = some_logits().float(), some_label()
    expected = 0.5 * cross_entropy(logits.log_softmax(dim=1), label) + 0.5 * soft_dice(logits.softmax(dim=1), label)
    torch.testing.assert_close(dice_ce(logits, label), expected)


def test_pseudo_supervision_is_half_of_both() -> None:
    logits, label = some_logits().float(), some_label()
    expected = 0.5 * (cross_entropy(logits.log_softmax(dim=1), label) + soft_dice(logits.softmax(dim=1), label))
    torch.testing.assert_close(pseudo_supervision(logits, label), expected)


def test_deep_supervision_halves_the_weight_from_scale_to_scale() -> None:
    fine, coarse, label = some_logits().float(), some_logits(seed=5)[:, :, :2, :2, :2].float(), some_label()
    expected = 0.5 * dice_ce(coarse, label[:, 1::2, 1::2, 1::2]) + dice_ce(fine, label)
    torch.testing.assert_close(deep_dice_ce((coarse, fine), label), expected)


def test_coarse_labels_are_picked_at_centers_and_never_mixed() -> None:
    label = torch.arange(8).reshape(1, 1, 1, 8).expand(1, 8, 8, 8)
    assert shrink_label(label, torch.zeros(1, 2, 2, 2, 2))[0, 0, 0].tolist() == [2, 6]
    assert shrink_label(label, torch.zeros(1, 2, 8, 8, 8)) is label


def test_squared_distance_is_a_mean_over_voxels_and_classes() -> None:
    distance = squared_distance(row([0.9, 0.1], [0.5, 0.5]), row([0.7, 0.3], [0.5, 0.5]))
    assert float(distance) == pytest.approx((0.04 + 0.04 + 0 + 0) / 4)


def test_a_confident_label_is_the_likeliest_class_above_the_threshold() -> None:
    belief = row([0.9, 0.1, 0.0], [0.1, 0.3, 0.6], [0.2, 0.75, 0.05], [0.4, 0.3, 0.3]).requires_grad_()
    label = confident_label(belief, 0.6)
    assert label.flatten().tolist() == [0, 255, 1, 255]
    assert label.dtype == torch.int64
    assert not label.requires_grad


def test_unknown_voxels_change_nothing_and_get_no_gradient(loss: Loss) -> None:
    label, logits = some_label(), some_logits()
    unknown = (label == 255).unsqueeze(1).expand_as(logits)
    other = torch.where(unknown, 7 * some_logits(seed=9), logits).requires_grad_()
    torch.testing.assert_close(loss(other, label), loss(logits, label), rtol=0, atol=0)
    loss(other, label).backward()
    assert not other.grad[unknown].any()
    assert other.grad[~unknown].any()


def test_where_all_is_unknown_the_loss_is_zero_with_a_gradient_of_zero(loss: Loss) -> None:
    logits = some_logits().requires_grad_()
    value = loss(logits, torch.full((2, 4, 4, 4), 255))
    value.backward()
    assert float(value.detach()) == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_a_perfect_prediction_costs_nothing(loss: Loss) -> None:
    label = torch.zeros(2, 4, 4, 4, dtype=torch.long)
    label[:, 2:] = 1
    logits = 60 * torch.nn.functional.one_hot(label, 3).movedim(-1, 1).double()
    assert float(loss(logits, label)) == pytest.approx(0.0, abs=1e-5)


def test_empty_masks_give_finite_losses_and_gradients(loss: Loss) -> None:
    logits = some_logits().requires_grad_()
    value = loss(logits, torch.zeros(2, 4, 4, 4, dtype=torch.long))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_extreme_logits_give_finite_losses_and_gradients(loss: Loss) -> None:
    logits = (1e4 * some_logits()).float().requires_grad_()
    value = loss(logits, some_label())
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_a_step_against_the_gradient_lowers_the_loss(loss: Loss) -> None:
    logits, label = some_logits().requires_grad_(), some_label()
    before = loss(logits, label)
    (gradient,) = torch.autograd.grad(before, logits)
    assert loss(logits.detach() - 0.1 * gradient, label) < before


def test_bfloat16_logits_are_computed_in_float32() -> None:
    logits, label = some_logits().bfloat16(), some_label()
    for loss in (dice_ce, pseudo_supervision):
        assert loss(logits, label).dtype == torch.float32
        torch.testing.assert_close(loss(logits, label), loss(logits.float(), label), rtol=0, atol=0)


def test_the_gradients_are_the_losses_derivatives() -> None:
    logits, label = some_logits()[:1, :, :2, :2, :2], some_label()[:1, :2, :2, :2]
    belief = some_logits(seed=3)[:1, :, :2, :2, :2].softmax(dim=1)
    for loss in (
        lambda x: cross_entropy(x.log_softmax(dim=1), label),
        lambda x: soft_dice(x.softmax(dim=1), label),
        lambda x: squared_distance(x.softmax(dim=1), belief),
    ):
        assert torch.autograd.gradcheck(loss, logits.clone().requires_grad_())
