"""The content hash of image files and DICOM folders, without reading unchanged ones again."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from barl.atomic import write_json
from barl.cohort.annotations import hash_file
from barl.errors import ImageError, StorageError
from barl.imaging.integrity import detached_data

# A file that changed right after it was hashed could keep its time stamp; some file systems count in two seconds.
_RACE_NS = 2_000_000_000


class Fingerprints:
    """Remembers in a folder which content hash files of a certain size and time had."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, path: Path) -> str:
        """SHA-256 over an image's files: the file, a header with its voxels, or all files of a DICOM folder.

        Raises:
            ImageError: a file is missing or cannot be read.
        """
        files = _files(path)
        try:
            stamp = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
            note = self._folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:24]}.json"
            return _remembered(note, stamp) or self._measure(note, files, stamp)
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror or error}. Check that it is there.") from error

    @staticmethod
    def _measure(note: Path, files: list[Path], stamp: list[list[Any]]) -> str:
        taken_ns = time.time_ns()
        whole = hashlib.sha256()
        for file in files:
            whole.update(f"{file.name}\0{hash_file(file)}\0".encode())
        digest = whole.hexdigest()
        with suppress(StorageError):  # A read-only folder only costs the next reader time.
            write_json(note, {"files": stamp, "taken_ns": taken_ns, "sha256": digest})
        return digest


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if not path.exists():
        raise ImageError(f"{path} does not exist. Check the path, and that the drive is connected.")
    return [path, *detached_data(path)]


def _remembered(note: Path, stamp: list[list[Any]]) -> str | None:
    try:
        value = json.loads(note.read_text(encoding="utf-8"))
        settled = all(mtime_ns < value["taken_ns"] - _RACE_NS for _, _, mtime_ns in stamp)
        return str(value["sha256"]) if settled and value["files"] == stamp else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
