"""Files appear whole or not at all: write beside the target, flush to disk, rename."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from barl.errors import StorageError

_BUSY_RETRIES = 50 if os.name == "nt" else 0  # Windows refuses to replace a file that someone is just reading.
_BUSY_PAUSE_S = 0.02


TEMPORARY_PREFIX = ".tmp-"
"""Of what is not whole yet, or is on its way out; a crash may leave it behind."""


def temporary_name(suffix: str = "") -> str:
    """A name that nothing else in a folder has.

    Args:
        suffix: for writers that choose a format by it.
    """
    return f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:12]}{suffix}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; on success it replaces the target.

    The temporary name keeps all suffixes, so that writers which choose a format by suffix
    (``.seg.nrrd``) do the same for it. On any error the temporary file is removed and the
    target is what it was before.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(temporary_name("".join(path.suffixes[-2:])))
    try:
        with storage_errors(path):
            make_folder(path.parent)
            yield temporary
            _flush_to_disk(temporary)
            _replace(temporary, path)
    finally:
        discard(temporary)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        NotADirectoryError: a file of one of these names is in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error


def refuse_unwritable(folder: Path) -> None:
    """Make sure, before a long computation, that its results can be written; makes the folder.

    Raises:
        StorageError: the folder cannot be made or written to.
    """
    with storage_errors(folder):
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass


def discard(path: Path) -> None:
    """Remove a temporary file, if it can be.

    A read-only drive refuses to remove even what is not there; that must not hide the error before it.
    """
    with suppress(OSError):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 text file."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file, indented so that people can read it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write ``path`` into a StorageError with a way out."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        # Hidden names are locks and temporary files, which nobody looks for.
        shown = path.parent if path.name.startswith(".") else path
        raise StorageError(f"Cannot write {shown}: {error.strerror}. {advice}") from error


_ADVICE = {
    errno.ENOSPC: "The disk is full: free some space and try again. What was there before is unchanged.",
    errno.EFBIG: "The file is too large for this drive: choose a folder on another one.",
    errno.EROFS: "The folder is read-only: choose another folder, or make it writable.",
    errno.EACCES: "You may not write there: choose another folder, or ask for the right to write.",
    errno.EPERM: "You may not write there: choose another folder, or ask for the right to write.",
    errno.ENAMETOOLONG: "The path is too long: use a folder nearer to the drive's root, or a shorter name.",
    errno.ENOENT: "The folder does not exist or the path is too long: check the path.",
    errno.EISDIR: "There is a folder of this name: choose another name for the file.",
    errno.ENOTDIR: "A part of the path is a file, not a folder: check the path.",
    errno.EIO: "The drive reported an error: check that it is connected and healthy.",
}


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _replace(temporary: Path, path: Path) -> None:
    for _ in range(_BUSY_RETRIES):
        try:
            temporary.replace(path)
            return
        except PermissionError:
            time.sleep(_BUSY_PAUSE_S)
    temporary.replace(path)
