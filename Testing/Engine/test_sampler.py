"""Where patches lie and what is cut: geometry exact, only known voxels chosen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_views import CUBE, QUIET, SLICES, STILL
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from barl.methods.protocol import Batch
from barl.training.cutting import Box, PatchPlaces, cut_image, cut_label, interpolated
from barl.training.distributed import Share
from barl.training.resident import ResidentCase, labeled_case, total_bytes, unlabeled_case
from barl.training.sampler import (
    Sampler,
    SamplerSettings,
    farthest,
    find_box,
    keep_in_sight,
    keep_inside,
)
from barl.training.views import BEND_POINTS, Chance, ViewSettings, draw_affine, draw_bend

Size = tuple[int, int, int]
CPU = torch.device("cpu")
EYE = np.eye(3)
MIRROR = np.diag([1.0, 1.0, -1.0])


def settings(
    patch: Size = (8, 8, 8),
    *,
    spacing: tuple[float, float, float] = CUBE,
    labeled: int = 1,
    unlabeled: int = 1,
    foreground: float = 0.5,
    least: float = 1.0,
    views: ViewSettings = STILL,
) -> SamplerSettings:
    return SamplerSettings(
        patch_size_voxels=patch,
        spacing_mm=spacing,
        labeled_patches=labeled,
        unlabeled_patches=unlabeled,
        foreground_share=foreground,
        least_foreground_share=least,
        views=views,
    )


def a_case(label: np.ndarray, seed: int = 0) -> ResidentCase:
    image = np.random.default_rng(seed).normal(size=(1, *label.shape)).astype(np.float16)
    return labeled_case(f"P{seed}", image, label, torch.device("cpu"))


def tensors(batch: Batch) -> dict[str, Tensor]:
    """Those that every batch has."""
    return {name: getattr(batch, name) for name in ("labeled", "label", "weak", "strong")}


def counting(shape: Size) -> Tensor:
    """A volume (1, D, H, W) of which each voxel holds its own number."""
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(1, *shape)


def cut_from(
    volume: Tensor, center: Sequence[float], affine: np.ndarray, patch: Size, bend: np.ndarray | None = None
) -> Tensor:
    """(C, D, H, W) of an image (C, D, H, W)."""
    depth, height, width = volume.shape[1:]
    box = find_box(center, affine, patch, (depth, height, width), farthest(bend))
    bent = None if bend is None else torch.from_numpy(bend).ravel()
    return cut_image(volume, box, PatchPlaces(patch, CPU).grid(torch.from_numpy(box.lie), bent))


def cut_both(case: ResidentCase, center: Sequence[float], affine: np.ndarray, patch: Size) -> tuple[Tensor, Tensor]:
    """Image (C, D, H, W) and label (D, H, W)."""
    box = find_box(center, affine, patch, case.shape)
    grid = PatchPlaces(patch, CPU).grid(torch.from_numpy(box.lie))
    return cut_image(case.image, box, grid), cut_label(case, box, grid)


def turn(axis_from: int, axis_to: int) -> np.ndarray:
    """A quarter turn between two axes."""
    matrix = EYE.copy()
    matrix[axis_from, axis_from] = matrix[axis_to, axis_to] = 0
    matrix[axis_from, axis_to], matrix[axis_to, axis_from] = -1, 1
    return matrix


@pytest.mark.parametrize("shape", [(24, 20, 28), (21, 23, 19), (16, 16, 16)])
@pytest.mark.parametrize("patch", [(8, 16, 8), (16, 16, 16), (7, 5, 9)])
@pytest.mark.parametrize("place", [(0, 0, 0), (9, 10, 11), (15, 12, 8), (20, 19, 18)])
def test_an_upright_patch_is_exactly_the_voxels_around_its_center(shape: Size, patch: Size, place: Size) -> None:
    volume = counting(shape)
    first = [min(max(p - e // 2, 0), s - e) for p, e, s in zip(place, patch, shape, strict=True)]
    expected = volume[:, first[0] :, first[1] :, first[2] :][:, : patch[0], : patch[1], : patch[2]]
    cut = cut_from(volume, keep_inside(place, shape, patch), EYE, patch)
    torch.testing.assert_close(cut, expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("shape", [(24, 20, 28), (21, 23, 19)])
def test_a_mirrored_patch_is_the_patch_mirrored(shape: Size) -> None:
    volume, patch = counting(shape), (8, 8, 16)
    center = keep_inside((9, 9, 9), shape, patch)
    upright, mirrored = cut_from(volume, center, EYE, patch), cut_from(volume, center, MIRROR, patch)
    torch.testing.assert_close(mirrored, upright.flip(3), atol=0.05, rtol=0)


@pytest.mark.parametrize("shape", [(2, 9, 6, 7), (1, 1, 5, 4)])
def test_images_and_labels_are_cut_as_grid_sample_cuts_them(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    part, label = torch.randn(shape), torch.randint(0, 3, shape[1:], dtype=torch.uint8)
    grid = 2.6 * torch.rand(5, 8, 6, 3) - 1.3  # A third lies outside.
    theirs = functional.grid_sample(part[None], grid[None], padding_mode="border", align_corners=False)[0]
    torch.testing.assert_close(interpolated(part, grid), theirs)
    case = labeled_case("P", part.numpy(), label.numpy(), CPU)
    box = Box((0, 0, 0), (shape[1], shape[2], shape[3]), EYE)
    plus_one = functional.grid_sample(label[None, None].float() + 1, grid[None], mode="nearest", align_corners=False)
    assert torch.equal(cut_label(case, box, grid), (plus_one[0, 0].long() - 1) % 256)


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_a_quarter_turn_moves_voxels_onto_voxels(axes: tuple[int, int]) -> None:
    label = np.random.default_rng(0).integers(0, 3, (20, 20, 20)).astype(np.uint8)
    case, patch = a_case(label), (8, 8, 8)
    center = keep_inside((9, 10, 11), case.shape, patch)
    image, upright = cut_both(case, center, EYE, patch)
    turned_image, turned = cut_both(case, center, turn(*axes), patch)
    assert torch.equal(turned, torch.rot90(upright, -1, axes))
    torch.testing.assert_close(turned_image[0], torch.rot90(image[0], -1, axes), atol=1e-3, rtol=0)


def test_a_turned_ball_in_thick_slices_stays_a_ball(cpu: torch.device) -> None:
    axes = [(torch.arange(n) - (n - 1) / 2) * s for n, s in zip((16, 60, 40), SLICES, strict=True)]
    d, h, w = torch.meshgrid(*axes, indexing="ij")
    ball = ((d**2 + h**2 + w**2).sqrt() < 11).float()[None]
    affine = draw_affine(ViewSettings(rotation_degrees=30, scale=0, stretch=0, affine_share=1), SLICES, Chance(3, cpu))
    cut = cut_from(ball, keep_inside((8, 30, 20), (16, 60, 40), (16, 60, 40)), affine, (16, 60, 40))
    assert float((cut > 0.5).sum()) == pytest.approx(float(ball.sum()), rel=0.03)
    assert float((cut[0] - ball[0]).abs().mean()) < 0.03


def test_labels_turn_with_their_image(cpu: torch.device) -> None:
    label = np.zeros((24, 24, 24), np.uint8)
    label[8:18, 6:16, 9:20] = 1
    case = labeled_case("P", label[None].astype(np.float16), label, cpu)
    chance, seen = Chance(5, cpu), ViewSettings(affine_share=1)
    for _ in range(10):
        affine = draw_affine(seen, SLICES, chance)
        image, cut = cut_both(case, keep_inside((12, 11, 14), case.shape, (16, 16, 16)), affine, (16, 16, 16))
        known = cut != 255
        assert ((image[0] > 0.5) == (cut == 1))[known].float().mean() > 0.98
        assert (cut == 1).any()


@pytest.mark.parametrize("shift", [(3, 0, 0), (0, -2, 0), (1, 2, -3)])
def test_control_points_that_move_alike_move_the_patch(shift: tuple[int, int, int]) -> None:
    volume, patch = counting((24, 24, 24)), (8, 6, 10)
    bend = np.broadcast_to(np.float32(shift)[:, None, None, None], (3, BEND_POINTS, BEND_POINTS, BEND_POINTS))
    center = np.array(keep_inside((12, 12, 12), (24, 24, 24), patch))
    moved = cut_from(volume, (center + shift).tolist(), EYE, patch)
    torch.testing.assert_close(cut_from(volume, center.tolist(), EYE, patch, bend.copy()), moved, atol=0.05, rtol=0)


def test_a_bent_patch_finds_in_its_box_what_it_finds_in_the_whole_volume(cpu: torch.device) -> None:
    volume, patch, chance = torch.randn(1, 40, 44, 36), (16, 12, 20), Chance(3, cpu)
    views, shape = ViewSettings(bend=0.8, bend_share=1, affine_share=1, rotation_degrees=40), (40, 44, 36)
    for _ in range(10):
        affine, bend = draw_affine(views, SLICES, chance), draw_bend(views, patch, chance)
        assert bend is not None
        center = keep_inside((20, 22, 18), shape, patch)
        whole = find_box(center, affine, patch, shape, (99.0, 99.0, 99.0))
        assert whole.of(volume).shape == volume.shape
        grid = PatchPlaces(patch, CPU).grid(torch.from_numpy(whole.lie), torch.from_numpy(bend).ravel())
        cut = cut_from(volume, center, affine, patch, bend)
        torch.testing.assert_close(cut, cut_image(volume, whole, grid), atol=1e-4, rtol=0)
        assert not torch.allclose(cut, cut_from(volume, center, affine, patch), atol=0.1)


@pytest.mark.parametrize("corner", [(0, 0, 0), (0, 23, 12), (23, 0, 23), (12, 12, 12)])
def test_a_bent_and_turned_patch_shows_the_voxel_it_was_drawn_for(corner: Size, cpu: torch.device) -> None:
    label = np.full((24, 24, 24), 255, np.uint8)
    label[corner] = 1
    views = replace(STILL, bend=1.0, bend_share=1, rotation_degrees=40, affine_share=1)
    asked = settings((16, 12, 8), labeled=30, unlabeled=0, foreground=1, views=views)
    batch = Sampler([a_case(label)], [], asked, Chance(1, cpu)).next_batch()
    # One voxel of a bent image may fall between those of the patch: it is seen where the patch is not stretched.
    assert (batch.label == 1).any(dim=(1, 2, 3)).float().mean() > 0.6


def test_a_voxel_that_a_bend_moves_out_of_sight_is_brought_back(cpu: torch.device) -> None:
    chance, patch = Chance(5, cpu), (16, 12, 20)
    views = ViewSettings(bend=0.8, bend_share=1, affine_share=1)
    center = [20.0, 20.0, 20.0]
    for _ in range(30):
        affine, bend = draw_affine(views, CUBE, chance), draw_bend(views, patch, chance)
        assert bend is not None
        place = [20 + chance.index(13) - 6 for _ in range(3)]
        moved = keep_in_sight(place, center, affine, patch, bend)
        low = torch.linspace(0, 39, 40)
        d, h, w = torch.meshgrid(low, low, low, indexing="ij")
        where = torch.stack([d, h, w])
        box = find_box(moved, affine, patch, (40, 40, 40), farthest(bend))
        seen = cut_image(where, box, PatchPlaces(patch, CPU).grid(torch.from_numpy(box.lie), torch.from_numpy(bend)))
        assert float((seen - torch.tensor(place).view(3, 1, 1, 1)).norm(dim=0).min()) < 1.2


def test_labels_bend_with_their_image(cpu: torch.device) -> None:
    label = np.zeros((24, 24, 24), np.uint8)
    label[8:18, 6:16, 9:20] = 1
    case = labeled_case("P", label[None].astype(np.float16), label, cpu)
    views = replace(STILL, bend=0.8, bend_share=1)
    batch = Sampler([case], [case], settings((16, 16, 16), labeled=8, views=views), Chance(1, cpu)).next_batch()
    shown, known = batch.labeled[:, 0], batch.label != 255
    # Intensities keep their order, so what is bright is the foreground still.
    assert ((shown > 0.5) == (batch.label == 1))[known].float().mean() > 0.98
    assert not torch.equal(batch.label[0], batch.label[1])


def test_outside_the_volume_labels_are_unknown_and_the_border_of_the_image_goes_on() -> None:
    case = a_case(np.ones((6, 10, 9), np.uint8))
    image, label = cut_both(case, keep_inside((3, 3, 3), case.shape, (16, 8, 16)), EYE, (16, 8, 16))
    inside = torch.zeros(16, 8, 16, dtype=torch.bool)
    inside[5:11, :, 4:13] = True
    assert torch.equal(label == 1, inside)
    assert torch.equal(label == 255, ~inside)
    torch.testing.assert_close(image[0, 5:11, :, 4:13], case.image[0, :, :8].float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(image[0, 0], image[0, 5], atol=1e-4, rtol=0)
    torch.testing.assert_close(image[0, :, :, 15], image[0, :, :, 12], atol=1e-4, rtol=0)


def test_a_volume_smaller_than_the_patch_on_all_axes_is_drawn_whole(cpu: torch.device) -> None:
    label = np.ones((3, 5, 1), np.uint8)
    batch = Sampler([a_case(label)], [a_case(label)], settings((8, 8, 8)), Chance(0, cpu)).next_batch()
    assert int((batch.label == 1).sum()) == 15
    assert int((batch.label == 255).sum()) == 512 - 15
    assert torch.isfinite(batch.weak).all()


def test_a_turned_patch_at_the_corner_is_unknown_exactly_outside() -> None:
    case = a_case(np.full((16, 16, 16), 2, np.uint8))
    _, label = cut_both(case, (0.0, 7.5, 7.5), EYE, (16, 8, 8))
    assert (label[8:] == 2).all()
    assert (label[:7] == 255).all()


def test_weak_and_strong_views_share_their_geometry(cpu: torch.device) -> None:
    case = a_case(np.ones((20, 20, 20), np.uint8))
    turned = ViewSettings(gamma=0, contrast=0, brightness=0, noise=0, blur_share=0, paste_share=0, affine_share=1)
    batch = Sampler([case], [case], settings(unlabeled=4, views=turned), Chance(1, cpu)).next_batch()
    torch.testing.assert_close(batch.strong, batch.weak)
    assert not torch.allclose(batch.weak[0], batch.weak[1])


def test_weak_views_keep_intensities_and_strong_views_do_not(cpu: torch.device) -> None:
    case = unlabeled_case("P", np.full((1, 16, 16, 16), 0.5, np.float16), cpu)
    known = a_case(np.ones((16, 16, 16), np.uint8))
    batch = Sampler([known], [case], settings(views=ViewSettings()), Chance(1, cpu)).next_batch()
    torch.testing.assert_close(batch.weak, torch.full_like(batch.weak, 0.5))
    assert float((batch.strong - 0.5).abs().max()) > 0.01


def test_shapes_and_types_are_those_of_a_batch(cpu: torch.device) -> None:
    case = a_case(np.ones((20, 20, 20), np.uint8))
    batch = Sampler([case], [case], settings((8, 4, 6), labeled=3, unlabeled=2), Chance(0, cpu)).next_batch()
    assert batch.labeled.shape == (3, 1, 8, 4, 6)
    assert batch.label.shape == (3, 8, 4, 6)
    assert batch.weak.shape == batch.strong.shape == (2, 1, 8, 4, 6)
    assert (batch.labeled.dtype, batch.label.dtype, batch.weak.dtype) == (torch.float32, torch.int64, torch.float32)


@pytest.mark.parametrize("unlabeled_patches", [0, 2])
def test_without_unlabeled_cases_or_patches_the_views_are_empty(cpu: torch.device, unlabeled_patches: int) -> None:
    case = a_case(np.ones((8, 8, 8), np.uint8))
    others = [] if unlabeled_patches else [case]
    batch = Sampler([case], others, settings(unlabeled=unlabeled_patches), Chance(0, cpu)).next_batch()
    assert batch.weak.shape == batch.strong.shape == (0, 1, 8, 8, 8)


def centers(case: ResidentCase, foreground: float, count: int = 300, *, least: float = 1.0) -> Counter[int]:
    """How often a patch's center voxel has which label."""
    asked = settings((4, 4, 4), labeled=count, unlabeled=0, foreground=foreground, least=least, views=STILL)
    label = Sampler([case], [], asked, Chance(11, torch.device("cpu"))).next_batch().label
    return Counter(label[:, 2, 2, 2].tolist())


