"""Lesion-instance alignment against numbers computed by hand, and at its limits.

Shapes: B patches, F features, N instances, D H W voxels.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from barl.losses.instances import (
    InstanceRules,
    background_voxels,
    find_instances,
    instance_alignment,
    instance_contrast,
    instance_vectors,
    intersection_over_union,
    match_instances,
    sibling_weights,
)

RULES = InstanceRules(least_voxels=1, most=16, least_overlap=0.3, sibling_weight=0.25, temperature=0.1)


def boxes(*places: tuple[int, int, int], shape: tuple[int, int, int] = (4, 4, 20)) -> np.ndarray:
    """(1, D, H, W) with a column of class ``k`` from ``start`` to ``end`` along W for each (k, start, end)."""
    classes = np.zeros((1, *shape), np.int64)
    for value, start, end in places:
        classes[0, :2, :2, start:end] = value
    return classes


def features_for(classes: np.ndarray, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(classes), 6, *classes.shape[1:], generator=generator)
    return torch.nn.functional.normalize(features, dim=1)


def test_components_touching_at_a_corner_are_one_instance_and_classes_never_join() -> None:
    classes = np.zeros((1, 2, 2, 4), np.int64)
    classes[0, 0, 0, 0] = classes[0, 1, 1, 1] = 1
    classes[0, 1, 1, 2] = 2
    found = find_instances(classes, least_voxels=1, most=9)
    assert found.classes.tolist() == [1, 2]
    assert found.ids[0, 0, 0, 0] == found.ids[0, 1, 1, 1] == 1


def test_unknown_voxels_are_no_instance() -> None:
    assert find_instances(boxes((255, 0, 20)), 1, 9).count == 0


def test_small_instances_are_left_out_and_the_largest_ones_kept() -> None:
    classes = boxes((1, 0, 1), (1, 3, 6), (1, 8, 13), (1, 15, 19))
    assert find_instances(classes, least_voxels=5, most=9).count == 3
    largest = find_instances(classes, least_voxels=1, most=2)
    assert sorted(np.bincount(largest.ids.ravel())[1:].tolist()) == [16, 20]


def test_instances_are_numbered_over_the_whole_batch() -> None:
    classes = np.concatenate([boxes((1, 0, 2), (2, 5, 8)), boxes((2, 4, 6))])
    found = find_instances(classes, 1, 9)
    assert sorted(found.classes.tolist()) == [1, 2, 2]
    assert set(np.unique(found.ids[1])) == {0, 3}


def test_overlap_by_hand() -> None:
    first, second = (find_instances(boxes(*places), 1, 9) for places in ([(1, 0, 4)], [(1, 2, 8), (1, 10, 11)]))
    assert intersection_over_union(first, second) == pytest.approx(np.array([[2 / 8, 0.0]]))


@pytest.mark.parametrize(("least", "expected"), [(0.2, [[0, 0], [1, 1]]), (0.3, [[1, 1]]), (0.9, [])])
def test_matches_overlap_enough_and_are_of_one_class(least: float, expected: list[list[int]]) -> None:
    first = find_instances(boxes((1, 0, 4), (2, 10, 14), (1, 17, 20)), 1, 9)
    second = find_instances(boxes((1, 2, 8), (2, 10, 13), (2, 17, 20)), 1, 9)
    order = np.argsort(-np.bincount(first.ids.ravel())[1:], kind="stable")
    assert order.tolist() == [0, 1, 2]
    pairs = match_instances(first, second, least).tolist()
    named = [[first.classes[i], second.classes[j]] for i, j in pairs]
    assert len(pairs) == len(expected)
    assert all(one == two for one, two in named)


def test_each_instance_is_matched_once_for_the_largest_sum() -> None:
    one = find_instances(boxes((1, 0, 10)), 1, 9)
    two = find_instances(boxes((1, 0, 3), (1, 4, 10)), 1, 9)
    pairs = match_instances(one, two, 0.1)
    assert len(pairs) == 1
    assert intersection_over_union(one, two)[tuple(pairs[0])] == pytest.approx(0.6)


def test_an_instance_is_the_direction_of_its_mean_feature() -> None:
    classes = boxes((1, 0, 4), (1, 8, 10))
    features, found = features_for(classes), find_instances(classes, 1, 9)
    mean = features[0][:, torch.from_numpy(found.ids[0] == 2)].mean(dim=1)
    torch.testing.assert_close(instance_vectors(features, found)[1], mean / mean.norm())


def test_siblings_count_a_part_and_other_classes_in_full() -> None:
    found = find_instances(boxes((1, 0, 6), (1, 8, 12), (2, 15, 18)), 1, 9)
    pairs = np.array([[0, 0], [2, 2]])
    assert sibling_weights(found, found, pairs, 0.25).tolist() == [[1, 0.25, 1], [1, 1, 1]]


def test_contrast_by_hand() -> None:
    anchors, others = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    background = torch.tensor([[-1.0, 0.0]])
    loss = instance_contrast(
        anchors, others, torch.tensor([0]), torch.tensor([[1.0, 0.25]]), background, temperature=0.5
    )
    assert float(loss) == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 0.25 + math.exp(-2))))


def test_a_weight_of_zero_leaves_an_instance_out() -> None:
    anchors, others = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8], [1.0, 0.0]], requires_grad=True)
    nothing = torch.zeros(0, 2)
    loss = instance_contrast(anchors, others, torch.tensor([0]), torch.tensor([[1.0, 0.0]]), nothing, 0.1)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(others.grad).all()


def test_empty_masks_cost_nothing_and_break_nothing() -> None:
    empty = torch.from_numpy(boxes())
    features = [features_for(boxes(), seed).requires_grad_() for seed in (0, 1)]
    background = [background_voxels(f, empty, 8) for f in features]
    loss = instance_alignment(features, [empty, empty], background, RULES)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(features[0].grad).all()


def test_a_single_component_without_background_is_aligned_with_itself() -> None:
    classes = torch.from_numpy(boxes((1, 2, 9)))
    features = [features_for(boxes(), seed) for seed in (0, 1)]
    loss = instance_alignment(features, [classes, classes], [f.new_zeros(0, 6) for f in features], RULES)
    assert float(loss) == pytest.approx(0, abs=1e-5)


def test_one_class_absent_from_a_branch_leaves_the_other_class_matched() -> None:
    features = [features_for(boxes(), seed).requires_grad_() for seed in (0, 1)]
    both, one = torch.from_numpy(boxes((1, 0, 5), (2, 10, 15))), torch.from_numpy(boxes((1, 0, 5)))
    instance_alignment(features, [both, one], [f.new_zeros(0, 6) for f in features], RULES).backward()
    assert features[1].grad[0, :, 0, 0, 2].any()
    assert not features[1].grad[0, :, 0, 0, 12].any()


def test_alike_instances_cost_less_than_mixed_up_ones() -> None:
    classes = torch.from_numpy(boxes((1, 0, 5), (2, 10, 15)))
    alike = features_for(boxes())
    mixed = alike.clone()
    mixed[..., 0:5], mixed[..., 10:15] = alike[..., 10:15], alike[..., 0:5]
    nothing = [alike.new_zeros(0, 6)] * 2
    good = instance_alignment([alike, alike], [classes, classes], nothing, RULES)
    bad = instance_alignment([alike, mixed], [classes, classes], nothing, RULES)
    assert float(good) < 0.1 < 1 < float(bad)


def test_hundreds_of_components_are_matched() -> None:
    classes = np.zeros((2, 32, 48, 32), np.int64)
    classes[:, ::4, ::4, ::4] = 1
    assert find_instances(classes, 1, 10_000).count == 2 * 8 * 12 * 8
    features = [features_for(classes, seed) for seed in (0, 1)]
    tensors = [torch.from_numpy(classes)] * 2
    rules = InstanceRules(least_voxels=1, most=400, least_overlap=0.3, sibling_weight=0.25, temperature=0.1)
    loss = instance_alignment(features, tensors, [f.new_zeros(0, 6) for f in features], rules)
    # Features of noise: a match is one of 1 + 399 / 4 siblings and of 400 on the other patch, at a temperature of 0.1.
    assert 1 < float(loss) < 20


def test_background_voxels_are_evenly_spaced_and_no_more_than_asked_for() -> None:
    classes = torch.from_numpy(boxes((1, 0, 10)))
    features = features_for(boxes())
    assert background_voxels(features, classes, 7).shape == (7, 6)
    assert background_voxels(features, classes, 0).shape == (0, 6)
    assert background_voxels(features, torch.ones_like(classes), 7).shape == (0, 6)
    some = background_voxels(features, classes, 10_000)
    assert len(some) == int((classes == 0).sum())


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    anchors = torch.randn(2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    others = torch.randn(3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    background = torch.randn(2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1.0, 0.25, 1.0], [1.0, 1.0, 0.5]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, o, b: instance_contrast(a, o, torch.tensor([0, 2]), weights, b, 0.5), (anchors, others, background)
    )
