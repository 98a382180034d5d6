"""Drafts: what is drawn but not saved as a version yet, written every now and then so that a crash costs little.

A draft is ``drafts/<case>/<session>.seg.nrrd`` with a ``.json`` beside it, which is written last. Each running program
has a session of its own, so that two people never overwrite each other's. A draft whose program runs is nobody else's
business; one whose program is gone is offered.
"""

from __future__ import annotations

import shutil
import socket
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import slicer

from barl.atomic import replacing, storage_errors, write_json
from barl.cohort import Cohort, Coverage, CoverageKind
from barl.errors import CohortError, InputError, LabelError, StorageError
from barl.imaging.seg_nrrd import read_layers
from barl.jobs.processes import Process
from barl.records import format_stamp, read_fields
from BARLSegmentLib.logic.SceneTypes import Node

FORMAT_VERSION = 1
_FOLDER = "drafts"
_SEGMENTATION = ".seg.nrrd"


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
    def isAbandoned(self) -> bool:
        """Whether the program that wrote it is gone; of another computer's program nothing is known, so it is not."""
        return self.host == socket.gethostname() and not self.process.is_alive


class Drafts:
    """The drafts of one running program.

    Args:
        clock: seconds since 1970.
        session: names this program's files.
    """

    def __init__(self, *, clock: Callable[[], float], session: str | None = None) -> None:
        self._clock = clock
        self._session = session or uuid.uuid4().hex[:12]

    def write(
        self,
        cohort: Cohort,
        caseId: str,
        segmentationNode: Node,
        *,
        author: str,
        coverage: Coverage,
        parent: int | None,
        fromPrediction: str | None,
    ) -> Draft:
        """Write a segmentation node as it is: names, overlaps and grid are looked at only when a version is saved.

        Raises:
            CohortError: the cohort's folder is gone.
            StorageError: the folder cannot be written, or the disk is full; the draft before stays.
        """
        if not cohort.folder.is_dir():
            raise CohortError(f"{cohort.folder} is gone, so no draft was written. Check that its drive is connected.")
        draft = Draft(
            caseId=caseId,
            path=_folder(cohort, caseId) / f"{self._session}{_SEGMENTATION}",
            author=author,
            saved=datetime.fromtimestamp(self._clock(), timezone.utc).isoformat(timespec="seconds"),
            coverage=coverage,
            parent=parent,
            fromPrediction=fromPrediction,
            process=Process.current(),
            host=socket.gethostname(),
        )
        with replacing(draft.path) as temporary:
            _writeNode(segmentationNode, temporary, draft.path)
        write_json(_record(draft.path), _toJson(draft))
        return draft

    def discard(self, cohort: Cohort, caseId: str) -> None:
        """Remove this program's draft of a case, because it became a version."""
        removeDraft(_folder(cohort, caseId) / f"{self._session}{_SEGMENTATION}")


def abandonedDrafts(cohort: Cohort, caseId: str | None = None) -> tuple[Draft, ...]:
    """Drafts whose program has ended without saving, the newest first; damaged ones are left out."""
    folders = [cohort.folder / _FOLDER / caseId] if caseId else sorted((cohort.folder / _FOLDER).glob("*/"))
    records = [record for folder in folders for record in sorted(folder.glob("*.json"))]
    found = [draft for record in records if (draft := _readIfWhole(record)) is not None and draft.isAbandoned]
    return tuple(sorted(found, key=lambda draft: draft.saved, reverse=True))


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
    """Slicer's writer does not notice when the last block of a file finds no room."""
    try:
        read_layers(path)
    except LabelError:
        return False
    return True


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
