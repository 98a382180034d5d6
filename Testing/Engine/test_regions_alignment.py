"""Region-level alignment against numbers computed by hand, and at its limits.

Shapes: B patches, F features, K classes, D H W voxels.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from barl.losses.regions import (
    Prototypes,
    agreed_classes,
    prototypes,
    region_alignment,
    region_separation,
    unit_features,
)


def unit(*vectors: list[float]) -> Tensor:
    """(1, K, F) of length 1, double."""
    return torch.nn.functional.normalize(torch.tensor([vectors], dtype=torch.float64), dim=2)


def some_features(seed: int = 0) -> Tensor:
    return unit_features(torch.randn(2, 5, 4, 4, 4, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_unit_features_have_length_1_and_the_gradient_of_a_division_by_the_length(layout: torch.memory_format) -> None:
    x = torch.randn(2, 5, 2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=layout).requires_grad_()
    torch.testing.assert_close(unit_features(x), torch.nn.functional.normalize(x, dim=1))
    assert torch.autograd.gradcheck(unit_features, x)


def test_unit_features_are_exact_where_the_networks_are_not_and_finite_where_nothing_is() -> None:
    x = torch.zeros(1, 3, 1, 1, 2, dtype=torch.bfloat16)
    x[..., 1] = 3.0
    x.requires_grad_()
    unit = unit_features(x)
    assert unit.dtype == torch.float32
    torch.testing.assert_close(unit[0, :, 0, 0].T, torch.tensor([[0.0] * 3, [3**-0.5] * 3]))
    unit[..., 1].sum().backward()
    assert x.grad is not None and x.grad.dtype == torch.bfloat16
    assert torch.isfinite(x.grad).all()


def test_a_prototype_is_the_direction_of_the_sum_of_its_voxels() -> None:
    features = some_features()
    classes = torch.randint(3, (2, 4, 4, 4), generator=torch.Generator().manual_seed(1))
    found = prototypes(features, classes, 3, least_voxels=1)
    mean = features[1][:, classes[1] == 2].mean(dim=1)
    torch.testing.assert_close(found.vectors[1, 2], mean / mean.norm())
    assert found.present.all()


def test_unknown_voxels_belong_to_no_region() -> None:
    features, classes = some_features(), torch.zeros(2, 4, 4, 4, dtype=torch.long)
    classes[:, 2:] = 1
    hidden = classes.clone()
    hidden[:, :, 2:] = 255
    changed = features.clone()
    changed[:, :, :, 2:] = -changed[:, :, :, 2:]
    first, second = (prototypes(f, hidden, 2, 1).vectors for f in (features, changed))
    torch.testing.assert_close(first, second)
    assert not torch.equal(prototypes(features, classes, 2, 1).vectors, first)


@pytest.mark.parametrize(("least", "present"), [(16, True), (17, False)])
def test_small_regions_have_no_prototype(least: int, present: bool) -> None:
    classes = torch.zeros(2, 4, 4, 4, dtype=torch.long)
    classes[:, 0] = 1
    assert prototypes(some_features(), classes, 2, least).present[0].tolist() == [True, present]


def test_alignment_by_hand() -> None:
    first = Prototypes(unit([1, 0], [0, 1], [1, 1]), torch.tensor([[True, True, True]]))
    second = Prototypes(unit([1, 1], [0, 1], [1, 0]), torch.tensor([[True, True, False]]))
    assert float(region_alignment(first, second)) == pytest.approx(((1 - math.sqrt(0.5)) + 0) / 2)


def test_identical_branches_are_aligned() -> None:
    same = Prototypes(unit([1, 2], [3, 4]), torch.tensor([[True, True]]))
    assert float(region_alignment(same, same)) == pytest.approx(0, abs=1e-12)


def test_alignment_moves_both_branches() -> None:
    vectors = [unit([1, 0], [0, 1]).requires_grad_(), unit([1, 1], [1, 2]).requires_grad_()]
    there = torch.tensor([[True, False]])
    region_alignment(*(Prototypes(v, there) for v in vectors)).backward()
    for vector in vectors:
        assert vector.grad[0, 0].any()
        assert not vector.grad[0, 1].any()


def test_separation_by_hand() -> None:
    of_branch = Prototypes(unit([1, 0], [1, 1], [-1, 0]), torch.tensor([[True, True, True]]))
    # Cosines 0.707, -1 and -0.707; each pair counts twice among six.
    assert float(region_separation(of_branch, 0.2)) == pytest.approx(2 * (math.sqrt(0.5) - 0.2) / 6)


@pytest.mark.parametrize("present", [[False, False], [True, False]])
def test_without_a_second_class_there_is_nothing_to_separate_nor_an_error(present: list[bool]) -> None:
    vectors = unit([1, 0], [1, 0]).requires_grad_()
    of_branch = Prototypes(vectors, torch.tensor([present]))
    total = region_separation(of_branch, 0.2) + region_alignment(of_branch, of_branch)
    total.backward()
    assert float(total.detach()) == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(vectors.grad).all()


def test_classes_are_agreed_where_all_say_the_same() -> None:
    one, two = torch.tensor([0, 1, 255, 2]), torch.tensor([0, 2, 1, 2])
    assert agreed_classes([one, two]).tolist() == [0, 255, 255, 2]


def test_gradients_are_those_of_finite_differences() -> None:
    features = torch.randn(1, 4, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    other = Prototypes(unit([1, 0, 0, 0], [0, 1, 0, 0]), torch.tensor([[True, True]]))
    classes = torch.tensor([0, 0, 0, 1, 1, 1, 255, 1]).view(1, 2, 2, 2)

    def value(x: Tensor) -> Tensor:
        own = prototypes(torch.nn.functional.normalize(x, dim=1), classes, 2, 1)
        # Half of the alignment reaches the own branch: the other half stops its gradient.
        return 2 * (own.vectors * other.vectors).sum() + region_separation(own, -1.0)

    assert torch.autograd.gradcheck(value, features)
