"""Cross pseudo supervision: each network learns from the other one's labels, and from nothing else.

Shapes: L labeled patches, U unlabeled patches, K classes, D H W voxels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from engine_doubles import built, gradients, tiny_method, without_labels
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.consistency import pseudo_supervision
from barl.losses.supervised import deep_dice_ce
from barl.methods.protocol import Batch, Progress

START, END = Progress(step=0, total_steps=100), Progress(step=100, total_steps=100)
FIRST_TO_SECOND = ((0, 1), (1, 0))


def logits_of(model: Any, batch: Batch, view: str) -> list[Tensor]:
    """Both networks' logits of the labeled patches, then of the view."""
    return [network(torch.cat([batch.labeled, getattr(batch, view)])) for network in (model.first, model.second)]


@pytest.mark.parametrize("labels_from", ["weak", "own"])
@pytest.mark.parametrize("labeled_too", [True, False])
def test_each_network_learns_from_the_labels_of_the_other(a_batch: Batch, labels_from: str, labeled_too: bool) -> None:
    """The formula of the docstring, network by network: who gives the label gets no gradient for it."""
    method, model = built("cross_pseudo", {"labels_from": labels_from, "labeled_too": labeled_too, "cross_weight": 1.0})
    batch = without_labels(a_batch)
    total = method.training_step(model, batch, END).total
    found = gradients(model, total)
    with torch.no_grad():
        given = [said.argmax(dim=1) for said in logits_of(model, batch, "strong" if labels_from == "own" else "weak")]
    from_patch = 0 if labeled_too else len(batch.labeled)
    expected: dict[str, Tensor] = {}
    value = 0.0
    for own, other in FIRST_TO_SECOND:
        said = logits_of(model, batch, "strong")[own]
        loss = pseudo_supervision(said[from_patch:], given[other][from_patch:])
        value += loss.item()
        expected |= gradients(model, loss)
    assert total.item() == pytest.approx(value, rel=1e-5)
    assert {name.split(".")[0] for name in found} == {"first", "second"}
    for name, gradient in found.items():
        assert float((gradient - expected[name]).norm()) <= 1e-2 * float(expected[name].norm()) + 1e-5, name


def test_the_labels_teach_both_networks_as_much_as_one_that_learns_alone(a_batch: Batch) -> None:
    method, model = built("cross_pseudo")
    alone = (model.first.taps(a_batch.labeled).logits, model.second.taps(a_batch.labeled).logits)
    expected = sum(deep_dice_ce(logits, a_batch.label).item() for logits in alone)
    assert float(method.training_step(model, a_batch, START).terms["supervised"]) == pytest.approx(expected, rel=1e-5)


def test_pseudo_labels_begin_with_little_weight(a_batch: Batch) -> None:
    method, model = built("cross_pseudo", {"ramp_share": 0.5, "cross_weight": 3.0})
    totals = []
    for step in (0, 25, 50, 100):
        loss = method.training_step(model, without_labels(a_batch), Progress(step=step, total_steps=100))
        totals.append(loss.total.item() / float(loss.terms["cross"]))
    assert totals == pytest.approx([3 * 0.006738, 3 * 0.286505, 3, 3], rel=1e-4)


def test_with_weight_zero_unlabeled_patches_move_nothing_in_cross_pseudo(a_batch: Batch) -> None:
    method, model = built("cross_pseudo", {"cross_weight": 0})
    assert gradients(model, method.training_step(model, without_labels(a_batch), END).total) == {}


def test_what_was_pasted_counts_as_a_label(a_batch: Batch) -> None:
    method, model = built("cross_pseudo", {"labeled_too": False})
    pasted = torch.full_like(a_batch.label, -1)
    pasted[:, :8, :8, :8] = 1
    batch = replace(a_batch, pasted=pasted)
    expected = 0.0
    with torch.no_grad():
        for own, other in ((model.first, model.second), (model.second, model.first)):
            label = torch.where(pasted >= 0, pasted, other(batch.weak).argmax(dim=1))
            expected += float(pseudo_supervision(own(batch.strong), label))
    assert float(method.training_step(model, batch, END).terms["cross"]) == pytest.approx(expected, rel=1e-4)
    assert float(method.training_step(model, a_batch, END).terms["cross"]) != pytest.approx(expected, rel=1e-3)


def test_on_their_own_view_the_weak_one_is_never_looked_at(a_batch: Batch) -> None:
    method, model = built("cross_pseudo", {"labels_from": "own"})
    blind = replace(a_batch, weak=torch.full_like(a_batch.weak, float("nan")))
    assert torch.isfinite(method.training_step(model, blind, END).total)


def test_both_networks_start_differently_and_are_what_the_settings_say() -> None:
    _, same = built("cross_pseudo")
    _, other = built("cross_pseudo", {"second_network": "residual"})
    assert [type(pair.second).__name__ for pair in (same, other)] == ["VNet", "ResVNet"]
    assert not torch.equal(same.first.decoder.heads[3].weight, same.second.decoder.heads[3].weight)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cross_weight", -1.0),
        ("cross_weight", float("nan")),
        ("ramp_share", 1.5),
        ("labels_from", "strong"),
        ("labeled_too", "maybe"),
        ("second_network", "average"),
    ],
)
def test_what_cross_pseudo_cannot_be_set_to_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must be .* got '?{value}"):
        tiny_method("cross_pseudo", {setting: value})
