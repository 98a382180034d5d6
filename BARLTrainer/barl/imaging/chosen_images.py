"""Images that somebody has chosen for a cohort or a model: found and looked at before anything is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from barl.cohort.images import absolute
from barl.cohort.layout import SEGMENTATION_SUFFIX, case_id_from
from barl.errors import CohortError, ImageError
from barl.imaging.volumes import find_volumes, read_geometry

OnProgress = Callable[[float, str], None]


def found_images(paths: Sequence[Path]) -> list[Path]:
    """Files as they are; of folders every volume below.

    Raises:
        ImageError: a path does not exist or is a segmentation, or a folder holds no volume.
    """
    images: list[Path] = []
    for path in map(absolute, paths):  # A folder given as "." has no name to call a case by.
        if not path.exists():
            raise ImageError(f"{path} does not exist: check the path.")
        if path.name.lower().endswith(SEGMENTATION_SUFFIX):
            raise ImageError(f"{path} is a segmentation, an image is needed. Give the image that it was drawn on.")
        found = find_volumes(path) if path.is_dir() else [path]
        if not found:
            raise ImageError(f"{path} holds no volume that can be read (NIfTI, NRRD, MHA or a DICOM series).")
        images += found
    return images


def checked_images(
    images: Sequence[Path], *, taken: Iterable[str], on_progress: OnProgress = lambda share, name: None
) -> list[Path]:
    """The same images, once all their headers were read and their ids found free.

    Args:
        images: files and DICOM folders.
        taken: ids that are there already.
        on_progress: share of the headers read, 0 to 1, and whose is next.

    Raises:
        ImageError: files that cannot be used, each with its reason.
        CohortError: two images would get one id.
    """
    _refuse_one_name_for_two(images, {name.casefold() for name in taken})
    problems = []
    for index, image in enumerate(images):
        on_progress(index / len(images), image.name)
        try:
            read_geometry(image)
        except ImageError as error:
            problems.append(str(error))
    if problems:
        raise ImageError("Nothing was changed, for these images cannot be used:\n" + "\n".join(problems))
    return list(images)


def _refuse_one_name_for_two(images: Sequence[Path], taken: set[str]) -> None:
    # Ids that differ only in capitals would share a folder on Windows and macOS.
    counts = Counter(case_id_from(image).casefold() for image in images)
    twice = sorted(name for name, count in counts.items() if count > 1 or name in taken)
    if twice:
        raise CohortError(
            f"Nothing was changed, for a case's id comes from its file's name and these would be there twice: "
            f"{', '.join(twice)}. Rename the files, or leave out those that are already in the cohort."
        )
