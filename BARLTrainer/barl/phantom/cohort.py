"""A cohort folder of synthetic scans of which a few are annotated, with the truth of all kept apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from barl.cohort import Cohort, Coverage, Modality
from barl.errors import SettingsError
from barl.imaging.annotations import save_annotation
from barl.imaging.geometry import Geometry
from barl.imaging.segmentations import write_segmentation
from barl.imaging.volumes import write_volume
from barl.phantom.cbct import LABELS, SHAPE, SPACING_MM, make_case


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """A synthetic cohort and what nobody told it."""

    cohort: Cohort
    """In ``<folder>/cohort``."""

    truth: dict[str, Path]
    """By case id, the true labels (``.seg.nrrd``) of every case, in ``<folder>/truth``."""


def make_cohort(
    folder: Path,
    *,
    cases: int = 12,
    annotated: int = 3,
    seed: int = 0,
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: float = SPACING_MM,
    progress: Callable[[int, int], None] | None = None,
) -> Phantom:
    """Make a cohort of CBCT scans, the first few of them completely annotated.

    Args:
        folder: gets the subfolders ``cohort`` and ``truth``.
        cases: number of scans.
        annotated: how many of them get their true labels as an annotation.
        seed: which cohort; two seeds share no patient.
        shape: (D, H, W) of every scan in voxels.
        spacing_mm: edge length of a voxel.
        progress: called with the number of scans done and ``cases`` after each scan.

    Raises:
        SettingsError: more annotated cases than cases, or no case at all.
        CohortError: there is a cohort already.
    """
    if not 0 <= annotated <= cases or cases < 1:
        raise SettingsError(f"annotated must be between 0 and the number of cases ({cases}), got {annotated}.")
    cohort = Cohort.create(folder / "cohort", name=f"CBCT phantom {seed}", modality=Modality.CBCT, labels=LABELS)
    truth = {}
    for index in range(cases):
        case_id = f"scan_{index + 1:02d}"
        truth[case_id] = folder / "truth" / f"{case_id}.seg.nrrd"
        _add_case(cohort, case_id, truth[case_id], seed * 10_000 + index, shape, spacing_mm, annotate=index < annotated)
        if progress:
            progress(index + 1, cases)
    return Phantom(cohort=cohort, truth=truth)


def centered_geometry(shape: tuple[int, int, int], spacing_mm: float) -> Geometry:
    """The grid of a phantom (D, H, W): axes along LPS, the origin of the patient in its middle."""
    depth, height, width = shape
    return Geometry(
        size=(width, height, depth),
        spacing_mm=(spacing_mm,) * 3,
        origin_mm=(-(width - 1) / 2 * spacing_mm, -(height - 1) / 2 * spacing_mm, -(depth - 1) / 2 * spacing_mm),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


def _add_case(
    cohort: Cohort,
    case_id: str,
    truth: Path,
    case_seed: int,
    shape: tuple[int, int, int],
    spacing_mm: float,
    *,
    annotate: bool,
) -> None:
    image, labels = make_case(case_seed, shape, spacing_mm)
    geometry = centered_geometry(shape, spacing_mm)
    path = cohort.folder / "images" / f"{case_id}.nrrd"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, image, geometry)
    write_segmentation(truth, labels, geometry, LABELS)
    cohort.add_case(path, case_id=case_id)
    if annotate:
        save_annotation(cohort, case_id, labels, coverage=Coverage(), author="phantom")
