"""The questions every method of the catalog answers, and what is special about each.

Shapes: B patches, R branches, K classes, D H W voxels.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from engine_doubles import PATCH, Balls, balls_in_noise, built, gradients, tiny_method, without_labels
from torch import Tensor, nn

from barl.catalog import CARDS
from barl.errors import SettingsError
from barl.losses.consistency import pseudo_supervision
from barl.losses.supervised import deep_dice_ce, dice_ce
from barl.methods.barl import Branches
from barl.methods.common.averaging import follow
from barl.methods.common.ramps import late_ramp, linear_ramp, sigmoid_ramp
from barl.methods.factory import method_class
from barl.methods.protocol import Batch, Progress
from barl.networks import NetworkSettings
from barl.training.settings import TrainingSettings
from barl.training.stepper import Stepper

NAMES = [card.name for card in CARDS]
START, END = Progress(step=0, total_steps=100), Progress(step=100, total_steps=100)
ALWAYS_SURE = {"threshold_start": 0.0, "threshold_end": 0.0}
"""Settings with which BARL's pseudo labels exist from the first step on."""
TWO_LEARN: dict[str, Any] = {"second_branch": "residual"}
DPR_ALONE = {"pcbc_weight": 0.0, "region_weight": 0.0, "instance_weight": 0.0}
"""Dual-Path Regularization without the other parts of BARL."""
FROM_THE_START = {"semigda": {"first_stage_share": 0.0}}
"""Settings with which a method that learns in stages draws borders in its first steps."""
STAGES = {"semigda": (START, END)}
"""Where in the training to ask a method that learns in stages; others are asked at the start."""
SEES_SMALL = {"least_region_voxels": 1, "least_instance_voxels": 1, "least_overlap": 0.01}
"""Settings with which the guesses of a fresh network have regions and instances."""


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Each method of the catalog."""
    return str(request.param)


def trained(name: str, steps: int, *, seed: int = 0) -> tuple[Any, nn.Module, list[float]]:
    """A method, its model after some steps, and the losses of these."""
    method, model = built(name, seed=seed)
    stepper, balls = Stepper(method, model, TrainingSettings(), torch.device("cpu")), Balls(seed)
    losses = []
    for step in range(steps):
        stepper.step(balls.next_batch(), Progress(step=step, total_steps=steps), contextlib.nullcontext())
        losses.append(stepper.read_losses()["loss"])
    return method, model, losses


def with_other_views(batch: Batch) -> Batch:
    return Batch(labeled=batch.labeled, label=batch.label, weak=-batch.weak, strong=batch.strong.flip(2))


# Every method


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (2, 3), (1, 8), (2, 8)])
def test_it_runs_for_any_number_of_channels_and_classes(name: str, channels: int, classes: int) -> None:
    method = tiny_method(name)
    model = method.build(channels, classes)
    batch = Balls(channels=channels, classes=classes).next_batch()
    loss = method.training_step(model, batch, START)
    assert loss.total.shape == ()
    assert math.isfinite(float(loss.total.detach()))
    assert "supervised" in loss.terms
    assert not any(term.requires_grad for term in loss.terms.values())
    loss.total.backward()
    method.after_step(model, START)
    assert method.predict(model, batch.weak).shape == (2, method.num_branches, classes, *PATCH)


def test_it_runs_where_slices_are_halved_late(name: str) -> None:
    """Every term meets scales that are not halved alike along all axes."""
    network = NetworkSettings(base_filters=4, late_halvings=(2, 0, 0))
    method = tiny_method(name, SEES_SMALL if name == "barl" else None, network=network)
    model, batch = method.build(1, 3), Balls(classes=3).next_batch()
    batch = Batch(
        labeled=batch.labeled[:, :, 4:8],
        label=batch.label[:, 4:8],
        weak=batch.weak[:, :, 4:8],
        strong=batch.strong[:, :, 4:8],
    )
    for progress in (START, END):
        loss = method.training_step(model, batch, progress)
        assert math.isfinite(float(loss.total.detach()))
        loss.total.backward()
    assert method.predict(model, batch.weak).shape == (2, method.num_branches, 3, 4, *PATCH[1:])


def test_it_learns_a_ball_in_noise(name: str) -> None:
    torch.manual_seed(0)
    method = tiny_method(name, FROM_THE_START.get(name), network=NetworkSettings(base_filters=8))
    model, balls = method.build(1, 2), Balls(0)
    images, labels = balls_in_noise(4, torch.Generator().manual_seed(99))
    assert dice(method, model, images, labels) < 0.5
    stepper = Stepper(method, model, TrainingSettings(learning_rate=0.1), torch.device("cpu"))
    for step in range(30):
        # The beginning of a longer training: with the weight that the unlabeled terms have then.
        stepper.step(balls.next_batch(), Progress(step=step, total_steps=400), contextlib.nullcontext())
    assert dice(method, model, images, labels) > 0.8
    for step in range(300, 310):
        # Later on, with the full weight of all terms: they do not spoil what it knows.
        stepper.step(balls.next_batch(), Progress(step=step, total_steps=400), contextlib.nullcontext())
    stepper.read_losses()
    assert dice(method, model, images, labels) > 0.8


def dice(method: Any, model: nn.Module, images: Tensor, labels: Tensor) -> float:
    model.eval()
    with torch.no_grad():
        guess = method.predict(model, images).softmax(dim=2).mean(dim=1).argmax(dim=1)
    model.train()
    return float(2 * ((guess == 1) & (labels == 1)).sum() / ((guess == 1).sum() + (labels == 1).sum()))


def test_the_same_seed_gives_the_same_numbers(name: str) -> None:
    (_, first, losses), (_, second, again) = trained(name, 3), trained(name, 3)
    assert losses == again
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_another_seed_gives_other_numbers(name: str) -> None:
    assert trained(name, 1)[2] != trained(name, 1, seed=1)[2]


def test_saved_and_loaded_it_gives_the_same_output(name: str, a_batch: Batch) -> None:
    method, model, _ = trained(name, 2)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    _, other = built(name, seed=5)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(method.predict(other, a_batch.weak), method.predict(model, a_batch.weak))


def test_with_instance_normalization_training_and_evaluation_agree(name: str, a_batch: Batch) -> None:
    method, model, _ = trained(name, 1)
    in_training = method.predict(model.train(), a_batch.weak)
    assert torch.equal(method.predict(model.eval(), a_batch.weak), in_training)


@pytest.mark.parametrize("network", [{"dropout": 0.5}, {"normalization": "batch"}], ids=["dropout", "batch"])
def test_only_dropout_and_batch_normalization_make_them_differ(
    name: str, network: dict[str, Any], a_batch: Batch
) -> None:
    torch.manual_seed(0)
    method = tiny_method(name, network=NetworkSettings(base_filters=4, **network))
    model = method.build(1, 2)
    in_training = method.predict(model.train(), a_batch.weak)
    model.eval()
    assert not torch.allclose(method.predict(model, a_batch.weak), in_training, atol=1e-3)
    assert torch.equal(method.predict(model, a_batch.weak), method.predict(model, a_batch.weak))


def test_a_batch_nobody_annotated_has_no_supervised_term(name: str, a_batch: Batch) -> None:
    method, model = built(name)
    loss = method.training_step(model, without_labels(a_batch), END)
    assert float(loss.terms["supervised"]) == 0
    assert all(torch.isfinite(gradient).all() for gradient in gradients(model, loss.total).values())


def test_what_is_marked_unknown_is_not_learned_from(name: str, a_batch: Batch) -> None:
    """Labels that are wrong in one half do harm where they are seen, and none where 255 hides them."""
    method, model = built(name)
    wrong, hidden = 1 - a_batch.label, torch.full_like(a_batch.label, 255)
    right_half = torch.arange(PATCH[2]) < PATCH[2] // 2

    def supervised(rest: Tensor) -> float:
        label = torch.where(right_half, a_batch.label, rest)
        batch = Batch(labeled=a_batch.labeled, label=label, weak=a_batch.weak, strong=a_batch.strong)
        return float(method.training_step(model, batch, END).terms["supervised"])

    assert len({supervised(a_batch.label), supervised(wrong), supervised(hidden)}) == 3


def test_it_reads_views_only_if_it_says_so(name: str, a_batch: Batch) -> None:
    method, model = built(name, ALWAYS_SURE if name == "barl" else None)
    here = method.training_step(model, a_batch, END).total
    there = method.training_step(model, with_other_views(a_batch), END).total
    assert (here.item() != there.item()) == method.needs_unlabeled


def test_every_branch_that_learns_learns_from_labels(name: str, a_batch: Batch) -> None:
    method, model = built(name)
    found = {
        p
        for stage in STAGES.get(name, (START,))
        for p in gradients(model, method.training_step(model, a_batch, stage).total)
    }
    learning = {p for p, parameter in model.named_parameters() if parameter.requires_grad}
    coarse_heads = {p for p in learning if ".heads." in f".{p}" and ".heads.3." not in f".{p}"}
    projections = {p for p in learning if ".projection." in p}
    assert learning - coarse_heads - projections <= found


def test_an_unknown_setting_is_refused_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=f"method {name} has no setting 'sharpness'. Its settings: "):
        tiny_method(name, {"sharpness": 1})


def test_the_default_settings_are_plain_values_that_make_the_same_method(name: str) -> None:
    settings = vars(method_class(name).settings_class())
    assert vars(tiny_method(name, {key: str(value) for key, value in settings.items()}).settings) == settings


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("mean_teacher", "agreement_weight", -1),
        ("mean_teacher", "ramp_share", 1.1),
        ("mean_teacher", "momentum", 1),
        ("mean_teacher", "momentum", "fast"),
        ("mean_teacher", "momentum", float("nan")),
        ("dtc", "consistency_weight", -1.0),
        ("dtc", "ramp_share", 1.5),
        ("dtc", "reach_voxels", 0),
        ("dtc", "steepness", 0.0),
        ("dbisl", "directions", "to_distance"),
        ("dbisl", "certainty", "hope"),
        ("dbisl", "pseudo_weight", float("nan")),
        ("dbisl", "ramp_share", -0.5),
        ("dbisl", "reach_voxels", 101),
        ("dbisl", "sharpening", 0.0),
        ("dbisl", "smoothness_voxels", 0.1),
        ("semigda", "first_stage_share", 1.5),
        ("semigda", "alignment_weight", -1.0),
        ("semigda", "threshold", 2.0),
        ("semigda", "latent_channels", 0),
        ("semigda", "frozen_decoder", "perhaps"),
        ("barl", "second_branch", "third"),
        ("barl", "second_branch", 2),
        ("barl", "dpr_weight", -0.5),
        ("barl", "cross_weight", -0.5),
        ("barl", "pcbc_weight", float("nan")),
        ("barl", "region_weight", -1.0),
        ("barl", "instance_weight", -1.0),
        ("barl", "least_overlap", 1.5),
        ("barl", "most_instances", 0),
        ("barl", "temperature", 0.0),
        ("barl", "belief_temperature", 0.0),
        ("barl", "belief_scales", 5),
        ("barl", "background_voxels", -1),
        ("barl", "ramp_share", -0.1),
        ("barl", "threshold_start", 1.5),
        ("barl", "threshold_end", -0.5),
        ("barl", "momentum", 1.0),
    ],
)
def test_settings_outside_the_bounds_are_refused_by_name(name: str, setting: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must be .* got '?{value}"):
        tiny_method(name, {setting: value})


def test_an_unknown_method_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        SettingsError, match=r"method must be one of \('supervised', 'mean_teacher', .*'barl'.*got 'unet'"
    ):
        tiny_method("unet")


# Supervised


def test_supervised_never_looks_at_unlabeled_patches(a_batch: Batch) -> None:
    method, model = built("supervised")
    assert gradients(model, method.training_step(model, without_labels(a_batch), END).total) == {}


# Deep supervision


@pytest.mark.parametrize("scales", [1, 4])
def test_labels_teach_as_many_scales_as_set(name: str, scales: int, a_batch: Batch) -> None:
    method, model = built(name, {"supervised_scales": scales})
    found = gradients(model, method.training_step(model, a_batch, START).total)
    # Most decoders have a list of heads, SemiGDA's a finest one and a list of coarser ones.
    numbered = [re.search(r"decoder\.(?:coarse_)?heads\.(\d)", part) for part in found]
    heads = {int(match[1]) for match in numbered if match} | {3 for part in found if "decoder.head." in part}
    assert heads == set(range(4 - scales, 4))


@pytest.mark.parametrize("scales", [0, 5])
def test_a_number_of_scales_that_no_decoder_has_is_refused(name: str, scales: int) -> None:
    with pytest.raises(SettingsError, match=f"supervised_scales must be from 1 to 4, got {scales}"):
        built(name, {"supervised_scales": scales})


def test_the_finest_scale_counts_as_much_as_alone(a_batch: Batch) -> None:
    losses = {}
    for scales in (1, 4):
        method, model = built("supervised", {"supervised_scales": scales})
        losses[scales] = (method.training_step(model, a_batch, START).total, model.taps(a_batch.labeled).logits)
    one, logits = losses[1]
    torch.testing.assert_close(one, dice_ce(logits[-1], a_batch.label))
    four, logits = losses[4]
    torch.testing.assert_close(four, deep_dice_ce(logits, a_batch.label))
    assert four.item() > one.item()


# Mean teacher


def test_the_agreement_moves_the_student_and_never_the_teacher(a_batch: Batch) -> None:
    method, model = built("mean_teacher")
    found = gradients(model, method.training_step(model, without_labels(a_batch), END).total)
    assert {name.split(".")[0] for name in found} == {"student"}
    assert not any(p.requires_grad for p in model.teacher.parameters())


def test_a_student_that_sees_what_its_equal_teacher_sees_agrees(a_batch: Batch) -> None:
    method, model = built("mean_teacher")
    same = Batch(labeled=a_batch.labeled, label=a_batch.label, weak=a_batch.weak, strong=a_batch.weak)
    assert float(method.training_step(model, same, END).terms["agreement"]) == pytest.approx(0, abs=1e-6)
    assert float(method.training_step(model, a_batch, END).terms["agreement"]) > 1e-4


def test_the_teacher_sees_the_weak_view_and_the_student_the_strong_one(a_batch: Batch) -> None:
    method, model = built("mean_teacher")
    seen: dict[str, Tensor] = {}
    for who in ("student", "teacher"):
        getattr(model, who).blocks[0].register_forward_pre_hook(lambda _, args, who=who: seen.update({who: args[0]}))
    method.training_step(model, a_batch, START)
    assert torch.equal(seen["teacher"], a_batch.weak)
    assert torch.equal(seen["student"], torch.cat([a_batch.labeled, a_batch.strong]))


def test_the_teacher_follows_the_student_step_by_step(a_batch: Batch) -> None:
    method, model = built("mean_teacher", {"momentum": 0.9})
    before = [p.clone() for p in model.teacher.parameters()]
    with torch.no_grad():
        for p in model.student.parameters():
            p += 1
    method.after_step(model, Progress(step=5000, total_steps=5000))
    for old, new in zip(before, model.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.1)


def test_with_weight_zero_unlabeled_patches_move_nothing_in_mean_teacher(a_batch: Batch) -> None:
    method, model = built("mean_teacher", {"agreement_weight": 0})
    assert gradients(model, method.training_step(model, without_labels(a_batch), END).total) == {}


def test_the_agreement_begins_with_little_weight(a_batch: Batch) -> None:
    method, model = built("mean_teacher", {"agreement_weight": 10})
    early, late = (method.training_step(model, without_labels(a_batch), p) for p in (START, END))
    agreement = float(late.terms["agreement"])
    assert late.total.item() == pytest.approx(10 * agreement, rel=1e-5)
    assert early.total.item() == pytest.approx(10 * math.exp(-5) * agreement, rel=1e-5)


# BARL


@pytest.mark.parametrize("cross_weight", [0.0, 0.5])
@pytest.mark.parametrize("second_branch", ["residual", "same"])
def test_dual_path_regularization_moves_both_branches(a_batch: Batch, second_branch: str, cross_weight: float) -> None:
    settings = {"second_branch": second_branch, "cross_weight": cross_weight, **ALWAYS_SURE}
    method, model = built("barl", settings)
    found = gradients(model, method.training_step(model, without_labels(a_batch), END).total)
    assert {name.split(".")[0] for name in found} == {"first", "second"}


def test_an_averaged_second_branch_gets_no_gradient_and_follows_the_first(a_batch: Batch) -> None:
    method, model = built("barl", {"second_branch": "average", "momentum": 0.9, **ALWAYS_SURE})
    found = gradients(model, method.training_step(model, a_batch, END).total)
    assert {name.split(".")[0] for name in found} == {"first"}
    with torch.no_grad():
        for p in model.first.parameters():
            p += 1
    method.after_step(model, Progress(step=5000, total_steps=5000))
    for one, two in zip(model.first.parameters(), model.second.parameters(), strict=True):
        torch.testing.assert_close(two, one - 0.9)


def test_two_learning_branches_do_not_follow_each_other() -> None:
    method, model = built("barl", {"second_branch": "same"})
    before = [p.clone() for p in model.second.parameters()]
    method.after_step(model, END)
    assert all(torch.equal(a, b) for a, b in zip(before, model.second.parameters(), strict=True))


@pytest.mark.parametrize("cross_weight", [0.0, 0.5])
def test_each_branch_learns_from_the_others_weak_view_alone(a_batch: Batch, cross_weight: float) -> None:
    """The formula of the docstring, branch by branch: the teacher's side of a term has no gradient."""
    method, model = built(
        "barl", {"dpr_weight": 1.0, "cross_weight": cross_weight, **TWO_LEARN, **DPR_ALONE, **ALWAYS_SURE}
    )
    total = method.training_step(model, without_labels(a_batch), END).total
    found = gradients(model, total)
    expected: dict[str, Tensor] = {}
    value = 0.0
    for own, other in (("first", "second"), ("second", "first")):
        loss = path_of(model, own, other, a_batch, cross_weight)
        value += loss.item()
        expected |= gradients(model, loss)
    assert total.item() == pytest.approx(value, rel=1e-5)
    assert set(found) == set(expected)
    for name, gradient in found.items():
        assert float((gradient - expected[name]).norm()) <= 1e-2 * float(expected[name].norm()) + 1e-5, name


