"""What the journeys share: the installed command in a process of its own, and a study made with it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

COMMAND = shutil.which("barl", path=str(Path(sys.executable).parent)) or "barl"
SMALL = ("--device", "cpu", "--precision", "fp32", "--set", "network.base_filters=4")
"""A training of seconds whose numbers do not depend on how busy the computer is."""

_TIMEOUT_S = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be exactly one JSON object."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def barl(*arguments: object) -> Answer:
    """Run a command to its end; a traceback is never an answer."""
    return answer_of(start(*arguments))


def done(*arguments: object) -> dict[str, Any]:
    """Run a command that must succeed, and give its JSON object."""
    answer = barl(*arguments, "--json")
    assert answer.code == 0, answer.out + answer.err
    return answer.json


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a command and leave it running; Control-C reaches it as in a terminal."""
    line = [COMMAND, *map(str, arguments)]
    pipe = subprocess.PIPE
    hears = None if sys.platform == "win32" else _hear_control_c
    return subprocess.Popen(line, stdout=pipe, stderr=pipe, encoding="utf-8", preexec_fn=hears)


def _hear_control_c() -> None:
    """Tests that a shell runs in the background ignore the signal, and so would all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def answer_of(process: subprocess.Popen[str]) -> Answer:
    """Wait for a started command."""
    out, err = process.communicate(timeout=_TIMEOUT_S)
    assert "Traceback" not in out + err, err
    return Answer(code=process.returncode, out=out, err=err)


def wait_until(true: Callable[[], object]) -> None:
    """Look again and again; the job writes files, so there is nothing else to wait for."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def events(round_folder: Path, kind: str) -> list[dict[str, Any]]:
    """All events of a kind."""
    lines = (round_folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def states(cohort: Path) -> dict[str, str]:
    """State of each case."""
    return {case["id"]: case["state"] for case in done("cohort", "status", cohort)["cases"]}


def weights(round_folder: Path) -> dict[str, torch.Tensor]:
    """The model a round has left."""
    loaded: dict[str, torch.Tensor] = torch.load(round_folder / "model" / "weights.pt", weights_only=True)
    return loaded


def assert_same_weights(one: Path, other: Path) -> None:
    """Two rounds left the same model, bit for bit."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
