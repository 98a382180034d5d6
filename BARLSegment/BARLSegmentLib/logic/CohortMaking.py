"""A cohort that is made bit by bit, while the window lives: a volume a step is staged, the rest is a child's."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from barl.atomic import storage_errors
from barl.cohort import LabelTable, Modality
from barl.errors import CohortError, StorageError
from barl.imaging import Volume
from BARLSegmentLib.logic.ChildWork import StartWork, Work, WorkLook
from BARLSegmentLib.logic.NewCohort import checkedIds, idsFor
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.VolumeWriting import VolumeWriting

_STAGING = 0.5
"""Share of writing the voxels out of the scene; compressing them is the rest."""


@dataclass(frozen=True, kw_only=True)
class CohortWish:
    """What a new cohort is to be."""

    folder: Path
    name: str
    modality: Modality
    labels: LabelTable

    def request(self) -> dict[str, Any]:
        """As ``CohortWork`` wants it."""
        return {
            "work": "create",
            "folder": str(self.folder),
            "name": self.name,
            "modality": self.modality.value,
            "labels": self.labels.to_json(),
        }


class FromFiles:
    """A cohort of image files, which a child makes alone.

    Args:
        wish: what it is to be.
        source: a folder, all of whose volumes are taken and stay where they are; or the files of DICOM series by case
            id, which are converted.
        startWork: begins the work.
    """

    def __init__(self, wish: CohortWish, source: Path | Mapping[str, Sequence[str]], startWork: StartWork) -> None:
        self.lent: Mapping[str, Node] = {}
        self.isStaging = False
        """Nothing comes out of the scene."""
        what = {"images": str(source)} if isinstance(source, Path) else {"series": source}
        self._work = startWork({**wish.request(), **what})

    def advance(self) -> WorkLook:
        """Look how far it is."""
        return self._work.look()

    def cancel(self) -> None:
        """Give it up; nothing of the cohort stays."""
        self._work.cancel()

    def end(self) -> None:
        """Forget it; to be called when the window goes."""
        self._work.end()


class FromVolumes:
    """A cohort of volumes in the scene, whose voxels are written into it.

    They are written one after the other, uncompressed, into a folder beside the cohort; the child then compresses them.
    Each ``advance`` takes some milliseconds.

    Args:
        wish: what it is to be.
        volumeNodes: scalar volumes.
        startWork: begins the work.

    Attributes:
        lent: the nodes by case id.

    Raises:
        CohortError: there is a cohort already, or two volumes would be the same case.
        ImageError: no volumes, or one is under a transform, is no scalar volume, or is sheared.
        StorageError: the folder cannot be written.
    """

    def __init__(self, wish: CohortWish, volumeNodes: Sequence[Node], startWork: StartWork) -> None:
        self.lent = dict(zip(checkedIds(volumeNodes, idsFor(volumeNodes)), volumeNodes, strict=True))
        if (wish.folder / "cohort.json").exists():
            raise CohortError(f"{wish.folder} holds a cohort already. Open it, or choose another folder.")
        self._wish, self._startWork = wish, startWork
        self._isNew = not wish.folder.exists()
        with storage_errors(wish.folder):
            wish.folder.mkdir(parents=True, exist_ok=True)
            self._staging = Path(tempfile.mkdtemp(prefix=".staged-", dir=wish.folder))
        self._waiting = list(self.lent.items())
        self._staged: list[Path] = []
        self._writing: tuple[str, Path, VolumeWriting] | None = None
        self._work: Work | None = None
        self._isCanceled = False

    @property
    def isStaging(self) -> bool:
        """Whether voxels are still on their way out of the scene: then ``advance`` is wanted soon."""
        return not self._isCanceled and (self._writing is not None or bool(self._waiting))

    def advance(self) -> WorkLook:
        """Write on, or look how far the child is.

        Raises:
            ImageError: a volume has been changed, and cannot be used any more.
            StorageError: the disk is full; nothing of the cohort stays.
        """
        if self._isCanceled:
            return WorkLook(isOver=True, isCanceled=True)
        if self.isStaging:
            return self._stage()
        if self._work is None:
            self._work = self._startWork({**self._wish.request(), "staged": [str(path) for path in self._staged]})
        look = self._work.look()
        if look.isOver:
            self._tidy()
        return WorkLook(
            share=_STAGING + (1 - _STAGING) * look.share,
            what=look.what,
            isOver=look.isOver,
            isCanceled=look.isCanceled,
            answer=look.answer,
            error=look.error,
        )

    def cancel(self) -> None:
        """Give it up; nothing of the cohort stays."""
        if self._work is not None:
            self._work.cancel()
            return
        self._isCanceled = True
        self._tidy()

    def end(self) -> None:
        """Forget it; to be called when the window goes."""
        if self._work is not None:
            self._work.end()
        self._tidy()

    def _stage(self) -> WorkLook:
        caseId = ""
        try:
            if self._writing is None:
                caseId, node = self._waiting.pop(0)
                path = self._staging / f"{caseId}.mha"
                self._writing = caseId, path, VolumeWriting(node, partial(_write, path))
            caseId, path, writing = self._writing
            if writing.step():
                self._writing = None
                self._staged.append(path)
        except BaseException:
            self._tidy()
            raise
        return WorkLook(share=_STAGING * len(self._staged) / len(self.lent), what=caseId)

    def _tidy(self) -> None:
        if self._writing is not None:
            self._writing[2].giveUp()
            self._writing = None
        shutil.rmtree(self._staging, ignore_errors=True)
        if self._isNew:
            with suppress(OSError):  # It holds the cohort by now.
                self._wish.folder.rmdir()


def _write(path: Path, volume: Volume) -> None:
    image = sitk.GetImageFromArray(volume.array)
    volume.geometry.apply_to(image)
    try:
        sitk.WriteImage(image, str(path), useCompression=False)
    except RuntimeError as error:
        free_mb = shutil.disk_usage(path.parent).free / 1e6
        raise StorageError(
            f"Cannot write into {path.parent.parent} ({free_mb:.0f} MB free on this disk). Free some space or choose "
            "another folder; nothing was made."
        ) from error
