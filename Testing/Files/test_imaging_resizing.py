"""Resizing: numbers computed by hand, and labels that never mix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from barl.imaging.resizing import resize, resize_labels

SHAPES = st.tuples(*[st.integers(1, 9)] * 3)


def along(axis: int, values: list[float]) -> np.ndarray:
    """An array that varies along one axis only."""
    shape = [2, 2, 2]
    shape[axis] = len(values)
    return np.moveaxis(np.broadcast_to(np.array(values, float), (2, 2, len(values))), -1, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Twice as fine: new centers lie a quarter voxel beside the old ones, border values are kept.
        ([0, 4], [0, 1, 3, 4]),
        # Twice as coarse: the triangle of half-width two weighs 1, 3, 3, 1 eighths, and 3, 3, 1 sevenths at the border.
        ([7, 0, 0, 0, 0, 8], [3, 0.875 / 7 * 0, 8 * 3 / 7]),
        ([1, 2, 3], [2]),
        ([5, 5, 5, 5, 5], [5, 5, 5]),
    ],
)
def test_an_axis_is_resized_as_computed_by_hand(axis: int, values: list[float], expected: list[float]) -> None:
    shape = tuple(len(expected) if other == axis else 2 for other in range(3))
    np.testing.assert_allclose(resize(along(axis, values), shape), along(axis, expected), atol=1e-6)


def test_twice_as_coarse_in_the_middle_weighs_one_three_three_one() -> None:
    result = resize(along(2, [0, 0, 0, 8, 16, 0, 0, 0]), (2, 2, 4))
    np.testing.assert_allclose(result[0, 0], [0, 3 + 2, 1 + 6, 0], atol=1e-6)


@given(array=arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 255])), shape=SHAPES)
def test_labels_never_mix_and_empty_stays_empty(array: np.ndarray, shape: tuple[int, int, int]) -> None:
    result = resize_labels(array, shape)
    assert result.shape == shape
    assert set(np.unique(result)) <= set(np.unique(array)) | {0}
    assert (resize_labels(np.zeros_like(array), shape) == 0).all()
    assert (resize_labels(np.full_like(array, 255), shape) == 255).all()


@pytest.mark.parametrize("factor", [2, 3])
@given(shape=SHAPES, axis=st.integers(0, 2), value=st.sampled_from([0, 1, 7]), data=st.data())
def test_a_line_of_one_voxel_amid_unknown_survives_coarser_voxels(
    factor: int, shape: tuple[int, int, int], axis: int, value: int, data: st.DataObject
) -> None:
    place = [data.draw(st.integers(0, factor * length - 1)) for length in shape]
    fine = np.full([factor * length for length in shape], 255, np.uint8)
    coarse = np.full(shape, 255, np.uint8)
    fine[tuple(slice(None) if a == axis else place[a] for a in range(3))] = value
    coarse[tuple(slice(None) if a == axis else place[a] // factor for a in range(3))] = value
    np.testing.assert_array_equal(resize_labels(fine, shape), coarse)


@given(array=arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 255])), data=st.data())
def test_a_coarser_voxel_is_unknown_just_where_no_known_one_falls_into_it(
    array: np.ndarray, data: st.DataObject
) -> None:
    shape = tuple(data.draw(st.integers(1, length)) for length in array.shape)
    known = np.zeros(shape, bool)
    inside = [(2 * np.arange(old) + 1) * new // (2 * old) for old, new in zip(array.shape, shape, strict=True)]
    deep, rows, columns = np.nonzero(array != 255)
    known[inside[0][deep], inside[1][rows], inside[2][columns]] = True
    np.testing.assert_array_equal(resize_labels(array, shape) != 255, known)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ([255] * 7 + [2], 2),
        ([255] * 5 + [1, 2, 2], 2),
        ([255] * 4 + [0, 0, 0, 1], 0),
        ([255] * 4 + [0, 0, 1, 1], 1),
        ([255] * 2 + [2, 2, 0, 0, 1, 1], 1),
    ],
)
def test_among_known_voxels_most_win_and_a_tie_goes_to_the_label(inside: list[int], expected: int) -> None:
    array = np.zeros((6, 6, 6), np.uint8)  # What is known beside the voxel has no say in it.
    array[2:4, 2:4, 2:4] = np.reshape(inside, (2, 2, 2))
    assert resize_labels(array, (3, 3, 3))[1, 1, 1] == expected


@given(
    array=arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2])),
    unknown=arrays(bool, SHAPES) | st.just(np.zeros((1, 1, 1), bool)),
    shape=SHAPES,
)
def test_where_all_around_is_known_the_largest_share_wins(
    array: np.ndarray, unknown: np.ndarray, shape: tuple[int, int, int]
) -> None:
    mask = np.zeros(array.shape, bool)
    part = tuple(slice(0, min(lengths)) for lengths in zip(array.shape, unknown.shape, strict=True))
    mask[part] = unknown[part]
    shares = np.stack([resize(array == value, shape) for value in range(3)])
    clear = (np.diff(np.sort(shares, axis=0)[-2:], axis=0)[0] > 1e-5) & (resize(mask, shape) == 0)
    result = resize_labels(np.where(mask, np.uint8(255), array), shape)
    np.testing.assert_array_equal(result[clear], shares.argmax(0)[clear])


@given(array=arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 7, 255])))
def test_labels_made_three_times_finer_keep_their_centers(array: np.ndarray) -> None:
    depth, height, width = array.shape
    finer = resize_labels(array, (3 * depth, 3 * height, 3 * width))
    np.testing.assert_array_equal(finer[1::3, 1::3, 1::3], array)


def test_the_surroundings_of_each_label_alone_give_what_the_whole_gives() -> None:
    array = np.zeros((20, 22, 24), np.uint8)
    array[3:9, 4:12, 5:11], array[9:15, 4:12, 8:20], array[0, 0, 0] = 1, 2, 3
    shape = (13, 30, 17)
    shares = np.stack([resize(array == value, shape) for value in range(4)])
    shares[0] -= 1e-6  # A tie goes to the label.
    np.testing.assert_array_equal(resize_labels(array, shape), shares.argmax(0))
