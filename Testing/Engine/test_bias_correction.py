"""Progressively Cognitive Bias Correction against numbers computed by hand, and at its limits.

Shapes: B patches, K classes, D H W voxels; most tests lay voxels along W.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from barl.losses.bias_correction import (
    belief_over_scales,
    correction,
    divergence,
    mean_entropy,
    rectified_distance,
    sharpened,
    shrink_belief,
    stray_voxels,
)


def row(*voxels: list[float]) -> Tensor:
    """(1, K, 1, 1, W) from one list of class values a voxel."""
    return torch.tensor(voxels, dtype=torch.float64).T.reshape(1, -1, 1, 1, len(voxels))


def some_belief(seed: int = 0, classes: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, classes, 4, 4, 4, generator=generator, dtype=torch.float64).softmax(dim=1)


def test_divergence_by_hand() -> None:
    p, q = row([0.5, 0.5], [0.25, 0.75]), row([1.0, 0.0], [0.25, 0.75])
    torch.testing.assert_close(divergence(p.log(), q).flatten(), torch.tensor([math.log(2), 0.0], dtype=torch.float64))


def test_rectified_distance_by_hand() -> None:
    p, q = row([0.5, 0.5], [0.25, 0.75]), row([1.0, 0.0], [0.5, 0.5])
    kl = [math.log(2), 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)]
    weights = [math.exp(-value) for value in kl]
    squares = [0.5, 0.125]
    expected = (weights[0] * squares[0] + weights[1] * squares[1]) / sum(weights) + sum(kl) / 2
    assert float(rectified_distance(p.log(), q)) == pytest.approx(expected)


def test_identical_branches_are_at_no_distance() -> None:
    belief = some_belief()
    assert float(rectified_distance(belief.log(), belief)) == pytest.approx(0, abs=1e-7)


def test_the_gradient_of_the_rectified_distance_treats_its_weights_as_given() -> None:
    """Weights that carried gradient could be made small where two branches differ, instead of learning there."""
    logits = torch.randn(1, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    belief = some_belief()[:1, :, :2, :2, :2]
    log_p = logits.log_softmax(dim=1)
    (gradient,) = torch.autograd.grad(rectified_distance(log_p, belief), logits)
    weights = torch.exp(-divergence(log_p, belief)).detach()
    again = logits.log_softmax(dim=1)
    squares = (again.exp() - belief).square().sum(dim=1)
    fixed = (weights * squares).sum() / weights.sum() + divergence(again, belief).mean()
    torch.testing.assert_close(gradient, torch.autograd.grad(fixed, logits)[0])


def test_certain_beliefs_give_finite_losses() -> None:
    belief = row([1.0, 0.0], [0.0, 1.0])
    logits = row([-30.0, 30.0], [-30.0, 30.0]).requires_grad_()
    loss = rectified_distance(logits.log_softmax(dim=1), belief)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    assert torch.isfinite(logits.grad).all()


def test_voxels_stray_where_neither_the_coarser_scale_nor_the_other_branch_agrees() -> None:
    sure = {0: [0.9, 0.05, 0.05], 1: [0.05, 0.9, 0.05], 2: [0.05, 0.05, 0.9]}
    own = row(*(sure[k] for k in (0, 1, 1, 1))).log().expand(-1, -1, 2, 2, -1)
    coarser = row(sure[0], sure[1])
    belief = row(*(sure[k] for k in (2, 2, 2, 1))).expand(-1, -1, 2, 2, -1)
    # The coarse scale says 0 0 1 1: voxel 0 follows it, voxel 1 follows nobody, 2 and 3 follow it.
    assert stray_voxels(own, coarser, belief)[0, 0, 0].tolist() == [False, True, False, False]


def test_correction_by_hand() -> None:
    p = row([0.2, 0.8], [0.4, 0.6], [0.5, 0.5], [0.9, 0.1])
    belief = row([0.95, 0.05], [0.6, 0.4], [0.99, 0.01], [0.0, 1.0])
    stray = torch.tensor([True, True, True, False]).view(1, 1, 1, 4)
    towards_label = (-math.log(0.2) - math.log(0.5)) / 4
    doubt = -math.log(2) - 0.5 * (math.log(0.4) + math.log(0.6))
    assert float(correction(p.log(), stray, belief, 0.9, 0.1)) == pytest.approx(towards_label + 0.1 * doubt / 4)


def test_where_nothing_strays_nothing_is_corrected() -> None:
    logits = torch.randn(1, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    belief = some_belief()[:1, :, :2, :2, :2]
    loss = correction(logits.log_softmax(dim=1), torch.zeros(1, 2, 2, 2, dtype=torch.bool), belief, 0.5, 0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_the_belief_is_a_distribution_without_gradient_on_the_finest_grid() -> None:
    scales = [torch.randn(2, 3, size, size, size, requires_grad=True) for size in (2, 4, 8)]
    belief = belief_over_scales(scales)
    assert belief.shape == (2, 3, 8, 8, 8)
    assert not belief.requires_grad
    torch.testing.assert_close(belief.sum(dim=1), torch.ones(2, 8, 8, 8))


def test_scales_that_are_sure_count_more() -> None:
    sure, unsure = row([5.0, -5.0]).expand(1, 2, 2, 2, 2), row([-0.2, 0.2]).expand(1, 2, 2, 2, 2)
    entropies = [float(mean_entropy(logits.softmax(dim=1))) for logits in (sure, unsure)]
    weights = [math.exp(-entropy) / sum(math.exp(-e) for e in entropies) for entropy in entropies]
    expected = weights[0] * sure.softmax(dim=1) + weights[1] * unsure.softmax(dim=1)
    torch.testing.assert_close(belief_over_scales([sure, unsure]), expected.float(), rtol=1e-4, atol=1e-5)
    assert weights[0] > 0.6


def test_sharpening_by_hand() -> None:
    torch.testing.assert_close(sharpened(row([0.8, 0.2]), 0.5), row([16 / 17, 1 / 17]))
    torch.testing.assert_close(sharpened(row([0.5, 0.5], [1.0, 0.0]), 0.1), row([0.5, 0.5], [1.0, 0.0]))
    belief = some_belief()
    assert sharpened(belief, 1.0) is belief


def test_a_belief_on_a_coarser_grid_is_the_mean_of_its_voxels() -> None:
    belief = some_belief()
    coarse = shrink_belief(belief, (2, 2, 2))
    torch.testing.assert_close(coarse[:, :, 0, 1, 0], belief[:, :, :2, 2:, :2].mean(dim=(2, 3, 4)))
    assert shrink_belief(belief, (4, 4, 4)) is belief


@pytest.mark.parametrize("loss", ["distance", "correction"])
def test_gradients_are_those_of_finite_differences(loss: str) -> None:
    belief = some_belief()[:1, :, :2, :2, :2]
    stray = torch.tensor([True, False] * 4).view(1, 2, 2, 2)
    logits = torch.randn(1, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.exp(-divergence(logits.detach().log_softmax(dim=1), belief))

    def value(x: Tensor) -> Tensor:
        log_p = x.log_softmax(dim=1)
        if loss == "correction":
            return correction(log_p, stray, belief, 0.5, 0.1)
        # With the reliability held fixed, as its gradient is: a plain call would compare with moving weights.
        squares = (log_p.exp() - belief).square().sum(dim=1)
        return (weights * squares).sum() / weights.sum() + divergence(log_p, belief).mean()

    assert torch.autograd.gradcheck(value, logits)