def path_of(model: Branches, own: str, other: str, batch: Batch, cross_weight: float) -> Tensor:
    with torch.no_grad():
        pseudo = getattr(model, other)(batch.weak).argmax(dim=1)
    network = getattr(model, own)
    loss = pseudo_supervision(network(batch.strong), pseudo)
    if cross_weight:
        loss = loss + cross_weight * pseudo_supervision(network(batch.weak), pseudo)
    return loss


def test_the_supervised_term_is_the_sum_of_both_branches_over_all_scales(a_batch: Batch) -> None:
    method, model = built("barl", TWO_LEARN)
    branches = [
        deep_dice_ce(getattr(model, name).network.taps(a_batch.labeled).logits, a_batch.label)
        for name in ("first", "second")
    ]
    supervised = float(method.training_step(model, a_batch, START).terms["supervised"])
    assert supervised == pytest.approx(float(torch.stack(branches).sum().detach()), rel=1e-4)


@pytest.mark.parametrize("part", ["pcbc_weight", "region_weight", "instance_weight"])
@pytest.mark.parametrize("second_branch", ["residual", "same", "average"])
def test_each_part_of_barl_moves_the_branches_that_learn(a_batch: Batch, part: str, second_branch: str) -> None:
    nothing = {"dpr_weight": 0.0, **DPR_ALONE}
    method, model = built("barl", nothing | {part: 1.0, "second_branch": second_branch, **SEES_SMALL, **ALWAYS_SURE})
    batch = a_batch if part == "instance_weight" else without_labels(a_batch)
    with_part = gradients(model, method.training_step(model, batch, END).total)
    method.settings = replace(method.settings, **{part: 0.0})
    without = gradients(model, method.training_step(model, batch, END).total)
    moved = {name for name, gradient in with_part.items() if not torch.equal(gradient, without.get(name, gradient * 0))}
    assert {name.split(".")[0] for name in moved} == ({"first"} if second_branch == "average" else {"first", "second"})
    assert any(".projection." in name for name in moved) == (part != "pcbc_weight")


