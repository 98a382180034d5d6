"""DTC and DBiSL: two tasks of one network, and what each of their terms moves.

Shapes: B patches, R branches, K classes, D H W voxels.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from engine_doubles import PATCH, built, gradients, without_labels
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.consistency import squared_distance
from barl.losses.signed_distance import distance_error, signed_distances
from barl.losses.supervised import deep_dice_ce
from barl.methods.protocol import Batch, Progress
from barl.networks.two_heads import TwoTasks

START, END = Progress(step=0, total_steps=100), Progress(step=100, total_steps=100)
SEGMENTATION, DISTANCE = "backbone.decoder.heads.3.weight", "distance_head.weight"
NOTHING = {"consistency_weight": 0.0, "pseudo_weight": 0.0}


def seen(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """What both heads say of labeled patches and strong views."""
    tasks = both(model, batch)
    return tasks.logits, tasks.distance


def both(model: Any, batch: Batch) -> TwoTasks:
    """The same at all scales."""
    tasks: TwoTasks = model(torch.cat([batch.labeled, batch.strong]))
    return tasks


@pytest.fixture(params=["dtc", "dbisl"])
def name(request: pytest.FixtureRequest) -> str:
    """Both methods with two heads."""
    return str(request.param)


def test_the_branches_are_the_segmentation_and_the_distance_turned_into_one(name: str, a_batch: Batch) -> None:
    method, model = built(name, classes=3)
    logits, distance = seen(model, a_batch)
    first, second = method.predict(model, torch.cat([a_batch.labeled, a_batch.strong])).unbind(dim=1)
    torch.testing.assert_close(first, logits)
    assert float(distance.detach().abs().max()) <= 1
    assert not second[:, 0].any()
    torch.testing.assert_close(second[:, 1:], method.settings.steepness * 10 * distance)


def test_steepness_counts_per_voxel_whatever_the_reach(name: str, a_batch: Batch) -> None:
    method, model = built(name, {"reach_voxels": 4, "steepness": 2.0})
    _, distance = seen(model, a_batch)
    guess = method.predict(model, torch.cat([a_batch.labeled, a_batch.strong]))
    torch.testing.assert_close(guess[:, 1, 1:], 8 * distance)


def test_with_weight_zero_unlabeled_patches_move_nothing_in_dual_tasks(name: str, a_batch: Batch) -> None:
    method, model = built(name, NOTHING if name == "dbisl" else {"consistency_weight": 0.0})
    assert gradients(model, method.training_step(model, without_labels(a_batch), END).total) == {}


def test_unlabeled_patches_move_both_heads(name: str, a_batch: Batch) -> None:
    method, model = built(name)
    found = gradients(model, method.training_step(model, without_labels(a_batch), END).total)
    assert {SEGMENTATION, DISTANCE} <= set(found)


def test_the_unlabeled_terms_begin_with_little_weight(name: str, a_batch: Batch) -> None:
    method, model = built(name)
    early, late = (method.training_step(model, without_labels(a_batch), at) for at in (START, END))
    assert early.total.item() == pytest.approx(math.exp(-5) * late.total.item(), rel=1e-4)


# DTC


def test_dtc_is_its_formula(a_batch: Batch) -> None:
    method, model = built("dtc", classes=3)
    logits, distance = seen(model, a_batch)
    truth = signed_distances(a_batch.label, 3, 10)
    labeled = tuple(scale[:2] for scale in both(model, a_batch).scales)
    supervised = deep_dice_ce(labeled, a_batch.label) + 0.3 * distance_error(distance[:2], truth)
    segmented = method.predict(model, torch.cat([a_batch.labeled, a_batch.strong]))[:, 1]
    consistency = squared_distance(logits.softmax(dim=1), segmented.softmax(dim=1))
    loss = method.training_step(model, a_batch, END)
    assert float(loss.terms["supervised"]) == pytest.approx(float(supervised.detach()), rel=1e-4)
    assert loss.total.item() == pytest.approx(float((supervised + consistency).detach()), rel=1e-4)


# DBiSL


@pytest.mark.parametrize("part", ["consistency_weight", "pseudo_weight"])
@pytest.mark.parametrize("directions", ["both", "to_segmentation"])
def test_each_unlabeled_term_of_dbisl_moves_both_heads(a_batch: Batch, part: str, directions: str) -> None:
    method, model = built("dbisl", NOTHING | {part: 1.0, "directions": directions})
    found = gradients(model, method.training_step(model, without_labels(a_batch), END).total)
    assert {SEGMENTATION, DISTANCE} <= set(found)


def test_the_other_direction_moves_the_segmentation_alone_where_it_meets_a_label(a_batch: Batch) -> None:
    """What T_s2r adds to the supervised term has a gradient in the segmentation head and none in the distance head."""
    both, one = ({}, {"directions": "to_segmentation"})
    found = []
    for settings in (both, one):
        method, model = built("dbisl", NOTHING | settings)
        found.append(gradients(model, method.training_step(model, a_batch, START).total))
    assert torch.equal(found[0][DISTANCE], found[1][DISTANCE])
    assert not torch.allclose(found[0][SEGMENTATION], found[1][SEGMENTATION], atol=1e-6)


def test_of_several_classes_one_a_step_is_measured(a_batch: Batch) -> None:
    """In the other direction each class has its turn; the supervised term then differs from step to step."""
    method, model = built("dbisl", NOTHING, classes=4)
    terms = [
        float(method.training_step(model, a_batch, Progress(step=step, total_steps=100)).terms["supervised"])
        for step in range(4)
    ]
    assert terms[3] == terms[0]
    assert len(set(terms)) == 3


def test_the_distance_head_moves_its_logits_no_faster_than_the_other_head(a_batch: Batch) -> None:
    """At the surface, one more of the head's own units is one more logit: neither task drowns the other's gradient."""
    method, model = built("dbisl")
    with torch.no_grad():
        model.distance_head.weight.zero_()
        model.distance_head.bias.zero_()
    logits = method.predict(model, a_batch.strong)[:, 1, 1]
    (moved,) = torch.autograd.grad(logits.mean(), model.distance_head.bias)
    assert float(moved) == pytest.approx(1.0)


def test_two_tasks_that_agree_have_no_consistency_term(a_batch: Batch) -> None:
    """Both heads undecided everywhere: p = 1/2 is distance 0, in both directions."""
    method, model = built("dbisl")
    with torch.no_grad():
        for parameter in (*model.backbone.decoder.heads[3].parameters(), *model.distance_head.parameters()):
            parameter.zero_()
    assert float(method.training_step(model, a_batch, END).terms["consistency"]) == pytest.approx(0, abs=1e-10)
    with torch.no_grad():
        model.distance_head.bias.fill_(5.0)
    assert float(method.training_step(model, a_batch, END).terms["consistency"]) > 0.1


def test_where_the_two_tasks_say_nothing_their_guess_teaches_nothing(a_batch: Batch) -> None:
    method, model = built("dbisl", NOTHING | {"pseudo_weight": 1.0})
    with torch.no_grad():
        for parameter in (*model.backbone.decoder.heads[3].parameters(), *model.distance_head.parameters()):
            parameter.zero_()
    loss = method.training_step(model, a_batch, END)
    assert float(loss.terms["pseudo"]) == pytest.approx(0, abs=1e-4)


def test_dbisl_learns_what_was_pasted_as_a_label(a_batch: Batch) -> None:
    """Everything pasted: certain everywhere, and the common guess is the truth."""
    method, model = built("dbisl", NOTHING | {"pseudo_weight": 1.0})
    pasted = torch.zeros(2, *PATCH, dtype=torch.long)
    pasted[:, 4:12, 4:12, 4:20] = 1
    loss = method.training_step(model, replace(without_labels(a_batch), pasted=pasted), END)
    tasks = method.predict(model, a_batch.strong).log_softmax(dim=2)
    expected = sum(-tasks[:, task].gather(1, pasted.unsqueeze(1)).mean() for task in (0, 1))
    missed = distance_error(model(a_batch.strong).distance, signed_distances(pasted, 2, 10))
    assert loss.total.item() == pytest.approx(float((expected + 0.3 * missed).detach()), rel=1e-4)


def test_a_kernel_too_narrow_for_the_reach_is_refused_with_the_bounds() -> None:
    with pytest.raises(SettingsError, match=r"smoothness_voxels must be from 0.25 to 20, .* got 0.15"):
        built("dbisl", {"reach_voxels": 20})
