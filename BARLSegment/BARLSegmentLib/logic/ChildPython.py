"""Programs that are run to their end in a process of their own, such as Slicer's Python."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from barl.errors import JobFailedError
from BARLSegmentLib.logic.PythonProgram import pythonProgram


class Task(Enum):
    """What a command is for; a panel has the words."""

    REMOVE = "remove"
    INSTALL = "install"
    TRY = "try"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a process is to do."""

    program: str | None = None
    """None: Slicer's Python."""

    arguments: tuple[str, ...]
    timeoutSeconds: float
    task: Task = Task.TRY
    packages: tuple[str, ...] = ()
    """Names of what is removed or installed."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a child process ended."""

    code: int
    output: str
    """What it printed, both streams together."""


class Runner(Protocol):
    """Runs commands; the real one is :class:`ChildPython`."""

    def __call__(self, command: Command, onLine: Callable[[str], None]) -> Finished:
        """Run one to the end, telling each line it prints."""
        ...


class ChildPython:
    """Slicer's Python in a process of its own.

    Args:
        python: the program.
        environment: its variables; in Slicer those of ``slicer.util.startupEnvironment()``. None for those that are.

    Attributes:
        environment: what its processes are given.
    """

    def __init__(self, python: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._python = python or pythonProgram()
        self.environment = dict(os.environ if environment is None else environment) | {"PYTHONUTF8": "1"}

    def line(self, command: Command) -> list[str]:
        """Program and arguments."""
        return [command.program or self._python, *command.arguments]

    def __call__(self, command: Command, onLine: Callable[[str], None]) -> Finished:
        """Run a command to the end, telling each line as it comes.

        Raises:
            JobFailedError: the program is not there, or takes too long.
        """
        tooLate = threading.Event()
        lines: list[str] = []
        with self._started(command) as process:

            def end() -> None:
                tooLate.set()
                process.kill()

            timer = threading.Timer(command.timeoutSeconds, end)
            timer.start()
            try:
                for line in process.stdout or ():
                    lines.append(line.decode("utf-8", "replace").rstrip())
                    onLine(lines[-1])
                code = process.wait()
            finally:
                timer.cancel()
                process.kill()  # Whoever listens may have failed; half an install is found by the next check.
        if tooLate.is_set():
            raise tookTooLong(self.line(command)[0], command)
        return Finished(code=code, output="\n".join(lines))

    def _started(self, command: Command) -> subprocess.Popen[bytes]:
        line = self.line(command)
        with startErrors(line[0]):
            return subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self.environment,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )


def tookTooLong(program: str, command: Command) -> JobFailedError:
    """The error for a process that had to be ended."""
    return JobFailedError(
        f"{program} did not finish within {command.timeoutSeconds / 60:.0f} minutes. Check the connection and "
        "free disk space, and try again."
    )


@contextmanager
def startErrors(program: str) -> Iterator[None]:
    """Turn the system's refusal to start a program into an error with a way out."""
    try:
        yield
    except OSError as error:
        raise JobFailedError(f"Cannot start {program}: {error.strerror}. Reinstall Slicer.") from error
