"""Annotations of a cohort's cases as arrays on the image's grid, where 255 means *not annotated*.

A file knows only what was painted. The coverage tells what an unpainted voxel means:

    complete    background
    slices      background in slices with anything painted on them, else not annotated
    scribbles   not annotated

Where background must be told from *not annotated*, it is painted too: the segment named Background, 255 in the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from barl.cohort import UNKNOWN, AnnotationVersion, Cohort, Coverage, CoverageKind
from barl.errors import LabelError
from barl.imaging.geometry import Geometry, Placement
from barl.imaging.partial import add_strokes, refuse_other_plane, refuse_tilted
from barl.imaging.segmentations import LabelMap, read_labels, write_segmentation
from barl.imaging.volumes import read_geometry

NO_STRUCTURE = "It holds no structure, only background."
"""The note of an imported annotation that is most likely not what was meant."""

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_PAINTED_BACKGROUND = 255


def import_annotation(
    cohort: Cohort,
    case_id: str,
    path: Path,
    *,
    coverage: Coverage,
    author: str,
    unknown_value: int | None = None,
    resample: bool = False,
    source: str = "imported",
) -> AnnotationVersion:
    """Save a label file as the case's next annotation version.

    A file that holds only a part of the image's grid, or stores it turned, is put where it belongs. One without any
    structure is taken, for there are images without one, and :data:`NO_STRUCTURE` is noted of it.

    Args:
        cohort: where the case is.
        case_id: whose annotation.
        path: a ``.seg.nrrd`` or a label map in any image format.
        coverage: which voxels are known.
        author: who drew it.
        unknown_value: the value that means *not annotated* in a label map; its 0 is then known background.
        resample: bring labels of another grid onto the image's, each voxel taking the nearest label; of a partial
            annotation no stroke is lost, however thin.
        source: ``imported``, ``drawn`` or ``accepted``.

    Raises:
        LabelError: unreadable, a value or name outside the table, another grid, not what the coverage says, or
            slices drawn in another plane.
        ImageError: the case's image cannot be read.
    """
    image = read_geometry(cohort.image_path(case_id))
    labels = read_labels(path, cohort.labels, painted_background=_PAINTED_BACKGROUND, unknown_value=unknown_value)
    outside = 0 if unknown_value is None else UNKNOWN
    what = f"Case {case_id}: the annotation {path}"
    if coverage.kind is CoverageKind.SLICES:
        refuse_tilted(labels.geometry, image, what)
    partial = coverage.kind is not CoverageKind.COMPLETE
    array = onto_image(labels, image, outside=outside, resample=resample, what=what, keep_strokes=partial)
    known = known_voxels(array, coverage) if unknown_value is None else array
    note = "" if any(((plane != 0) & (plane != UNKNOWN)).any() for plane in known) else NO_STRUCTURE
    return save_annotation(cohort, case_id, known, coverage=coverage, author=author, source=source, note=note)


def save_annotation(
    cohort: Cohort,
    case_id: str,
    array: Labels,
    *,
    coverage: Coverage,
    author: str,
    source: str = "drawn",
    from_prediction: str | None = None,
    parent: int | None = None,
    note: str = "",
) -> AnnotationVersion:
    """Save an array as the case's next annotation version.

    Args:
        cohort: where the case is.
        case_id: whose annotation.
        array: (D, H, W) values of the label table on the image's grid, 255 where not annotated.
        coverage: must fit the array: no 255 with ``complete``, only whole slices of it with ``slices``.
        author: who drew it.
        source: ``drawn``, ``imported`` or ``accepted``.
        from_prediction: the prediction it was made from, relative to the cohort folder.
        parent: the version it was drawn from; by default the newest one.
        note: anything worth remembering.

    Raises:
        LabelError: another shape, a value outside the table, nothing annotated, not what the coverage says, or
            slices drawn in another plane.
        StorageError: the folder cannot be written, or the disk is full; nothing was changed.
    """
    geometry = read_geometry(cohort.image_path(case_id))
    if array.shape != geometry.shape:
        raise LabelError(f"Case {case_id}: the annotation has shape {array.shape}, the image {geometry.shape}.")
    if coverage.axis is not None:
        refuse_other_plane((array != 0) & (array != UNKNOWN), coverage.axis, case_id)
    painted = _painted(array, coverage, case_id)
    has_background = bool((painted == _PAINTED_BACKGROUND).any())
    return cohort.add_annotation(
        case_id,
        lambda path: write_segmentation(path, painted, geometry, cohort.labels, background_painted=has_background),
        coverage=coverage,
        author=author,
        source=source,
        parent=parent,
        from_prediction=from_prediction,
        note=note,
    )


def load_annotation(cohort: Cohort, version: AnnotationVersion) -> Labels:
    """Read an annotation version.

    Returns:
        (D, H, W) values of the label table on the image's grid, 255 where not annotated.

    Raises:
        LabelError: the file is unreadable, does not fit the table, or does not lie on the image's grid.
        ImageError: the case's image cannot be read.
    """
    image = read_geometry(cohort.image_path(version.case_id))
    labels = read_labels(version.path, cohort.labels, painted_background=_PAINTED_BACKGROUND)
    what = f"Case {version.case_id}: the annotation {version.path.name}"
    return known_voxels(onto_image(labels, image, outside=0, resample=False, what=what), version.coverage)


def known_voxels(painted: Labels, coverage: Coverage) -> Labels:
    """Tell from what was painted what is known, by coverage.

    Args:
        painted: (D, H, W) values of the label table, 255 where background was painted, 0 where nothing was.
        coverage: what an unpainted voxel means.

    Returns:
        (D, H, W) values of the label table, 0 for background, 255 where not annotated.
    """
    background = painted == _PAINTED_BACKGROUND
    if coverage.kind is CoverageKind.SCRIBBLES:
        known = np.where(painted == 0, np.uint8(UNKNOWN), painted)
    else:
        known = painted.copy()
    known[background] = 0
    if coverage.kind is CoverageKind.SLICES:
        np.moveaxis(known, coverage.axis or 0, 0)[~_any_in_slice(painted != 0, coverage)] = UNKNOWN
    return known


def _painted(known: Labels, coverage: Coverage, case_id: str) -> Labels:
    """From what is known to what has to be painted, so that the coverage brings it back."""
    unknown = known == UNKNOWN
    if unknown.all():
        raise LabelError(f"Case {case_id}: nothing is annotated. Draw something before saving.")
    if coverage.kind is CoverageKind.COMPLETE:
        _refuse_unknown(unknown, case_id)
        return known
    if coverage.kind is CoverageKind.SLICES:
        return _painted_slices(known, unknown, coverage, case_id)
    painted = np.where(known == 0, np.uint8(_PAINTED_BACKGROUND), known)
    painted[unknown] = 0
    return painted


def _painted_slices(known: Labels, unknown: Mask, coverage: Coverage, case_id: str) -> Labels:
    partly = _any_in_slice(unknown, coverage) & _any_in_slice(~unknown, coverage)
    if partly.any():
        raise LabelError(
            f"Case {case_id}: slice {int(np.argmax(partly))} along axis {coverage.axis} is only partly annotated. "
            "Finish the slice, or save the annotation with coverage 'scribbles'."
        )
    painted = np.where(unknown, np.uint8(0), known)
    # A slice known to be empty is painted with background, or it would come back as not annotated.
    empty = _any_in_slice(~unknown, coverage) & ~_any_in_slice(painted != 0, coverage)
    np.moveaxis(painted, coverage.axis or 0, 0)[empty] = _PAINTED_BACKGROUND
    return painted


def _any_in_slice(mask: Mask, coverage: Coverage) -> Mask:
    """For each slice along the coverage's axis, whether the mask holds anywhere in it."""
    others = tuple(axis for axis in range(3) if axis != coverage.axis)
    return np.asarray(mask.any(axis=others))