def test_foreground_patches_are_centered_on_each_class_equally_often() -> None:
    label = np.zeros((24, 24, 24), np.uint8)
    label[4:20, 4:20, 4:12] = 1
    label[10, 10, 15] = 2
    drawn = centers(a_case(label), foreground=1.0)
    assert set(drawn) == {1, 2}
    assert 120 < drawn[2] < 180


def test_the_share_of_foreground_patches_is_as_set() -> None:
    label = np.zeros((24, 24, 24), np.uint8)
    label[10, 10, 10] = 1
    drawn = centers(a_case(label), foreground=0.3)
    assert 60 < drawn[1] < 120
    assert drawn[0] + drawn[1] == 300


@pytest.mark.parametrize(
    ("slices", "drawn"),
    [(1, 0.8 - 0.6 / 2), (2, 0.2), (8, 0.2)],
    ids=["a twentieth of the voxels", "a tenth", "four tenths"],
)
def test_a_common_class_is_looked_for_less_often_than_a_rare_one(slices: int, drawn: float) -> None:
    label = np.zeros((20, 12, 12), np.uint8)
    label[4 : 4 + slices] = 1
    by_chance = slices / 20
    found = centers(a_case(label), foreground=0.8, least=0.2, count=3000)[1] / 3000
    assert found == pytest.approx(drawn + (1 - drawn) * by_chance, abs=0.03)


