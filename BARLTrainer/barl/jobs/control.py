"""Waiting for a job, asking it to stop, making it stop, and finding jobs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from barl.atomic import storage_errors, write_text
from barl.jobs.layout import AnyFolder, JobFolder
from barl.jobs.processes import Process, family, kill, terminate, wait_until_dead
from barl.jobs.spec import require_job
from barl.jobs.status import State, Status, read_launched, read_status, worker

_TERMINATE_GRACE_S = 2.0
_KILL_GRACE_S = 5.0
_SEARCH_DEPTH = 4
_NO_JOBS_INSIDE = {"images", "annotations", "cache", "checkpoints", "model", "predictions"}


def wait(
    folder: AnyFolder, *, poll_seconds: float = 1.0, on_look: Callable[[Status], None] = lambda status: None
) -> Status:
    """Look at a job again and again until it has ended, also by a crash; only its files are read.

    Args:
        folder: the job folder.
        poll_seconds: from one look to the next.
        on_look: called with what each look found, the last one too.

    Returns:
        How it ended.

    Raises:
        JobError: there is no such job, or its status is damaged.
    """
    while True:
        status = read_status(folder)
        on_look(status)
        if not status.state.is_active:
            return status
        time.sleep(poll_seconds)


def request_stop(folder: AnyFolder) -> None:
    """Ask a job to save its state and stop.

    Raises:
        JobError: there is no such job.
        StorageError: the folder cannot be written.
    """
    write_text(require_job(folder).stop, "Please save and stop.\n")


def stop_requested(folder: AnyFolder) -> bool:
    """Whether someone has asked the job to stop."""
    return JobFolder.of(folder).stop.exists()


def clear_stop(folder: AnyFolder) -> None:
    """Take the request back."""
    job = JobFolder.of(folder)
    with storage_errors(job.stop):
        job.stop.unlink(missing_ok=True)


def stop_and_wait(folder: AnyFolder, grace_s: float = 10.0) -> State:
    """Ask a job to stop; when it has not within the grace, end its process and all that it started.

    A job on another computer can only be asked.

    Args:
        folder: the job folder.
        grace_s: how long it may take to save its state.

    Returns:
        How it stands then: ``stopped`` when it obeyed, ``interrupted`` when it had to be ended, ``stopping`` or
        ``running`` when it is on another computer and still at it.

    Raises:
        JobError: there is no such job.
    """
    job = require_job(folder)
    if not read_status(job).state.is_active:
        return read_status(job).state
    request_stop(job)
    if not _wait_for_end(job, grace_s):
        _end(job)
    return read_status(job).state


def find_jobs(root: Path) -> list[JobFolder]:
    """The jobs in a folder and below, by path; four levels deep, and not where volumes are kept."""
    found = []
    for name, folders, files in os.walk(root):
        folder = Path(name)
        is_job = "job.json" in files
        if is_job:
            found.append(JobFolder(folder))
        deep = len(folder.relative_to(root).parts) >= _SEARCH_DEPTH
        folders[:] = [] if is_job or deep else [one for one in folders if one not in _NO_JOBS_INSIDE]
    return sorted(found, key=lambda job: job.path)


def _wait_for_end(job: JobFolder, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while read_status(job).state.is_active or any(process.is_alive for process in _processes(job)):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _processes(job: JobFolder) -> list[Process]:
    """The launched process (which may be a launcher such as torchrun) and the one that signed the status."""
    known = {process.pid: process for process in (read_launched(job), worker(read_status(job))) if process is not None}
    return list(known.values())


def _end(job: JobFolder) -> None:
    # All members are noted first: children of an ended process cannot be told from strangers any more.
    running = [process for process in _processes(job) if process.is_alive and process.pid != os.getpid()]
    members = {member for process in running for member in family(process.pid)}
    terminate(members)
    if wait_until_dead(members, _TERMINATE_GRACE_S):
        return
    late = {child for member in members if member.is_alive for child in family(member.pid)}
    kill(members | late)
    wait_until_dead(members | late, _KILL_GRACE_S)
