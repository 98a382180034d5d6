"""Which files a batch works on: the model, a volume's image, and where the job is."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np

from barl.cohort import Cohort
from barl.errors import ImageError, InputError
from barl.imaging import Volume, read_volume, write_volume
from barl.imaging.volumes import VOLUME_SUFFIXES
from barl.jobs import JobFolder
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.VolumeNodes import fileOf
from BARLSegmentLib.logic.VolumeWriting import VolumeWriting

_JOBS = ".jobs"
_SENT = "images"


def modelFolderOf(path: Path) -> Path:
    """The model folder itself, that of a round, or that of the newest round of a cohort that has one.

    Raises:
        InputError: there is no model.
    """
    candidates = [path, JobFolder(path).model]
    if (path / "cohort.json").is_file():
        candidates = [JobFolder(folder).model for folder in reversed(Cohort.open(path).rounds())]
    for folder in candidates:
        if (folder / "model.json").is_file():
            return folder
    raise InputError(f"{path} holds no trained model. Give a model folder, a round's folder, or a cohort with a round.")


def caseOf(image: Path) -> str:
    """The name under which the engine writes an image's results: its file name without the image suffix."""
    lower = image.name.lower()
    suffix = next((one for one in sorted(VOLUME_SUFFIXES, key=len, reverse=True) if lower.endswith(one)), "")
    return image.name[: len(image.name) - len(suffix)]


def imageOf(node: Node, output: Path) -> tuple[Path, VolumeWriting | None]:
    """A file with a node's voxels: its own if it has not changed since, else one beside the results.

    Returns:
        The file, and what writes it; None when it is there already.

    Raises:
        ImageError: the node is under a transform, or has no voxels.
    """
    if node.GetParentTransformNode() is not None:
        raise ImageError(
            f"The volume {node.GetName()} is under a transform. Harden it (right-click its transform in the Data "
            "module), or take it out of the transform, and try again."
        )
    own = fileOf(node)
    if own is not None and own.name.lower().endswith(VOLUME_SUFFIXES):
        return own, None
    name = "".join("_" if character in '<>:"/\\|?*' else character for character in node.GetName()).strip(" .")
    path = output / _SENT / f"{name or 'volume'}.nrrd"
    return path, VolumeWriting(node, partial(_write, path))


def _write(path: Path, volume: Volume) -> None:
    """Unless a file written earlier has just these voxels: then it stays, and its result is known to be done."""
    if not _holds(path, volume):
        write_volume(path, volume.array, volume.geometry)


def _holds(path: Path, volume: Volume) -> bool:
    if not path.is_file():
        return False
    try:
        there = read_volume(path)
    except ImageError:
        return False
    return not there.geometry.difference_from(volume.geometry) and np.array_equal(there.array, volume.array)


def newJobFolder(output: Path, now: float) -> Path:
    """A folder for the next job beside the results; it is not made yet."""
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%d-%H%M%S")
    jobs, number = output / _JOBS, 1
    while (jobs / f"{stamp}-{number}").exists():
        number += 1
    return jobs / f"{stamp}-{number}"