def test_the_rarest_class_decides_how_often_all_are_looked_for() -> None:
    label = np.zeros((20, 12, 12), np.uint8)
    label[4:12], label[14, 5, 4:6] = 1, 2
    found = centers(a_case(label), foreground=0.8, least=0.2, count=3000)[2] / 3000
    assert found == pytest.approx(0.8 / 2, abs=0.03)


def test_strokes_do_not_make_a_class_common() -> None:
    label = np.full((20, 12, 12), 255, np.uint8)
    label[10, 5, 3:9], label[6, 5, 3:9] = 1, 0
    found = centers(a_case(label), foreground=0.8, least=0.2, count=3000)[1] / 3000
    assert found == pytest.approx(0.8 + 0.2 * 0.5, abs=0.03)


@pytest.mark.parametrize("foreground", [0.0, 0.5, 1.0])
def test_only_known_voxels_of_a_partly_annotated_case_are_chosen(foreground: float) -> None:
    label = np.full((24, 24, 24), 255, np.uint8)
    label[12, 4:20, 4:20] = 0
    label[12, 10:14, 10:14] = 1
    drawn = centers(a_case(label), foreground)
    assert 255 not in drawn
    assert (drawn[1] > 0) == (foreground > 0) or drawn[1] > 0


@pytest.mark.parametrize("foreground", [0.0, 1.0])
def test_scribbles_without_background_still_give_every_class(foreground: float) -> None:
    label = np.full((24, 24, 24), 255, np.uint8)
    label[12, 6:18, 6] = 1
    label[12, 6:18, 16] = 2
    drawn = centers(a_case(label), foreground)
    assert set(drawn) == {1, 2}
    assert 110 < drawn[1] < 190


