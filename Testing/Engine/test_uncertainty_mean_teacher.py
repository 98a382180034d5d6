"""Uncertainty-aware mean teacher: a mean teacher that keeps quiet where it is not certain.

Shapes: U unlabeled patches, K classes, D H W voxels.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from engine_doubles import built, gradients, tiny_method, without_labels
from torch import Tensor, nn

from barl.errors import SettingsError
from barl.losses.consistency import squared_distance
from barl.losses.entropy import entropy
from barl.methods.protocol import Batch, Progress
from barl.methods.uncertainty_mean_teacher import dropping

NAME = "uncertainty_mean_teacher"
START, END = Progress(step=0, total_steps=100), Progress(step=100, total_steps=100)
ONCE = {"passes": 1}
"""Settings that ask the teacher once, to save time."""
PLAINLY = {"noise": 0.0, "dropout": 0.0, **ONCE}
"""Settings that ask it about the weak view as it is."""


def test_the_agreement_moves_the_student_alone(a_batch: Batch) -> None:
    method, model = built(NAME, ONCE)
    found = gradients(model, method.training_step(model, without_labels(a_batch), END).total)
    assert {name.split(".")[0] for name in found} == {"student"}
    assert not any(p.requires_grad for p in model.teacher.parameters())


def test_only_certain_voxels_count(a_batch: Batch) -> None:
    method, model = built(NAME, {**PLAINLY, "passes": 2, "bound_start": 0.5})
    with torch.no_grad():
        belief = model.teacher(a_batch.weak).softmax(dim=1)
        squares = (model.student(a_batch.strong).softmax(dim=1) - belief).square().mean(dim=1)
    certain = entropy(belief) < (0.5 + 0.5 * math.exp(-5)) * math.log(2)
    loss = method.training_step(model, a_batch, START)
    assert 0 < float(loss.terms["certain"]) < 1
    assert float(loss.terms["certain"]) == pytest.approx(float(certain.float().mean()))
    assert float(loss.terms["agreement"]) == pytest.approx(float(squares[certain].mean()), rel=1e-4)


def test_in_the_end_nearly_all_voxels_are_certain_and_it_is_a_mean_teacher(a_batch: Batch) -> None:
    method, model = built(NAME, {**PLAINLY, "agreement_weight": 10.0})
    with torch.no_grad():
        belief = model.teacher(a_batch.weak).softmax(dim=1)
        plain = squared_distance(model.student(a_batch.strong).softmax(dim=1), belief)
    loss = method.training_step(model, without_labels(a_batch), END)
    # A fresh network has voxels at one half, whose entropy is the largest possible one but for rounding.
    assert float(loss.terms["certain"]) > 0.9
    assert loss.total.item() == pytest.approx(10 * plain.item(), rel=0.05)


def test_the_teacher_is_asked_about_noisy_weak_views_as_often_as_set(a_batch: Batch) -> None:
    method, model = built(NAME, {"passes": 3, "noise": 0.1})
    seen: list[Tensor] = []
    model.teacher.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    method.training_step(model, a_batch, START)
    assert torch.equal(seen[0], a_batch.weak)
    noises = [view - a_batch.weak for view in seen[1:]]
    assert len(noises) == 3
    assert all(0.05 < float(noise.std()) < 0.1 for noise in noises)
    assert max(float(noise.abs().max()) for noise in noises) <= 0.2 + 1e-5
    assert not torch.equal(noises[0], noises[1])


def test_noise_and_dropped_channels_make_it_less_certain(a_batch: Batch) -> None:
    shares = []
    for settings in (PLAINLY, {"noise": 2.0, "dropout": 0.8, "passes": 2}):
        method, model = built(NAME, settings | {"bound_start": 0.9})
        shares.append(float(method.training_step(model, a_batch, START).terms["certain"]))
    assert shares[1] < shares[0]


def test_channels_are_dropped_only_while_the_teacher_is_asked() -> None:
    _, model = built(NAME)
    layers = [part for part in model.teacher.modules() if isinstance(part, nn.Dropout3d)]
    model.eval()
    with dropping(model.teacher, 0.3):
        assert [(layer.p, layer.training) for layer in layers] == [(0.3, True)] * 2
    assert [(layer.p, layer.training) for layer in layers] == [(0.0, False)] * 2


def test_a_pasted_piece_is_certain(a_batch: Batch) -> None:
    method, model = built(NAME, {**PLAINLY, "bound_start": 0.5})
    pasted = torch.full_like(a_batch.label, -1)
    with torch.no_grad():
        unsure = entropy(model.teacher(a_batch.weak).softmax(dim=1)) >= (0.5 + 0.5 * math.exp(-5)) * math.log(2)
    pasted[unsure] = 1
    assert float(method.training_step(model, a_batch, START).terms["certain"]) < 1
    assert float(method.training_step(model, replace(a_batch, pasted=pasted), START).terms["certain"]) == 1


def test_the_agreement_grows_for_a_part_and_the_bound_for_all_of_the_training(a_batch: Batch) -> None:
    method, model = built(NAME, {**PLAINLY, "agreement_weight": 10.0, "ramp_share": 0.5, "bound_start": 0.5})
    losses = [
        method.training_step(model, without_labels(a_batch), Progress(step=step, total_steps=100))
        for step in (0, 25, 50, 100)
    ]
    weights = [loss.total.item() / float(loss.terms["agreement"]) for loss in losses]
    assert weights == pytest.approx([10 * math.exp(-5), 10 * math.exp(-1.25), 10, 10], rel=1e-3)
    with torch.no_grad():
        uncertainty = entropy(model.teacher(a_batch.weak).softmax(dim=1)) / math.log(2)
    expected = [float((uncertainty < 0.5 + 0.5 * ramp).float().mean()) for ramp in (0.006738, 0.060055, 0.286505)]
    assert [float(loss.terms["certain"]) for loss in losses[:3]] == pytest.approx(expected, abs=1e-4)
    assert expected[2] < float(losses[3].terms["certain"])


def test_with_weight_zero_unlabeled_patches_move_nothing(a_batch: Batch) -> None:
    method, model = built(NAME, {**ONCE, "agreement_weight": 0})
    assert gradients(model, method.training_step(model, without_labels(a_batch), END).total) == {}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("agreement_weight", float("nan")),
        ("ramp_share", 1.5),
        ("momentum", 1.0),
        ("passes", 0),
        ("noise", -0.1),
        ("dropout", 1.0),
        ("bound_start", -0.5),
    ],
)
def test_what_it_cannot_be_set_to_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must be .* got '?{value}"):
        tiny_method(NAME, {setting: value})
