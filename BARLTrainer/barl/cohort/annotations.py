"""The annotation versions of a case: numbered files that are never overwritten.

A version is ``0003.seg.nrrd`` with ``0003.json`` beside it, written in this order: it exists when its json does. A file
without one is what a killed writer left; it is no version, and its number is not given again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from barl.atomic import TEMPORARY_PREFIX, discard, replacing, temporary_name, write_json
from barl.cohort.layout import SEGMENTATION_SUFFIX, next_number, number_name, numbered
from barl.cohort.lock import folder_lock
from barl.cohort.schema import SOURCES, AnnotationVersion, Coverage
from barl.errors import CohortError

_SIDECAR_SUFFIX = ".json"
_LEFTOVER_AGE_S = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who made an annotation, and from what."""

    coverage: Coverage
    author: str
    source: str = "drawn"
    parent: int | None = None
    from_prediction: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise CohortError(f"The source of an annotation must be one of {SOURCES}, got {self.source!r}.")


def read_versions(folder: Path) -> list[AnnotationVersion]:
    """All versions in a case's annotation folder, oldest first.

    Raises:
        CohortError: a sidecar is damaged.
    """
    return [_read(sidecar) for sidecar in numbered(folder, _SIDECAR_SUFFIX)]


def read_newest(folder: Path) -> AnnotationVersion | None:
    """The version with the highest number; None when there is none."""
    sidecars = numbered(folder, _SIDECAR_SUFFIX)
    return _read(sidecars[-1]) if sidecars else None


def passed_over(folder: Path) -> AnnotationVersion | None:
    """The version before the newest, where another person drew it and the newest one was not drawn from it.

    So it is when two people had the case open at once: what the first one saved is kept, and does not count.
    """
    sidecars = numbered(folder, _SIDECAR_SUFFIX)[-2:]
    try:
        before, newest = (_read(sidecar) for sidecar in sidecars)
    except (ValueError, CohortError):  # Fewer than two, or one that is damaged and counts nowhere.
        return None
    return None if newest.parent == before.number or newest.author == before.author else before


def store(folder: Path, write: Callable[[Path], None], origin: Origin, *, locked: Path) -> AnnotationVersion:
    """Write the next version.

    The segmentation is written before the lock is taken, because that may take seconds; the lock is held only while
    it gets its number. So numbers follow the order in which versions appear, and a reader that knows the last number
    it has seen misses none.

    Args:
        folder: the case's annotation folder.
        write: writes the segmentation to the path it is given (``.seg.nrrd``).
        origin: who made it, and from what.
        locked: the cohort folder, whose lock is taken.

    Raises:
        LockedError: another process holds the lock for too long.
        StorageError: the folder cannot be written, or the disk is full; nothing was changed.
    """
    incoming = folder / temporary_name(SEGMENTATION_SUFFIX)
    try:
        with replacing(incoming) as temporary:
            write(temporary)
        content_hash = hash_file(incoming)
        with folder_lock(locked, what="saving an annotation"):
            _remove_leftovers(folder)
            return _publish(folder, incoming, origin, content_hash)
    finally:
        discard(incoming)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _publish(folder: Path, incoming: Path, origin: Origin, content_hash: str) -> AnnotationVersion:
    number = next_number(folder, SEGMENTATION_SUFFIX, _SIDECAR_SUFFIX)
    version = AnnotationVersion(
        case_id=folder.name,
        number=number,
        path=folder / f"{number_name(number)}{SEGMENTATION_SUFFIX}",
        coverage=origin.coverage,
        author=origin.author,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        parent=origin.parent,
        from_prediction=origin.from_prediction,
        source=origin.source,
        content_hash=content_hash,
        note=origin.note,
    )
    with replacing(version.path) as temporary:
        incoming.replace(temporary)
    try:
        write_json(folder / f"{number_name(number)}{_SIDECAR_SUFFIX}", version.to_json())
    except BaseException:
        version.path.unlink(missing_ok=True)
        raise
    return version


def _read(sidecar: Path) -> AnnotationVersion:
    path = sidecar.with_name(sidecar.stem + SEGMENTATION_SUFFIX)
    return AnnotationVersion.read(sidecar, case_id=sidecar.parent.name, number=int(sidecar.stem), path=path)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left; a day old, so that no writer at work loses its file."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFTOVER_AGE_S:
                path.unlink()
