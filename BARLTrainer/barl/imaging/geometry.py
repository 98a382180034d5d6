"""Where voxels lie in the patient. The only file that knows x, y, z, LPS and RAS.

Everywhere else arrays and indices have the axes (D, H, W): slice, row, column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from barl.errors import ImageError
from barl.imaging.orientation import Orientation

Matrix = npt.NDArray[np.float64]
Triple = tuple[float, float, float]
Shape = tuple[int, int, int]

# Directions come from six-digit DICOM texts and 32-bit NIfTI quaternions; real shear is far larger.
_ORTHONORMAL_TOLERANCE = 1e-3


class HasGrid(Protocol):
    """An ITK image, or an ITK reader that has read a header."""

    def GetSize(self) -> Sequence[int]: ...
    def GetSpacing(self) -> Sequence[float]: ...
    def GetOrigin(self) -> Sequence[float]: ...
    def GetDirection(self) -> Sequence[float]: ...


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A grid of voxels in the patient, in ITK's terms.

    Raises:
        ImageError: the axes are sheared or not finite, or a size or a spacing is not positive.
    """

    size: Shape
    """Number of voxels along x, y, z."""

    spacing_mm: Triple
    """Distance of voxel centers along x, y, z in millimetres."""

    origin_mm: Triple
    """Center of the first voxel in LPS millimetres."""

    direction: tuple[float, ...]
    """3 x 3 matrix, row by row; its columns are the directions of x, y, z in LPS."""

    def __post_init__(self) -> None:
        numbers = (*self.spacing_mm, *self.origin_mm, *self.direction)
        if not np.isfinite(numbers).all() or min(self.spacing_mm) <= 0 or min(self.size) < 1:
            raise ImageError(
                f"size {_by(self.size)}, spacing {_by(self.spacing_mm)} mm, origin {_by(self.origin_mm)} mm is no "
                "valid grid of voxels. Export the image again from where it came."
            )
        axes = np.reshape(self.direction, (3, 3))
        if not np.allclose(axes.T @ axes, np.eye(3), atol=_ORTHONORMAL_TOLERANCE):
            raise ImageError(
                "its axes are not at right angles (a sheared or tilted acquisition). Load it in Slicer, resample it to "
                "straight axes (Resample Scalar/Vector/DWI Volume), and save it."
            )

    @classmethod
    def from_image(cls, image: HasGrid) -> Geometry:
        """Take the grid of an image or of a file's header; of more than three axes the first three count."""
        dimension = len(image.GetSize())
        direction = np.reshape(image.GetDirection(), (dimension, dimension))[:3, :3]
        return cls(
            size=_shape(image.GetSize()[:3]),
            spacing_mm=_triple(image.GetSpacing()[:3]),
            origin_mm=_triple(image.GetOrigin()[:3]),
            direction=tuple(float(value) for value in direction.ravel()),
        )

    @classmethod
    def from_index_to_lps(cls, matrix: Matrix, shape: Shape) -> Geometry:
        """Make a grid from the 4 x 4 matrix (column, row, slice) -> LPS mm and an array's shape (D, H, W)."""
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            direction = matrix[:3, :3] / spacing
        return cls(
            size=shape[::-1],
            spacing_mm=_triple(spacing),
            origin_mm=_triple(matrix[:3, 3]),
            direction=tuple(float(value) for value in direction.ravel()),
        )

    @property
    def shape(self) -> Shape:
        """Shape (D, H, W) of an array on this grid."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def spacing_dhw_mm(self) -> Triple:
        """Spacing in millimetres in the order of the array's axes."""
        return self.spacing_mm[2], self.spacing_mm[1], self.spacing_mm[0]

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def index_to_lps(self) -> Matrix:
        """4 x 4 matrix that takes (column, row, slice, 1) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(self.direction, (3, 3)) * self.spacing_mm
        matrix[:3, 3] = self.origin_mm
        return matrix

    def index_to_ras(self, index_dhw: Sequence[float]) -> Triple:
        """Take an array index (d, h, w), whole or fractional, to RAS millimetres, as Slicer shows them."""
        column_row_slice = [*reversed(list(index_dhw)), 1.0]
        left, posterior, superior = (self.index_to_lps @ column_row_slice)[:3]
        return float(-left), float(-posterior), float(superior)

    @property
    def dhw_to_ras(self) -> Matrix:
        """4 x 4 matrix that takes an array index (d, h, w, 1) to RAS millimetres."""
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.index_to_lps[:, [2, 1, 0, 3]]

    def index_from(self, other: Geometry) -> Matrix:
        """4 x 4 matrix that takes an array index (d, h, w, 1) of another grid to one of this grid."""
        return np.linalg.inv(self.dhw_to_ras) @ other.dhw_to_ras

    def tilt_degrees(self, other: Geometry) -> float:
        """Largest angle between an axis of another grid and the axis of this one that is nearest to it."""
        cosines = np.abs(np.reshape(self.direction, (3, 3)).T @ np.reshape(other.direction, (3, 3)))
        return float(np.degrees(np.arccos(np.clip(cosines.max(axis=0).min(), 0.0, 1.0))))

    @property
    def slicer_text(self) -> str:
        """The grid as Slicer notes it in a segmentation: the RAS matrix row by row, then first and last indices."""
        matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.index_to_lps
        extent = [number for length in self.size for number in (0, length - 1)]
        return "".join(f"{value + 0.0:.17g};" for value in [*matrix.ravel().tolist(), *extent])

    def difference_from(self, expected: Geometry, tolerance: float = 0.05) -> str:
        """Say in words how this grid differs from the expected one.

        Args:
            expected: the grid this one should be.
            tolerance: how far a corner voxel may be off, in voxels.

        Returns:
            ``""`` for the same grid, else such as ``spacing 0.4 x 0.4 x 0.4 mm instead of 0.3 x 0.3 x 0.3 mm``.
        """
        if self.size == expected.size and _corner_shift_voxels(self, expected) <= tolerance:
            return ""
        rows = (
            ("size", _by(self.size), _by(expected.size), " voxels"),
            ("spacing", _by(self.spacing_mm), _by(expected.spacing_mm), " mm"),
            ("origin", _by(self.origin_mm), _by(expected.origin_mm), " mm"),
            ("direction", _by(self.direction), _by(expected.direction), ""),
        )
        words = [f"{name} {mine}{unit} instead of {its}{unit}" for name, mine, its, unit in rows if mine != its]
        return ", ".join(words) or f"up to {_corner_shift_voxels(self, expected):.2g} voxels away"

    def canonical_orientation(self) -> Orientation:
        """Give the turn after which D, H, W run as closely as possible to superior, posterior and left."""
        axes = np.reshape(self.direction, (3, 3))
        order = max(permutations(range(3)), key=lambda order: sum(abs(axes[lps, xyz]) for lps, xyz in enumerate(order)))
        signs = [axes[lps, xyz] < 0 for lps, xyz in enumerate(order)]
        return Orientation(
            axes=(2 - order[2], 2 - order[1], 2 - order[0]), flips=(bool(signs[2]), bool(signs[1]), bool(signs[0]))
        )

    def placement_of(self, part: Geometry, tolerance: float = 0.05) -> Placement | None:
        """Find where another grid lies on this one when their voxels coincide.

        The other grid may be smaller, larger or shifted by whole voxels, and may store its axes in another order
        or direction. None when no turn and whole shift brings the voxels together within the tolerance (in voxels).
        """
        part_to_whole = np.linalg.inv(self.index_to_lps) @ part.index_to_lps
        rounded = np.rint(part_to_whole)
        turn = rounded[:3, :3]
        if not np.array_equal(np.abs(turn).sum(0), np.ones(3)) or not np.array_equal(np.abs(turn).sum(1), np.ones(3)):
            return None
        shift = (part_to_whole - rounded) @ _corners(part)
        if np.abs(shift[:3]).max() > tolerance:
            return None
        order = [int(np.argmax(np.abs(turn[xyz]))) for xyz in (2, 1, 0)]
        backwards = [bool(turn[xyz].sum() < 0) for xyz in (2, 1, 0)]
        start = (rounded @ _corners(part))[:3].min(axis=1)[::-1]
        return Placement(
            orientation=Orientation(
                axes=(2 - order[0], 2 - order[1], 2 - order[2]), flips=(backwards[0], backwards[1], backwards[2])
            ),
            start=_shape(start),
        )

    def apply_to(self, image: sitk.Image) -> None:
        """Give an ITK image of the same size this grid."""
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)

    def to_json(self) -> dict[str, Any]:
        """Write as plain lists."""
        return {
            "size": list(self.size),
            "spacing_mm": list(self.spacing_mm),
            "origin_mm": list(self.origin_mm),
            "direction": list(self.direction),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Geometry:
        """Read what :meth:`to_json` wrote."""
        return cls(
            size=_shape(value["size"]),
            spacing_mm=_triple(value["spacing_mm"]),
            origin_mm=_triple(value["origin_mm"]),
            direction=tuple(float(number) for number in value["direction"]),
        )


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a part's array lies on a whole array: turn it, then its first voxel is the whole's voxel ``start``."""

    orientation: Orientation
    start: Shape


def _corner_shift_voxels(one: Geometry, other: Geometry) -> float:
    """Largest distance between corner voxels of the same index, in the finer grid's smallest spacing."""
    shift = (one.index_to_lps - other.index_to_lps) @ _corners(one)
    finest = min(*one.spacing_mm, *other.spacing_mm)
    return float(np.linalg.norm(shift[:3], axis=0).max() / finest)


def _corners(geometry: Geometry) -> Matrix:
    """Indices of the eight corner voxels as columns (x, y, z, 1)."""
    return np.array([(*corner, 1) for corner in product(*((0, length - 1) for length in geometry.size))], float).T


def _by(values: Iterable[float]) -> str:
    return " x ".join(f"{value + 0.0:.5g}" for value in values)


def _triple(values: Iterable[float]) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _shape(values: Iterable[float]) -> Shape:
    x, y, z = (int(value) for value in values)
    return x, y, z
