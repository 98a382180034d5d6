"""How close a prediction is to a reference: overlap, and distance of surfaces.

Definitions are medpy's, so that numbers compare with the literature: the surface of a mask is what an erosion with
the six neighbors takes away; 95HD is the 95th percentile and ASSD the mean of the surface distances of both
directions pooled (medpy before 0.5 averaged the two directed means instead); ASD is the mean from the prediction
to the reference alone. Unlike medpy, what is undefined is None and never a number.

Where a reference is known in part, only its known voxels count, also of the prediction. A surface voxel is then one
that touches a known voxel outside of the mask: where a mask merely meets unknown voxels nobody knows whether it ends.
Distances are those between such voxels: none of them is too small, and one is too large where the nearest true surface
lies in unknown voxels. Scribbles that touch no stroke of something else have no known surface, and no distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt

from barl.cohort.labels import UNKNOWN, Label, LabelTable
from barl.errors import LabelError
from barl.inference.shells import bounding_box

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]

ABSENT_IN_BOTH = "absent in both"
NOT_PREDICTED = "not predicted"
NOT_IN_REFERENCE = "not in the reference"
NOTHING_KNOWN = "nothing known in the reference"
NO_KNOWN_SURFACE = "no surface known in the reference"


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class of one case. None stands for what is not defined; ``note`` says why."""

    value: int
    """The label's voxel value."""

    name: str
    """The label's name."""

    dice: float | None
    """Dice coefficient, 0 to 1; 0 when only one of the two is empty, None when both are."""

    jaccard: float | None
    """Intersection over union, 0 to 1; 0 and None as for Dice."""

    hd95_mm: float | None
    """95 % Hausdorff distance in mm; like all distances None when either mask is empty or has no known surface."""

    assd_mm: float | None
    """Average symmetric surface distance in mm."""

    asd_mm: float | None
    """Average surface distance from the prediction to the reference in mm."""

    hd95_voxels: float | None
    """95 % Hausdorff distance, every voxel taken as a cube of edge 1."""

    assd_voxels: float | None
    """Average symmetric surface distance in voxels."""

    asd_voxels: float | None
    """Average surface distance from the prediction to the reference in voxels."""

    reference_ml: float
    """Volume of the reference, in its known voxels."""

    prediction_ml: float
    """Volume of the prediction, in the voxels that the reference knows."""

    known_voxels: int
    """Voxels of the case that the reference knows."""

    voxels: int
    """All voxels of the case."""

    note: str
    """Why something is undefined; empty when nothing is."""


def score_case(
    prediction: Labels, reference: Labels, *, table: LabelTable, spacing_dhw_mm: Spacing
) -> list[ClassScore]:
    """Score every class of the table.

    Voxels that are 255 in the reference are taken out of both masks before anything is computed; what that means for
    surfaces stands at the top of this file.

    Args:
        prediction: (D, H, W) values of the table.
        reference: (D, H, W) values of the table, 255 where not annotated.
        table: the classes, in the order of the result.
        spacing_dhw_mm: distance of voxel centers along D, H, W.

    Raises:
        LabelError: the two arrays have different shapes.
    """
    if prediction.shape != reference.shape:
        raise LabelError(
            f"Prediction and reference must have one shape, got {prediction.shape} and {reference.shape}. "
            "Resample the one onto the grid of the other."
        )
    known = reference != UNKNOWN
    known_voxels = int(np.count_nonzero(known))
    scores = []
    for label in table.labels:
        predicted = (prediction == label.value) & known
        wanted = reference == label.value
        scores.append(_score_class(label, predicted, wanted, known, known_voxels, spacing_dhw_mm))
    return scores


