"""A stand-in for the clinician: corrects regions, draws slices or whole cases, and counts what that costs.

It draws what is true and never errs; it chooses by a seed alone, so that two loops see the same person. Whatever was
annotated before stays. Costs are those of one sitting with what the model shows: a voxel that is right already costs
nothing to change, but it had to be reviewed.

Arrays are (D, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from barl.cohort import UNKNOWN, Coverage, CoverageKind
from barl.errors import InputError, SettingsError
from barl.evaluation.review_regions import Bounds, ReviewRegion
from barl.imaging.geometry import Geometry

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

ELSEWHERE = ("unknown", "accepted")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a person had to do."""

    voxels_changed: int = 0
    """Voxels where the truth is not what was shown."""

    voxels_reviewed: int = 0
    """Voxels that are known now and were not before: all of them had to be looked at."""

    slices_touched: int = 0
    """Slices (along the first axis, or the one drawn along) in which something was looked at closely."""

    regions_visited: int = 0
    """Proposed regions that were corrected."""

    cases_opened: int = 0
    """Volumes that had to be loaded."""

    def __add__(self, other: Cost) -> Cost:
        """Both."""
        sums = [one + two for one, two in zip(astuple(self), astuple(other), strict=True)]
        return Cost(**dict(zip(self.__dataclass_fields__, sums, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What lies before the annotator."""

    truth: Labels
    """Values of the label table, known everywhere."""

    shown: Labels
    """What the model predicts; background where there is no prediction."""

    geometry: Geometry
    known: Labels | None = None
    """The earlier annotation, 255 where not annotated."""

    coverage: Coverage | None = None
    """Its coverage."""

    def __post_init__(self) -> None:
        for name in ("shown", "known"):
            array = getattr(self, name)
            if array is not None and array.shape != self.truth.shape:
                raise InputError(f"{name} has shape {array.shape}, the truth {self.truth.shape}. Give one grid.")
        if (self.truth == UNKNOWN).any():
            raise InputError("The truth is not known everywhere: a simulated annotator needs complete labels.")

    @property
    def before(self) -> Labels:
        """What the annotator starts from, 255 where nobody has annotated."""
        return np.full_like(self.truth, UNKNOWN) if self.known is None else self.known


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What the annotator leaves."""

    annotation: Labels
    """Values of the label table, 255 where not annotated."""

    coverage: Coverage
    cost: Cost


def draw_case(desk: Desk) -> Correction:
    """The whole case, from the prediction or, where that is less work, from nothing: a click clears a bad prediction.

    Slices with a structure, true or shown, count as touched.
    """
    new = desk.before == UNKNOWN
    drawn = np.count_nonzero(new & (desk.truth != 0))
    if drawn < np.count_nonzero(new & (desk.truth != desk.shown)):
        desk = replace(desk, shown=np.zeros_like(desk.truth))
    structure = (desk.truth != 0) | (desk.shown != 0)
    touched = int(np.count_nonzero((structure & new).any(axis=(1, 2))))
    everything = np.ones(desk.truth.shape, bool)
    return Correction(annotation=desk.truth.copy(), coverage=Coverage(), cost=_cost(desk, everything, touched))


def draw_slices(desk: Desk, *, axis: int, count: int, seed: int) -> Correction:
    """Some slices completely, evenly spread over those that hold a structure and are not annotated yet.

    Args:
        desk: the case.
        axis: the array axis along which slices are counted.
        count: how many; fewer where there are fewer.
        seed: where the even spread begins.
    """
    if axis not in (0, 1, 2) or count < 1:
        raise SettingsError(f"axis must be 0, 1 or 2 and count 1 or more, got axis {axis} and count {count}")
    truth, before = np.moveaxis(desk.truth, axis, 0), np.moveaxis(desk.before, axis, 0)
    left = np.flatnonzero((truth != 0).any(axis=(1, 2)) & (before == UNKNOWN).any(axis=(1, 2)))
    if not len(left):
        left = np.flatnonzero((before == UNKNOWN).any(axis=(1, 2)))
    chosen = _spread(left, count, seed)
    drawn = np.zeros(desk.truth.shape, bool)
    np.moveaxis(drawn, axis, 0)[chosen] = True
    own = Coverage(kind=CoverageKind.SLICES, axis=axis)
    coverage = own if desk.coverage in (None, own) else Coverage(kind=CoverageKind.SCRIBBLES)
    return _drawn(desk, drawn, coverage, touched=len(chosen))


def correct_regions(
    desk: Desk,
    regions: Sequence[ReviewRegion],
    *,
    margin_mm: float = 2.0,
    elsewhere: Literal["unknown", "accepted"] = "unknown",
) -> Correction:
    """Set the truth inside the boxes of regions.

    Args:
        desk: the case.
        regions: those to correct.
        margin_mm: how far around a region's box is looked at as well.
        elsewhere: what holds outside of the boxes. ``unknown``: nothing is claimed there (coverage ``scribbles``),
            which is honest; ``accepted``: the rest of the prediction counts as right, with the errors it has.
    """
    if elsewhere not in ELSEWHERE or margin_mm < 0:
        raise SettingsError(f"elsewhere must be one of {ELSEWHERE} and margin_mm 0 or more, got {elsewhere!r}")
    inside = np.zeros(desk.truth.shape, bool)
    for region in regions:
        inside |= box_mask(region.bounds_ras_mm, desk.geometry, margin_mm)
    new = inside & (desk.before == UNKNOWN)
    touched = int(np.count_nonzero(new.any(axis=(1, 2))))
    corrected = _drawn(desk, inside, Coverage(kind=CoverageKind.SCRIBBLES), touched, len(regions))
    if elsewhere == "unknown":
        return corrected
    accepted = np.where(corrected.annotation == UNKNOWN, desk.shown, corrected.annotation)
    return Correction(annotation=accepted, coverage=Coverage(), cost=corrected.cost)


def box_mask(bounds_ras_mm: Bounds, geometry: Geometry, margin_mm: float) -> Mask:
    """(D, H, W) voxels with their center in a box along right, anterior and superior; the grid may be turned."""
    low = np.array([pair[0] for pair in bounds_ras_mm]) - margin_mm
    high = np.array([pair[1] for pair in bounds_ras_mm]) + margin_mm
    corners = np.array([[(low, high)[(n >> axis) & 1][axis] for axis in range(3)] + [1.0] for n in range(8)])
    matrix = geometry.dhw_to_ras
    indices = (np.linalg.inv(matrix) @ corners.T)[:3]
    first = np.clip(np.floor(indices.min(axis=1)), 0, np.array(geometry.shape) - 1).astype(int)
    last = np.clip(np.ceil(indices.max(axis=1)), 0, np.array(geometry.shape) - 1).astype(int)
    mask = np.zeros(geometry.shape, bool)
    part = np.ones(tuple(last - first + 1), bool)
    axes = np.ogrid[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))]
    for row, a, b in zip(matrix[:3], low, high, strict=True):
        place = row[0] * axes[0] + row[1] * axes[1] + row[2] * axes[2] + row[3]
        part &= (place >= a - 1e-6) & (place <= b + 1e-6)
    mask[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))] = part
    return mask


def _drawn(desk: Desk, inside: Mask, coverage: Coverage, touched: int, regions: int = 0) -> Correction:
    """The truth inside, what was known before elsewhere."""
    annotation = np.where(inside, desk.truth, desk.before)
    whole = not (annotation == UNKNOWN).any()
    return Correction(
        annotation=annotation,
        coverage=Coverage() if whole else coverage,
        cost=_cost(desk, inside, touched, regions),
    )


def _cost(desk: Desk, inside: Mask, touched: int, regions: int = 0) -> Cost:
    new = inside & (desk.before == UNKNOWN)
    return Cost(
        voxels_changed=int(np.count_nonzero(new & (desk.truth != desk.shown))),
        voxels_reviewed=int(np.count_nonzero(new)),
        slices_touched=touched,
        regions_visited=regions,
        cases_opened=1,
    )


def _spread(places: npt.NDArray[np.intp], count: int, seed: int) -> npt.NDArray[np.intp]:
    """``count`` of the places at even distances, beginning anywhere in the first one."""
    if len(places) <= count:
        return places
    step = len(places) / count
    start = np.random.default_rng(seed).uniform(0, step)
    chosen: npt.NDArray[np.intp] = places[(start + step * np.arange(count)).astype(int)]
    return chosen
