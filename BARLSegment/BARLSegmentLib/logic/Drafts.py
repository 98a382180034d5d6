"""Drafts: what is drawn but not saved as a version yet, written every now and then so that a crash costs little.

A draft is ``drafts/<case>/<session>.seg.nrrd`` with a ``.json`` beside it, which is written last. A session is one
segmentation while it is watched by one program, so that no draft ever overwrites another's. A draft of another program
that runs is nobody's business; one whose program is gone, or whose segmentation has left the scene, is offered.
"""

from __future__ import annotations

import shutil
import socket
import uuid
import zlib
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import slicer

from barl.atomic import replacing, storage_errors, write_json
from barl.cohort import Cohort, Coverage, CoverageKind
from barl.errors import CohortError, InputError, StorageError
from barl.jobs.processes import Process
from barl.records import format_stamp, read_fields
from BARLSegmentLib.logic.DraftFile import DraftContent, Wanted, writeDraftFile
from BARLSegmentLib.logic.DraftSnapshot import DraftSnapshot, UnfitError
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.SteppedWriting import SteppedWriting

FORMAT_VERSION = 1
_FOLDER = "drafts"
_SEGMENTATION = ".seg.nrrd"
_GZIP = 16 + zlib.MAX_WBITS
_BLOCK_BYTES = 1 << 16
"""Of labels that compress a hundredfold this becomes some megabytes."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A draft on disk."""

    caseId: str
    path: Path
    author: str
    saved: str
    """ISO 8601, UTC."""

    coverage: Coverage
    parent: int | None
    fromPrediction: str | None
    process: Process
    host: str

    @property
    def session(self) -> str:
        """What names its files."""
        return self.path.name.removesuffix(_SEGMENTATION)

    @property
    def isAbandoned(self) -> bool:
        """Whether the program that wrote it is gone, or is this one; of other computers' programs nothing is known."""
        here = self.host == socket.gethostname()
        return here and (self.process == Process.current() or not self.process.is_alive)


@dataclass(frozen=True, kw_only=True)
class DraftedWork:
    """What a draft remembers beside its voxels."""

    caseId: str
    session: str
    """Names its files."""

    author: str
    coverage: Coverage
    parent: int | None
    fromPrediction: str | None


class DraftWriting:
    """A draft on its way: the window's thread copies in steps, another one writes.

    Args:
        draft: what its record says.
        snapshot: copies the segmentation.
    """

    def __init__(self, draft: Draft, snapshot: DraftSnapshot) -> None:
        self._draft, self._snapshot = draft, snapshot
        self._wanted = Wanted()
        self._writing = SteppedWriting(self._copyMore)

    def step(self) -> bool:
        """Copy some more, or look whether it is written; returns whether the draft is there.

        Raises:
            StorageError: the folder cannot be written, or the disk is full; the draft before stays.
            UnfitError: the segmentation has changed into something that only Slicer can write.
        """
        return self._writing.step()

    def finish(self) -> None:
        """Write it now, and wait; raises as ``step``."""
        while not self._snapshot.step():
            pass
        assert self._snapshot.content is not None
        _write(self._draft, self._snapshot.content, self._wanted)

    def giveUp(self) -> None:
        """Write it no more; what is there already stays. Waits only while the file is just appearing."""
        self._wanted.withdraw()

    def _copyMore(self) -> Callable[[], None] | None:
        if not self._snapshot.step() or self._snapshot.content is None:
            return None
        return partial(_write, self._draft, self._snapshot.content, self._wanted)


class Drafts:
    """Writes and removes the drafts of this program.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock

    def write(self, cohort: Cohort, node: Node, work: DraftedWork) -> None:
        """Write a segmentation node as it is: names, overlaps and grid are looked at only when a version is saved.

        Raises:
            CohortError: the cohort's folder is gone.
            StorageError: the folder cannot be written, or the disk is full; the draft before stays.
        """
        writing = self.begin(cohort, node, work)
        if writing is not None:
            writing.finish()
            return
        draft = self._draft(cohort, work)
        with replacing(draft.path) as temporary:
            _writeNode(node, temporary, draft.path)
        write_json(_record(draft.path), _toJson(draft))

    def begin(self, cohort: Cohort, node: Node, work: DraftedWork) -> DraftWriting | None:
        """The same without waiting; None when only Slicer itself can write this segmentation.

        Raises:
            CohortError: the cohort's folder is gone.
        """
        draft = self._draft(cohort, work)
        try:
            return DraftWriting(draft, DraftSnapshot(node))
        except UnfitError:
            return None

    def _draft(self, cohort: Cohort, work: DraftedWork) -> Draft:
        if not cohort.folder.is_dir():
            raise CohortError(f"{cohort.folder} is gone, so no draft was written. Check that its drive is connected.")
        return Draft(
            caseId=work.caseId,
            path=_folder(cohort, work.caseId) / f"{work.session}{_SEGMENTATION}",
            author=work.author,
            saved=datetime.fromtimestamp(self._clock(), timezone.utc).isoformat(timespec="seconds"),
            coverage=work.coverage,
            parent=work.parent,
            fromPrediction=work.fromPrediction,
            process=Process.current(),
            host=socket.gethostname(),
        )

    def discard(self, cohort: Cohort, caseId: str, session: str) -> None:
        """Remove a session's draft, because it became a version; raises as :func:`removeDraft`."""
        removeDraft(_folder(cohort, caseId) / f"{session}{_SEGMENTATION}")


