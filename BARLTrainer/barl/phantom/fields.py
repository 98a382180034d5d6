"""Coordinates and noise that the phantoms are drawn with.

Points are in millimeters: x to the patient's left, y to the back, z up. Along the dental arch a second
frame is easier: u is the arc length from the midline (negative on the right), v the distance from the
arch (positive outward), and z as before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

Field = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_voxels: float) -> Field:
    """Noise of mean about 0 and standard deviation 1 whose grains have about ``sigma_voxels``."""
    step = max(1, int(sigma_voxels / 1.5))
    coarse = rng.standard_normal([n // step + 3 for n in shape], dtype=np.float32)
    coarse = ndimage.gaussian_filter(coarse, sigma_voxels / step, mode="wrap")
    if step > 1:
        coarse = ndimage.zoom(coarse, step, order=1)
    field: Field = coarse[tuple(slice(0, n) for n in shape)]
    return field / (float(field.std()) + 1e-6)


def ramp(x: Field, start: float, end: float) -> Field:
    """0 before ``start``, 1 after ``end``, smooth between."""
    t = np.clip((x - start) / (end - start), 0.0, 1.0)
    result: Field = t * t * (3.0 - 2.0 * t)
    return result


@dataclass(frozen=True, kw_only=True)
class Arch:
    """The line that the teeth of one jaw stand on: y = depth (|x| / half_width) ** power."""

    half_width_mm: float
    """Distance of the last molar from the midline."""

    depth_mm: float
    """How far the last molar lies behind the incisors."""

    power: float
    """2 is a parabola, more is squarer."""

    asymmetry: float
    """Share by which the left half is wider than the right one."""

    def points(self, count: int = 220) -> Field:
        """Points (x, y) along the arch and on into the rami, evenly spaced, from right to left."""
        side = np.linspace(0.0, 1.45, 400) ** 0.8
        x, y = side * self.half_width_mm, self.depth_mm * side**self.power
        x = np.concatenate([-x[:0:-1] * (1 - self.asymmetry), x * (1 + self.asymmetry)])
        y = np.concatenate([y[:0:-1], y])
        length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        even = np.linspace(0.0, length[-1], count)
        return np.stack([np.interp(even, length, x), np.interp(even, length, y)], axis=1).astype(np.float32)

    def frame(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Arc length u and outward distance v of every point, in millimeters."""
        u, v = self._table()
        column = np.clip((x + _REACH_MM) / _TABLE_STEP_MM, 0, u.shape[1] - 1).astype(np.intp)
        row = np.clip((y + _REACH_MM) / _TABLE_STEP_MM, 0, u.shape[0] - 1).astype(np.intp)
        return u[row, column], v[row, column]

    def _table(self) -> tuple[Field, Field]:
        points = self.points()
        steps = np.hypot(*np.diff(points, axis=0).T)
        length = np.concatenate([[0.0], np.cumsum(steps)])
        length -= length[np.argmin(np.abs(points[:, 0]))]
        tangent = np.gradient(points, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        axis = np.arange(-_REACH_MM, _REACH_MM, _TABLE_STEP_MM, dtype=np.float32)
        y, x = np.meshgrid(axis, axis, indexing="ij")
        _, nearest = KDTree(points).query(np.stack([x, y], axis=2))
        dx, dy = x - points[nearest, 0], y - points[nearest, 1]
        along = dx * tangent[nearest, 0] + dy * tangent[nearest, 1]
        outward = dx * tangent[nearest, 1] - dy * tangent[nearest, 0]
        return (length[nearest] + along).astype(np.float32), outward.astype(np.float32)


_REACH_MM = 90.0
_TABLE_STEP_MM = 0.5