def test_a_case_with_background_alone_can_be_drawn() -> None:
    assert centers(a_case(np.zeros((12, 12, 12), np.uint8)), foreground=1.0) == {0: 300}


def test_labeled_and_unlabeled_cases_are_drawn_equally_often(cpu: torch.device) -> None:
    cases = [
        labeled_case(str(i), np.full((1, 8, 8, 8), i, np.float16), np.ones((8, 8, 8), np.uint8), cpu) for i in range(3)
    ]
    asked = settings((4, 4, 4), labeled=300, unlabeled=300, views=QUIET)
    batch = Sampler(cases, cases, asked, Chance(2, cpu)).next_batch()
    for views in (batch.labeled, batch.weak):
        counts = torch.bincount(views.mean((1, 2, 3, 4)).round().long(), minlength=3)
        assert counts.min() > 70


def test_the_same_state_of_chance_gives_the_same_batches(cpu: torch.device) -> None:
    label = np.zeros((20, 20, 20), np.uint8)
    label[5:12, 5:12, 5:12] = 1
    case, asked = a_case(label), settings(labeled=2, unlabeled=2, views=ViewSettings())
    first = Sampler([case], [case], asked, Chance(4, cpu))
    first.next_batch()
    state = first.chance.state()
    later = Chance(0, cpu)
    later.restore(state)
    second = Sampler([case], [case], asked, later)
    for _ in range(2):
        one, other = first.next_batch(), second.next_batch()
        assert all(torch.equal(value, tensors(other)[name]) for name, value in tensors(one).items())
    assert not torch.equal(one.labeled, first.next_batch().labeled)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_together_cut_the_batch_that_one_alone_would_cut(cpu: torch.device, processes: int) -> None:
    label = np.zeros((20, 20, 20), np.uint8)
    label[5:12, 5:12, 5:12] = 1
    cases = [a_case(label, seed) for seed in range(3)]
    asked = settings(labeled=6, unlabeled=6, views=ViewSettings(blur_share=0.5))
    alone = Sampler(cases, cases, asked, Chance(4, cpu))
    shares = [Share(rank, processes) for rank in range(processes)]
    together = [Sampler(cases, cases, asked, Chance(4, cpu), share) for share in shares]
    for _ in range(2):
        whole, parts = alone.next_batch(), [sampler.next_batch() for sampler in together]
        for name, value in tensors(whole).items():
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), value), name


