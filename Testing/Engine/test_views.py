"""What is drawn for a view, and how intensities change."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from barl.errors import SettingsError
from barl.training.views import (
    BEND_POINTS,
    Chance,
    ViewSettings,
    change_intensity,
    draw_affine,
    draw_bend,
    draw_intensity,
    spline_weights,
)

CUBE = (1.0, 1.0, 1.0)
SLICES = (3.0, 0.5, 0.8)
QUIET = ViewSettings(gamma=0, contrast=0, brightness=0, noise=0, blur_share=0, paste_share=0)
STILL = replace(QUIET, rotation_degrees=0, scale=0, stretch=0, bend=0, mirror_left_right=False, blur_share=0.25)


@pytest.fixture
def chance(cpu: torch.device) -> Chance:
    """Seeded numbers."""
    return Chance(7, cpu)


def in_mm(affine: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """The matrix between offsets in millimetres."""
    s = np.array(spacing)
    return affine * s[:, None] / s


def changed(x: Tensor, settings: ViewSettings, chance: Chance, strength: float = 1.0) -> Tensor:
    """Patches (B, C, D, H, W), each with a change of its own."""
    changes = [draw_intensity(settings, chance, strength) for _ in x]
    return change_intensity(x, changes, torch.tensor([change.numbers for change in changes]))


def test_without_turning_scaling_and_mirroring_the_matrix_is_the_identity(chance: Chance) -> None:
    assert np.array_equal(draw_affine(STILL, SLICES, chance), np.eye(3))


@pytest.mark.parametrize("spacing", [CUBE, SLICES])
def test_turning_and_scaling_keep_shapes_in_millimetres(chance: Chance, spacing: tuple[float, float, float]) -> None:
    settings = ViewSettings(rotation_degrees=40, scale=0.2, stretch=0, affine_share=1)
    sizes, turns = [], []
    for _ in range(200):
        matrix = in_mm(draw_affine(settings, spacing, chance), spacing)
        gram = matrix.T @ matrix
        sizes.append(math.sqrt(float(gram[0, 0])))
        np.testing.assert_allclose(gram, np.eye(3) * gram[0, 0], atol=1e-9)
        turns.append(abs(float(matrix[0, 0])) / sizes[-1])
    assert 1 / 1.2 <= min(sizes) < 0.87
    assert 1.15 < max(sizes) <= 1.2
    assert min(turns) < math.cos(math.radians(35))


def test_a_rotation_never_exceeds_the_largest_angle_of_each_axis(chance: Chance) -> None:
    settings = ViewSettings(rotation_degrees=10, scale=0, stretch=0, affine_share=1, mirror_left_right=False)
    for _ in range(100):
        matrix = draw_affine(settings, CUBE, chance)
        angle = math.degrees(math.acos(min(1.0, (float(matrix.trace()) - 1) / 2)))
        assert angle <= 30
        assert np.linalg.det(matrix) == pytest.approx(1)


def test_stretching_changes_each_axis_by_itself_within_its_limit(chance: Chance) -> None:
    settings = ViewSettings(rotation_degrees=0, scale=0, stretch=0.2, affine_share=1, mirror_left_right=False)
    drawn = np.array([draw_affine(settings, SLICES, chance) for _ in range(300)])
    sizes = np.diagonal(drawn, axis1=1, axis2=2)
    assert np.array_equal(drawn, sizes[:, None] * np.eye(3))
    assert (sizes >= 1 / 1.2 - 1e-9).all()
    assert (sizes <= 1.2 + 1e-9).all()
    assert (sizes.std(axis=1) > 0.02).mean() > 0.9


@pytest.mark.parametrize("extent", [1, 7, 32])
def test_a_control_point_moves_voxels_as_a_cubic_spline_says(extent: int) -> None:
    place = (np.arange(extent) + 0.5) / extent * (BEND_POINTS - 3)
    expected = [
        np.nan_to_num(BSpline.basis_element(np.arange(k - 3, k + 2), extrapolate=False)(place))
        for k in range(BEND_POINTS)
    ]
    weights = spline_weights(extent)
    np.testing.assert_allclose(weights, np.stack(expected, axis=1), atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_patches_are_bent_as_often_and_as_far_as_set(chance: Chance) -> None:
    settings = ViewSettings(bend=0.5, bend_share=0.25)
    drawn = [draw_bend(settings, (32, 48, 16), chance) for _ in range(400)]
    bent = [bend for bend in drawn if bend is not None]
    assert 0.18 < len(bent) / 400 < 0.32
    farthest = np.abs(bent).max(axis=(0, 2, 3, 4))
    # Half of the distance between control points, which are half a patch apart.
    assert farthest == pytest.approx([8, 12, 4], rel=0.02)
    assert (farthest <= [8, 12, 4]).all()
    assert draw_bend(ViewSettings(bend=0), (8, 8, 8), chance) is None


def test_half_of_the_patches_are_mirrored_left_to_right_and_nothing_else(chance: Chance) -> None:
    settings = ViewSettings(affine_share=0)
    drawn = [draw_affine(settings, SLICES, chance).diagonal().tolist() for _ in range(300)]
    assert all(diagonal[:2] == [1, 1] for diagonal in drawn)
    assert 0.4 < sum(diagonal[2] == -1 for diagonal in drawn) / 300 < 0.6


def test_the_share_of_turned_patches_is_as_set(chance: Chance) -> None:
    settings = ViewSettings(affine_share=0.25, mirror_left_right=False)
    turned = sum(not np.array_equal(draw_affine(settings, CUBE, chance), np.eye(3)) for _ in range(400))
    assert 0.18 < turned / 400 < 0.32


def test_a_quiet_view_changes_nothing(chance: Chance) -> None:
    x = torch.randn(3, 2, 8, 8, 8)
    torch.testing.assert_close(changed(x, QUIET, chance), x)


def test_a_view_of_strength_zero_changes_nothing(chance: Chance) -> None:
    x = torch.randn(3, 2, 8, 8, 8)
    torch.testing.assert_close(changed(x, ViewSettings(blur_share=1), chance, strength=0), x)


def test_a_strong_view_differs_patch_by_patch_and_leaves_its_input(chance: Chance) -> None:
    x = torch.randn(1, 1, 8, 8, 8).repeat(3, 1, 1, 1, 1)
    before = x.clone()
    strong = changed(x, ViewSettings(blur_share=1), chance)
    assert torch.equal(x, before)
    assert not torch.allclose(strong[0], strong[1], atol=0.05)
    assert not torch.allclose(strong[1], strong[2], atol=0.05)


def test_brightness_and_contrast_stay_within_their_limits(chance: Chance) -> None:
    x = torch.randn(200, 1, 4, 4, 4)
    x = (x - x.mean((2, 3, 4), keepdim=True)) / x.std((2, 3, 4), keepdim=True)
    settings = ViewSettings(gamma=0, contrast=0.2, brightness=0.3, noise=0, blur_share=0)
    strong = changed(x, settings, chance)
    shift, contrast = strong.mean((1, 2, 3, 4)), strong.std((1, 2, 3, 4))
    assert 0.25 < float(shift.abs().max()) <= 0.3 + 1e-5
    assert 0.8 - 1e-5 <= float(contrast.min()) < 0.83
    assert 1.17 < float(contrast.max()) <= 1.2 + 1e-5


def test_gamma_keeps_the_order_and_the_range_of_intensities(chance: Chance) -> None:
    x = torch.linspace(-2, 3, 64).view(1, 1, 4, 4, 4)
    settings = ViewSettings(gamma=1, contrast=0, brightness=0, noise=0, blur_share=0)
    strong = changed(x, settings, chance).flatten()
    assert (strong.diff() >= 0).all()
    assert float(strong.min()) == pytest.approx(-2, abs=1e-5)
    assert float(strong.max()) == pytest.approx(3, abs=1e-5)
    assert not torch.allclose(strong, x.flatten(), atol=0.05)


def test_a_blurred_patch_keeps_its_mean_and_loses_detail(chance: Chance) -> None:
    settings = ViewSettings(gamma=0, contrast=0, brightness=0, noise=0, blur_share=1)
    x = torch.randn(2, 1, 8, 8, 8)
    strong = changed(x, settings, chance)
    torch.testing.assert_close(strong.mean((1, 2, 3, 4)), x.mean((1, 2, 3, 4)), atol=0.1, rtol=0)
    assert (strong.std((1, 2, 3, 4)) < 0.6 * x.std((1, 2, 3, 4))).all()


def test_a_constant_patch_stays_finite(chance: Chance) -> None:
    assert torch.isfinite(changed(torch.full((2, 1, 4, 4, 4), 3.0), ViewSettings(), chance)).all()


def test_chance_goes_on_where_its_state_was_taken(chance: Chance, cpu: torch.device) -> None:
    chance.uniform(0, 1)
    state = chance.state()

    def draw(source: Chance) -> list[Tensor]:
        x = torch.zeros(2, 1, 4, 4, 4)
        return [torch.tensor(source.uniform(0, 1)), changed(x, ViewSettings(), source)]

    expected = draw(chance)
    other = Chance(99, cpu)
    other.restore(state)
    assert all(torch.equal(a, b) for a, b in zip(expected, draw(other), strict=True))


def test_noise_has_the_drawn_strength_and_differs_from_patch_to_patch(chance: Chance) -> None:
    noisy = ViewSettings(gamma=0, contrast=0, brightness=0, noise=0.5, blur_share=0)
    changes = [draw_intensity(noisy, chance) for _ in range(3)]
    fields = change_intensity(torch.zeros(3, 1, 16, 16, 16), changes, torch.tensor([c.numbers for c in changes]))
    for field, change in zip(fields, changes, strict=True):
        assert float(field.std()) == pytest.approx(change.sigma, rel=0.05)
    assert float((fields[0] / changes[0].sigma * fields[1] / changes[1].sigma).mean().abs()) < 0.1


def test_a_patch_changes_alike_in_whatever_batch_it_is(chance: Chance) -> None:
    x = torch.randn(4, 1, 8, 8, 8)
    changes = [draw_intensity(ViewSettings(blur_share=0.5), chance) for _ in x]
    numbers = torch.tensor([change.numbers for change in changes])
    whole = change_intensity(x, changes, numbers)
    assert len({change.coarse for change in changes}) == 2
    assert torch.equal(change_intensity(x[2:], changes[2:], numbers[2:]), whole[2:])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rotation_degrees", -1.0),
        ("rotation_degrees", 181.0),
        ("scale", 1.5),
        ("affine_share", -0.1),
        ("blur_share", 2.0),
        ("contrast", -0.5),
        ("labeled_intensity", 1.1),
        ("gamma", -1.0),
        ("brightness", -1.0),
        ("noise", -0.1),
    ],
)
def test_settings_outside_the_bounds_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must be .* got {value}"):
        ViewSettings(**{setting: value})
