"""Starting a job as a process of its own, which outlives whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import barl
from barl.atomic import storage_errors
from barl.errors import JobError
from barl.jobs.control import clear_stop
from barl.jobs.layout import AnyFolder, JobFolder
from barl.jobs.processes import Process, process_started, share_cores, wait_until_dead
from barl.jobs.spec import read_spec
from barl.jobs.status import State, Status, read_launched, read_status, write_launched, write_status

_CLAIM_AGE_S = 60.0
_LEAVING_S = 20.0


def launch(
    folder: AnyFolder,
    *,
    python: str = sys.executable,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> int:
    """Start ``python -u -m barl.run_job <folder>``, detached; its output goes to log.txt.

    Args:
        folder: a job folder with job.json; a job that ended before is resumed or begun again by its own rules.
        python: the Python that has BARL and torch.
        prefix: command in front, such as ``("srun", "--gpus=1")``, ``("nice", "-n", "10")``, or that of torchrun, whose
            copies share the job among them (docs/distributed.md).
        environment: all variables of the process; by default those of this one.

    Returns:
        The number of the started process.

    Raises:
        JobError: the folder is no job, the job runs already, or the command is not there.
        NewerFormatError: a newer BARL wrote the job.
        StorageError: the folder cannot be written.
    """
    job = JobFolder(JobFolder.of(folder).path.absolute())
    read_spec(job)
    with _claimed(job):
        _refuse_second(job)
        clear_stop(job)
        write_status(job, Status(state=State.QUEUED, heartbeat=time.time()))
        job.process.unlink(missing_ok=True)
        command = [*prefix, python, "-u", "-m", "barl.run_job", str(job.path)]
        process = _start(job, command, _environment(python, environment))
        started = process_started(process.pid) or 0.0  # 0: it has ended already, and no later process is taken for it.
        write_launched(job, Process(process.pid, started))
    # Waiting in a thread keeps no zombie of an ended job, and no one has to remember the process.
    threading.Thread(target=process.wait, name=f"barl-job-{process.pid}", daemon=True).start()
    return process.pid


@contextmanager
def _claimed(job: JobFolder) -> Iterator[None]:
    """Let one launcher at a time in; a claim that a killed launcher left is ignored after a minute."""
    claim = job.path / ".launching"
    with suppress(OSError):
        if time.time() - claim.stat().st_mtime > _CLAIM_AGE_S:
            claim.unlink()
    try:
        with storage_errors(claim):
            claim.touch(exist_ok=False)
    except FileExistsError:
        raise JobError(f"{job.path} is just being started by another program. Wait a moment and look again.") from None
    try:
        yield
    finally:
        claim.unlink(missing_ok=True)


def _refuse_second(job: JobFolder) -> None:
    status, launched = read_status(job), read_launched(job)
    if launched is not None and not status.state.is_active:
        # A process that has said its last word may still be on its way out.
        wait_until_dead([launched], _LEAVING_S)
    launched_lives = launched is not None and launched.is_alive
    if launched_lives or (status.state.is_active and status.pid is not None):
        pid = launched.pid if launched is not None and launched_lives else status.pid
        where = f" on {status.host}" if status.host else ""
        raise JobError(
            f"The job in {job.path} runs already (process {pid}{where}, {status.state.value}). "
            "Stop it first, or wait until it is done."
        )


def _start(job: JobFolder, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with storage_errors(job.log):
        log = job.log.open("ab")
    with log:
        try:
            return _detached(command, job.path, log.fileno(), environment)
        except OSError as error:
            message = f"Cannot start {command[0]}: {error.strerror}. Check that it is installed and may be run."
            write_status(job, Status(state=State.FAILED, heartbeat=time.time(), error=message))
            raise JobError(message) from error


def _detached(
    command: Sequence[str], folder: Path, log: int, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    def start(flags: int) -> subprocess.Popen[bytes]:
        # The job folder as working folder: -m looks there first, and it holds no Python files to be mistaken for ours.
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(environment),
            start_new_session=os.name != "nt",
            creationflags=flags,
        )

    if sys.platform == "win32":
        # No window, also for the processes that it starts; Slicer closing must not take the job with it.
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            return start(flags | subprocess.CREATE_BREAKAWAY_FROM_JOB)
        except PermissionError:  # Some launchers and remote desktops forbid leaving their Windows job.
            return start(flags)
    else:
        return start(0)


def _environment(python: str, given: Mapping[str, str] | None) -> dict[str, str]:
    environment = dict(os.environ if given is None else given) | {"PYTHONUTF8": "1"}
    share_cores(environment)
    if python == sys.executable:  # Slicer finds barl in the extension's folder, which a new Python does not know.
        known = environment.get("PYTHONPATH", "").split(os.pathsep)
        here = str(Path(barl.__file__).parents[1])
        environment["PYTHONPATH"] = os.pathsep.join([here, *(path for path in known if path and path != here)])
    return environment