def newSession() -> str:
    """A name for the drafts of one segmentation."""
    return uuid.uuid4().hex[:12]


def abandonedDrafts(cohort: Cohort, caseId: str | None = None, *, atWork: Collection[str] = ()) -> tuple[Draft, ...]:
    """Drafts that nobody works on, the newest first; damaged ones are left out.

    Args:
        cohort: where to look.
        caseId: only of this case.
        atWork: sessions of segmentations that are in the scene now.
    """
    folders = [cohort.folder / _FOLDER / caseId] if caseId else sorted((cohort.folder / _FOLDER).glob("*/"))
    records = [record for folder in folders for record in sorted(folder.glob("*.json"))]
    found = [draft for record in records if (draft := _readIfWhole(record)) is not None and draft.isAbandoned]
    left = [draft for draft in found if draft.session not in atWork]
    return tuple(sorted(left, key=lambda draft: draft.saved, reverse=True))


def removeDraft(path: Path) -> None:
    """Remove a draft's files; the json first, because without it the rest is no draft.

    Raises:
        StorageError: the folder cannot be written.
    """
    with storage_errors(path):
        _record(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    with suppress(OSError):  # Only an empty folder goes.
        path.parent.rmdir()


def _write(draft: Draft, content: DraftContent, wanted: Wanted) -> None:
    writeDraftFile(draft.path, content, wanted)
    with wanted.appearing():
        write_json(_record(draft.path), _toJson(draft))


def _writeNode(node: Node, temporary: Path, path: Path) -> None:
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(temporary))
    if not storage.WriteData(node) or not _isWhole(temporary):
        freeMb = shutil.disk_usage(path.parent).free / 1e6
        raise StorageError(
            f"Cannot write the draft {path} ({freeMb:.0f} MB free on this disk). Free some space, or make the folder "
            "writable; the draft before is unchanged."
        )


def _isWhole(path: Path) -> bool:
    """Slicer's writer does not notice when the last block of a file finds no room: its compressed stream has no end."""
    stream = zlib.decompressobj(_GZIP)
    try:
        with path.open("rb") as file:
            while file.readline().strip():  # The header ends with an empty line.
                pass
            while not stream.eof and (block := file.read(_BLOCK_BYTES)):
                stream.decompress(block)
    except (OSError, zlib.error):
        return False
    return stream.eof


def _folder(cohort: Cohort, caseId: str) -> Path:
    return cohort.folder / _FOLDER / caseId


def _record(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(_SEGMENTATION) + ".json")


def _toJson(draft: Draft) -> dict[str, object]:
    return format_stamp(FORMAT_VERSION) | {
        "author": draft.author,
        "saved": draft.saved,
        "coverage": draft.coverage.to_json(),
        "parent": draft.parent,
        "from_prediction": draft.fromPrediction,
        "pid": draft.process.pid,
        "process_started": draft.process.started,
        "host": draft.host,
    }


def _readIfWhole(record: Path) -> Draft | None:
    path = record.with_name(record.stem + _SEGMENTATION)
    if not path.is_file():
        return None
    try:
        fields = read_fields(record, CohortError)
        fields.require_format(FORMAT_VERSION)
        coverage = fields.child("coverage")
        return Draft(
            caseId=record.parent.name,
            path=path,
            author=fields.text("author"),
            saved=fields.text("saved"),
            coverage=Coverage(kind=coverage.choice("kind", CoverageKind), axis=coverage.optional_integer("axis")),
            parent=fields.optional_integer("parent"),
            fromPrediction=fields.optional_text("from_prediction"),
            process=Process(fields.integer("pid"), fields.optional_number("process_started")),
            host=fields.text("host"),
        )
    except InputError:
        return None
