"""Slabs become maps on another grid as if the whole probability volume had been interpolated.

Shapes: K classes, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from barl.inference.expected_error import LEVELS
from barl.inference.resampling import Maps, collect, most_likely
from barl.inference.sliding_window import Size, Slab
from barl.inference.uncertainty import normalized_entropy

SHAPES = st.tuples(*[st.integers(1, 17)] * 3)


def some_prediction(shape: Size, seed: int = 0, classes: int = 3) -> tuple[Tensor, Tensor]:
    """(K, D, H, W) probabilities and a (D, H, W) map from 0 to 1."""
    generator = torch.Generator().manual_seed(seed)
    return (
        (2 * torch.randn(classes, *shape, generator=generator)).softmax(dim=0),
        torch.rand(shape, generator=generator),
    )


def in_slabs(probability: Tensor, unlike: Tensor, sizes: list[int]) -> Iterator[Slab]:
    """Cut along D into slabs of the given sizes, over and over."""
    start = 0
    while start < probability.shape[1]:
        end = start + sizes[start % len(sizes)]
        yield Slab(start=start, probability=probability[:, start:end], disagreement=unlike[start:end])
        start = end


def interpolated(volume: Tensor, shape: Size) -> Tensor:
    return functional.interpolate(volume[None], size=shape, mode="trilinear", align_corners=False)[0]


def close(levels: np.ndarray, values: Tensor) -> bool:
    """Rounded to the same level, or to the neighbor where rounding errors decide."""
    return bool((np.abs(levels - LEVELS * values.double().numpy()) <= 0.5 + 0.02).all())


@settings(max_examples=60, deadline=None)
@given(SHAPES, SHAPES, st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 99))
def test_slab_by_slab_equals_interpolating_the_whole_volume(
    shape_in: Size, shape_out: Size, sizes: list[int], seed: int
) -> None:
    probability, unlike = some_prediction(shape_in, seed)
    maps = collect(in_slabs(probability, unlike, sizes), shape_in, shape_out)
    expected = interpolated(probability, shape_out)
    best = expected.topk(2, dim=0).values
    clear = (best[0] - best[1] > 1e-4).numpy()
    assert (maps.classes == expected.argmax(dim=0).numpy())[clear].all()
    assert close(maps.entropy, normalized_entropy(expected, dim=0))
    assert close(maps.disagreement, interpolated(unlike[None], shape_out)[0])


def test_on_the_same_grid_nothing_is_interpolated() -> None:
    probability, unlike = some_prediction((7, 6, 5))
    maps = collect(in_slabs(probability, unlike, [3]), (7, 6, 5), (7, 6, 5))
    assert np.array_equal(maps.classes, probability.argmax(dim=0).numpy())
    assert np.array_equal(maps.disagreement, (unlike * LEVELS).round().byte().numpy())


@pytest.mark.parametrize("shape_out", [(5, 5, 5), (13, 2, 9)])
def test_constants_stay_exactly_constant(shape_out: Size) -> None:
    probability = torch.tensor([0.25, 0.5, 0.25]).view(3, 1, 1, 1).expand(3, 8, 4, 6)
    maps = collect(in_slabs(probability, torch.full((8, 4, 6), 0.2), [3, 1]), (8, 4, 6), shape_out)
    assert {int(v) for v in np.unique(maps.classes)} == {1}
    assert {int(v) for v in np.unique(maps.disagreement)} == {50}
    assert len(np.unique(maps.entropy)) == 1


def limits() -> Maps:
    """One voxel where one class is certain, one where all are equal."""
    probability = torch.tensor([[1.0, 1 / 3], [0.0, 1 / 3], [0.0, 1 / 3]]).view(3, 2, 1, 1)
    return collect(in_slabs(probability, torch.tensor([0.0, 1.0]).view(2, 1, 1), [1]), (2, 1, 1), (2, 1, 1))


def test_maps_reach_from_0_to_250_in_a_byte() -> None:
    maps = limits()
    assert maps.entropy.ravel().tolist() == [0, LEVELS]
    assert maps.disagreement.ravel().tolist() == [0, LEVELS]
    assert {array.dtype for array in vars(maps).values()} == {np.dtype(np.uint8)}


def test_32_classes_are_told_apart() -> None:
    probability = torch.eye(32).view(32, 32, 1, 1)
    maps = collect(in_slabs(probability, torch.zeros(32, 1, 1), [5]), (32, 1, 1), (32, 1, 1))
    assert maps.classes.ravel().tolist() == list(range(32))


@given(st.integers(2, 33), st.integers(0, 99))
def test_the_most_likely_class_is_the_first_of_the_largest(classes: int, seed: int) -> None:
    # Whole numbers, so that many are equal.
    some = torch.randint(4, (classes, 3, 4, 5), generator=torch.Generator().manual_seed(seed)).float()
    found = most_likely(some)
    assert found.dtype == torch.uint8
    assert np.array_equal(found.numpy(), some.numpy().argmax(axis=0))