def _refuse_unknown(unknown: Mask, case_id: str) -> None:
    if unknown.any():
        raise LabelError(
            f"Case {case_id}: {int(unknown.sum())} voxels are not annotated, but the coverage is 'complete'. "
            "Annotate them, or save with coverage 'scribbles' (or 'slices' when whole slices are missing)."
        )


def onto_image(
    labels: LabelMap, image: Geometry, *, outside: int, resample: bool, what: str, keep_strokes: bool = False
) -> Labels:
    """Put labels on the image's grid: where they belong when the voxels coincide, else resampled if that is wanted.

    Args:
        labels: on their own grid.
        image: the grid to come to.
        outside: what voxels become that the labels do not reach.
        resample: whether labels of another grid may be resampled, each voxel taking the nearest.
        what: the beginning of a message: whose labels.
        keep_strokes: when resampling, lose no stroke, however thin.

    Raises:
        LabelError: another grid, or labeled voxels outside the image.
    """
    placement = image.placement_of(labels.geometry)
    if placement is not None:
        return _placed(labels.array, placement, image, outside, what)
    if resample:
        return _resampled(labels, image, outside, what, keep_strokes)
    raise LabelError(
        f"{what} does not lie on the image's grid: {labels.geometry.difference_from(image)}. "
        "Let it be resampled onto the image, or leave the case out."
    )


def _placed(part: Labels, placement: Placement, image: Geometry, outside: int, what: str) -> Labels:
    """Put an array whose voxels coincide with the image's where it belongs."""
    turned = placement.orientation.apply(part)
    starts, shapes = placement.start, zip(turned.shape, image.shape, strict=True)
    ends = [min(start + mine, its) for start, (mine, its) in zip(starts, shapes, strict=True)]
    target = tuple(slice(max(0, start), max(0, start, end)) for start, end in zip(starts, ends, strict=True))
    taken = tuple(slice(cut.start - start, cut.stop - start) for cut, start in zip(target, starts, strict=True))
    whole: Labels = np.full(image.shape, outside, np.uint8)
    whole[target] = turned[taken]
    lost = np.count_nonzero(turned != outside) - np.count_nonzero(turned[taken] != outside)
    if lost:
        raise LabelError(
            f"{what} has {lost} labeled voxels outside the image. Check that it belongs to this image, and crop it "
            "to the image in Slicer."
        )
    return whole


def _resampled(labels: LabelMap, image: Geometry, outside: int, what: str, keep_strokes: bool) -> Labels:
    source = sitk.GetImageFromArray(labels.array)
    labels.geometry.apply_to(source)
    x, y, z = image.size
    result: Labels = sitk.GetArrayFromImage(
        sitk.Resample(
            source,
            (x, y, z),
            sitk.Transform(),
            sitk.sitkNearestNeighbor,
            image.origin_mm,
            image.spacing_mm,
            image.direction,
            float(outside),
        )
    )
    if keep_strokes:
        result = add_strokes(result, labels, image, outside)
    if (labels.array != outside).any() and not (result != outside).any():
        raise LabelError(f"{what} lies wholly outside the image. Check that it belongs to this image.")
    return result