def test_bias_correction_reaches_every_decoder_scale(a_batch: Batch) -> None:
    method, model = built("barl", {"dpr_weight": 0.0, **TWO_LEARN, **DPR_ALONE, "pcbc_weight": 1.0})
    found = gradients(model, method.training_step(model, without_labels(a_batch), END).total)
    for branch in ("first", "second"):
        assert {f"{branch}.network.decoder.heads.{scale}.weight" for scale in range(4)} <= set(found)


def test_bias_correction_begins_with_the_coarse_scales(a_batch: Batch) -> None:
    method, model = built("barl", {"dpr_weight": 0.0, **DPR_ALONE, "pcbc_weight": 1.0})
    progress = Progress(step=20, total_steps=100)  # After the warm-up of 0.15, before the second scale at 0.2375.
    found = gradients(model, method.training_step(model, without_labels(a_batch), progress).total)
    heads = {scale for scale in range(4) if f"first.network.decoder.heads.{scale}.weight" in found}
    assert heads == {0}


def test_barl_learns_from_what_was_pasted_as_from_a_label(a_batch: Batch) -> None:
    method, model = built("barl", {**TWO_LEARN, **DPR_ALONE, **ALWAYS_SURE})
    pasted = torch.full_like(a_batch.label, -1)
    pasted[:, :8, :8, :8] = 1
    batch = replace(without_labels(a_batch), pasted=pasted)
    expected = 0.0
    with torch.no_grad():
        for own, other in ((model.first, model.second), (model.second, model.first)):
            pseudo = torch.where(pasted >= 0, pasted, other(batch.weak).argmax(dim=1))
            expected += float(pseudo_supervision(own(batch.strong), pseudo))
    found = float(method.training_step(model, batch, END).terms["dual_path"])
    assert found == pytest.approx(expected, rel=1e-4)
    without = float(method.training_step(model, replace(batch, pasted=None), END).terms["dual_path"])
    assert without != pytest.approx(expected, rel=1e-3)


