"""Entropy and disagreement against numbers computed by hand; both from 0 to 1.

Shapes: B patches, R branches, K classes, D H W voxels.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from barl.inference.uncertainty import consensus, entropy, normalized_entropy


def h(*probabilities: float) -> float:
    """Entropy in nats."""
    return -sum(p * math.log(p) for p in probabilities if p > 0)


def branches(*rows: list[float]) -> Tensor:
    """Logits (1, R, K, 1, 1, 1) from the class probabilities of each branch."""
    return torch.tensor(rows).clamp(min=1e-30).log().view(1, len(rows), -1, 1, 1, 1)


def disagreement(logits: Tensor) -> Tensor:
    return consensus(logits)[1]


def test_entropy_of_known_distributions() -> None:
    assert float(entropy(torch.tensor([0.5, 0.5]), dim=0)) == pytest.approx(math.log(2))
    assert float(entropy(torch.tensor([0.7, 0.2, 0.1]), dim=0)) == pytest.approx(h(0.7, 0.2, 0.1))
    assert float(entropy(torch.tensor([1.0, 0.0, 0.0]), dim=0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 32])
def test_normalized_entropy_is_one_where_all_classes_are_equal_and_zero_where_one_is_certain(classes: int) -> None:
    assert float(normalized_entropy(torch.full((classes,), 1 / classes), dim=0)) == pytest.approx(1, abs=1e-5)
    assert float(normalized_entropy(torch.eye(classes)[0], dim=0)) == pytest.approx(0, abs=1e-6)


def test_disagreement_of_two_branches() -> None:
    rows = [0.9, 0.1], [0.2, 0.8]
    expected = (h(0.55, 0.45) - (h(*rows[0]) + h(*rows[1])) / 2) / math.log(2)
    assert disagreement(branches(*rows)).item() == pytest.approx(expected, rel=1e-5)


def test_disagreement_of_three_branches_and_two_classes_is_over_log_two() -> None:
    rows = [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]
    expected = (h(0.5, 0.5) - h(0.5, 0.5) / 3) / math.log(2)
    assert disagreement(branches(*rows)).item() == pytest.approx(expected, rel=1e-5)


def test_equal_branches_do_not_disagree_however_unsure_they_are() -> None:
    for row in ([0.5, 0.5], [1.0, 0.0], [0.3, 0.7]):
        assert disagreement(branches(row, row)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_opposite_and_certain_branches_disagree_fully(classes: int) -> None:
    eye = torch.eye(classes)
    assert disagreement(branches(eye[0].tolist(), eye[-1].tolist())).item() == pytest.approx(1, abs=1e-5)
    assert disagreement(branches(*eye.tolist())).item() == pytest.approx(1, abs=1e-5)


def test_a_single_branch_never_disagrees() -> None:
    assert disagreement(torch.rand(2, 1, 3, 4, 5, 6)).shape == (2, 4, 5, 6)
    assert not disagreement(torch.rand(2, 1, 3, 4, 5, 6)).any()


def test_what_the_branches_say_together_is_the_mean_of_their_softmaxes() -> None:
    mean, _ = consensus(branches([0.9, 0.1], [0.2, 0.8]))
    assert mean.flatten().tolist() == pytest.approx([0.55, 0.45])


def test_order_in_memory_and_number_format_of_the_logits_make_no_difference() -> None:
    logits = (3 * torch.randn(1, 2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))).bfloat16()
    before = logits.clone()
    channels_last = logits.movedim(2, -1).contiguous().movedim(-1, 2)
    for one, two in zip(consensus(channels_last), consensus(logits.float()), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(logits, before)


@given(st.integers(2, 4), st.integers(2, 6), st.floats(0.01, 30), st.integers(0, 1000))
def test_both_stay_between_zero_and_one(count: int, classes: int, sharpness: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    some = sharpness * torch.randn(2, count, classes, 2, 2, 2, generator=generator)
    mean, unlike = consensus(some)
    unsure = normalized_entropy(mean, dim=1)
    for values in (unlike, unsure):
        assert values.shape == (2, 2, 2, 2)
        assert 0 <= float(values.min()) <= float(values.max()) <= 1
    if classes <= count:
        assert (unlike <= unsure + 1e-4).all()
