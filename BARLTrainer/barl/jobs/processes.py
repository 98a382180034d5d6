"""Processes of this computer: is one alive, is it the same one, which belong to it; without psutil."""

from __future__ import annotations

import calendar
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_START_TOLERANCE_S = 1.0
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@dataclass(frozen=True)
class Process:
    """A process that a later one with the same number is not mistaken for."""

    pid: int
    started: float | None

    @classmethod
    def current(cls) -> Process:
        """The process that asks."""
        return _numbered(os.getpid())

    @property
    def is_alive(self) -> bool:
        """Whether it runs; a process of the same number that started at another time is not it."""
        now = process_started(self.pid)
        return now is not None and (self.started is None or abs(now - self.started) < _START_TOLERANCE_S)


@cache
def _numbered(pid: int) -> Process:
    return Process(pid, process_started(pid))


def process_started(pid: int) -> float | None:
    """When a process started, in seconds; None when it does not run.

    Only good for telling processes of one computer apart: Linux counts from its own start, so that setting the clock
    changes nothing, Windows and macOS from 1970.
    """
    return _started(pid) if pid > 0 else None


def family(pid: int) -> list[Process]:
    """A process, what it started, what that started, and what else is in its process group."""
    rows = _process_table()
    members = {pid}
    while grown := {row for row, parent, group in rows if parent in members or group == pid} - members:
        members |= grown
    return [process for process in (Process(one, process_started(one)) for one in members) if process.is_alive]


def terminate(processes: Iterable[Process]) -> None:
    """Ask processes to end; Windows has no such request for a process without a window."""
    if os.name != "nt":
        _signal(processes, signal.SIGTERM)


def kill(processes: Iterable[Process]) -> None:
    """End processes at once."""
    if os.name == "nt":
        for process in processes:
            if process.is_alive:
                _run_quietly("taskkill", "/F", "/T", "/PID", str(process.pid))
    else:
        _signal(processes, signal.Signals(9))  # SIGKILL, which Windows' signal module lacks.


def wait_until_dead(processes: Iterable[Process], timeout_s: float) -> bool:
    """Wait until all have ended; False when time runs out first."""
    deadline = time.monotonic() + timeout_s
    while any(process.is_alive for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        if process.is_alive and process.pid != os.getpid():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, number)


def _run_quietly(*command: str) -> str:
    environment = os.environ | {"LC_ALL": "C", "TZ": "UTC"}
    no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            creationflags=no_window,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _QUERY_LIMITED_INFORMATION = 0x1000
    _STILL_ACTIVE = 259
    _SECONDS_1601_TO_1970 = 11_644_473_600

    def _started(pid: int) -> float | None:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = wintypes.HANDLE(kernel.OpenProcess(_QUERY_LIMITED_INFORMATION, False, wintypes.DWORD(pid)))
        if not handle:
            return None
        try:
            code = wintypes.DWORD()
            times = [wintypes.FILETIME() for _ in range(4)]
            known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
            known = known and kernel.GetProcessTimes(handle, *map(ctypes.byref, times))
        finally:
            kernel.CloseHandle(handle)
        if not known or code.value != _STILL_ACTIVE:
            return None
        ticks = (times[0].dwHighDateTime << 32) + times[0].dwLowDateTime  # of 100 ns
        return ticks / 1e7 - _SECONDS_1601_TO_1970

    def _process_table() -> list[tuple[int, int, int]]:
        return []  # taskkill /T finds the children itself.

elif sys.platform == "linux":

    def _started(pid: int) -> float | None:
        fields = _stat_fields(pid)
        if not fields or fields[0] in ("Z", "X"):  # ended; its parent has not asked for the result yet
            return None
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")

    def _process_table() -> list[tuple[int, int, int]]:
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [(pid, int(fields[1]), int(fields[2])) for pid in numbers if (fields := _stat_fields(pid))]

    def _stat_fields(pid: int) -> list[str]:
        """The fields of /proc/<pid>/stat from the third on: state, parent, group, ... (man 5 proc)."""
        try:
            line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return line.rpartition(")")[2].split()  # The name before may hold spaces and brackets.

else:

    def _started(pid: int) -> float | None:
        state, _, start = _run_quietly("ps", "-o", "stat=,lstart=", "-p", str(pid)).strip().partition(" ")
        if not start or state.startswith("Z"):
            return None
        return float(calendar.timegm(time.strptime(start.strip(), "%a %b %d %H:%M:%S %Y")))

    def _process_table() -> list[tuple[int, int, int]]:
        rows = [line.split() for line in _run_quietly("ps", "-axo", "pid=,ppid=,pgid=").splitlines()]
        return [(int(row[0]), int(row[1]), int(row[2])) for row in rows if len(row) == 3]


def share_cores(environment: MutableMapping[str, str]) -> None:
    """Let the threads of a numerical library that wait for each other sleep soon, unless the user has decided.

    Threads that spin while they wait rob whoever works beside them, and themselves; threads that sleep at once are
    woken too late. A short spin is as good as sleeping beside another busy process, and nearly as good as spinning
    where there is none (docs/lab-notes.md).

    Args:
        environment: variables of a process that has not loaded torch yet; changed in place.
    """
    if not any(name in environment for name in _WAITING):
        name, value = ("GOMP_SPINCOUNT", "1000") if sys.platform == "linux" else ("OMP_WAIT_POLICY", "PASSIVE")
        environment[name] = value
