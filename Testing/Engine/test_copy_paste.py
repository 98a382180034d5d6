"""Bidirectional copy-paste: what the student sees, and what each voxel of it counts.

Shapes: B patches, D H W voxels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_doubles import PATCH, built, gradients, tiny_method, without_labels
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.components import largest_components
from barl.losses.supervised import dice_ce
from barl.methods.copy_paste import draw_box
from barl.methods.protocol import Batch, Progress
from barl.networks import Taps

EARLY, LATE = Progress(step=0, total_steps=100), Progress(step=90, total_steps=100)


def student_view(method: Any, model: Any, batch: Batch, progress: Progress) -> tuple[Tensor, Tensor]:
    """What the student saw in a step, and what it said."""
    seen: list[Tensor] = []
    taps = model.student.taps

    def watched(x: Tensor) -> Taps:
        said: Taps = taps(x)
        seen.extend([x, said.finest.detach()])
        return said

    model.student.taps = watched
    method.training_step(model, batch, progress)
    del model.student.taps
    return seen[0], seen[1]


def numbered(batch: Batch) -> Batch:
    """Each patch shows its own number: 1 and 2 the labeled ones, 11 and 12 the weak, 21 and 22 the strong views."""
    names = {"labeled": 1, "weak": 11, "strong": 21}
    images = {
        name: torch.stack([torch.full((1, *PATCH), float(first + index)) for index in range(2)])
        for name, first in names.items()
    }
    return replace(batch, **images)


def test_half_of_the_mixed_patches_have_a_labeled_frame_and_half_a_labeled_box(a_batch: Batch) -> None:
    method, model = built("copy_paste")
    seen, _ = student_view(method, model, numbered(a_batch), LATE)
    box = draw_box(a_batch.label, 0.67, LATE)[0]
    frames = [float(patch[0][~box].unique()) for patch in seen]
    boxes = [float(patch[0][box].unique()) for patch in seen]
    assert frames == [1, 2, 11, 12]
    assert boxes == [11, 12, 1, 2]


def test_at_first_labeled_patches_are_mixed_with_each_other(a_batch: Batch) -> None:
    method, model = built("copy_paste", {"supervised_scales": 1})
    blind = replace(numbered(a_batch), weak=torch.full_like(a_batch.weak, float("nan")))
    seen, said = student_view(method, model, blind, EARLY)
    box = draw_box(a_batch.label, 0.67, EARLY)
    assert [float(patch[0][~box[0]].unique()) for patch in seen] == [1, 2]
    assert [float(patch[0][box[0]].unique()) for patch in seen] == [2, 1]
    label = torch.where(box, a_batch.label.flip(0), a_batch.label)
    loss = method.training_step(model, blind, EARLY)
    assert loss.total.item() == pytest.approx(dice_ce(said, label).item(), rel=1e-5)


def test_a_labeled_voxel_counts_once_and_a_guessed_one_by_its_weight(a_batch: Batch) -> None:
    method, model = built("copy_paste", {"unlabeled_weight": 0.3, "supervised_scales": 1})
    _, said = student_view(method, model, a_batch, LATE)
    box = draw_box(a_batch.label, 0.67, LATE)
    with torch.no_grad():
        guess = model.teacher(a_batch.weak).argmax(dim=1)
    known = torch.cat([torch.where(box, 255, a_batch.label), torch.where(box, a_batch.label, 255)])
    guessed = torch.cat([torch.where(box, guess, 255), torch.where(box, 255, guess)])
    expected = dice_ce(said, known) + 0.3 * dice_ce(said, guessed)
    assert method.training_step(model, a_batch, LATE).total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_guesses_move_the_student_alone(a_batch: Batch) -> None:
    method, model = built("copy_paste")
    found = gradients(model, method.training_step(model, without_labels(a_batch), LATE).total)
    assert {name.split(".")[0] for name in found} == {"student"}


def test_without_weight_for_guesses_unlabeled_patches_move_nothing(a_batch: Batch) -> None:
    method, model = built("copy_paste", {"unlabeled_weight": 0})
    assert gradients(model, method.training_step(model, without_labels(a_batch), LATE).total) == {}


def test_of_a_strong_view_what_was_pasted_counts_as_labeled(a_batch: Batch) -> None:
    method, model = built("copy_paste", {"unlabeled_view": "strong", "supervised_scales": 1})
    pasted = torch.full_like(a_batch.label, -1)
    pasted[:, :8] = 1
    batch = replace(numbered(a_batch), pasted=pasted)
    seen, said = student_view(method, model, batch, LATE)
    assert {float(value) for value in seen.unique()} == {1, 2, 21, 22}
    box = draw_box(a_batch.label, 0.67, LATE)
    given = torch.where(pasted >= 0, pasted, 255)
    known = torch.cat([torch.where(box, given, a_batch.label), torch.where(box, a_batch.label, given)])
    loss = method.training_step(model, batch, LATE)
    assert float(loss.terms["supervised"]) == pytest.approx(dice_ce(said, known).item(), rel=1e-5)


@pytest.mark.parametrize(("labeled", "unlabeled"), [(1, 1), (1, 2), (3, 2), (2, 3)])
def test_any_number_of_patches_can_be_mixed(a_batch: Batch, labeled: int, unlabeled: int) -> None:
    method, model = built("copy_paste")

    def some(x: Tensor, count: int) -> Tensor:
        return torch.cat([x, x])[:count]

    batch = Batch(
        labeled=some(a_batch.labeled, labeled),
        label=some(a_batch.label, labeled),
        weak=some(a_batch.weak, unlabeled),
        strong=some(a_batch.strong, unlabeled),
    )
    seen, _ = student_view(method, model, batch, LATE)
    assert len(seen) == labeled + unlabeled
    assert torch.isfinite(method.training_step(model, batch, LATE).total)
    assert torch.isfinite(method.training_step(model, batch, EARLY).total)


def test_the_largest_component_counts_where_that_is_wished(a_batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    method, model = built("copy_paste", {"largest_component": True})
    guess = torch.zeros(2, *PATCH, dtype=torch.long)
    guess[:, 2:8, 2:8, 2:8] = 1
    speck = guess.clone()
    speck[:, 12, 12, 20] = 1
    totals = []
    for labels in (guess, speck):
        logits = torch.nn.functional.one_hot(labels, 2).movedim(-1, 1).float()
        monkeypatch.setattr(model.teacher, "forward", lambda _, logits=logits: logits)
        totals.append(method.training_step(model, a_batch, LATE).total.item())
    assert totals[0] == totals[1]


def test_each_class_keeps_its_largest_component() -> None:
    label = torch.zeros(1, 4, 4, 12, dtype=torch.long)
    label[0, 0, 0, :3], label[0, 0, 0, 4], label[0, 2, 2, :2], label[0, 2, 2, 5:9] = 1, 1, 2, 2
    kept = largest_components(label)
    assert (kept.dtype, kept.shape) == (label.dtype, label.shape)
    assert kept[0, 0, 0].tolist() == [1, 1, 1] + [0] * 9
    assert kept[0, 2, 2].tolist() == [0] * 5 + [2] * 4 + [0] * 3


def test_a_patch_without_foreground_has_no_component() -> None:
    assert not largest_components(torch.zeros(2, 4, 4, 4, dtype=torch.long)).any()


def test_a_box_has_its_size_lies_inside_and_moves_from_step_to_step() -> None:
    label = torch.zeros(1, 16, 32, 48)
    boxes = [draw_box(label, 0.67, Progress(step=step, total_steps=40))[0].nonzero() for step in range(40)]
    sizes = {tuple((box.max(dim=0).values - box.min(dim=0).values + 1).tolist()) for box in boxes}
    assert sizes == {(11, 21, 32)}
    corners = np.array([box.min(dim=0).values.tolist() for box in boxes])
    assert (corners.min(axis=0) <= 1).all()
    assert (corners.max(axis=0) >= np.array([4, 10, 14])).all()
    assert torch.equal(draw_box(label, 0.67, LATE), draw_box(label, 0.67, LATE))


def test_boxes_of_another_seed_are_others_and_those_of_seed_0_are_drawn_from_the_step_alone() -> None:
    label = torch.zeros(1, 16, 32, 48)

    def corners(seed: int) -> list[list[int]]:
        progress = [Progress(step=step, total_steps=40, seed=seed) for step in range(40)]
        return [draw_box(label, 0.67, one)[0].nonzero().min(dim=0).values.tolist() for one in progress]

    assert sum(one == other for one, other in zip(corners(0), corners(1), strict=True)) < 5
    assert corners(2**62)
    by_step = [torch.Generator().manual_seed(step) for step in range(40)]
    drawn = [[int(torch.randint(most, (), generator=one)) for most in (6, 12, 17)] for one in by_step]
    assert corners(0) == drawn


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("pretraining_share", 1.5),
        ("unlabeled_weight", -1.0),
        ("box_side", float("nan")),
        ("momentum", 1.0),
        ("unlabeled_view", "plain"),
        ("largest_component", "perhaps"),
    ],
)
def test_what_it_cannot_be_set_to_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must be .* got '?{value}"):
        tiny_method("copy_paste", {setting: value})
