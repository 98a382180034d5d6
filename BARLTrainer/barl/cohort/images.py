"""How an image gets into a cohort: where it is noted, or how it is copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barl.atomic import discard, replacing, storage_errors, temporary_name
from barl.cohort.layout import image_suffix
from barl.errors import CohortError, ImageError

_HEADER_SUFFIXES = (".mhd", ".nhdr", ".hdr", ".img")


def existing_image(image: Path) -> Path:
    """The image's absolute path; a folder is taken for a DICOM series.

    Raises:
        ImageError: there is no such file, or the folder is empty.
    """
    path = absolute(image)
    if not path.exists():
        raise ImageError(f"There is no image {path}. Check the path, and that its drive is connected.")
    if path.is_dir() and not any(path.iterdir()):
        raise ImageError(f"The folder {path} is empty. Choose a folder with the files of one DICOM series.")
    return path


def noted_path(image: Path, folder: Path) -> str:
    """How cohort.json names an image: relative inside the cohort folder, absolute elsewhere."""
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else str(image)


def absolute(path: Path) -> Path:
    """Absolute and without ``..``; links and mapped drives keep the names that the user knows."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links and replace drive letters.


@contextmanager
def staged_copy(image: Path, folder: Path) -> Iterator[Path]:
    """Copy an image to a temporary name in ``folder``; what was not renamed by then is removed at the end.

    Raises:
        CohortError: the file is only a header whose voxels lie in another file.
        StorageError: the folder cannot be written, or the disk is full.
    """
    suffix = image_suffix(image)
    if suffix.lower() in _HEADER_SUFFIXES:
        raise CohortError(
            f"{image} keeps header and voxels in two files and cannot be copied as one. "
            "Add it without copying, or save it as .nrrd, .nii.gz or .mha first."
        )
    staged = folder / temporary_name(suffix)
    try:
        _copy(image, staged)
        yield staged
    finally:
        _discard(staged)


@contextmanager
def placed(staged: Path, target: Path) -> Iterator[None]:
    """Give a staged copy its name; when what follows fails, it is removed again.

    Raises:
        CohortError: there is such a file already.
    """
    if target.exists():
        raise CohortError(f"{target} exists already. Add that file itself, or give the case another id.")
    with storage_errors(target):
        staged.rename(target)
    try:
        yield
    except BaseException:
        _discard(target)
        raise


def _discard(image: Path) -> None:
    if image.is_dir():
        shutil.rmtree(image, ignore_errors=True)
    else:
        discard(image)


def _copy(image: Path, staged: Path) -> None:
    if not image.is_dir():
        with replacing(staged) as temporary:
            shutil.copyfile(image, temporary)
        return
    with storage_errors(staged):
        staged.mkdir(parents=True)
    for path in sorted(image.rglob("*")):
        if path.is_file():
            _copy(path, staged / path.relative_to(image))
