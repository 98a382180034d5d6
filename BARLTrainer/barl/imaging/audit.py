"""Look a whole cohort over before a training, case by case, in words that say what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from barl.cohort import UNKNOWN, AnnotationVersion, Case, Cohort, CoverageKind, Role
from barl.cohort.annotations import hash_file
from barl.cohort.labels import BACKGROUND
from barl.errors import InputError
from barl.imaging.annotations import load_annotation
from barl.imaging.geometry import Geometry
from barl.imaging.partial import doubt_about_plane
from barl.imaging.volumes import Volume, read_geometry, read_volume

Array = npt.NDArray[Any]

_FEWEST_VOXELS = 8
_FEWEST_VALUES = 16
_SPACING_RATIO = 2.0
_EXTENT_RATIO = 2.0
_EXCLUDE = "or exclude the case."

NO_BACKGROUND = (
    "Annotation {number} has strokes of structures and none of background, so it does not tell where they end."
)
PAINT_BACKGROUND = "Paint a few strokes beside and between the structures too, in a segment named Background."


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something in a cohort that a person should know."""

    case_id: str | None
    """None when it concerns the whole cohort."""

    severity: Literal["error", "warning"]
    """No training starts on an error; a warning stops nothing."""

    message: str
    advice: str


@dataclass(kw_only=True)
class _Seen:
    """What the cases showed, for the comparison between them."""

    geometries: dict[str, Geometry] = field(default_factory=dict)
    annotated: Counter[Role] = field(default_factory=Counter)
    training_voxels: Counter[int] = field(default_factory=Counter)


def audit(
    cohort: Cohort, *, known_good: Collection[str] = (), progress: Callable[[int, int], None] | None = None
) -> list[Finding]:
    """Check images, annotations and the cohort as a whole; excluded cases are left out.

    Args:
        cohort: what to check.
        known_good: cases whose image has been checked before and is unchanged; only its grid is read again.
        progress: called with (cases done, cases in all) after each case.

    Returns:
        The findings, errors first.
    """
    cases = [case for case in cohort.cases if case.role is not Role.EXCLUDED]
    seen, findings = _Seen(), []
    for done, case in enumerate(cases, start=1):
        findings += [*_check_image(cohort, case, seen, case.id in known_good), *_check_annotation(cohort, case, seen)]
        if progress is not None:
            progress(done, len(cases))
    findings += [*_check_outliers(seen), *_check_whole(cohort, cases, seen)]
    return sorted(findings, key=lambda finding: finding.severity)


def _check_image(cohort: Cohort, case: Case, seen: _Seen, known_good: bool) -> Iterator[Finding]:
    try:
        if known_good:
            seen.geometries[case.id] = read_geometry(cohort.image_path(case.id))
            return
        volume = read_volume(cohort.image_path(case.id))
    except InputError as error:
        yield _error(case.id, str(error), f"Repair or replace the image, {_EXCLUDE}")
        return
    seen.geometries[case.id] = volume.geometry
    yield from _check_voxels(case, volume)
    if min(volume.geometry.size) < _FEWEST_VOXELS:
        size = " x ".join(map(str, volume.geometry.size))
        yield _warning(
            case.id, f"The image has only {size} voxels.", f"Check that the whole stack was exported, {_EXCLUDE}"
        )


def _check_voxels(case: Case, volume: Volume) -> Iterator[Finding]:
    bad = _count_not_finite(volume.array)
    if bad:
        yield _error(
            case.id,
            f"The image has {bad} voxels that are not a finite number (NaN or infinity).",
            f"Replace them, for example with the value of air, and save the image again, {_EXCLUDE}",
        )
    elif volume.array.min() == volume.array.max():
        yield _error(
            case.id,
            f"The image has the same value, {volume.array.flat[0]:g}, everywhere.",
            f"Export it again, {_EXCLUDE}",
        )
    elif _looks_like_labels(volume.array):
        yield _warning(
            case.id,
            f"The image holds fewer than {_FEWEST_VALUES} different values, all of them whole numbers: it is probably "
            "a label map.",
            "Exclude the case if it is; a label map is imported as an annotation.",
        )


def _looks_like_labels(array: Array) -> bool:
    """Whole numbers from 0 to 254, and few of them; an image shows many in its first slices already."""
    found: set[float] = set()
    for plane in array:
        found.update(np.unique(plane).tolist())
        if len(found) >= _FEWEST_VALUES:
            return False
    return all(value.is_integer() and BACKGROUND <= value < UNKNOWN for value in map(float, found))


def _count_not_finite(array: Array) -> int:
    if array.dtype.kind != "f":
        return 0
    return sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in array)


def _check_annotation(cohort: Cohort, case: Case, seen: _Seen) -> Iterator[Finding]:
    version = None
    try:
        version = cohort.annotation(case.id)
        if version is not None and case.id in seen.geometries:
            yield from _check_labels(cohort, case, version, seen)
    except InputError as error:
        yield _error(case.id, str(error), f"Annotate or import it again (earlier versions are kept), {_EXCLUDE}")
        return
    if version is None and case.role is Role.VALIDATION:
        yield _warning(
            case.id,
            "The case is for validation but has no annotation, so it is not used.",
            "Annotate it, or make it a training case.",
        )


