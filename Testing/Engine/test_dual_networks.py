"""Dual Networks: which of its terms moves which network.

Shapes: U unlabeled patches, K classes, D H W voxels.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from engine_doubles import built, gradients, tiny_method, without_labels
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.supervised import deep_dice_ce
from barl.methods.protocol import Batch, Progress

NAME = "dual_networks"
START, END = Progress(step=0, total_steps=100), Progress(step=100, total_steps=100)
NOTHING = {f"{part}_weight": 0.0 for part in ("rectification", "pseudo", "cosine", "entropy", "contrast")}


def moved_by(part: str, batch: Batch, settings: dict[str, object] | None = None) -> set[str]:
    """Networks that one part alone moves, without labels."""
    method, model = built(NAME, {**NOTHING, f"{part}_weight": 1.0, **(settings or {})})
    found = gradients(model, method.training_step(model, without_labels(batch), END).total)
    return {name.split(".")[0] for name in found}


@pytest.mark.parametrize(
    ("part", "networks"),
    [
        ("pseudo", {"second"}),
        ("cosine", {"first", "second"}),
        ("entropy", {"first", "second"}),
        ("rectification", set()),
    ],
)
def test_each_part_moves_the_networks_that_it_should(a_batch: Batch, part: str, networks: set[str]) -> None:
    assert moved_by(part, a_batch) == networks


def test_the_contrast_moves_the_network_that_does_worse_on_the_labels(a_batch: Batch) -> None:
    moved = []
    for worse in ("first", "second"):
        method, model = built(NAME, {**NOTHING, "contrast_weight": 1.0})
        bias = getattr(model, worse).decoder.heads[3].bias
        with torch.no_grad():
            bias[1] -= 50.0  # It finds no foreground at all.
        with_part = gradients(model, method.training_step(model, a_batch, END).total)
        method.settings = replace(method.settings, contrast_weight=0.0)
        without = gradients(model, method.training_step(model, a_batch, END).total)
        changed = {n for n, g in with_part.items() if not torch.equal(g, without.get(n, torch.zeros_like(g)))}
        moved.append({name.split(".")[0] for name in changed})
    assert moved == [{"first"}, {"second"}]


def test_rectification_moves_both_networks_where_labels_are(a_batch: Batch) -> None:
    method, model = built(NAME, {**NOTHING, "rectification_weight": 1.0, "confidence": 0.0})
    loss = method.training_step(model, a_batch, END)
    assert float(loss.terms["rectification"]) > 0
    method.settings = replace(method.settings, rectification_weight=0.0)
    supervised = method.training_step(model, a_batch, END).total
    found = gradients(model, loss.total - supervised)
    assert {name.split(".")[0] for name in found} == {"first", "second"}


def test_the_labels_teach_both_networks_as_much_as_one_that_learns_alone(a_batch: Batch) -> None:
    method, model = built(NAME)
    expected = sum(
        deep_dice_ce(network.taps(a_batch.labeled).logits, a_batch.label).item()
        for network in (model.first, model.second)
    )
    assert float(method.training_step(model, a_batch, START).terms["supervised"]) == pytest.approx(expected, rel=1e-5)


def test_as_released_labels_teach_the_finest_scale_alone(a_batch: Batch) -> None:
    method, model = built(NAME, {"as_released": True, "supervised_scales": 4})
    found = gradients(model, method.training_step(model, a_batch, END).total)
    heads = {part.split("decoder.heads.")[-1][0] for part in found if "decoder.heads." in part}
    assert heads == {"3"}


def test_as_released_has_neither_filter_nor_contrast_nor_ramp(a_batch: Batch) -> None:
    method, model = built(NAME, {"as_released": True})
    early, late = (method.training_step(model, a_batch, progress) for progress in (START, END))
    assert set(early.terms) == {"supervised", "rectification", "pseudo", "cosine"}
    assert early.total.item() == late.total.item()
    terms = {name: float(value) for name, value in early.terms.items()}
    expected = terms["supervised"] + 0.25 * terms["rectification"] + 0.5 * terms["pseudo"] + 0.5 * terms["cosine"]
    assert early.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("step", "ramp"), [(0, math.exp(-5)), (20, math.exp(-1.25)), (40, 1.0), (100, 1.0)])
def test_the_total_is_the_weighted_sum_of_the_parts(a_batch: Batch, step: int, ramp: float) -> None:
    method, model = built(NAME)
    loss = method.training_step(model, a_batch, Progress(step=step, total_steps=100))
    terms = {name: float(value) for name, value in loss.terms.items()}
    unlabeled = 0.5 * (terms["pseudo"] + terms["cosine"] + terms["entropy"]) + 0.05 * terms["contrast"]
    expected = terms["supervised"] + 0.25 * terms["rectification"] + ramp * unlabeled
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_both_networks_see_the_same_patches_once(a_batch: Batch, view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, model = built(NAME, {"unlabeled_view": view})
    seen: list[Tensor] = []
    for network in (model.first, model.second):
        taps = network.taps
        monkeypatch.setattr(network, "taps", lambda x, taps=taps: (seen.append(x), taps(x))[1])
    method.training_step(model, a_batch, START)
    expected = torch.cat([a_batch.labeled, getattr(a_batch, view)])
    assert [torch.equal(x, expected) for x in seen] == [True, True]


def test_what_was_pasted_into_a_strong_view_is_a_certain_label(a_batch: Batch) -> None:
    method, model = built(NAME, {**NOTHING, "entropy_weight": 1.0, "unlabeled_view": "strong"})
    pasted = torch.full_like(a_batch.label, -1)
    without = float(method.training_step(model, replace(a_batch, pasted=pasted), END).terms["entropy"])
    whole = torch.ones_like(pasted)
    with torch.no_grad():
        expected = sum(
            torch.nn.functional.cross_entropy(network(a_batch.strong), whole).item()
            for network in (model.first, model.second)
        )
    found = float(method.training_step(model, replace(a_batch, pasted=whole), END).terms["entropy"])
    assert found == pytest.approx(expected, rel=1e-4)
    assert without != pytest.approx(expected, rel=1e-3)


def test_the_networks_are_a_vnet_and_a_residual_one() -> None:
    _, model = built(NAME)
    assert [type(network).__name__ for network in (model.first, model.second)] == ["VNet", "ResVNet"]


def test_without_weights_unlabeled_patches_move_nothing(a_batch: Batch) -> None:
    method, model = built(NAME, NOTHING)
    assert gradients(model, method.training_step(model, without_labels(a_batch), END).total) == {}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("as_released", "perhaps"),
        ("rectification_weight", -1.0),
        ("pseudo_weight", float("nan")),
        ("cosine_weight", -1.0),
        ("entropy_weight", -1.0),
        ("contrast_weight", -1.0),
        ("confidence", 1.5),
        ("reliable_share", -0.5),
        ("ramp_share", 1.5),
        ("unlabeled_view", "plain"),
    ],
)
def test_what_it_cannot_be_set_to_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must be .* got '?{value}"):
        tiny_method(NAME, {setting: value})
