"""Many volumes in one call: finished ones are skipped, one that fails does not keep the others from being done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from barl.atomic import refuse_unwritable
from barl.errors import BarlError, InputError, StorageError
from barl.imaging.volumes import VOLUME_SUFFIXES, read_volume
from barl.inference.devices import choose_device, set_cpu_threads
from barl.inference.predictor import Predictor
from barl.inference.regions import Mask
from barl.inference.results import ResultPaths, files_in_the_way, is_finished, write_prediction

NOTHING_FOUND = (
    "No structure was found, so there is no region to look at either. Check that it is the kind of volume that the "
    "model has learned from; or annotate it and train on."
)
_MOST_TOLD = 10
OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One volume to segment."""

    case: str
    """Names the result files."""

    image: Path
    known: Callable[[], Mask | None] = lambda: None
    """Where a person has annotated already, (D, H, W), asked when it is this volume's turn; None: nowhere."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it went with one volume."""

    case: str
    image: Path
    state: Literal["done", "skipped", "failed"]
    message: str = ""
    error: str = ""
    """Which of ``barl.errors`` it was."""

    seconds: float = 0.0
    volumes_ml: dict[str, float] = field(default_factory=dict)
    mean_uncertainty: float | None = None


def segment_files(
    model_folder: Path,
    images: Sequence[Path],
    output: Path,
    *,
    device: str = "auto",
    overwrite: bool = False,
    mirror: bool = False,
    on_progress: OnProgress = lambda share, message: None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Segment image files into a folder, each under its own name.

    Args:
        model_folder: what a finished training left in ``model``.
        images: files or DICOM folders.
        output: gets ``<name>.seg.nrrd``, ``.uncertainty.nrrd``, ``.disagreement.nrrd`` and ``.json``.
        device: auto, cpu, cuda or cuda:N.
        overwrite: also those that this model has done already.
        mirror: ask about each window mirrored, too, for the uncertainty; takes twice the time.
        on_progress: share done, 0 to 1, and what is being done.
        on_outcome: called with each volume's outcome as soon as its files are there.

    Raises:
        InputError: no model, no image, two images of one name, or files in the output folder that somebody else wrote
            or changed; nothing was written.
        SettingsError: mirroring is asked of a model that has never seen mirrored patches.
        StorageError: the output folder cannot be written to.
    """
    jobs = [Job(case=case_name(image), image=image) for image in images]
    _refuse_clashes(jobs)
    _refuse_unwritable(output)
    set_cpu_threads()
    predictor = Predictor.load(model_folder, choose_device(device), mirror=mirror)
    if not overwrite:
        _refuse_others_files(predictor, jobs, output)
    outcomes = []
    for outcome in segment(predictor, jobs, output, overwrite=overwrite, on_progress=on_progress):
        on_outcome(outcome)
        outcomes.append(outcome)
    return outcomes


def segment(
    predictor: Predictor,
    jobs: Sequence[Job],
    output: Path,
    *,
    overwrite: bool = False,
    on_progress: OnProgress = lambda share, message: None,
) -> Iterator[Outcome]:
    """Segment one volume after the other; yields each outcome as soon as its files are there.

    Raises:
        StorageError: the output folder cannot be written to; no other volume would fare better.
    """
    for index, job in enumerate(jobs):

        def report(share: float, index: int = index, case: str = job.case) -> None:
            on_progress((index + share) / len(jobs), f"{case} ({index + 1} of {len(jobs)})")

        report(0.0)
        paths = ResultPaths(output, job.case)
        if not overwrite and _is_done(predictor, job, paths):
            yield Outcome(case=job.case, image=job.image, state="skipped", message="done before by this model")
            continue
        yield _segment_one(predictor, job, paths, report)
    on_progress(1.0, "done")


def _is_done(predictor: Predictor, job: Job, paths: ResultPaths) -> bool:
    return job.image.exists() and is_finished(paths, job.image, predictor.card, mirrored=predictor.mirror)


def _refuse_others_files(predictor: Predictor, jobs: Sequence[Job], output: Path) -> None:
    """What somebody drew is never replaced unasked."""
    left = [(job, ResultPaths(output, job.case)) for job in jobs]
    others = [file for job, paths in left if not _is_done(predictor, job, paths) for file in files_in_the_way(paths)]
    if others:
        told = "\n".join(str(file) for file in others[:_MOST_TOLD])
        more = f"\nand {len(others) - _MOST_TOLD} more" if len(others) > _MOST_TOLD else ""
        raise InputError(
            "The predictions would replace files that BARL did not write, or that were changed since:\n"
            f"{told}{more}\nChoose another folder for the predictions; or move these files away, or allow to "
            "overwrite them if nobody needs them. Nothing was changed."
        )


def _refuse_unwritable(output: Path) -> None:
    """Minutes of computing must not end at a folder that cannot be written."""
    if output.exists() and not output.is_dir():
        raise StorageError(f"{output} is a file: choose a folder for the predictions.")
    refuse_unwritable(output)


def _segment_one(predictor: Predictor, job: Job, paths: ResultPaths, report: Callable[[float], None]) -> Outcome:
    start = time.perf_counter()
    try:
        prediction = predictor.predict(read_volume(job.image), report)
        seconds = time.perf_counter() - start
        record = write_prediction(
            paths, prediction, job.image, predictor.card, seconds, mirrored=predictor.mirror, known=job.known()
        )
    except StorageError:
        raise
    except BarlError as error:
        return Outcome(case=job.case, image=job.image, state="failed", message=str(error), error=type(error).__name__)
    except MemoryError:
        message = f"{job.image} does not fit into memory. Close other programs, or crop or resample the image."
        return Outcome(case=job.case, image=job.image, state="failed", message=message, error="OutOfMemoryError")
    return Outcome(
        case=job.case,
        image=job.image,
        state="done",
        message="" if any(record["volumes_ml"].values()) else NOTHING_FOUND,
        seconds=time.perf_counter() - start,
        volumes_ml=record["volumes_ml"],
        mean_uncertainty=record["mean_uncertainty"],
    )


def case_name(image: Path) -> str:
    """The file's name without its image suffix."""
    for suffix in sorted(VOLUME_SUFFIXES, key=len, reverse=True):
        if image.name.lower().endswith(suffix):
            return image.name[: -len(suffix)]
    return image.name


def _refuse_clashes(jobs: Sequence[Job]) -> None:
    if not jobs:
        raise InputError("There is nothing to segment: give image files, DICOM folders, or folders with images.")
    seen: dict[str, Path] = {}
    for job in jobs:
        other = seen.setdefault(job.case.lower(), job.image)
        if other != job.image:
            raise InputError(
                f"Two images would write the same result {job.case}.seg.nrrd: {other} and {job.image}. "
                "Rename one of them, or segment them into two folders."
            )
