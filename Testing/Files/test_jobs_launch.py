"""Launching, stopping and finding jobs, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from barl.errors import JobError
from barl.jobs import (
    JobFolder,
    JobSpec,
    State,
    Status,
    clear_stop,
    find_jobs,
    launch,
    process_started,
    read_status,
    request_stop,
    stop_and_wait,
    stop_requested,
    wait,
    write_spec,
    write_status,
)

_OBEDIENT = """
import sys, time
from barl.jobs import State, Status, stop_requested, write_status
print("Zähne", sys.flags.utf8_mode)
write_status(sys.argv[-1], Status(state=State.RUNNING).by_this_process())
while not stop_requested(sys.argv[-1]):
    time.sleep(0.02)
write_status(sys.argv[-1], Status(state=State.STOPPED).by_this_process())
"""

_IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"

_LINGERING = """
import sys, time
from barl.jobs import State, Status, write_status
write_status(sys.argv[-1], Status(state=State.FINISHED).by_this_process())
time.sleep(1.5)
"""

_STUBBORN = """
import signal, subprocess, sys, time
from dataclasses import replace
from pathlib import Path
from barl.jobs import State, Status, write_status
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
child = (
    "import subprocess, sys, time; "
    "own = subprocess.Popen([sys.executable, '-c', sys.argv[1]]); print(own.pid, flush=True); time.sleep(60)"
)
own = subprocess.Popen([sys.executable, "-c", child, grandchild], stdout=subprocess.PIPE, text=True)
Path(sys.argv[-1], "children").write_text(f"{own.pid} {own.stdout.readline()}")
write_status(sys.argv[-1], Status(state=State.RUNNING).by_this_process())
time.sleep(60)
"""


@pytest.fixture
def started(a_job: JobFolder) -> Iterator[Callable[[str], int]]:
    """Launches a program as the job; it is ended with the test."""

    def start(program: str) -> int:
        # The program takes the place of `python -u -m barl.run_job <folder>`, which becomes its arguments.
        return launch(a_job, prefix=[sys.executable, "-c", program])

    yield start
    stop_and_wait(a_job, grace_s=0)


def _wait_for(job: JobFolder, state: State, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while read_status(job).state is not state:
        assert time.monotonic() < deadline, (read_status(job), job.log.read_text("utf-8"))
        time.sleep(0.02)


def test_a_job_that_said_its_last_word_is_launched_again_while_its_process_still_leaves(
    a_job: JobFolder, started: Callable[[str], int]
) -> None:
    leaving = started(_LINGERING)
    _wait_for(a_job, State.FINISHED)
    assert process_started(leaving) is not None, "it left too early to prove anything"
    assert started(_OBEDIENT) != leaving
    _wait_for(a_job, State.RUNNING)


def test_a_launched_job_runs_apart_and_stops_when_asked(a_job: JobFolder, started: Callable[[str], int]) -> None:
    pid = started(_OBEDIENT)
    _wait_for(a_job, State.RUNNING)

    assert read_status(a_job).pid == pid
    if sys.platform != "win32":
        assert os.getsid(pid) == pid

    assert stop_and_wait(a_job) is State.STOPPED
    assert process_started(pid) is None
    assert a_job.log.read_text("utf-8") == "Zähne 1\n"


def test_waiting_ends_with_the_job_and_shows_every_look(a_job: JobFolder) -> None:
    moves = [Status(state=State.RUNNING, step=step).by_this_process() for step in (1, 2)]
    moves.append(Status(state=State.FINISHED, step=3))
    seen: list[Status] = []

    def look(status: Status) -> None:
        seen.append(status)
        if moves:
            write_status(a_job, moves.pop(0))

    ended = wait(a_job, poll_seconds=0.0, on_look=look)

    assert [status.state for status in seen] == [State.QUEUED, State.RUNNING, State.RUNNING, State.FINISHED]
    assert ended == seen[-1]
    assert ended.step == 3


def test_waiting_ends_when_the_jobs_process_has_died(a_job: JobFolder, started: Callable[[str], int]) -> None:
    started("raise SystemExit('no torch')")

    assert wait(a_job, poll_seconds=0.02).state is State.INTERRUPTED


def test_the_command_is_the_engines_own(a_job: JobFolder) -> None:
    launch(
        a_job,
        prefix=[sys.executable, "-c", "import os, sys; print(sys.argv[1:], os.environ['MARK'])"],
        python="py",
        environment=dict(os.environ) | {"MARK": "mine"},
    )
    _wait_for(a_job, State.INTERRUPTED)

    assert a_job.log.read_text("utf-8") == f"{['py', '-u', '-m', 'barl.run_job', str(a_job.path)]} mine\n"


def test_threads_of_a_job_sleep_while_they_wait_unless_the_user_says_otherwise(a_job: JobFolder) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    tell = [sys.executable, "-c", f"import os; print([os.environ[name] for name in {names} if name in os.environ])"]
    others = {key: value for key, value in os.environ.items() if key not in names}

    for environment in (others, others | {"OMP_WAIT_POLICY": "ACTIVE"}):
        launch(a_job, prefix=tell, environment=environment)
        _wait_for(a_job, State.INTERRUPTED)

    ours = "1000" if sys.platform == "linux" else "PASSIVE"
    assert a_job.log.read_text("utf-8") == f"['{ours}']\n['ACTIVE']\n"


def test_a_job_that_dies_before_it_begins_is_interrupted_and_can_be_launched_again(
    a_job: JobFolder, started: Callable[[str], int]
) -> None:
    started("raise SystemExit('no torch')")
    _wait_for(a_job, State.INTERRUPTED)
    assert "no torch" in a_job.log.read_text("utf-8")

    started(_OBEDIENT)
    _wait_for(a_job, State.RUNNING)


def test_a_living_job_is_not_launched_twice(a_job: JobFolder, started: Callable[[str], int]) -> None:
    pid = started(_OBEDIENT)
    with pytest.raises(JobError, match=f"runs already .process {pid}"):
        started(_OBEDIENT)

    _wait_for(a_job, State.RUNNING)
    with pytest.raises(JobError, match=f"runs already .process {pid}.*running"):
        started(_OBEDIENT)


def test_a_job_that_lives_on_another_computer_is_not_launched(a_job: JobFolder) -> None:
    write_status(a_job, Status(state=State.RUNNING, pid=7, host="elsewhere", heartbeat=time.time()))

    with pytest.raises(JobError, match="process 7 on elsewhere"):
        launch(a_job)


def test_two_launchers_at_once_are_told_apart(a_job: JobFolder) -> None:
    claim = a_job.path / ".launching"
    claim.touch()

    with pytest.raises(JobError, match="just being started"):
        launch(a_job)

    os.utime(claim, (time.time() - 120,) * 2)
    launch(a_job, prefix=[sys.executable, "-c", ""])
    assert not claim.exists()


def test_a_job_stopped_earlier_does_not_stop_at_once_when_resumed(
    a_job: JobFolder, started: Callable[[str], int]
) -> None:
    request_stop(a_job)

    started(_OBEDIENT)
    _wait_for(a_job, State.RUNNING)

    assert not stop_requested(a_job)


def test_a_program_that_is_not_there_is_told(a_job: JobFolder) -> None:
    with pytest.raises(JobError, match="Cannot start no-such-python"):
        launch(a_job, python="no-such-python")

    status = read_status(a_job)
    assert status.state is State.FAILED
    assert status.error is not None
    assert "no-such-python" in status.error


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("program", [_STUBBORN, _STUBBORN.replace(_IGNORE, "", 1)], ids=["job", "grandchild only"])
def test_a_stubborn_job_is_ended_with_all_that_it_started(
    a_job: JobFolder, started: Callable[[str], int], program: str
) -> None:
    pid = started(program)
    _wait_for(a_job, State.RUNNING)
    children = [int(word) for word in (a_job.path / "children").read_text().split()]
    family = [pid, *children]
    assert all(process_started(member) is not None for member in family)

    assert stop_and_wait(a_job, grace_s=0.2) is State.INTERRUPTED

    assert [member for member in family if process_started(member) is not None] == []


def test_stopping_what_has_ended_changes_nothing(a_job: JobFolder) -> None:
    write_status(a_job, Status(state=State.FINISHED))

    assert stop_and_wait(a_job) is State.FINISHED
    assert not stop_requested(a_job)


def test_a_job_on_another_computer_is_only_asked(a_job: JobFolder) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        write_status(a_job, Status(state=State.RUNNING, pid=bystander.pid, host="elsewhere", heartbeat=time.time()))

        assert stop_and_wait(a_job, grace_s=0.1) is State.RUNNING
        assert stop_requested(a_job)
        assert process_started(bystander.pid) is not None


def test_a_stranger_with_the_jobs_old_number_is_left_alone(a_job: JobFolder) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        mine = Status(state=State.RUNNING).by_this_process()
        write_status(a_job, replace(mine, pid=stranger.pid, process_started=1.0))

        assert stop_and_wait(a_job, grace_s=0.1) is State.INTERRUPTED
        assert process_started(stranger.pid) is not None


def test_a_stop_request_can_be_taken_back(a_job: JobFolder, tmp_path: Path) -> None:
    request_stop(a_job)
    assert stop_requested(a_job)
    clear_stop(a_job)
    assert not stop_requested(a_job)
    clear_stop(a_job)

    with pytest.raises(JobError, match="is not a job"):
        request_stop(tmp_path / "nothing")


def test_jobs_are_found_below_a_cohort_and_not_among_volumes(tmp_path: Path) -> None:
    for name in ("rounds/0002", "rounds/0001", "images/dicom", "a/b/c/d", "a/b/c/d2/e"):
        write_spec(tmp_path / name, JobSpec(kind="train"))

    found = [job.path.relative_to(tmp_path).as_posix() for job in find_jobs(tmp_path)]

    assert found == ["a/b/c/d", "rounds/0001", "rounds/0002"]
    assert [job.path for job in find_jobs(tmp_path / "rounds" / "0001")] == [tmp_path / "rounds" / "0001"]
    assert find_jobs(tmp_path / "missing") == []
