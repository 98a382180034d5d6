"""What a cohort takes on the disk, part by part; and the parts that may go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from barl.atomic import storage_errors, temporary_name
from barl.cohort import Cohort
from barl.cohort.layout import CohortLayout
from barl.errors import InputError, JobError
from barl.jobs import JobFolder, State, read_spec, read_status
from barl.jobs.status import read_launched

_FILES_A_LOOK = 500
"""Asking for the size of so many takes some milliseconds on a disk, and a tenth of a second on a slow share."""


class Kind(str, Enum):
    """What a part is."""

    IMAGES = "images"
    ANNOTATIONS = "annotations"
    DRAFTS = "drafts"
    """What is drawn and not saved as a version."""

    CACHE = "cache"
    ROUND = "round"
    CHECKPOINTS = "checkpoints"
    """Of a round that is finished: only a stopped one needs them."""


@dataclass(kw_only=True)
class Part:
    """One line of the table."""

    kind: Kind
    path: Path
    number: int = 0
    """Of the round."""

    bytes: int = 0
    isCounted: bool = False
    """Whether all files have been looked at."""

    @property
    def mayGo(self) -> bool:
        """Whether it can be deleted here: never what a person brought or drew."""
        return self.kind in (Kind.CACHE, Kind.ROUND, Kind.CHECKPOINTS)


class DiskUse:
    """Adds up file sizes bit by bit; a timer of the panel calls ``look``.

    Args:
        cohort: whose folder.

    Attributes:
        parts: the parts that exist; checkpoints count in their round, too.
    """

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        self.parts = _parts(cohort)
        self._counting = self._count()

    def look(self) -> bool:
        """Look at some more files; returns whether there are more."""
        return all(next(self._counting, None) is not None for _ in range(_FILES_A_LOOK))

    @property
    def total(self) -> int:
        """Bytes of everything that was counted."""
        return sum(part.bytes for part in self.parts if part.kind is not Kind.CHECKPOINTS)

    def freeBytes(self) -> int:
        """Free on the cohort's drive."""
        return shutil.disk_usage(self.cohort.folder).free

    def delete(self, part: Part) -> None:
        """Delete a part. It is gone from its place at once, or stays whole.

        Raises:
            JobError: it is in use by a training, or it is nothing that may be deleted here.
            StorageError: the folder cannot be written.
        """
        if not part.mayGo:
            raise JobError(f"{part.path} holds what was brought or drawn, and is not deleted here.")
        self._refuseInUse(part)
        with storage_errors(part.path):
            aside = part.path.with_name(temporary_name())
            part.path.rename(aside)
            shutil.rmtree(aside)
        self.parts = [one for one in self.parts if part.path not in (one.path, *one.path.parents)]
        for around in self.parts:
            if around.path in part.path.parents:
                around.bytes -= part.bytes

    def roundsThatBeginFrom(self, number: int) -> list[int]:
        """Rounds that are not finished and began with the weights of this one: without it they cannot go on."""
        found = []
        for folder in self.cohort.rounds():
            try:
                waits = read_status(folder).state is not State.FINISHED
                begins = read_spec(folder).payload.get("from_round") == number
            except InputError:  # It cannot go on anyhow.
                continue
            found += [int(folder.name)] if waits and begins else []
        return found

    def _refuseInUse(self, part: Part) -> None:
        folders = self.cohort.rounds() if part.kind is Kind.CACHE else [_roundOf(part)]
        for folder in folders:
            if _isInUse(folder):
                raise JobError(f"Round {int(folder.name)} is being trained. Stop it first.")

    def _count(self) -> Iterator[int]:
        for part in self.parts:
            for size in _sizes(part.path):
                part.bytes += size
                yield size
            part.isCounted = True


def _parts(cohort: Cohort) -> list[Part]:
    layout = CohortLayout(cohort.folder)
    parts = [
        Part(kind=Kind.IMAGES, path=layout.images),
        Part(kind=Kind.ANNOTATIONS, path=cohort.folder / "annotations"),
        Part(kind=Kind.DRAFTS, path=cohort.folder / "drafts"),
        Part(kind=Kind.CACHE, path=layout.cache),
    ]
    for folder in reversed(cohort.rounds()):
        parts.append(Part(kind=Kind.ROUND, path=folder, number=int(folder.name)))
        if _isFinished(folder):
            path = JobFolder(folder).checkpoints
            parts.append(Part(kind=Kind.CHECKPOINTS, path=path, number=int(folder.name)))
    return [part for part in parts if part.path.is_dir()]


def _sizes(folder: Path) -> Iterator[int]:
    """The size of each file below; what vanishes meanwhile counts nothing, and links are not followed."""
    for name, _, files in os.walk(folder):
        for file in files:
            try:
                yield Path(name, file).lstat().st_size
            except OSError:
                yield 0


def _roundOf(part: Part) -> Path:
    return part.path.parent if part.kind is Kind.CHECKPOINTS else part.path


def _isFinished(folder: Path) -> bool:
    try:
        return read_status(folder).state is State.FINISHED
    except InputError:
        return False


def _isInUse(folder: Path) -> bool:
    """Whether a process works on a round; one that is damaged may go unless its process lives."""
    try:
        if read_status(folder).state.is_active:
            return True
    except InputError:
        pass
    try:
        process = read_launched(folder)
    except InputError:
        return False
    return process is not None and process.is_alive
