"""What a CBCT scanner does to the truth: blur, noise, streaks, shading, and gray values that are not quite HU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from barl.phantom.fields import Field, Mask, ramp, smooth_noise

LOWEST_HU, HIGHEST_HU = -1000.0, 3095.0


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """The settings of one scan."""

    blur_voxels: float
    noise_hu: float
    cupping_hu: float
    """How much darker the middle is than the border of the field of view."""
    ring_hu: float
    streak_hu: float
    gain: float
    offset_hu: float
    view_radius: float
    """Radius of the cylinder that was scanned, in half widths of the volume; 1.5 takes in the corners."""


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Draw the settings of one scan."""
    return Scanner(
        blur_voxels=rng.uniform(0.45, 0.8),
        noise_hu=rng.uniform(70.0, 170.0),
        cupping_hu=rng.uniform(-60.0, 260.0),
        ring_hu=rng.uniform(0.0, 25.0),
        streak_hu=rng.uniform(500.0, 1100.0),
        gain=rng.normal(1.0, 0.09),
        offset_hu=rng.normal(0.0, 90.0),
        view_radius=rng.choice([0.98, 1.08, 1.5], p=[0.4, 0.3, 0.3]),
    )


def scan(scanner: Scanner, hu: Field, metal: Mask, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Turn true HU (D, H, W) into what the scanner shows, int16."""
    radius = _radius(hu.shape)
    image = ndimage.gaussian_filter(hu, scanner.blur_voxels)
    image += _streaks(metal, scanner.streak_hu, rng)
    image -= scanner.cupping_hu * np.clip(1.0 - radius**2, 0.0, None)
    image += _rings(radius, scanner.ring_hu, rng)
    image += _noise(hu.shape, scanner.noise_hu, rng) * np.clip(1.15 - 0.3 * radius, 0.7, None)
    image = scanner.gain * image + scanner.offset_hu
    image += 180.0 * ramp(radius / scanner.view_radius, 0.9, 1.0) * (scanner.view_radius < 1.4)
    image[~field_of_view(scanner, hu.shape)] = LOWEST_HU
    result: npt.NDArray[np.int16] = np.clip(image, LOWEST_HU, HIGHEST_HU).astype(np.int16)
    return result


def field_of_view(scanner: Scanner, shape: tuple[int, ...]) -> Mask:
    """The voxels (D, H, W) inside the scanned cylinder."""
    return np.broadcast_to(_radius(shape) <= scanner.view_radius, shape)


def _radius(shape: tuple[int, ...]) -> Field:
    y, x = np.ogrid[-1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
    return np.hypot(x, y).astype(np.float32)[None]


def _noise(shape: tuple[int, ...], sigma_hu: float, rng: np.random.Generator) -> Field:
    """Noise with some grain, as the reconstruction filter leaves it, and slow clouds of scatter."""
    white = rng.standard_normal(shape, dtype=np.float32)
    grain = ndimage.gaussian_filter(white, (0.3, 0.7, 0.7))
    mixed: Field = 0.45 * white + 0.9 * grain / (float(grain.std()) + 1e-6) + 0.35 * smooth_noise(rng, shape, 9.0)
    return sigma_hu * mixed


def _rings(radius: Field, sigma_hu: float, rng: np.random.Generator) -> Field:
    """Rings about the axis: a detector column that answers a little too much or too little."""
    profile = rng.standard_normal(90).astype(np.float32) * (rng.random(90) < 0.3)
    result: Field = sigma_hu * profile[np.clip(radius * 60, 0, 89).astype(np.intp)]
    return result


def _streaks(metal: Mask, amplitude_hu: float, rng: np.random.Generator) -> Field:
    """Bright and dark rays from each piece of metal in its slices, and a dark band between two of them."""
    result = np.zeros(metal.shape, np.float32)
    pieces, count = ndimage.label(metal)
    centers = ndimage.center_of_mass(metal, pieces, range(1, count + 1))
    sizes = np.bincount(pieces.ravel())[1:]
    rays = _smooth_turn(rng.standard_normal((max(count, 1), 360)))
    y, x = np.mgrid[: metal.shape[1], : metal.shape[2]].astype(np.float32)
    for slice_index in np.flatnonzero(metal.any(axis=(1, 2))):
        wobble = _smooth_turn(rng.standard_normal((max(count, 1), 360)))
        present = [i for i in range(count) if (pieces[slice_index] == i + 1).any()]
        for i in present:
            dy, dx = y - centers[i][1], x - centers[i][2]
            angle = ((np.arctan2(dy, dx) / (2 * np.pi) + 0.5) * 359).astype(np.intp)
            distance = np.hypot(dx, dy)
            fade = np.exp(-distance / 28.0) * ramp(distance, 0.0, 9.0) * min(1.0, sizes[i] / 60.0)
            result[slice_index] += amplitude_hu * fade * (0.75 * rays[i] + 0.65 * wobble[i])[angle]
            for j in present[:i]:
                result[slice_index] -= amplitude_hu * 0.7 * _band(y, x, centers[i][1:], centers[j][1:])
    softened: Field = ndimage.gaussian_filter(result, (0.6, 0.4, 0.4))
    return softened


def _smooth_turn(values: npt.NDArray[np.float64]) -> Field:
    """Random numbers around a full turn, with rays about ten degrees wide."""
    smooth = ndimage.gaussian_filter1d(values, 4.0, axis=1, mode="wrap")
    result: Field = (smooth / smooth.std()).astype(np.float32)
    return result


def _band(y: Field, x: Field, one: tuple[float, ...], other: tuple[float, ...]) -> Field:
    """1 on the line between two points, fading within about three voxels."""
    dy, dx = other[0] - one[0], other[1] - one[1]
    length = max(float(np.hypot(dy, dx)), 1.0)
    along = ((y - one[0]) * dy + (x - one[1]) * dx) / length
    across = ((y - one[0]) * dx - (x - one[1]) * dy) / length
    beyond = np.maximum(np.maximum(-along, along - length), 0.0)
    result: Field = np.exp(-((across / 2.5) ** 2) - (beyond / 2.5) ** 2).astype(np.float32)
    return result
