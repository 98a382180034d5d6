"""What the network sees, and the exact way back."""

from __future__ import annotations

import json
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from imaging_data import grid, turned

from barl.cohort import Label, LabelTable, Modality
from barl.errors import ImageError, LabelError, SettingsError
from barl.imaging import (
    Geometry,
    Recipe,
    Restore,
    Volume,
    choose_spacing,
    prepare_image,
    prepare_labels,
    restore_labels,
    restore_map,
)
from barl.imaging.orientation import Orientation

TABLE = LabelTable(tuple(Label(value=value, name=f"label {value}", color=(1, 2, 3)) for value in (7, 3, 200)))
TURNS = st.sampled_from(
    [np.eye(3)[list(order)] * signs for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]
)
SHAPES = st.tuples(*[st.integers(1, 9)] * 3)
KEEP = Recipe.for_modality(Modality.MR, None)


@st.composite
def restores(draw: st.DrawFn, *, resized: bool) -> Restore:
    """Any turn and crop, with or without resizing."""
    shape = draw(SHAPES)
    geometry = grid(shape, direction=turned(12, 20) @ draw(TURNS))
    orientation = geometry.canonical_orientation()
    canonical = orientation.permute(geometry.shape)
    start = tuple(draw(st.integers(0, length - 1)) for length in canonical)
    crop = tuple(draw(st.integers(1, length - first)) for length, first in zip(canonical, start, strict=True))
    prepared = draw(SHAPES) if resized else crop
    return Restore(
        geometry=geometry, orientation=orientation, crop_start=start, crop_shape=crop, prepared_shape=prepared
    )


@given(data=st.data(), restore=restores(resized=False))
def test_without_resizing_labels_come_back_exactly(data: st.DataObject, restore: Restore) -> None:
    values = st.sampled_from([0, 7, 3, 200, 255])
    labels = data.draw(arrays(np.uint8, restore.geometry.shape, elements=values))
    classes = prepare_labels(labels, restore.geometry, restore, TABLE)
    assert classes.shape == restore.prepared_shape
    in_crop = np.zeros(restore.canonical_shape, bool)
    in_crop[restore.crop_box] = True
    expected = np.where(restore.orientation.undo(in_crop), labels, 0)
    back = np.array([0, 7, 3, 200], np.uint8)[restore_labels(np.where(classes == 255, 0, classes), restore)]
    np.testing.assert_array_equal(back, np.where(expected == 255, 0, expected))
    np.testing.assert_array_equal(restore_labels(classes, restore) == 255, expected == 255)


@given(restore=restores(resized=True))
def test_the_way_back_always_ends_on_the_image_grid(restore: Restore) -> None:
    labels = np.ones(restore.prepared_shape, np.uint8)
    back = restore_labels(labels, restore)
    assert back.shape == restore.geometry.shape
    assert back.sum() == np.prod(restore.crop_shape)
    assert not restore_labels(np.zeros_like(labels), restore).any()
    np.testing.assert_allclose(restore_map(labels.astype(np.float16), restore), back, atol=1e-6)
    assert Restore.from_json(json.loads(json.dumps(restore.to_json()))) == restore