class Questions(TorchDispatchMode):
    """Notes every operation for which the host would have to wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(word in str(func) for word in ("_local_scalar_dense", "nonzero", "unique", "is_nonzero")):
            self.asked.append(str(func))
        return func(*args, **(kwargs or {}))


def test_once_a_batch_is_drawn_the_host_asks_the_device_nothing(cpu: torch.device) -> None:
    case = a_case(np.ones((20, 20, 20), np.uint8))
    sampler = Sampler(
        [case], [case], settings(labeled=2, unlabeled=2, views=ViewSettings(blur_share=1)), Chance(0, cpu)
    )
    drawn = sampler.draw()
    with Questions() as questions:
        sampler.cut(*drawn)
    assert questions.asked == []
    with Questions() as questions:
        float(torch.ones(()))
    assert questions.asked != []


def test_resident_volumes_share_the_mapped_file_and_are_counted(tmp_path: object, cpu: torch.device) -> None:
    path = f"{tmp_path}/image.npy"
    np.save(path, np.ones((1, 4, 4, 4), np.float16))
    case = unlabeled_case("P", np.load(path, mmap_mode="r"), cpu)
    assert case.shape == (4, 4, 4)
    assert total_bytes([case, a_case(np.ones((4, 4, 4), np.uint8))]) == 128 + 128 + 64


def test_a_piece_of_a_labeled_patch_is_pasted_into_the_strong_view_alone() -> None:
    label = np.full((16, 16, 16), 1, np.uint8)
    case = labeled_case("bright", np.full((1, 16, 16, 16), 9, np.float16), label, CPU)
    dark = unlabeled_case("dark", np.zeros((1, 16, 16, 16), np.float16), CPU)
    mixing = replace(STILL, blur_share=0, paste_share=1.0)
    batch = Sampler([case], [dark], settings(unlabeled=8, views=mixing), Chance(0, CPU)).next_batch()
    assert batch.pasted is not None
    assert not batch.weak.any()
    assert torch.equal(batch.pasted == 1, batch.strong[:, 0] > 8.9)
    assert torch.equal(batch.pasted == -1, batch.strong[:, 0] == 0)
    shares = (batch.pasted == 1).float().mean(dim=(1, 2, 3))
    # A box of 5 x 5 x 5 of 8 x 8 x 8 voxels, or all but it.
    assert {round(float(share), 3) for share in shares} == {round(125 / 512, 3), round(1 - 125 / 512, 3)}


def test_without_mixing_nothing_is_pasted() -> None:
    case = a_case(np.ones((16, 16, 16), np.uint8))
    batch = Sampler(
        [case], [case], settings(unlabeled=2, views=replace(STILL, blur_share=0)), Chance(0, CPU)
    ).next_batch()
    assert batch.pasted is None
    torch.testing.assert_close(batch.strong, batch.weak)
