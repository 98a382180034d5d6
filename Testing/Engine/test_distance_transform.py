"""Distances to sets of voxels: the exact ones and the differentiable ones, against the distance transform of `edt`.

Shapes: B patches, M sets, D H W voxels.
"""

from __future__ import annotations

import math

import edt
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from barl.losses.distance_transform import distance_to, gaussians, soft_distance_to, spread
from barl.methods.dbisl import Settings

REACH, SMOOTHNESS = Settings().reach_voxels, Settings().smoothness_voxels


def a_smooth_blob(seed: int, shape: tuple[int, int, int] = (32, 28, 36)) -> np.ndarray:
    """(D, H, W) bool: where smoothed noise is high; several rounded bodies."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 4)
    return noise > np.quantile(noise, 0.7)


def true_distance(members: np.ndarray) -> np.ndarray:
    """(D, H, W) voxels to the nearest member."""
    return np.asarray(edt.edt((~members).astype(np.uint8)))


def as_sets(*members: np.ndarray) -> Tensor:
    """(1, M, D, H, W) bool."""
    return torch.from_numpy(np.stack(members)[np.newaxis])


def a_voxel(shape: tuple[int, int, int] = (9, 9, 9)) -> Tensor:
    """(1, 1, D, H, W) bool: one member in the middle."""
    members = torch.zeros(1, 1, *shape, dtype=torch.bool)
    members[0, 0, shape[0] // 2, shape[1] // 2, shape[2] // 2] = True
    return members


# Exact


def test_the_distance_to_one_voxel_is_computed_by_hand() -> None:
    distance = distance_to(a_voxel(), 10)[0, 0]
    assert distance[4, 4, 4] == 0
    assert distance[4, 4, 7] == 3
    assert distance[4, 1, 0] == 5
    assert float(distance[2, 3, 6]) == pytest.approx(3)
    assert float(distance[0, 0, 0]) == pytest.approx(math.sqrt(48))


def test_exact_distances_are_those_of_edt_up_to_the_reach() -> None:
    blobs = [a_smooth_blob(0), ~a_smooth_blob(0), a_smooth_blob(1)]
    distances = distance_to(as_sets(*blobs), REACH)[0].numpy()
    for members, distance in zip(blobs, distances, strict=True):
        np.testing.assert_allclose(distance, np.minimum(true_distance(members), REACH), atol=1e-5)


@pytest.mark.parametrize("reach", [11, 12])
def test_at_the_end_of_short_squares_distances_stay_exact(reach: int) -> None:
    members = a_voxel((5, 5, 29))
    distance = distance_to(members, reach)[0, 0].numpy()
    np.testing.assert_allclose(distance, np.minimum(true_distance(members[0, 0].numpy()), reach), atol=1e-5)


def test_what_has_no_member_is_as_far_as_the_reach() -> None:
    empty = torch.zeros(1, 1, 4, 5, 6, dtype=torch.bool)
    assert torch.equal(distance_to(empty, 7), torch.full(empty.shape, 7.0))
    assert soft_distance_to(empty.float(), 7, 0.2).numpy() == pytest.approx(7)


# Differentiable


@pytest.mark.parametrize("seed", [0, 1])
def test_soft_distances_of_smooth_blobs_are_within_a_voxel_of_edt(seed: int) -> None:
    blob = a_smooth_blob(seed)
    both = [blob, ~blob]
    found = soft_distance_to(as_sets(*both).float(), REACH, SMOOTHNESS)[0].numpy()
    for members, distance in zip(both, found, strict=True):
        exact = true_distance(members)
        near = (exact > 0) & (exact <= REACH)
        error = (distance - exact)[near]
        assert near.sum() > 1_000
        assert -0.8 < error.min() < error.max() < 0.1


@pytest.mark.parametrize("radius", [5, 7, 10])
def test_the_center_of_a_ball_is_within_a_voxel_of_its_radius(radius: int) -> None:
    """The hardest place: a whole sphere of voxels is about as near, and all of them add up."""
    axis = torch.arange(27) - 13
    squares = axis.view(-1, 1, 1) ** 2 + axis.view(1, -1, 1) ** 2 + axis.view(1, 1, -1) ** 2
    around = (squares >= radius**2).view(1, 1, 27, 27, 27)
    assert radius - 1 < float(soft_distance_to(around.float(), REACH, SMOOTHNESS)[0, 0, 13, 13, 13]) <= radius


def test_bfloat16_within_autocast_changes_distances_by_a_hundredth_voxel() -> None:
    sets = as_sets(a_smooth_blob(2)).float()
    exact = soft_distance_to(sets, REACH, SMOOTHNESS)
    with torch.autocast("cpu", torch.bfloat16):
        short = soft_distance_to(sets, REACH, SMOOTHNESS)
    assert short.dtype == torch.float32
    assert 0 < float((short - exact).abs().max()) < 0.01


def test_gaussians_add_up_to_the_kernel_of_the_formula() -> None:
    """Within a twentieth of a voxel, once the kernel is read as a distance."""
    exponents, weights = gaussians(REACH, SMOOTHNESS)
    radius = np.linspace(1, REACH, 50)
    kernel = (weights[:, None] * np.exp(-exponents[:, None] * radius**2)).sum(axis=0)
    assert np.abs(-SMOOTHNESS * np.log(kernel) - radius).max() < 0.05
    assert len(weights) == 7


def test_spreading_is_the_convolution_with_that_kernel() -> None:
    values = torch.rand(1, 1, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exponents, weights = gaussians(5, 0.5)
    places = torch.stack(torch.meshgrid(*(torch.arange(n) for n in (3, 4, 5)), indexing="ij"), dim=-1).view(-1, 3)
    squares = (places[:, None] - places[None]).square().sum(dim=-1).double()
    kernel = sum(w * torch.exp(-a * squares) for a, w in zip(exponents, weights, strict=True))
    kernel = kernel + (1 - weights.sum()) * torch.eye(60, dtype=torch.float64)
    expected = (kernel @ values.view(-1)).view(values.shape)
    torch.testing.assert_close(spread(values, 5, 0.5), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(kernel.diagonal(), torch.ones(60, dtype=torch.float64))


def test_soft_distances_are_differentiable() -> None:
    generator = torch.Generator().manual_seed(0)
    soft = torch.rand(1, 2, 3, 4, 4, generator=generator, dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: soft_distance_to(x, 5, 0.8), soft)


def test_a_soft_member_is_h_ln_p_farther_away() -> None:
    members = a_voxel().double()
    near, far = (soft_distance_to(p * members, 8, 0.25)[0, 0, 4, 4, 7] for p in (1.0, 0.1))
    assert float(far - near) == pytest.approx(-0.25 * math.log(0.1))