@given(turn=TURNS)
def test_the_network_sees_the_same_however_the_file_is_stored(turn: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    straight = Volume(array=rng.normal(size=(6, 7, 8)).astype(np.float32), geometry=grid(spacing=(1, 1, 1)))
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = [(length - 1) if turn[axis].sum() < 0 else 0 for axis, length in enumerate((8, 7, 6))]
    size = np.abs(np.linalg.inv(turn)) @ (8, 7, 6)
    stored_grid = Geometry.from_index_to_lps(straight.geometry.index_to_lps @ matrix, tuple(size[::-1].astype(int)))
    placement = straight.geometry.placement_of(stored_grid)
    assert placement is not None
    stored = Volume(array=placement.orientation.undo(straight.array), geometry=stored_grid)
    recipe = Recipe.for_modality(Modality.MR, (1.5, 0.8, 1.0))
    np.testing.assert_array_equal(prepare_image(stored, recipe).array, prepare_image(straight, recipe).array)


def ball(shape: tuple[int, int, int], radius: float, inside: float, air: float, noise: float) -> np.ndarray:
    center = [(length - 1) / 2 for length in shape]
    distance = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - center, axis=-1)
    values = np.where(distance <= radius, inside, air)
    return (values + np.random.default_rng(0).normal(0, noise, shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("modality", "inside", "air", "noise"),
    [
        (Modality.CT, 40, -1000, 20),
        (Modality.CBCT, 300, -1000, 90),
        (Modality.CBCT, 2000, 800, 60),
        (Modality.MR, 400, 0, 0),
        (Modality.MR, 400, 12, 3),
        (Modality.MR, 2.0, -0.6, 0.02),
    ],
)
def test_air_is_cut_away_and_body_is_not(modality: Modality, inside: float, air: float, noise: float) -> None:
    array = ball((48, 56, 64), 15, inside, air, noise)
    restore = prepare_image(
        Volume(array=array, geometry=grid(array.shape, spacing=(2, 2, 2))), Recipe.for_modality(modality, None)
    ).restore
    body = ball(array.shape, 15, 1, 0, 0) > 0
    assert body[restore.crop_box].sum() == body.sum()
    assert np.prod(restore.crop_shape) < 0.6 * array.size


def test_padding_outside_a_ct_scanner_is_air() -> None:
    array = ball((48, 56, 64), 15, 40, -1000, 10)
    array[:, :8] = -3024
    volume = Volume(array=array, geometry=grid(array.shape, spacing=(2, 2, 2)))
    assert np.prod(prepare_image(volume, Recipe.for_modality(Modality.CT, None)).restore.crop_shape) < 0.6 * array.size


@pytest.mark.parametrize("modality", list(Modality))
@pytest.mark.parametrize("value", [0, -1000, 0.1])
def test_a_constant_image_is_kept_whole_and_becomes_zero(modality: Modality, value: float) -> None:
    volume = Volume(array=np.full((6, 7, 8), value, np.float32), geometry=grid())
    prepared = prepare_image(volume, Recipe.for_modality(modality, None))
    assert prepared.array.shape == (1, 6, 7, 8)
    assert not prepared.array.any()


def test_mr_has_mean_0_and_std_1_over_its_body() -> None:
    array = ball((24, 24, 24), 9, 400, 0, 0)
    array[array > 0] += np.random.default_rng(1).normal(0, 30, int((array > 0).sum())).astype(np.float32)
    prepared = prepare_image(Volume(array=array, geometry=grid(array.shape)), KEEP)
    body = prepared.array[0].astype(float)[array[prepared.restore.crop_box] > 0]
    assert body.mean() == pytest.approx(0, abs=2e-3)
    assert body.std() == pytest.approx(1, abs=2e-3)


def test_ct_is_clipped_to_the_percentiles_of_its_body() -> None:
    body = np.linspace(0, 1000, 20 * 20 * 20, dtype=np.float32).reshape(20, 20, 20)
    array = np.concatenate([np.full((20, 20, 20), -1000, np.float32), body])
    array[30, 10, 10] = 30_000  # Metal.
    prepared = prepare_image(Volume(array=array, geometry=grid(array.shape)), Recipe.for_modality(Modality.CT, None))
    low, high = np.percentile(body, (0.5, 99.5))
    clipped = np.clip(body, low, high)
    assert prepared.array.max() == pytest.approx((high - clipped.mean()) / clipped.std(), abs=0.01)
    assert prepared.array.min() == pytest.approx((low - clipped.mean()) / clipped.std(), abs=0.01)


def test_a_small_crop_of_8_bit_mr_is_normalized_over_all_of_it() -> None:
    array = np.random.default_rng(0).integers(60, 255, (35, 51, 35)).astype(np.int16)
    values = prepare_image(Volume(array=array, geometry=grid(array.shape)), KEEP).array.astype(float)
    assert values.shape == (1, 35, 51, 35)
    assert values.mean() == pytest.approx(0, abs=2e-3)
    assert values.std() == pytest.approx(1, abs=2e-3)


def test_the_prepared_grid_covers_the_crop_at_the_asked_spacing() -> None:
    volume = Volume(array=ball((40, 50, 60), 14, 300, 0, 0), geometry=grid((40, 50, 60), spacing=(0.5, 0.5, 1.0)))
    restore = prepare_image(volume, Recipe.for_modality(Modality.MR, (2.0, 0.5, 0.75))).restore
    for axis, (own, asked) in enumerate(((1.0, 2.0), (0.5, 0.5), (0.5, 0.75))):
        assert restore.prepared_shape[axis] == round(restore.crop_shape[axis] * own / asked)
        covered = restore.prepared_spacing_dhw_mm[axis] * restore.prepared_shape[axis]
        assert covered == pytest.approx(restore.crop_shape[axis] * own)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused_with_their_number(value: float) -> None:
    array = np.zeros((6, 7, 8), np.float32)
    array[1, 2, 3:5] = value
    with pytest.raises(ImageError, match="2 voxels that are not a finite number"):
        prepare_image(Volume(array=array, geometry=grid()), KEEP)


@pytest.mark.parametrize("usual", [(0.001, 1.0, 1.0), (1.0, 1.0, 500.0)])
def test_a_header_in_another_unit_is_refused_before_memory_runs_out(usual: tuple[float, float, float]) -> None:
    volume = Volume(array=np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8), geometry=grid())
    with pytest.raises(
        ImageError, match=r"voxels are .* mm, those of the images it is to be treated like .*correct the"
    ):
        prepare_image(volume, Recipe.for_modality(Modality.CT, usual))
    assert prepare_image(volume, Recipe.for_modality(Modality.CT, (9.0, 9.0, 9.0))).array.size


