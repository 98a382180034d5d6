"""Run a training job to its end, and say what it took."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from barl.jobs import State, Status, launch, read_status, wait


@dataclass
class _Taken:
    """What the looks at a job's process have found so far."""

    memory_mib: float = 0.0
    processor_seconds: float = 0.0

    def look(self, status: Status) -> None:
        if status.pid is None:
            return
        # Between a look at the status and this one the process may have ended.
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(status.pid)
            memory, clock = process.memory_info(), process.cpu_times()
            self.memory_mib = max(self.memory_mib, memory.rss / 2**20)
            self.processor_seconds = clock.user + clock.system


def finish(folder: Path) -> dict[str, Any]:
    """Start a job or go on with it, and wait for its end.

    Returns:
        ``memory_mib``, the largest resident memory of its process, and ``processor_seconds`` of all its threads: both
        looked at once a second, and None where a part of the job was done before.

    Raises:
        SystemExit: the job failed.
    """
    before = read_status(folder).state
    whole, taken = before is State.QUEUED, _Taken()
    if before is not State.FINISHED:
        launch(folder, environment={**os.environ, "PYTHONUNBUFFERED": "1"})
    status = wait(folder, on_look=taken.look)
    if status.state is not State.FINISHED:
        raise SystemExit(f"{folder} ended as {status.state.value}: {status.error}")
    return {
        "memory_mib": round(taken.memory_mib) if whole else None,
        "processor_seconds": round(taken.processor_seconds, 1) if whole else None,
    }