def test_every_decoder_scale_of_barl_is_supervised(a_batch: Batch) -> None:
    method, model = built("barl", TWO_LEARN)
    found = gradients(model, method.training_step(model, a_batch, START).total)
    for branch in ("first", "second"):
        assert {f"{branch}.network.decoder.heads.{scale}.weight" for scale in range(4)} <= set(found)


def test_where_nobody_is_confident_barl_learns_from_labels_alone(a_batch: Batch) -> None:
    method, model = built("barl", {"threshold_start": 1.0, "threshold_end": 1.0, **DPR_ALONE})
    loss = method.training_step(model, without_labels(a_batch), END)
    assert float(loss.terms["dual_path"]) == 0
    assert gradients(model, loss.total) == {}


def test_with_weight_zero_unlabeled_patches_move_nothing_in_barl(a_batch: Batch) -> None:
    method, model = built("barl", {"dpr_weight": 0, **DPR_ALONE, **ALWAYS_SURE})
    assert gradients(model, method.training_step(model, without_labels(a_batch), END).total) == {}


def test_the_second_branch_is_what_the_settings_say() -> None:
    kinds = {
        kind: type(built("barl", {"second_branch": kind})[1].second.network).__name__
        for kind in ("residual", "same", "average")
    }
    assert kinds == {"residual": "ResVNet", "same": "VNet", "average": "VNet"}
    same, average = built("barl", {"second_branch": "same"})[1], built("barl", {"second_branch": "average"})[1]
    heads = [
        (m.first.network.decoder.heads[3].weight, m.second.network.decoder.heads[3].weight) for m in (same, average)
    ]
    assert [torch.equal(*pair) for pair in heads] == [False, True]


