"""The losses of Dual Networks against numbers computed by hand, and their gradients.

Shapes: B patches, F features, K classes, D H W voxels; most tests lay voxels along W.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from barl.losses.consistency import cosine_distance
from barl.losses.discounting import discounted_supervision
from barl.losses.entropy_filter import filtered_supervision, reliable_label, united_label
from barl.losses.prototype_contrast import EVERY, prototype_contrast
from barl.losses.rectification import disputed_voxels, rectification

SURE, UNSURE = 0, 255


def row(*voxels: list[float]) -> Tensor:
    """(1, K, 1, 1, W) from one list of class values a voxel."""
    return torch.tensor(voxels, dtype=torch.float64).T.reshape(1, -1, 1, 1, len(voxels))


def labels(*values: int) -> Tensor:
    """(1, 1, 1, W)."""
    return torch.tensor(values).reshape(1, 1, 1, -1)


def logits(classes: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(2, classes, 2, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Rectification


def test_confident_foreground_of_one_network_alone_is_disputed() -> None:
    first = row([0.1, 0.9], [0.45, 0.55], [0.9, 0.1], [0.1, 0.9])
    second = row([0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.3, 0.7])
    assert disputed_voxels(first, second, 0.6).flatten().tolist() == [True, False, False, False]
    assert disputed_voxels(first, second, 0.5).flatten().tolist() == [True, True, False, False]


def test_two_different_confident_classes_are_disputed() -> None:
    first, second = row([0.1, 0.8, 0.1]), row([0.1, 0.1, 0.8])
    assert disputed_voxels(first, second, 0.6).all()


def test_the_rectification_is_the_squared_distance_of_the_foreground_over_disputed_known_voxels() -> None:
    probability = row([0.1, 0.9], [0.6, 0.4], [0.5, 0.5], [0.0, 1.0])
    disputed = torch.tensor([True, True, False, True]).reshape(1, 1, 1, 4)
    found = rectification(probability, labels(0, 1, 1, 255), disputed)
    assert float(found) == pytest.approx((0.9**2 + 0.6**2) / 2)
    assert float(rectification(probability, labels(0, 1, 1, 255), torch.zeros_like(disputed))) == 0


def test_rectification_of_three_classes() -> None:
    found = rectification(row([0.2, 0.5, 0.3]), labels(2), torch.ones(1, 1, 1, 1, dtype=torch.bool))
    assert float(found) == pytest.approx(0.5 * (0.04 + 0.25 + 0.49))


# Labels of both networks


def test_foreground_of_any_network_is_united_and_the_surer_class_wins() -> None:
    first = row([0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.1, 0.7, 0.2], [0.9, 0.1, 0.0])
    second = row([0.8, 0.2, 0.0], [0.2, 0.8, 0.0], [0.1, 0.1, 0.8], [0.45, 0.0, 0.55])
    assert united_label(first, second).flatten().tolist() == [0, 1, 2, 2]
    assert united_label(second, first).flatten().tolist() == [0, 1, 2, 2]


def test_a_voxel_counts_where_any_network_is_sure() -> None:
    first = row([1.0, 0.0], [0.5, 0.5], [0.6, 0.4], [0.4, 0.6], [0.55, 0.45])
    second = row([0.5, 0.5], [0.0, 1.0], [0.6, 0.4], [0.4, 0.6], [0.55, 0.45])
    assert reliable_label(first, second, 0.2).flatten().tolist() == [0, 1, 255, 255, 255]
    assert reliable_label(first, second, 1.0).flatten().tolist() == [0, 1, 0, 1, 0]
    assert not reliable_label(first.requires_grad_(), second, 0.2).requires_grad


def test_filtered_supervision_weighs_what_is_left_as_if_it_were_all() -> None:
    log_probability = row([0.5, 0.5], [0.25, 0.75], [0.1, 0.9], [0.2, 0.8]).log()
    found = filtered_supervision(log_probability, labels(0, 1, 255, 255))
    assert float(found) == pytest.approx(4 / 2 * (math.log(2) - math.log(0.75)) / 2)


def test_where_nothing_is_reliable_nothing_is_learned() -> None:
    x = logits().requires_grad_()
    loss = filtered_supervision(x.log_softmax(dim=1), torch.full((2, 2, 2, 2), UNSURE))
    loss.backward()
    assert loss.item() == 0
    assert not x.grad.any()


# Between networks


def test_a_label_counts_less_the_further_the_networks_are_apart() -> None:
    belief, own = row([0.25, 0.75], [0.5, 0.5]), row([0.5, 0.5], [0.5, 0.5])
    apart = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    expected = (math.exp(-apart) * math.log(2) + math.log(2)) / 2 + apart / 2
    assert float(discounted_supervision(own.log(), belief)) == pytest.approx(expected, rel=1e-6)


def test_the_teaching_network_gets_no_gradient() -> None:
    own, taught = logits().requires_grad_(), logits(seed=1).requires_grad_()
    discounted_supervision(own.log_softmax(dim=1), taught.softmax(dim=1)).backward()
    assert own.grad.any()
    assert taught.grad is None


def test_the_cosine_distance_is_that_of_class_vectors() -> None:
    found = cosine_distance(row([1.0, 0.0], [0.5, 0.5]), row([0.0, 1.0], [1.0, 0.0]))
    assert float(found) == pytest.approx((1 + 1 - math.sqrt(0.5)) / 2)


# Prototypes


def spread(*vectors: list[float]) -> Tensor:
    """(1, F, 1, 1, W): one vector a voxel, each repeated so that the contrast looks at every one."""
    return row(*vectors).repeat_interleave(EVERY, dim=4)


def of_all(*values: int) -> Tensor:
    return labels(*values).repeat_interleave(EVERY, dim=3)


def test_the_contrast_by_hand() -> None:
    features = spread([2.0, 0.0], [0.0, 3.0], [0.6, 0.8], [1.0, 0.0])
    reliable, guess = of_all(0, 1, UNSURE, UNSURE), of_all(0, 1, 0, 1)
    to_background, to_foreground = math.sqrt(2 - 2 * 0.6), math.sqrt(2)
    between = math.sqrt(2)
    expected = 2 * (to_background + to_foreground) / 2 - between
    assert float(prototype_contrast(features, reliable, guess, 2)) == pytest.approx(expected, rel=1e-5)


def test_a_prototype_is_the_direction_of_the_mean_and_longer_features_count_more() -> None:
    features = spread([2.0, 0.0], [0.0, 1.0], [0.6, 0.8])
    found = prototype_contrast(features, of_all(0, 0, UNSURE), of_all(0, 0, 0), 2)
    cosine = (0.6 * 1.0 + 0.8 * 0.5) / math.sqrt(1.25)
    assert float(found) == pytest.approx(2 * math.sqrt(2 - 2 * cosine), rel=1e-5)


def test_classes_that_are_not_there_are_left_out() -> None:
    features = spread([2.0, 0.0], [0.0, 3.0], [0.6, 0.8])
    found = prototype_contrast(features, of_all(0, UNSURE, UNSURE), of_all(0, 1, 0), 3)
    assert float(found) == pytest.approx(2 * math.sqrt(2 - 2 * 0.6), rel=1e-5)


@pytest.mark.parametrize("value", [SURE, UNSURE])
def test_without_unsure_or_without_sure_voxels_the_contrast_is_zero(value: int) -> None:
    features = spread([2.0, 0.0], [0.0, 3.0]).requires_grad_()
    loss = prototype_contrast(features, of_all(value, value), of_all(0, 1), 2)
    loss.backward()
    assert loss.item() == 0
    assert not features.grad.any()


def test_the_contrast_parts_the_prototypes() -> None:
    features = spread([1.0, 0.2], [0.2, 1.0]).requires_grad_()
    prototype_contrast(features, of_all(0, 1), of_all(0, 1), 2).backward()
    moved = (features - features.grad).detach()
    first, second = (functional.normalize(moved[0, :, 0, 0, EVERY * voxel], dim=0) for voxel in (0, 1))
    assert float(first @ second) < 0.4 / 1.04  # The cosine before.


def test_the_contrast_draws_unsure_features_to_a_prototype_and_leaves_it_where_it_is() -> None:
    features = spread([1.0, 0.0], [0.6, 0.8]).requires_grad_()
    prototype_contrast(features, of_all(0, UNSURE), of_all(0, 0), 2).backward()
    assert not features.grad[..., :EVERY].any()
    unsure = functional.normalize((features - 0.1 * features.grad).detach()[0, :, 0, 0, EVERY], dim=0)
    assert float(unsure[0]) > 0.6


def test_the_start_says_which_voxels_are_looked_at() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 4, 4, 5, 20, generator=generator)
    reliable, guess = (torch.randint(2, (1, 4, 5, 20), generator=generator) for _ in range(2))
    reliable[:, 2:] = UNSURE
    found = [float(prototype_contrast(features, reliable, guess, 2, start)) for start in (350, 50, 360)]
    assert found[0] == found[1] != found[2]


def test_equal_features_have_a_finite_gradient() -> None:
    features = torch.ones(1, 4, 4, 5, 20, requires_grad=True)
    reliable = torch.zeros(1, 4, 5, 20, dtype=torch.long)
    reliable[:, 1], reliable[:, 2:] = 1, UNSURE
    prototype_contrast(features, reliable, reliable % 2, 2).backward()
    assert torch.isfinite(features.grad).all()


# Gradients


def test_the_losses_have_the_gradients_of_their_formulas() -> None:
    generator = torch.Generator().manual_seed(3)
    label = torch.where(torch.rand(2, 2, 2, 2, generator=generator) < 0.3, 255, logits(seed=5).argmax(dim=1))
    disputed = torch.rand(2, 2, 2, 2, generator=generator) < 0.5
    belief = logits(seed=4).softmax(dim=1)
    losses = [
        lambda x: rectification(x.softmax(dim=1), label, disputed),
        lambda x: filtered_supervision(x.log_softmax(dim=1), label),
        lambda x: discounted_supervision(x.log_softmax(dim=1), belief),
        lambda x: cosine_distance(x.softmax(dim=1), belief),
    ]
    for loss in losses:
        assert torch.autograd.gradcheck(loss, (logits().requires_grad_(),))
