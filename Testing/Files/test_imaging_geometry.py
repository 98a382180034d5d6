"""Grids: numbers computed by hand, and properties of turned and cropped ones."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaging_data import grid, turned

from barl.errors import ImageError
from barl.imaging.geometry import Geometry
from barl.imaging.orientation import Orientation

TURNS = st.sampled_from(
    [np.eye(3)[list(order)] * signs for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]
)


def test_an_index_lies_where_slicer_shows_it() -> None:
    geometry = grid(spacing=(0.5, 2.0, 3.0), origin=(10, 20, 30), direction=np.diag([-1, 1, 1]))
    # Column 4, row 2, slice 1: LPS (10 - 2, 20 + 4, 30 + 3), and RAS turns the first two around.
    assert geometry.index_to_ras((1, 2, 4)) == (-8, -24, 33)
    assert geometry.voxel_volume_ml == pytest.approx(0.003)
    assert geometry.spacing_dhw_mm == (3.0, 2.0, 0.5)


def test_slicer_is_told_the_grid_in_ras() -> None:
    geometry = grid((5, 6, 7), spacing=(0.5, 2.0, 3.0), origin=(10, 20, 30), direction=np.diag([-1, 1, 1]))
    assert geometry.slicer_text == "0.5;0;0;-10;0;-2;0;-20;0;0;3;30;0;0;0;1;0;6;0;5;0;4;"


def test_a_difference_is_told_in_words() -> None:
    expected = grid(spacing=(0.3, 0.3, 0.3))
    assert grid(spacing=(0.4, 0.4, 0.4)).difference_from(expected) == (
        "spacing 0.4 x 0.4 x 0.4 mm instead of 0.3 x 0.3 x 0.3 mm"
    )
    assert "size 8 x 7 x 5 voxels instead of 8 x 7 x 6 voxels" in grid((5, 7, 8)).difference_from(grid())
    assert "origin" in grid(origin=(0, 0, 1)).difference_from(grid(origin=(0, 0, 0)))
    assert "direction" in grid(direction=turned(3, 0)).difference_from(grid())


def test_rounding_of_headers_is_no_difference() -> None:
    rounded = grid(
        spacing=(0.4000000059604645, 0.5, 1.25), origin=(-12.500001, 30.25, 7.0), direction=turned(17, -31).round(6)
    )
    assert rounded.difference_from(grid(direction=turned(17, -31))) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"spacing_mm": (0.0, 1, 1)},
        {"origin_mm": (float("nan"), 0, 0)},
        {"direction": (1, 0.5, 0, 0, 1, 0, 0, 0, 1)},
        {"size": (0, 3, 3)},
    ],
)
def test_an_impossible_grid_is_refused(change: dict[str, object]) -> None:
    valid = {
        "size": (3, 3, 3),
        "spacing_mm": (1, 1, 1),
        "origin_mm": (0, 0, 0),
        "direction": (1, 0, 0, 0, 1, 0, 0, 0, 1),
    }
    with pytest.raises(ImageError):
        Geometry(**(valid | change))  # type: ignore[arg-type]


@given(turn=TURNS)
def test_the_canonical_orientation_runs_to_superior_posterior_left(turn: np.ndarray) -> None:
    geometry = grid((3, 4, 5), direction=turned(12, 20) @ turn, spacing=(1, 1, 1))
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
    right, anterior, superior = np.moveaxis(np.apply_along_axis(geometry.index_to_ras, -1, index), -1, 0)
    orientation = geometry.canonical_orientation()
    for axis, coordinate in enumerate((superior, -anterior, -right)):
        assert (np.diff(orientation.apply(coordinate), axis=axis) > 0.7).all()


@given(turn=TURNS, start=st.tuples(*[st.integers(-3, 4)] * 3), shape=st.tuples(*[st.integers(1, 5)] * 3))
def test_a_turned_part_is_found_where_it_lies(turn: np.ndarray, start: tuple, shape: tuple) -> None:
    whole = grid((6, 7, 8), direction=turned(17, -31))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, start[::-1]
    part = Geometry.from_index_to_lps(whole.index_to_lps @ matrix, shape)
    placement = whole.placement_of(part)
    assert placement is not None
    for index in np.ndindex(*shape):
        marked = np.zeros(shape)
        marked[index] = 1
        found = np.argwhere(placement.orientation.apply(marked))[0] + placement.start
        np.testing.assert_allclose(whole.index_to_ras(found), part.index_to_ras(index), atol=1e-9)


def test_a_part_of_another_grid_has_no_place() -> None:
    whole = grid(spacing=(0.4, 0.4, 0.4))
    assert whole.placement_of(grid(spacing=(0.4, 0.4, 0.8))) is None
    assert whole.placement_of(grid(spacing=(0.4, 0.4, 0.4), origin=(-12.3, 30.25, 7.0))) is None
    assert whole.placement_of(grid(spacing=(0.4, 0.4, 0.4), direction=turned(10, 0))) is None


def test_a_grid_comes_back_from_json() -> None:
    geometry = grid(direction=turned(17, -31))
    assert Geometry.from_json(geometry.to_json()) == geometry


@given(axes=st.permutations(range(3)), flips=st.tuples(*[st.booleans()] * 3))
def test_undoing_a_turn_gives_the_array_back(axes: list[int], flips: tuple[bool, bool, bool]) -> None:
    orientation = Orientation(axes=(axes[0], axes[1], axes[2]), flips=flips)
    array = np.arange(24).reshape(2, 3, 4)
    assert orientation.apply(array).shape == orientation.permute(array.shape)
    np.testing.assert_array_equal(orientation.undo(orientation.apply(array)), array)