# What methods share


@pytest.mark.parametrize(
    ("done", "length", "expected"),
    [(0.0, 0.4, math.exp(-5)), (0.2, 0.4, math.exp(-1.25)), (0.4, 0.4, 1.0), (0.9, 0.4, 1.0), (0.0, 0.0, 1.0)],
)
def test_the_sigmoid_ramp(done: float, length: float, expected: float) -> None:
    assert sigmoid_ramp(done, length) == pytest.approx(expected)


def test_the_linear_ramp_stays_between_its_ends() -> None:
    assert [linear_ramp(done, 0.75, 0.95) for done in (-1, 0, 0.5, 1, 2)] == pytest.approx(
        [0.75, 0.75, 0.85, 0.95, 0.95]
    )


@pytest.mark.parametrize(("step", "expected"), [(0, 1.0), (1, 1 - 0.5**20), (39, 1 - 0.975**20), (1000, 0.1)])
def test_a_young_average_remembers_a_twentieth_of_the_steps(step: int, expected: float) -> None:
    average, source = nn.Linear(2, 2), nn.Linear(2, 2)
    before = average.weight.detach().clone()
    follow(average, source, step, momentum=0.9)
    torch.testing.assert_close(average.weight, before + expected * (source.weight - before))


def test_an_average_takes_over_batch_statistics() -> None:
    average, source = nn.BatchNorm3d(2), nn.BatchNorm3d(2)
    source(torch.randn(2, 2, 4, 4, 4) + 3)
    follow(average, source, 10, momentum=0.9)
    assert torch.equal(average.running_mean, source.running_mean)
    assert int(average.num_batches_tracked) == 1


