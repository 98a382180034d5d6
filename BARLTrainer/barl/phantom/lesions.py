"""A synthetic MR volume with many small lesions: one class in fragments, as multiple sclerosis gives it.

Bright spots on a FLAIR-like head: near the ventricles and in the white matter, from a voxel to a centimeter, faint
or clear. Gray matter, the borders of the ventricles and a few vessels are bright too and are not lesions.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from barl.cohort.labels import Label, LabelTable
from barl.phantom.fields import Field, Mask, smooth_noise

LESION_LABELS = LabelTable(labels=(Label(value=1, name="lesion", color=(216, 101, 79)),))
LESION_SHAPE = (64, 96, 96)
LESION_SPACING_MM = 1.6

_AIR, _BONE, _FLUID, _WHITE, _GRAY, _FAT = 8.0, 40.0, 70.0, 320.0, 400.0, 620.0


@dataclass(frozen=True, kw_only=True)
class _Head:
    """Where is what, arrays (D, H, W)."""

    level: Field
    """Distance from the middle in shares of the brain's radius."""
    ventricles: Mask
    white: Mask
    gray: Mask


def make_lesion_case(
    seed: int, shape: tuple[int, int, int] = LESION_SHAPE, spacing_mm: float = LESION_SPACING_MM
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Make one head with lesions; the same seed gives the same head.

    Args:
        seed: which patient.
        shape: (D, H, W) in voxels; slices go up, rows go back, columns go to the patient's left.
        spacing_mm: edge length of a voxel.

    Returns:
        The image (D, H, W), int16 in arbitrary units, and the labels (D, H, W), uint8 with the values of
        `LESION_LABELS`.
    """
    rng = np.random.default_rng([seed, 1])
    head = _draw_head(rng, shape, spacing_mm)
    signal = _tissue(head, rng)
    lesions = _paint_lesions(head, signal, spacing_mm, rng)
    return _acquire(signal, rng), lesions.astype(np.uint8)


def _draw_head(rng: np.random.Generator, shape: tuple[int, int, int], spacing_mm: float) -> _Head:
    axes = [(np.arange(n, dtype=np.float32) - n / 2) * spacing_mm + rng.normal(0.0, 2.0) for n in shape]
    z, y, x = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    turn = np.deg2rad(rng.normal(0.0, 5.0))
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    size = rng.normal(1.0, 0.06)
    level = np.sqrt((x / (49 * size)) ** 2 + (y / (61 * size)) ** 2 + ((z + 8) / (54 * size)) ** 2)
    level = (level + 0.02 * smooth_noise(rng, shape, 6.0)).astype(np.float32)
    wide = rng.uniform(0.7, 1.7)
    horn = (np.abs(x) - 6.0 - 0.006 * (y - 5) ** 2 * np.sign(y)) / (4.5 * wide)
    ventricles = horn**2 + ((y + 3) / (28 + 4 * wide)) ** 2 + ((z - 4) / (9 + 3 * wide)) ** 2 < 1.0
    folds = np.abs(smooth_noise(rng, shape, 2.2))
    sulci = (level > 0.8) & (level < 1.0) & (folds < 0.13) | (np.abs(x) < 1.0) & (level > 0.75)
    inside = (level < 0.97) & ~ventricles & ~sulci
    nuclei = ((np.abs(x) - 20) / 8) ** 2 + (y / 15) ** 2 + ((z + 4) / 9) ** 2 < 1.0
    deep = edt.edt(inside | ventricles, anisotropy=(spacing_mm,) * 3) > 2.6 + 0.8 * smooth_noise(rng, shape, 2.0)
    white = inside & deep & ~nuclei
    return _Head(level=level, ventricles=ventricles, white=white, gray=inside & ~white)


def _tissue(head: _Head, rng: np.random.Generator) -> Field:
    """Signal without lesions."""
    level = head.level
    signal = np.full(level.shape, _AIR, np.float32)
    signal[level < 1.2] = _FAT * rng.uniform(0.5, 1.0)
    signal[level < 1.13] = _BONE
    signal[level < 1.04] = _FLUID
    signal[head.gray] = _GRAY * rng.normal(1.0, 0.04)
    signal[head.white] = _WHITE * rng.normal(1.0, 0.04)
    near = edt.edt(~head.ventricles)
    caps = rng.uniform(20.0, 90.0) * np.exp(-near / 1.5) * (1.0 + 0.5 * smooth_noise(rng, level.shape, 4.0))
    signal += np.where(head.white, caps, 0.0) + 14.0 * smooth_noise(rng, level.shape, 2.0) * (level < 1.0)
    vessels = (level < 1.04) & ~head.white & (smooth_noise(rng, level.shape, 1.2) > 3.1)
    signal[vessels] = rng.uniform(450.0, 650.0)
    return signal


def _paint_lesions(head: _Head, signal: Field, spacing_mm: float, rng: np.random.Generator) -> Mask:
    """Brighten the lesions in ``signal`` (in place) and return their mask."""
    count = int(np.exp(rng.uniform(np.log(20), np.log(120))))
    lesions = np.zeros(signal.shape, bool)
    candidates = np.flatnonzero(head.white)
    distance_mm = edt.edt(~head.ventricles, anisotropy=(spacing_mm,) * 3).ravel()[candidates]
    weights = np.exp(-distance_mm / 9.0) + 0.06
    chosen = rng.choice(candidates, size=count, p=weights / weights.sum())
    ragged = smooth_noise(rng, signal.shape, 1.5)
    for center in np.stack(np.unravel_index(chosen, signal.shape), axis=1):
        radii = np.exp(rng.normal(np.log(2.6), 0.4)) * rng.uniform(0.7, 1.4, 3) / spacing_mm
        box = tuple(
            slice(max(0, int(c - 2 * r - 1)), min(n, int(c + 2 * r + 2)))
            for c, r, n in zip(center, radii, signal.shape, strict=True)
        )
        dz, dy, dx = ((grid - c) / r for grid, c, r in zip(np.ogrid[box], center, radii, strict=True))
        level = np.sqrt(dz**2 + dy**2 + dx**2)
        inside = (level + 0.18 * ragged[box] < 1.0) & head.white[box]
        signal[box][inside] = np.maximum(signal[box][inside], _WHITE + rng.uniform(90.0, 270.0))
        lesions[box] |= inside
    return lesions


def _acquire(signal: Field, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Blur (thicker along the slices), bias field, Rician noise, arbitrary gain."""
    image = ndimage.gaussian_filter(signal, (rng.uniform(0.5, 0.9), 0.5, 0.5))
    bias = np.exp(rng.uniform(0.05, 0.22) * smooth_noise(rng, signal.shape, 28.0))
    sigma = rng.uniform(12.0, 30.0)
    real = image * bias + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    gain = rng.uniform(0.6, 1.8)
    result: npt.NDArray[np.int16] = np.clip(gain * np.hypot(real, imaginary), 0, 32767).astype(np.int16)
    return result
