"""Copy-paste mixing: what is seen where, and what the methods are told of it.

Shapes: U unlabeled patches, G labeled patches that are pasted, K classes, D H W voxels.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from barl.methods.protocol import Batch
from barl.training.mixing import Piece, draw_piece, paste
from barl.training.views import Chance

PATCH = (6, 8, 10)


def chance(seed: int = 0) -> Chance:
    return Chance(seed, torch.device("cpu"))


def piece(*, inside: bool) -> Piece:
    return Piece(low=(1, 2, 3), size=(2, 3, 4), inside=inside)


def patches() -> tuple[Tensor, Tensor, Tensor]:
    """Two strong views of 0, a guest of 2, its label."""
    label = torch.zeros(1, *PATCH, dtype=torch.long)
    label[:, :, :, 5:] = 2
    return torch.zeros(2, 1, *PATCH), 2 * torch.ones(1, 1, *PATCH), label


@pytest.mark.parametrize("inside", [True, False])
def test_the_labeled_piece_is_seen_in_the_box_or_around_it(inside: bool) -> None:
    strong, guest, label = patches()
    mixed, pasted = paste(strong, guest, label, [piece(inside=inside), None])
    box = torch.zeros(PATCH, dtype=torch.bool)
    box[1:3, 2:5, 3:7] = True
    seen = box if inside else ~box
    assert torch.equal(mixed[0, 0], torch.where(seen, 2.0, 0.0))
    assert torch.equal(pasted[0], torch.where(seen, label[0], -1))
    assert not strong.any()


def test_a_view_without_a_piece_stays_as_it_is() -> None:
    strong, guest, label = patches()
    mixed, pasted = paste(strong, guest, label, [piece(inside=True), None])
    assert torch.equal(mixed[1], strong[1])
    assert (pasted[1] == -1).all()


def test_what_nobody_annotated_is_not_pasted() -> None:
    strong, guest, label = patches()
    label[0, :, :, 4:] = 255
    mixed, pasted = paste(strong, guest, label, [piece(inside=True), None])
    assert not mixed[0, 0, :, :, 4:].any()
    assert (pasted[0, :, :, 4:] == -1).all()
    assert mixed[0, 0, 1, 2, 3] == 2


def test_pieces_lie_in_the_patch_and_have_the_size_asked_for() -> None:
    dice = chance()
    pieces = [draw_piece(PATCH, 1.0, 0.67, dice) for _ in range(200)]
    for drawn in pieces:
        assert drawn is not None
        assert drawn.size == (4, 5, 7)
        ends = [low + size for low, size in zip(drawn.low, drawn.size, strict=True)]
        assert all(end <= extent for end, extent in zip(ends, PATCH, strict=True))
    assert {drawn.inside for drawn in pieces if drawn} == {True, False}
    assert {drawn.low[0] for drawn in pieces if drawn} == {0, 1, 2}


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
def test_a_share_of_the_views_is_mixed(share: float, least: int, most: int) -> None:
    dice = chance()
    mixed = sum(draw_piece(PATCH, share, 0.67, dice) is not None for _ in range(200))
    assert least <= mixed <= most


def test_guests_go_to_the_views_that_are_mixed_in_their_order() -> None:
    strong, guest, label = patches()
    guests = torch.cat([guest, guest + 1])
    three = torch.cat([strong, strong[:1]])
    mixed, _ = paste(three, guests, torch.cat([label, label]), [piece(inside=True), None, piece(inside=True)])
    assert [float(view.max()) for view in mixed] == [2, 0, 3]


def test_methods_believe_the_labels_where_a_labeled_piece_is() -> None:
    strong, guest, label = patches()
    mixed, pasted = paste(strong, guest, label, [piece(inside=True), None])
    belief = torch.randn(2, 3, *PATCH).softmax(dim=1)
    batch = Batch(labeled=guest, label=label, weak=strong, strong=mixed, pasted=pasted)
    found = batch.belief_on_strong(belief)
    assert found[0, :, 1, 2, 3].tolist() == [1, 0, 0]
    assert found[0, :, 2, 4, 6].tolist() == [0, 0, 1]
    assert torch.equal(found[0, :, 0], belief[0, :, 0])
    assert torch.equal(found[1], belief[1])


def test_pasted_classes_are_told_apart() -> None:
    strong, guest, label = patches()
    _, pasted = paste(strong, guest, label, [piece(inside=False), None])
    belief = torch.full((2, 3, *PATCH), 1 / 3)
    found = Batch(labeled=guest, label=label, weak=strong, strong=strong, pasted=pasted).belief_on_strong(belief)
    assert found[0, :, 0, 7, 9].tolist() == [0, 0, 1]
    assert found[0, :, 0, 0, 0].tolist() == [1, 0, 0]


def test_without_mixing_the_belief_of_the_weak_view_counts() -> None:
    strong, guest, label = patches()
    belief = torch.randn(2, 3, *PATCH).softmax(dim=1)
    assert Batch(labeled=guest, label=label, weak=strong, strong=strong).belief_on_strong(belief) is belief