def test_progress_ends_at_one() -> None:
    assert [Progress(step=s, total_steps=10).done for s in (0, 5, 10, 12)] == [0, 0.5, 1, 1]


def test_the_late_ramp_is_silent_until_its_start() -> None:
    values = [late_ramp(done, 0.2, 0.6) for done in (0.0, 0.19, 0.2, 0.4, 0.6, 1.0)]
    assert values == pytest.approx([0, 0, math.exp(-5), math.exp(-1.25), 1, 1])


def test_barl_learns_from_labels_alone_while_it_warms_up() -> None:
    method = tiny_method("barl", {"warmup_share": 0.2})
    model = method.build(1, 2)
    batch = Batch(
        labeled=torch.randn(1, 1, *PATCH),
        label=torch.ones(1, *PATCH, dtype=torch.long),
        weak=torch.full((1, 1, *PATCH), math.nan),
        strong=torch.full((1, 1, *PATCH), math.nan),
    )
    early = method.training_step(model, batch, Progress(step=19, total_steps=100))
    late = method.training_step(model, batch, Progress(step=21, total_steps=100))
    assert torch.isfinite(early.total)
    assert not torch.isfinite(late.total)


def test_barl_refuses_a_warm_up_longer_than_the_ramp() -> None:
    with pytest.raises(SettingsError, match=r"warmup_share must not be above ramp_share \(0.3\), got 0.4"):
        tiny_method("barl", {"warmup_share": 0.4, "ramp_share": 0.3})
