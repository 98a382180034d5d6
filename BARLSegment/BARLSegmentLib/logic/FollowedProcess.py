"""A process whose end is looked for and never waited for: a timer of a panel asks now and then."""

from __future__ import annotations

import codecs
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from barl.jobs.processes import family, kill
from BARLSegmentLib.logic.ChildPython import startErrors

_MOST_BYTES = 64 * 1024
"""Read in one look: a window must not wait for a program that prints without end."""


class FollowedProcess:
    """Starts at once; what it prints goes through a file, so that neither side ever waits for the other.

    Args:
        line: program and arguments.
        environment: its variables.
        clock: seconds that only their differences matter of.

    Attributes:
        output: what it has printed so far, both streams together.

    Raises:
        JobFailedError: the program is not there.
    """

    def __init__(
        self, line: Sequence[str], environment: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._began = clock()
        self._folder = tempfile.TemporaryDirectory(prefix="barl-", ignore_cleanup_errors=True)
        path = Path(self._folder.name) / "output.txt"
        try:
            self._process = _started(line, environment, path)
        except BaseException:
            self._folder.cleanup()
            raise
        self._file = path.open("rb")
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.output = ""

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return self._clock() - self._began

    def look(self) -> int | None:
        """Read what it printed since the last look; its exit code once it has ended and all is read, else None."""
        code = self._process.poll()
        block = self._file.read(_MOST_BYTES)
        self.output += self._decoder.decode(block).replace("\r", "\n")
        if code is None or len(block) == _MOST_BYTES:
            return None
        self._close()
        return code

    def end(self) -> None:
        """End it and all that it started, if it still runs."""
        if self._process.poll() is None:
            # A launcher's child would outlive it.
            kill(family(self._process.pid))
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        self._file.close()
        self._folder.cleanup()


def _started(line: Sequence[str], environment: Mapping[str, str], output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as written, startErrors(line[0]):
        return subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