def _check_labels(cohort: Cohort, case: Case, version: AnnotationVersion, seen: _Seen) -> Iterator[Finding]:
    labels = load_annotation(cohort, version)
    counts = _count_voxels(labels)
    if hash_file(version.path) != version.content_hash:
        yield _warning(
            case.id,
            f"The file of annotation {version.number} was changed after it was saved.",
            "Check that it holds what was drawn. Save changes as a new annotation: that keeps the earlier one, too.",
        )
    seen.annotated[case.role] += 1
    if case.role is Role.TRAINING:
        seen.training_voxels.update(counts)
    if not any(counts[value] for value in cohort.labels.values):
        yield _warning(
            case.id,
            f"Annotation {version.number} holds no structure, only background.",
            "Check that it was saved as meant; an image without any structure is rarely useful.",
        )
    if version.coverage.kind is CoverageKind.SCRIBBLES and not counts[BACKGROUND]:
        yield _warning(case.id, NO_BACKGROUND.format(number=version.number), PAINT_BACKGROUND)
    yield from _check_plane(case.id, version, labels)
    other = cohort.passed_over(case.id)
    if other is not None:
        yield _warning(
            case.id,
            f"Annotation {version.number} ({version.author}) was not drawn from annotation {other.number} "
            f"({other.author}), which is kept but does not count.",
            "If two people drew at once, open both, put into one what is missing in it, and save it.",
        )


def _check_plane(case_id: str, version: AnnotationVersion, labels: Array) -> Iterator[Finding]:
    axis = version.coverage.axis
    doubt = "" if axis is None else doubt_about_plane((labels != BACKGROUND) & (labels != UNKNOWN), axis)
    if doubt:
        advice = "If the structure really is that thin, nothing needs to be done."
        yield _warning(case_id, f"Annotation {version.number} needs a second look. {doubt}", advice)


def _count_voxels(labels: npt.NDArray[np.uint8]) -> Counter[int]:
    """Known voxels of each value."""
    counts = sum((np.bincount(plane.ravel(), minlength=256) for plane in labels), np.zeros(256, np.int64))
    return Counter({value: int(count) for value, count in enumerate(counts) if count and value != UNKNOWN})


def _check_outliers(seen: _Seen) -> Iterator[Finding]:
    """Compare spacing and extent along the canonical axes with the cohort's medians."""
    if len(seen.geometries) < 3:
        return
    spacings = {case: _canonical(geometry, geometry.spacing_dhw_mm) for case, geometry in seen.geometries.items()}
    extents = {
        case_id: spacings[case_id] * _canonical(geometry, geometry.shape)
        for case_id, geometry in seen.geometries.items()
    }
    for what, values, ratio in (("spacing", spacings, _SPACING_RATIO), ("size", extents, _EXTENT_RATIO)):
        usual = np.median(list(values.values()), axis=0)
        for case_id, value in values.items():
            if (np.maximum(value / usual, usual / value) > ratio).any():
                yield _warning(
                    case_id,
                    f"The image's {what} is {_by(value)} mm, the cohort's usual one {_by(usual)} mm.",
                    f"Check that it is the right image and its header is right, {_EXCLUDE}",
                )


def _canonical(geometry: Geometry, values: tuple[Any, Any, Any]) -> npt.NDArray[np.float64]:
    """One value per axis, in the order superior, posterior, left."""
    return np.asarray(geometry.canonical_orientation().permute(values), float)


def _check_whole(cohort: Cohort, cases: list[Case], seen: _Seen) -> Iterator[Finding]:
    if not cases:
        if cohort.cases:
            yield _error(None, "All cases are excluded.", "Make some of them training cases again.")
        else:
            yield _error(None, "The cohort has no case.", "Add the images first.")
        return
    annotated, elsewhere = seen.annotated[Role.TRAINING], seen.annotated[Role.VALIDATION]
    if annotated == 0:
        advice = "Annotate at least one case; two to five are better."
        if elsewhere:
            advice = f"{advice} Or let cases that are annotated for validation ({elsewhere}) be training cases."
        yield _error(None, "No training case has a usable annotation.", advice)
        return
    if annotated == 1:
        yield _warning(
            None, "Only one training case is annotated.", "Annotate a second one; two to five work far better."
        )
    if seen.training_voxels[BACKGROUND] == 0:
        yield _error(
            None,
            "No annotation of a training case holds background: a training would take every voxel for a structure.",
            PAINT_BACKGROUND,
        )
    for label in cohort.labels.labels:
        if seen.training_voxels[label.value] == 0:
            yield _error(
                None,
                f"No annotation of a training case holds {label.name} (value {label.value}).",
                "Annotate it in at least one training case, or take it out of the label table.",
            )


def _error(case_id: str | None, message: str, advice: str) -> Finding:
    return Finding(case_id=case_id, severity="error", message=message, advice=advice)


def _warning(case_id: str | None, message: str, advice: str) -> Finding:
    return Finding(case_id=case_id, severity="warning", message=message, advice=advice)


def _by(values: npt.NDArray[np.float64]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
