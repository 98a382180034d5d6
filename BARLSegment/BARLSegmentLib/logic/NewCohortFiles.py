"""New cohorts of image files; no node and no Qt, so that a process of its own can make them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from barl.atomic import storage_errors
from barl.cohort import Cohort, LabelTable, Modality
from barl.cohort.layout import CohortLayout, checked_case_id
from barl.cohort.lock import LOCK_FILE
from barl.errors import CohortError, ImageError
from barl.imaging import Volume, read_volume, write_volume
from barl.imaging.chosen_images import checked_images, found_images

OnProgress = Callable[[float, str], None]
"""Share done, 0 to 1, and what is being done. What it raises ends the work, and what was made is removed."""

IMAGES = "images"
"""Where a cohort keeps images of its own."""

_LOOKING = 0.5
"""Share of the headers, which are all read before anything is made."""


def cohortFromFolder(
    folder: Path,
    images: Path,
    *,
    name: str,
    modality: Modality,
    labels: LabelTable,
    copy: bool,
    onProgress: OnProgress,
) -> Cohort:
    """Make a cohort of all volumes in a folder; see ``CohortLogic.createFromFolder``."""
    found = checked_images(
        found_images([images]), taken=(), on_progress=lambda share, name: onProgress(_LOOKING * share, name)
    )
    with newCohort(folder, name=name, modality=modality, labels=labels) as cohort:
        for index, path in enumerate(found):
            onProgress(_LOOKING + (1 - _LOOKING) * index / len(found), path.name)
            cohort.add_case(path, copy=copy)
    return cohort


def cohortFromStaged(
    folder: Path,
    staged: Sequence[Path],
    *,
    name: str,
    modality: Modality,
    labels: LabelTable,
    onProgress: OnProgress,
) -> Cohort:
    """Make a cohort whose images are compressed copies of files that were written for it; their names are the ids.

    Raises:
        CohortError: there is a cohort already, or an id is not allowed.
        ImageError: a file cannot be read.
        StorageError: the folder cannot be written, or the disk is full.
    """
    ids = [checked_case_id(path.stem) for path in staged]
    with newCohort(folder, name=name, modality=modality, labels=labels) as cohort:
        refuseTaken(cohort.folder, ids)
        for index, (caseId, path) in enumerate(zip(ids, staged, strict=True)):
            onProgress(index / len(staged), caseId)
            addVoxels(cohort, caseId, read_volume(path))
    return cohort


def cohortFromSeries(
    folder: Path,
    series: Mapping[str, Sequence[Path]],
    *,
    name: str,
    modality: Modality,
    labels: LabelTable,
    onProgress: OnProgress,
) -> Cohort:
    """Make a cohort of DICOM series; the images become NRRD files, which carry nothing of the patients' data.

    Args:
        folder: where the cohort goes.
        series: the files of each case.
        name: what people call it.
        modality: how the images were taken.
        labels: the structures to segment.
        onProgress: see ``OnProgress``.

    Raises:
        CohortError: there is a cohort already, or an image would be written over.
        ImageError: a series cannot be read.
        StorageError: the folder cannot be written, or the disk is full.
    """
    with newCohort(folder, name=name, modality=modality, labels=labels) as cohort:
        refuseTaken(cohort.folder, list(series))
        for index, (caseId, files) in enumerate(series.items()):
            onProgress(index / len(series), caseId)
            with _gathered(files, cohort.folder) as place:
                volume = read_volume(place)
            addVoxels(cohort, caseId, volume)
    return cohort


@contextmanager
def _gathered(files: Sequence[Path], folder: Path) -> Iterator[Path]:
    """The files of one series in a folder of their own: databases keep several in one."""
    missing = [path for path in files if not path.is_file()]
    if missing or not files:
        raise ImageError(f"Files of a DICOM series are missing, such as {missing[:1]}. Import the series again.")
    with storage_errors(folder), tempfile.TemporaryDirectory(prefix=".series-", dir=folder) as place:
        for number, path in enumerate(files):
            shutil.copyfile(path, Path(place) / f"{number:05d}.dcm")
        yield Path(place)


@contextmanager
def newCohort(folder: Path, *, name: str, modality: Modality, labels: LabelTable) -> Iterator[Cohort]:
    """A cohort to be filled; when that fails or is given up, nothing of it stays.

    Raises:
        CohortError: there is a cohort already.
        StorageError: the folder cannot be written.
    """
    images = folder / IMAGES
    before = set(images.iterdir()) if images.is_dir() else set()
    cohort = Cohort.create(folder, name=name, modality=modality, labels=labels)
    try:
        yield cohort
    except BaseException:
        _remove(cohort.folder, keep=before)
        raise


def addVoxels(cohort: Cohort, caseId: str, volume: Volume) -> None:
    """A case whose image the cohort writes itself."""
    path = _imagePath(cohort.folder, caseId)
    write_volume(path, volume.array, volume.geometry)
    cohort.add_case(path, case_id=caseId)


def refuseTaken(folder: Path, ids: Sequence[str]) -> None:
    """Refuse to write over images that somebody has put there.

    Raises:
        CohortError: names them.
    """
    taken = [str(path) for path in (_imagePath(folder, caseId) for caseId in ids) if path.exists()]
    if taken:
        raise CohortError(
            f"These files are there already and would be written over: {', '.join(taken)}. Nothing was made. "
            "Choose another folder for the cohort, or other ids."
        )


def _imagePath(folder: Path, caseId: str) -> Path:
    return folder / IMAGES / f"{caseId}.nrrd"


def refuseSameIds(ids: Sequence[str]) -> None:
    """Refuse ids that would be one case.

    Raises:
        CohortError: names them.
    """
    folded = [one.casefold() for one in ids]
    twice = sorted({one for one in folded if folded.count(one) > 1})
    if twice:
        raise CohortError(
            f"Two images would be the same case: {', '.join(twice)}. Rename one of each, or leave it out."
        )


def _remove(folder: Path, *, keep: set[Path]) -> None:
    """Take away the record and the images that came; what else is in the folder is not ours."""
    CohortLayout(folder).record.unlink(missing_ok=True)
    images = folder / IMAGES
    for path in set(images.iterdir()) - keep if images.is_dir() else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / LOCK_FILE).unlink(missing_ok=True)
    for place in (images, folder):
        with suppress(OSError):  # It is not there, or not empty: then it stays.
            place.rmdir()
