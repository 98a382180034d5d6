"""One writer at a time, and no lock left by a killed one."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from barl.cohort import folder_lock, lock
from barl.errors import LockedError, StorageError

_HOLD = """
import sys, time
from pathlib import Path
from barl.cohort import folder_lock
with folder_lock(Path(sys.argv[1]), what="saving an annotation"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def a_holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder's lock for a minute."""
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_one_who_waits_is_told_who_writes(a_holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(LockedError) as caught, folder_lock(tmp_path, timeout_s=0.1):
        pass

    assert f"process {a_holder.pid} on {socket.gethostname()} (saving an annotation, since" in str(caught.value)


def test_a_killed_writer_leaves_no_lock(a_holder: subprocess.Popen[str], tmp_path: Path) -> None:
    a_holder.kill()
    a_holder.wait()

    with folder_lock(tmp_path, timeout_s=1):
        holder = lock.read_holder(tmp_path)

    assert holder is not None
    assert holder.pid == os.getpid()
    assert lock.read_holder(tmp_path) is None


def test_the_next_one_gets_the_lock_as_soon_as_it_is_free(tmp_path: Path) -> None:
    order: list[str] = []

    def wait_for_it() -> None:
        with folder_lock(tmp_path, timeout_s=5):
            order.append("second")

    thread = threading.Thread(target=wait_for_it)
    with folder_lock(tmp_path):
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), folder_lock(tmp_path):
        raise ValueError("x")

    with folder_lock(tmp_path, timeout_s=0):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="fcntl is not there")
def test_a_drive_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)

    with pytest.raises(StorageError, match="does not support file locks"), folder_lock(tmp_path):
        pass


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does not exist"), folder_lock(tmp_path / "missing"):
        pass
