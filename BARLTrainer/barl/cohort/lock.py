"""One writer at a time: a kernel lock on a folder, which dies with the process that holds it."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from barl.atomic import storage_errors
from barl.errors import LockedError, StorageError

LOCK_FILE = ".lock"
_POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock; written into the lock file for the others to read."""

    pid: int
    host: str
    since: str
    what: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.what}, since {self.since})"


@contextmanager
def folder_lock(folder: Path, *, what: str = "writing", timeout_s: float = 10.0) -> Iterator[None]:
    """Hold the folder's lock; wait for it if another process or thread has it. Not reentrant.

    The lock file stays behind: deleting it would let two writers lock two different files.

    Raises:
        LockedError: the other one did not finish in time; the message names it.
        StorageError: the folder cannot be written.
    """
    path = folder / LOCK_FILE
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for(descriptor, path, time.monotonic() + timeout_s)
        try:
            _write_holder(descriptor, what)
            yield
        finally:
            os.ftruncate(descriptor, 0)
            _unlock(descriptor)
    finally:
        os.close(descriptor)


def read_holder(folder: Path) -> Holder | None:
    """Who wrote the lock file last; None when it was released or cannot be read."""
    try:
        return Holder(**json.loads((folder / LOCK_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _wait_for(descriptor: int, path: Path, deadline: float) -> None:
    while not _try_lock(descriptor, path):
        if time.monotonic() >= deadline:
            holder = read_holder(path.parent) or "another process"
            raise LockedError(
                f"{path.parent} is being written by {holder}. Wait until it is done, or close that program, "
                "and try again. Nothing was changed."
            )
        time.sleep(_POLL_S)


def _write_holder(descriptor: int, what: str) -> None:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    holder = Holder(pid=os.getpid(), host=socket.gethostname(), since=since, what=what)
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    # On a full disk the lock holds all the same; only its name tag is missing. The write that follows will tell.
    with suppress(OSError):
        os.write(descriptor, json.dumps(asdict(holder)).encode())


if sys.platform == "win32":
    import msvcrt

    # Windows locks are mandatory: a byte far behind the text, so that others can still read who holds it.
    _LOCKED_BYTE = 1 << 30

    def _try_lock(descriptor: int, path: Path) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        except OSError as error:
            raise _unsupported(path, error) from error
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int, path: Path) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise _unsupported(path, error) from error
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _unsupported(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path.parent} is on a drive that does not support file locks ({error.strerror}), so two programs could "
        "overwrite each other's work. Move the folder to a local drive or to a share with locks."
    )
