"""Segmentations as signed distances and back: the two transformers of DBiSL, and targets that unknown voxels blur.

Shapes: B patches, K classes, D H W voxels.
"""

from __future__ import annotations

import math

import edt
import numpy as np
import pytest
import torch
from test_distance_transform import a_smooth_blob
from torch import Tensor

from barl.losses.signed_distance import Transformers, distance_error, distances_as_logits, signed_distances
from barl.losses.task_agreement import certainty_by_agreement, certainty_by_entropy, weighted_cross_entropy
from barl.methods.dbisl import Settings

REACH = Settings().reach_voxels
TRANSFORMERS = Settings().transformers


def a_label(seed: int) -> Tensor:
    """(1, D, H, W) of two classes that touch: a body and its upper half."""
    blob = a_smooth_blob(seed)
    label = blob.astype(np.int64)
    label[: blob.shape[0] // 2][blob[: blob.shape[0] // 2]] = 2
    return torch.from_numpy(label[np.newaxis])


def true_signed_distance(inside: np.ndarray) -> np.ndarray:
    """(D, H, W) voxels, positive inside, at most the reach."""
    signed = edt.edt(inside.astype(np.uint8)) - edt.edt((~inside).astype(np.uint8))
    return np.clip(signed, -REACH, REACH)


def sure_of(label: Tensor, num_classes: int, logit: float = 8.0) -> Tensor:
    """ln p, (B, K, D, H, W), of a network that is sure of the label."""
    one_hot = torch.nn.functional.one_hot(label, num_classes).movedim(-1, 1).float()
    return (logit * one_hot).log_softmax(dim=1)


# Targets


def test_signed_distances_of_a_label_are_those_of_edt() -> None:
    label = a_label(0)
    found = signed_distances(label, 3, REACH)
    assert torch.equal(found.low, found.high)
    assert bool(found.known.all())
    for index in (1, 2):
        expected = true_signed_distance((label[0] == index).numpy())
        np.testing.assert_allclose(REACH * found.low[0, index - 1].numpy(), expected, atol=1e-5)


def test_a_complete_label_needs_not_be_searched_for_unknown_voxels() -> None:
    label = a_label(4)
    searched, told = signed_distances(label, 3, REACH), signed_distances(label, 3, REACH, complete=True)
    assert torch.equal(searched.low, told.low)
    assert torch.equal(told.low, told.high)
    assert torch.equal(told.of_class(2).low, told.low[:, 1:])


def test_a_class_that_is_not_there_is_far_away_everywhere() -> None:
    found = signed_distances(torch.zeros(1, 4, 4, 4, dtype=torch.long), 2, REACH)
    assert torch.equal(found.high, torch.full((1, 1, 4, 4, 4), -1.0))


def test_unknown_voxels_leave_distances_open_as_far_as_they_are_near() -> None:
    """A row: class, class, class, background, background, unknown; by hand."""
    label = torch.tensor([1, 1, 1, 0, 0, 255]).view(1, 1, 1, 6)
    found = signed_distances(label, 2, 10)
    assert found.known.flatten().tolist() == [1, 1, 1, 1, 1, 0]
    assert (10 * found.high).flatten()[:5].tolist() == pytest.approx([3, 2, 1, -1, -1])
    assert (10 * found.low).flatten()[:5].tolist() == pytest.approx([3, 2, 1, -1, -2])


def test_distances_within_their_range_are_no_error() -> None:
    label = torch.tensor([1, 1, 1, 0, 0, 255]).view(1, 1, 1, 6)
    target = signed_distances(label, 2, 10)
    guess = torch.tensor([0.3, 0.2, 0.1, -0.1, -0.15, 0.9]).view(1, 1, 1, 1, 6)
    assert float(distance_error(guess, target)) == pytest.approx(0, abs=1e-12)
    worse = guess.clone()
    worse.view(-1)[4] = -0.4
    assert float(distance_error(worse, target)) == pytest.approx(0.2**2 / 5)


def test_a_label_nobody_drew_says_nothing_of_distances() -> None:
    target = signed_distances(torch.full((1, 4, 4, 4), 255), 3, REACH)
    guess = torch.rand(1, 2, 4, 4, 4, requires_grad=True)
    error = distance_error(guess, target)
    error.backward()
    assert float(error.detach()) == 0
    assert not guess.grad.any()


# Transformers


@pytest.mark.parametrize("seed", [0, 3])
def test_a_segmentation_becomes_its_distances_within_a_voxel(seed: int) -> None:
    label = a_label(seed)
    found = REACH * TRANSFORMERS.to_distance(sure_of(label, 3)[:, 1:])[0].numpy()
    for index in (1, 2):
        expected = true_signed_distance((label[0] == index).numpy())
        near = np.abs(expected) < REACH
        assert near.sum() > 1_000
        assert np.abs(found[index - 1] - expected)[near].max() < 1


def test_distances_become_the_segmentation_they_are_of() -> None:
    label = a_label(1)
    segmented = TRANSFORMERS.to_segmentation(signed_distances(label, 3, REACH).low)
    assert torch.equal(segmented.argmax(dim=1), label)


def test_there_and_back_it_is_the_same_segmentation() -> None:
    label = a_label(2)
    back = TRANSFORMERS.to_segmentation(TRANSFORMERS.to_distance(sure_of(label, 3)[:, 1:])).argmax(dim=1)
    for index in (1, 2):
        overlap = 2 * ((back == index) & (label == index)).sum() / ((back == index).sum() + (label == index).sum())
        assert float(overlap) > 0.99


def test_for_one_class_it_is_the_scaled_sigmoid() -> None:
    distance = torch.tensor([-0.5, -0.1, 0.0, 0.1]).view(1, 1, 1, 1, 4)
    probability = distances_as_logits(distance, 30.0).softmax(dim=1)[:, 1].flatten().tolist()
    assert probability == pytest.approx([1 / (1 + math.exp(-30 * r)) for r in (-0.5, -0.1, 0.0, 0.1)])


def test_without_sharpening_a_remote_one_percent_is_a_surface() -> None:
    """What the power is for: 1 % everywhere around a sure voxel."""
    logits = torch.full((1, 2, 11, 11, 11), 0.0)
    logits[:, 0] = math.log(99)
    logits[0, :, 5, 5, 5] = torch.tensor([0.0, 9.0])
    plain = Transformers(reach_voxels=5, steepness=3.0, smoothness_voxels=0.2, sharpening=1.0)
    sharp = Transformers(reach_voxels=5, steepness=3.0, smoothness_voxels=0.2, sharpening=5.0)
    near, far = (5 * float(t.to_distance(logits.log_softmax(dim=1)[:, 1:])[0, 0, 5, 5, 9]) for t in (plain, sharp))
    assert near > -1.2
    assert far < -3.5


@pytest.mark.parametrize("num_classes", [2, 3])
def test_both_transformers_are_differentiable(num_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    gentle = Transformers(reach_voxels=4, steepness=0.5, smoothness_voxels=0.7, sharpening=1.5)
    logits = torch.randn(1, num_classes, 2, 3, 3, generator=generator, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: gentle.to_distance(x.log_softmax(dim=1)[:, 1:]), logits)
    distance = torch.randn(1, num_classes - 1, 2, 3, 3, generator=generator, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: gentle.to_segmentation(x).softmax(dim=1), distance)


def test_a_surface_drawn_too_small_is_pulled_outward() -> None:
    """The direction in which a distance teaches a segmentation: the voxels around a small ball become likelier."""
    axis = torch.arange(13) - 6
    square = axis.view(-1, 1, 1) ** 2 + axis.view(1, -1, 1) ** 2 + axis.view(1, 1, -1) ** 2
    logits = torch.stack([torch.zeros(13, 13, 13), 2 * (3.5 - square.sqrt())])[None].requires_grad_(True)
    target = signed_distances((square < 25).long()[None], 2, 5)
    small = Transformers(reach_voxels=5, steepness=3.0, smoothness_voxels=0.2, sharpening=5.0)
    distance_error(small.to_distance(logits.log_softmax(dim=1)[:, 1:]), target).backward()
    just_outside = (square > 12.25) & (square < 20)
    assert float(logits.grad[0, 1][just_outside].sum()) < 0


# Certainty


def test_certainty_by_hand() -> None:
    """Both sure and agreed, both sure and contrary, both undecided."""
    first = torch.tensor([[1.0, 1.0, 0.5], [0.0, 0.0, 0.5]]).view(1, 2, 1, 1, 3)
    second = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]).view(1, 2, 1, 1, 3)
    assert certainty_by_entropy(first, second).flatten().tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    assert certainty_by_agreement(first, second).flatten().tolist() == pytest.approx([1, 0.5, 1], abs=1e-6)


def test_weighted_cross_entropy_by_hand() -> None:
    log_probability = torch.tensor([[0.5, 0.8], [0.5, 0.2]]).log().view(1, 2, 1, 1, 2)
    label = torch.tensor([0, 1]).view(1, 1, 1, 2)
    weight = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
    found = float(weighted_cross_entropy(log_probability, label, weight))
    assert found == pytest.approx((-math.log(0.5) - 3 * math.log(0.2)) / 4)
    assert float(weighted_cross_entropy(log_probability, label, 0 * weight)) == 0