def _score_class(
    label: Label, predicted: Mask, wanted: Mask, known: Mask, known_voxels: int, spacing: Spacing
) -> ClassScore:
    sizes = int(np.count_nonzero(predicted)), int(np.count_nonzero(wanted))
    common = int(np.count_nonzero(predicted & wanted))
    voxel_ml = float(np.prod(spacing)) / 1000.0
    note = _note(*sizes, known_voxels)
    in_mm, in_voxels = _NOWHERE, _NOWHERE
    if not note:
        distances = _distances(predicted, wanted, None if known_voxels == known.size else known, spacing)
        note = "" if distances else NO_KNOWN_SURFACE
        in_mm, in_voxels = distances or (_NOWHERE, _NOWHERE)
    return ClassScore(
        value=label.value,
        name=label.name,
        dice=2 * common / sum(sizes) if any(sizes) else None,
        jaccard=common / (sum(sizes) - common) if any(sizes) else None,
        hd95_mm=in_mm.hd95,
        assd_mm=in_mm.assd,
        asd_mm=in_mm.asd,
        hd95_voxels=in_voxels.hd95,
        assd_voxels=in_voxels.assd,
        asd_voxels=in_voxels.asd,
        reference_ml=sizes[1] * voxel_ml,
        prediction_ml=sizes[0] * voxel_ml,
        known_voxels=known_voxels,
        voxels=known.size,
        note=note,
    )


def _note(predicted_voxels: int, wanted_voxels: int, known_voxels: int) -> str:
    if not known_voxels:
        return NOTHING_KNOWN
    if not predicted_voxels and not wanted_voxels:
        return ABSENT_IN_BOTH
    if not predicted_voxels:
        return NOT_PREDICTED
    return "" if wanted_voxels else NOT_IN_REFERENCE


@dataclass(frozen=True)
class _SurfaceDistance:
    hd95: float | None
    assd: float | None
    asd: float | None


_NOWHERE = _SurfaceDistance(None, None, None)


def _distances(
    predicted: Mask, wanted: Mask, known: Mask | None, spacing: Spacing
) -> tuple[_SurfaceDistance, _SurfaceDistance] | None:
    """The distances in mm and in voxels of two masks that are not empty; None where one has no known surface.

    Args:
        known: which voxels are; None: all of them.
    """
    # Nothing outside of the box changes a distance inside; unknown neighbors tell where a surface is.
    box = bounding_box(predicted | wanted, margin=0 if known is None else 1)
    inside = None if known is None else known[box]
    surfaces = surface(predicted[box], inside), surface(wanted[box], inside)
    if not all(found.any() for found in surfaces):
        return None
    there, back = _between(*surfaces, spacing)
    if len(set(spacing)) == 1:
        edge = np.float32(spacing[0])
        return _summarize(there, back), _summarize(there / edge, back / edge)
    return _summarize(there, back), _summarize(*_between(*surfaces, (1.0, 1.0, 1.0)))


def surface(mask: Mask, known: Mask | None = None) -> Mask:
    """The voxels (D, H, W) of a mask of which one of the six neighbors is outside of it, or outside the array.

    Args:
        mask: holds known voxels only.
        known: neighbors that are not known say nothing; None: all are.
    """
    solid = mask if known is None else mask | ~known
    inner = mask.copy()
    for axis in range(mask.ndim):
        moved, inside = np.moveaxis(solid, axis, 0), np.moveaxis(inner, axis, 0)
        inside[1:] &= moved[:-1]
        inside[:-1] &= moved[1:]
        inside[[0, -1]] = False
    return mask & ~inner


def _between(predicted: Mask, wanted: Mask, spacing: Spacing) -> tuple[Distances, Distances]:
    """Distances from each surface voxel of the prediction to the reference's surface, and the way back."""
    there = edt.edt(~wanted, anisotropy=spacing, black_border=False)[predicted]
    back = edt.edt(~predicted, anisotropy=spacing, black_border=False)[wanted]
    return there, back


def _summarize(there: Distances, back: Distances) -> _SurfaceDistance:
    both = np.concatenate([there, back])
    return _SurfaceDistance(
        hd95=float(np.percentile(both, 95)),
        assd=float(both.mean(dtype=np.float64)),
        asd=float(there.mean(dtype=np.float64)),
    )
