"""From an image to what a network sees, and from there exactly back.

Turn to the canonical orientation, crop to the body, resize to a common spacing, normalize. What was done to the grid is
kept as a :class:`Restore`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from barl.cohort import UNKNOWN, LabelTable, Modality
from barl.errors import ImageError, LabelError, SettingsError
from barl.imaging.foreground import Box, find_body, normalized, percentile_clip, zscore
from barl.imaging.geometry import Geometry
from barl.imaging.orientation import Orientation
from barl.imaging.resizing import resize, resize_labels
from barl.imaging.volumes import Volume

Shape = tuple[int, int, int]
Triple = tuple[float, float, float]
Labels = npt.NDArray[np.uint8]


_MOST_RATIO = 100.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the images of a cohort are prepared; the same for all of them."""

    modality: Modality

    spacing_dhw_mm: Triple | None
    """Spacing to resize to along the canonical axes (superior, posterior, left); None keeps each image's own."""

    normalization: Literal["zscore", "percentile"]
    """``zscore`` over the body (MR), or ``percentile``: clip to 0.5 and 99.5 % of the body, then scale (CT, CBCT)."""

    crop: bool = True
    """Whether air around the body is cut off."""

    def __post_init__(self) -> None:
        if self.normalization not in ("zscore", "percentile"):
            raise SettingsError(f"normalization must be one of ('zscore', 'percentile'), got {self.normalization!r}")
        if self.spacing_dhw_mm is not None and not all(0 < spacing < np.inf for spacing in self.spacing_dhw_mm):
            raise SettingsError(f"spacing_dhw_mm must be three positive numbers, got {self.spacing_dhw_mm}")

    @classmethod
    def for_modality(cls, modality: Modality, spacing_dhw_mm: Triple | None) -> Recipe:
        """The usual recipe: z-score for MR, percentile clip for CT and CBCT, cropped to the body."""
        normalization: Literal["zscore", "percentile"] = "zscore" if modality is Modality.MR else "percentile"
        return cls(modality=modality, spacing_dhw_mm=spacing_dhw_mm, normalization=normalization)

    def to_json(self) -> dict[str, Any]:
        """Write as plain values."""
        return {
            "modality": self.modality.value,
            "spacing_dhw_mm": None if self.spacing_dhw_mm is None else list(self.spacing_dhw_mm),
            "normalization": self.normalization,
            "crop": self.crop,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Recipe:
        """Read what :meth:`to_json` wrote."""
        spacing = value["spacing_dhw_mm"]
        return cls(
            modality=Modality(value["modality"]),
            spacing_dhw_mm=None if spacing is None else (float(spacing[0]), float(spacing[1]), float(spacing[2])),
            normalization=value["normalization"],
            crop=bool(value["crop"]),
        )


@dataclass(frozen=True, kw_only=True)
class Restore:
    """The way from an image's grid to the prepared one and back."""

    geometry: Geometry
    """The image's grid."""

    orientation: Orientation
    """From the image's axes to the canonical ones."""

    crop_start: Shape
    """First voxel of the crop, in canonical axes."""

    crop_shape: Shape
    """Shape of the crop before resizing."""

    prepared_shape: Shape
    """Shape (D, H, W) of the prepared array."""

    @property
    def crop_box(self) -> Box:
        """The crop as slices of the canonical array."""
        deep, rows, columns = (
            slice(start, start + length) for start, length in zip(self.crop_start, self.crop_shape, strict=True)
        )
        return deep, rows, columns

    @property
    def canonical_shape(self) -> Shape:
        """Shape of the whole image in canonical axes."""
        return self.orientation.permute(self.geometry.shape)

    @property
    def prepared_spacing_dhw_mm(self) -> Triple:
        """Spacing of the prepared array, whose grid covers exactly the crop's extent."""
        spacing = self.orientation.permute(self.geometry.spacing_dhw_mm)
        deep, rows, columns = (spacing[axis] * self.crop_shape[axis] / self.prepared_shape[axis] for axis in range(3))
        return deep, rows, columns

    def to_json(self) -> dict[str, Any]:
        """Write as plain values."""
        return {
            "geometry": self.geometry.to_json(),
            "axes": list(self.orientation.axes),
            "flips": list(self.orientation.flips),
            "crop_start": list(self.crop_start),
            "crop_shape": list(self.crop_shape),
            "prepared_shape": list(self.prepared_shape),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Restore:
        """Read what :meth:`to_json` wrote."""
        flips = value["flips"]
        return cls(
            geometry=Geometry.from_json(value["geometry"]),
            orientation=Orientation(axes=_shape(value["axes"]), flips=(bool(flips[0]), bool(flips[1]), bool(flips[2]))),
            crop_start=_shape(value["crop_start"]),
            crop_shape=_shape(value["crop_shape"]),
            prepared_shape=_shape(value["prepared_shape"]),
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An image as a network sees it."""

    array: npt.NDArray[np.float16]
    """(1, D, H, W): one channel, canonical axes, body of mean 0 and standard deviation 1."""

    restore: Restore


def prepare_image(volume: Volume, recipe: Recipe) -> Prepared:
    """Turn, crop, resize and normalize an image.

    Raises:
        ImageError: some voxels are not finite, or of quite another size than those to resize to.
    """
    _refuse_not_finite(volume)
    orientation = volume.geometry.canonical_orientation()
    turned = orientation.apply(volume.array)
    spacing = orientation.permute(volume.geometry.spacing_dhw_mm)
    if recipe.spacing_dhw_mm is not None:
        _refuse_other_scale(spacing, recipe.spacing_dhw_mm)
    body = find_body(turned, spacing, recipe.modality)
    box = body.box if recipe.crop else tuple(slice(0, length) for length in turned.shape)
    cropped = turned[box]
    restore = Restore(
        geometry=volume.geometry,
        orientation=orientation,
        crop_start=_shape([cut.start for cut in box]),
        crop_shape=_shape(cropped.shape),
        prepared_shape=_resized_shape(_shape(cropped.shape), spacing, recipe.spacing_dhw_mm),
    )
    resized = resize(cropped, restore.prepared_shape)
    measure = zscore if recipe.normalization == "zscore" else percentile_clip
    return Prepared(array=normalized(resized, measure(resized, body.threshold))[np.newaxis], restore=restore)


def prepare_labels(array: Labels, geometry: Geometry, restore: Restore, table: LabelTable) -> Labels:
    """Bring labels onto the prepared grid, as classes of the network.

    Args:
        array: (D, H, W) values of the table on the image's grid, 255 where not annotated.
        geometry: the grid of the array, which must be the image's.
        restore: what was done to the image.
        table: which value is which class.

    Returns:
        (D, H, W) of the prepared shape: 0 for background, position in the table plus one for a label, 255 unknown.
        A voxel is known as soon as a known one falls into it.

    Raises:
        LabelError: another grid than the image's, or a value outside the table.
    """
    difference = geometry.difference_from(restore.geometry)
    if difference or array.shape != restore.geometry.shape:
        raise LabelError(
            f"The labels do not lie on the image's grid: {difference or f'shape {array.shape}'}. "
            "Resample them onto the image, or leave the case out."
        )
    cropped = restore.orientation.apply(array)[restore.crop_box]
    return resize_labels(_to_classes(cropped, table), restore.prepared_shape)


def restore_labels(array: Labels, restore: Restore) -> Labels:
    """Bring labels (D, H, W) from the prepared grid onto the image's; outside the crop they are 0."""
    return put_back(resize_labels(_checked(array, restore), restore.crop_shape), restore)


def restore_map(array: npt.NDArray[Any], restore: Restore) -> npt.NDArray[np.float32]:
    """Bring a map of numbers (D, H, W), such as uncertainty, onto the image's grid; outside the crop it is 0."""
    return put_back(resize(_checked(array, restore), restore.crop_shape), restore)


def choose_spacing(geometries: Sequence[Geometry]) -> Triple:
    """Choose the spacing (D, H, W, canonical axes) for a cohort: the median along each axis.

    The median serves most images unchanged. Coarse slices are not made finer than they usually are: that would only
    multiply the work with interpolated voxels.

    Raises:
        ImageError: there is no image.
    """
    if not geometries:
        raise ImageError("No image to choose a spacing from. Add at least one volume to the cohort.")
    spacings = [geometry.canonical_orientation().permute(geometry.spacing_dhw_mm) for geometry in geometries]
    deep, rows, columns = (float(value) for value in np.median(spacings, axis=0))
    return deep, rows, columns


def _refuse_not_finite(volume: Volume) -> None:
    if volume.array.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in volume.array):
        count = sum(int((~np.isfinite(plane)).sum()) for plane in volume.array)
        raise ImageError(
            f"The image has {count} voxels that are not a finite number (NaN or infinity). "
            "Replace them, for example with the value of air, and save the image again."
        )


def _refuse_other_scale(spacing_mm: Triple, usual_mm: Triple) -> None:
    """A header in meters or without units would give a single voxel, or more of them than any memory holds."""
    ratios = [one / other for one, other in zip(spacing_mm, usual_mm, strict=True)]
    if max(ratios) > _MOST_RATIO or min(ratios) < 1 / _MOST_RATIO:
        own, usual = (" x ".join(f"{value:.3g}" for value in spacing) for spacing in (spacing_mm, usual_mm))
        raise ImageError(
            f"The image's voxels are {own} mm, those of the images it is to be treated like {usual} mm. Its header is "
            "probably wrong: correct the spacing, for example in Slicer's Volumes module, and save the image again."
        )


def _resized_shape(shape: Shape, spacing_mm: Triple, target_mm: Triple | None) -> Shape:
    if target_mm is None:
        return shape
    return _shape(
        [max(1, round(shape[axis] * spacing_mm[axis] / target_mm[axis])) for axis in range(3)],
    )


def _to_classes(array: Labels, table: LabelTable) -> Labels:
    lookup = np.full(256, -1, np.int16)
    lookup[list(table.class_values)] = range(table.num_classes)
    lookup[UNKNOWN] = UNKNOWN
    classes: Labels = np.empty(array.shape, np.uint8)
    for index, plane in enumerate(array):
        found = lookup[plane]
        if found.min(initial=0) < 0:
            strange = sorted(set(plane[found < 0].tolist()))
            raise LabelError(
                f"Label values {strange} are not in the label table {table.class_values}. Correct the labels."
            )
        classes[index] = found
    return classes


def _checked(array: npt.NDArray[Any], restore: Restore) -> npt.NDArray[Any]:
    if array.shape != restore.prepared_shape:
        raise ValueError(f"array must have the prepared shape {restore.prepared_shape}, got {array.shape}")
    return array


def put_back(cropped: npt.NDArray[Any], restore: Restore) -> npt.NDArray[Any]:
    """Place an array (D, H, W) on the crop's own grid into the image's; outside the crop it is 0."""
    whole = np.zeros(restore.canonical_shape, cropped.dtype)
    whole[restore.crop_box] = cropped
    return np.ascontiguousarray(restore.orientation.undo(whole))


def _shape(values: Sequence[int]) -> Shape:
    deep, rows, columns = (int(value) for value in values)
    return deep, rows, columns
