"""What this computer has, found out by a process of its own: Slicer's process never imports torch."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import barl

_CODE = "import json; from barl.cli.doctor import examine; print(json.dumps(examine()))"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The answer of the process."""

    facts: tuple[tuple[str, str], ...]
    """What and found, line by line."""

    device: str
    """Where a training would run, in a few words; empty when that is not known."""

    problems: tuple[str, ...]
    """Sentences for people; empty when everything that BARL needs is here."""


class Examination:
    """Starts ``barl doctor`` and reads what it printed.

    Args:
        python: the program that trainings run with.
        environment: its variables.
    """

    def __init__(self, python: str, *, environment: Mapping[str, str] | None = None) -> None:
        self._python = python
        self._environment = dict(os.environ if environment is None else environment)
        known = self._environment.get("PYTHONPATH", "")
        here = str(Path(barl.__file__).parents[1])
        self._environment["PYTHONPATH"] = os.pathsep.join(part for part in (here, known) if part)
        self._process: subprocess.Popen[bytes] | None = None
        self._output: Any = None

    @property
    def isRunning(self) -> bool:
        """Whether the answer is still to come."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Begin; an examination that is going on is not begun twice."""
        if self.isRunning:
            return
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (read when the process has ended)
        self._process = subprocess.Popen(
            [self._python, "-c", _CODE],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=self._environment | {"PYTHONUTF8": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    def stop(self) -> None:
        """End the process; its answer is not wanted any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._output.close()

    def read(self) -> Findings | None:
        """The answer; None while there is none."""
        if self._process is None or self.isRunning:
            return None
        self._output.seek(0)
        text = self._output.read().decode(errors="replace").strip()
        self._output.close()
        failed = self._process.returncode != 0
        self._process = None
        return _failure(text) if failed else _findings(json.loads(text.splitlines()[-1]))


def _findings(record: dict[str, Any]) -> Findings:
    facts = [(_name(key), _words(value)) for key, value in record.items() if key not in _LISTS]
    facts += [(name, version or "not installed") for name, version in record["versions"].items()]
    return Findings(facts=tuple(facts), device=_device(record), problems=tuple(record["problems"]))


def _name(key: str) -> str:
    """``memory_free_gib`` as people read it: memory free (GiB)."""
    return key.removesuffix("_gib").replace("_", " ") + (" (GiB)" if key.endswith("_gib") else "")


def _device(record: dict[str, Any]) -> str:
    devices = [str(each) for each in record["devices"]]
    if not devices:
        return ""
    return f"CPU, {record['cores']} cores" if devices == ["cpu"] else devices[0]


def _failure(text: str) -> Findings:
    last = text.splitlines()[-1] if text else "it printed nothing"
    return Findings(facts=(), device="", problems=(f"BARL's packages are not complete: {last}",))


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


_LISTS = ("versions", "problems")
