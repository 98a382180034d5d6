"""Work that would keep the window waiting, done by a process of its own and looked at from a timer."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from barl.errors import JobError
from BARLSegmentLib.logic.PythonProgram import pythonProgram, withBarl

logger = logging.getLogger(__name__)

_MODULE = "BARLSegmentLib.logic.CohortWork"


@dataclass(frozen=True, kw_only=True)
class WorkLook:
    """How a piece of work stands."""

    share: float = 0.0
    """Of it that is done, 0 to 1."""

    what: str = ""
    """What it is at, such as a file's name."""

    isOver: bool = False
    isCanceled: bool = False
    answer: Any = None
    """What it was done for, once it is over."""

    error: str = ""
    """Why it failed, for people; empty when it did not."""


class Work(Protocol):
    """A piece of work that goes on elsewhere."""

    def look(self) -> WorkLook:
        """How it stands now; never waits."""
        ...

    def cancel(self) -> None:
        """Give it up; what it has made so far is removed, and then it is over."""
        ...

    def end(self) -> None:
        """Give it up without waiting for what becomes of it; to be called when the window goes."""
        ...


StartWork = Callable[[Mapping[str, Any]], Work]
"""Begins what a request of ``CohortWork`` asks for."""


class ChildWork:
    """One request to ``CohortWork`` in a child process.

    Args:
        request: what is to be done.
        python: the program; by default ``PythonSlicer``, else the Python that runs.
        environment: its variables; by default those of this process.

    Raises:
        JobError: the program cannot be started.
    """

    def __init__(
        self, request: Mapping[str, Any], *, python: str | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="barl-work-"))
        self._said = 0
        self._look = WorkLook()
        python = python or pythonProgram()
        try:
            self._process = self._start(python, os.environ if environment is None else environment)
            self._ask(request)
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise JobError(f"Cannot start {python}: {error.strerror}. Check that it is installed.") from error

    def look(self) -> WorkLook:
        """How it stands now; never waits."""
        before = self._look
        if before.isOver:
            return before
        ended = self._process.poll() is not None  # Asked first: what it said last must not be missed.
        for answer in self._answers():
            self._take(answer)
        if ended and not self._isOver():
            self._take({"error": self._lastWords()})
        if self._isOver():
            self.end()
        return self._look

    def _isOver(self) -> bool:
        return self._look.isOver

    def cancel(self) -> None:
        """Close its input, which it takes for a sign to remove what it has made and to end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def end(self) -> None:
        """Forget it: it is told to end, and what it wrote here goes when it has."""
        self.cancel()
        threading.Thread(target=self._tidy, name=f"barl-work-{self._process.pid}", daemon=True).start()

    def _tidy(self) -> None:
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, python: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        variables = withBarl(environment)
        here = str(Path(__file__).parents[2])
        variables["PYTHONPATH"] = os.pathsep.join([here, variables["PYTHONPATH"]])
        with self._path("answers").open("wb") as answers, self._path("complaints").open("wb") as complaints:
            return subprocess.Popen(
                [python, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=answers,
                stderr=complaints,
                env=variables,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )

    def _ask(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _answers(self) -> list[dict[str, Any]]:
        """What it said since the last look, in whole lines."""
        with self._path("answers").open("rb") as file:
            file.seek(self._said)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._said += len(whole) + len(newline)
        return [answer for line in whole.splitlines() if (answer := _decoded(line)) is not None]

    def _take(self, answer: Mapping[str, Any]) -> None:
        if "share" in answer:
            self._look = replace(self._look, share=float(answer["share"]), what=str(answer["what"]))
            return
        if "details" in answer:
            logger.error("%s failed:\n%s", _MODULE, answer["details"])
        self._look = replace(
            self._look,
            isOver=True,
            isCanceled="canceled" in answer,
            answer=answer.get("answer"),
            error=str(answer.get("error", "")),
        )

    def _lastWords(self) -> str:
        text = self._path("complaints").read_text(encoding="utf-8", errors="replace").strip()
        logger.error("%s ended:\n%s", _MODULE, text)
        last = text.splitlines()[-1] if text else "it printed nothing"
        return f"The process that does this has ended: {last}. Try again; the log has the details."

    def _path(self, name: str) -> Path:
        return self._folder / name


def _decoded(line: bytes) -> dict[str, Any] | None:
    """An answer; None for what a library has printed in between."""
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
