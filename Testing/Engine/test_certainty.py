"""Entropy, certainty and the agreement that counts where a teacher is certain, against numbers computed by hand.

Shapes: B patches, K classes, D H W voxels; most tests lay voxels along W.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from barl.losses.certainty import certain_distance, certain_voxels
from barl.losses.entropy import below_quantile, entropy


def row(*voxels: list[float]) -> Tensor:
    """(1, K, 1, 1, W) from one list of class values a voxel."""
    return torch.tensor(voxels, dtype=torch.float64).T.reshape(1, -1, 1, 1, len(voxels))


def test_the_entropy_is_that_of_each_voxel() -> None:
    found = entropy(row([1.0, 0.0], [0.5, 0.5], [0.25, 0.75])).flatten().tolist()
    assert found == pytest.approx([0, math.log(2), 0.25 * math.log(4) + 0.75 * math.log(4 / 3)], abs=1e-6)


def test_the_entropy_of_a_sure_voxel_has_a_finite_gradient() -> None:
    probability = row([1.0, 0.0]).requires_grad_()
    entropy(probability).sum().backward()
    assert torch.isfinite(probability.grad).all()


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, [False] * 3), (0.75, [True, False, True]), (0.999, [True, False, True])]
)
def test_a_voxel_is_certain_below_a_share_of_the_largest_entropy(share: float, expected: list[bool]) -> None:
    mean = row([0.9, 0.1], [0.5, 0.5], [0.2, 0.8])  # Entropies 0.47, 1 and 0.72 times ln 2.
    assert certain_voxels(mean, share).flatten().tolist() == expected


def test_the_bound_of_certainty_grows_with_the_number_of_classes() -> None:
    two_of_four = row([0.5, 0.5, 0.0, 0.0])
    assert certain_voxels(two_of_four, 0.51).all()  # ln 2 is half of ln 4.
    assert not certain_voxels(two_of_four, 0.49).any()


def test_the_distance_is_a_mean_over_certain_voxels_and_classes() -> None:
    p, q = row([0.9, 0.1], [0.5, 0.5], [0.3, 0.7]), row([0.7, 0.3], [0.0, 1.0], [0.3, 0.7])
    certain = torch.tensor([True, False, True]).reshape(1, 1, 1, 3)
    assert float(certain_distance(p, q, certain)) == pytest.approx((0.04 + 0.04) / 4)
    assert float(certain_distance(p, q, torch.ones_like(certain))) == pytest.approx((0.08 + 0.5) / 6)


def test_uncertain_voxels_get_no_gradient_and_none_certain_gives_zero() -> None:
    p, q = row([0.9, 0.1], [0.5, 0.5]).requires_grad_(), row([0.7, 0.3], [0.0, 1.0])
    certain = torch.tensor([True, False]).reshape(1, 1, 1, 2)
    certain_distance(p, q, certain).backward()
    assert p.grad[..., 0].any()
    assert not p.grad[..., 1].any()
    nothing = certain_distance(p, q, torch.zeros_like(certain))
    assert nothing.item() == 0


def test_the_certain_distance_has_the_gradient_of_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, belief = (torch.randn(2, 3, 2, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    certain = torch.rand(2, 2, 2, 2, generator=generator) < 0.6
    assert torch.autograd.gradcheck(
        lambda x: certain_distance(x.softmax(dim=1), belief.softmax(dim=1), certain), (logits.requires_grad_(),)
    )


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.2, 3), (0.5, 6), (1.0, 11)])
def test_the_lowest_share_of_values(share: float, expected: int) -> None:
    values = torch.arange(11.0).flip(0)
    found = below_quantile(values, share)
    assert found.sum() == expected
    assert values[found].max() == expected - 1


def test_of_many_values_the_bound_is_read_from_a_few() -> None:
    values = torch.rand(3, 100, 1000, generator=torch.Generator().manual_seed(0))
    assert float(below_quantile(values, 0.8).float().mean()) == pytest.approx(0.8, abs=0.01)


def test_equal_values_are_all_among_the_lowest() -> None:
    assert below_quantile(torch.zeros(4), 0.2).all()
