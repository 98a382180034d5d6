"""How a job stands: status.json, and whether the process that wrote it is still there."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, dataclass, replace
from enum import Enum

from barl.atomic import write_json
from barl.errors import JobError
from barl.jobs.layout import AnyFolder, JobFolder
from barl.jobs.processes import Process, process_started
from barl.jobs.spec import FORMAT_VERSION, require_job
from barl.records import Fields, format_stamp, read_fields

_ADVICE = (
    "The file only tells how the job stands; what was learned is in its checkpoints. Delete this file and resume the "
    "job: it goes on from the last checkpoint. The job's log.txt tells what happened."
)

HEARTBEAT_LIMIT_S = 60.0
"""A job on another computer that was silent for longer is taken for interrupted."""


class State(str, Enum):
    """What a job is doing. ``interrupted`` is never written: it is what a reader finds out."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"

    @property
    def is_active(self) -> bool:
        """Whether a process is, or should be, at work."""
        return self in (State.QUEUED, State.RUNNING, State.STOPPING)


@dataclass(frozen=True, kw_only=True)
class Status:
    """The content of status.json."""

    state: State

    percent: float | None = None
    """How much is done, 0 to 100."""

    remaining_s: float | None = None
    """Estimated seconds until the end."""

    stage: str = ""
    """What it is at, in a word or two."""

    message: str = ""
    """A sentence for people."""

    pid: int | None = None
    process_started: float | None = None
    """As ``process_started`` gives it; with the pid it names one process for good."""

    host: str = ""

    heartbeat: float | None = None
    """When this was written, seconds since 1970."""

    error: str | None = None
    """The last error, for people."""

    step: int | None = None
    total_steps: int | None = None

    def by_this_process(self) -> Status:
        """The same, signed with this process, this computer and the time."""
        me = Process.current()
        return replace(self, pid=me.pid, process_started=me.started, host=socket.gethostname(), heartbeat=time.time())


def write_status(folder: AnyFolder, status: Status) -> None:
    """Replace status.json.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    content = asdict(status) | {"state": status.state.value}
    write_json(JobFolder.of(folder).status, format_stamp(FORMAT_VERSION) | content)


def read_status(folder: AnyFolder, *, now: float | None = None) -> Status:
    """Read how a job stands; ``interrupted`` when its process is gone.

    On this computer the process itself is looked at, however old the heartbeat (a laptop may have slept). On another
    one the heartbeat must be young; one from the future means that the clocks differ, and is taken for young.

    Args:
        folder: the job folder.
        now: seconds since 1970, for tests.

    Raises:
        JobError: there is no such job, or its status is damaged.
        NewerFormatError: a newer BARL wrote it.
    """
    job = require_job(folder)
    status = _written(job)
    if not status.state.is_active or _has_process(job, status, time.time() if now is None else now):
        return status
    message = "Its process ended without saying so. Resume it; log.txt may tell why."
    if status.pid is None and not job.process.is_file():
        message = "It was made but never started. Resume it to start it."
    return replace(status, state=State.INTERRUPTED, remaining_s=None, message=message)


def _written(job: JobFolder) -> Status:
    """What status.json says; without one the job is as old as its job.json, and has not said anything yet."""
    if job.status.is_file():
        return _parse(read_fields(job.status, JobError, _ADVICE))
    return Status(state=State.QUEUED, heartbeat=job.spec.stat().st_mtime)


def write_launched(folder: AnyFolder, process: Process) -> None:
    """Note which process was launched for a job."""
    content = {"pid": process.pid, "process_started": process.started, "host": socket.gethostname()}
    write_json(JobFolder.of(folder).process, content)


def read_launched(folder: AnyFolder) -> Process | None:
    """The process that was launched for a job on this computer; None when there was none."""
    job = JobFolder.of(folder)
    if not job.process.is_file():
        return None
    fields = read_fields(job.process, JobError, "Once no process of this job runs any more, delete this file.")
    here = fields.text("host") == socket.gethostname()
    return Process(fields.integer("pid"), fields.optional_number("process_started")) if here else None


def worker(status: Status) -> Process | None:
    """The process that signed a status, if it is one of this computer."""
    here = status.pid is not None and status.host == socket.gethostname()
    return Process(status.pid or 0, status.process_started) if here else None


def _has_process(job: JobFolder, status: Status, now: float) -> bool:
    if status.pid is None:  # Queued: no process has signed yet.
        if not job.process.is_file():  # Nor was one started: whoever made the job is about to, or died before.
            return status.heartbeat is None or now - status.heartbeat <= HEARTBEAT_LIMIT_S
        launched = read_launched(job)
        return launched is None or launched.is_alive
    process = worker(status)
    if process is not None:
        return process.is_alive
    return status.heartbeat is not None and now - status.heartbeat <= HEARTBEAT_LIMIT_S


def _parse(fields: Fields) -> Status:
    fields.require_format(FORMAT_VERSION)
    return Status(
        state=fields.choice("state", State),
        percent=fields.optional_number("percent"),
        remaining_s=fields.optional_number("remaining_s"),
        stage=fields.text("stage", ""),
        message=fields.text("message", ""),
        pid=fields.optional_integer("pid"),
        process_started=fields.optional_number("process_started"),
        host=fields.text("host", ""),
        heartbeat=fields.optional_number("heartbeat"),
        error=fields.optional_text("error"),
        step=fields.optional_integer("step"),
        total_steps=fields.optional_integer("total_steps"),
    )


__all__ = [
    "HEARTBEAT_LIMIT_S",
    "State",
    "Status",
    "process_started",
    "read_launched",
    "read_status",
    "worker",
    "write_launched",
    "write_status",
]