def test_labels_of_another_grid_or_value_are_refused() -> None:
    restore = prepare_image(Volume(array=np.zeros((6, 7, 8), np.int16), geometry=grid()), KEEP).restore
    labels = np.zeros((6, 7, 8), np.uint8)
    with pytest.raises(LabelError, match="origin"):
        prepare_labels(labels, grid(origin=(0, 0, 0)), restore, TABLE)
    labels[0, 0, 0] = 5
    with pytest.raises(LabelError, match=r"\[5\] are not in the label table"):
        prepare_labels(labels, grid(), restore, TABLE)


def test_the_chosen_spacing_is_the_median_along_canonical_axes() -> None:
    sagittal = [[0, 0, 1], [1, 0, 0], [0, -1, 0]]
    # Stored x, y, z run along posterior, inferior, left; the spacing asked for is superior, posterior, left.
    geometries = [grid(spacing=(0.5, 0.6, 3.0))] * 2 + [grid(spacing=(0.7, 4.0, 0.5), direction=sagittal)]
    assert choose_spacing(geometries) == (3.0, 0.6, 0.5)
    with pytest.raises(ImageError, match="No image"):
        choose_spacing([])


def test_a_recipe_comes_back_from_json_and_refuses_nonsense() -> None:
    recipe = Recipe(modality=Modality.CT, spacing_dhw_mm=(1, 0.5, 0.5), normalization="zscore", crop=False)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    with pytest.raises(SettingsError, match="normalization"):
        Recipe(modality=Modality.CT, spacing_dhw_mm=None, normalization="max")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="positive"):
        Recipe.for_modality(Modality.CT, (1, 0, 1))


def test_without_cropping_the_whole_image_is_prepared() -> None:
    array = ball((40, 40, 40), 8, 300, 0, 0)
    recipe = Recipe(modality=Modality.MR, spacing_dhw_mm=None, normalization="zscore", crop=False)
    restore = prepare_image(Volume(array=array, geometry=grid(array.shape)), recipe).restore
    assert restore.crop_shape == (40, 40, 40)
    assert restore.orientation == Orientation()
