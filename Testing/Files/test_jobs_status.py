"""Spec and status of a job, and who is still alive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from barl.errors import JobError, NewerFormatError
from barl.jobs import (
    JobFolder,
    JobSpec,
    State,
    Status,
    process_started,
    read_spec,
    read_status,
    write_spec,
    write_status,
)
from barl.jobs.processes import Process
from barl.jobs.status import write_launched


def test_a_spec_read_again_is_the_same(a_job: JobFolder) -> None:
    assert read_spec(a_job) == read_spec(a_job.path) == JobSpec(kind="train", payload={"minutes": 3})


def test_a_newer_job_is_refused(a_job: JobFolder) -> None:
    write_spec(a_job, JobSpec(kind="train", format_version=2))

    with pytest.raises(NewerFormatError, match=r"job\.json has format 2"):
        read_spec(a_job)


def test_a_damaged_job_is_told_with_its_line(a_job: JobFolder) -> None:
    a_job.spec.write_text('{"kind":\n')

    with pytest.raises(JobError, match=r"job\.json, line 2"):
        read_spec(a_job)


@pytest.mark.parametrize("call", [read_spec, read_status])
def test_a_folder_without_a_job_is_told(tmp_path: Path, call: object) -> None:
    with pytest.raises(JobError, match="is not a job"):
        call(tmp_path)  # type: ignore[operator]


def test_a_job_that_was_made_and_not_started_within_a_minute_can_be_resumed(a_job: JobFolder) -> None:
    write_status(a_job, Status(state=State.QUEUED, heartbeat=1000.0))

    assert read_status(a_job, now=1050.0).state is State.QUEUED
    late = read_status(a_job, now=1100.0)

    assert late.state is State.INTERRUPTED
    assert "never started" in late.message


def test_a_job_that_nobody_started_is_queued(a_job: JobFolder) -> None:
    assert read_status(a_job).state is State.QUEUED


def test_a_status_read_again_is_the_same(a_job: JobFolder) -> None:
    status = Status(
        state=State.RUNNING,
        percent=12.5,
        remaining_s=90,
        stage="train",
        message="Schritt",
        error="e",
        step=5,
        total_steps=9,
    ).by_this_process()
    write_status(a_job, status)

    assert read_status(a_job) == status
    assert status.pid == os.getpid()


def test_an_old_heartbeat_of_a_living_process_is_no_interruption(a_job: JobFolder) -> None:
    write_status(a_job, replace(Status(state=State.RUNNING).by_this_process(), heartbeat=time.time() - 3600))

    assert read_status(a_job).state is State.RUNNING


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPING])
def test_a_dead_process_means_interrupted(a_job: JobFolder, state: State) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    write_status(a_job, replace(Status(state=state).by_this_process(), pid=process.pid))

    assert read_status(a_job).state is State.INTERRUPTED


@pytest.mark.skipif(sys.platform == "win32", reason="there are no zombies")
def test_a_process_that_ended_and_was_not_waited_for_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()
        deadline = time.monotonic() + 5
        while process_started(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)

        assert process_started(process.pid) is None


def test_another_process_with_the_same_number_is_not_the_job(a_job: JobFolder) -> None:
    status = Status(state=State.RUNNING).by_this_process()
    write_status(a_job, replace(status, process_started=(status.process_started or 0) - 100))

    assert read_status(a_job).state is State.INTERRUPTED


@pytest.mark.parametrize(("age_s", "state"), [(0, State.RUNNING), (59, State.RUNNING), (61, State.INTERRUPTED)])
def test_on_another_computer_the_heartbeat_decides(a_job: JobFolder, age_s: float, state: State) -> None:
    write_status(a_job, Status(state=State.RUNNING, pid=os.getpid(), host="elsewhere", heartbeat=1000.0))

    assert read_status(a_job, now=1000.0 + age_s).state is state


@pytest.mark.parametrize("host", ["elsewhere", None])
def test_a_clock_set_back_is_no_error(a_job: JobFolder, host: str | None) -> None:
    status = replace(Status(state=State.RUNNING).by_this_process(), heartbeat=time.time() + 7200)
    write_status(a_job, status if host is None else replace(status, host=host))

    assert read_status(a_job).state is State.RUNNING


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED, State.FINISHED])
def test_what_has_ended_stays_as_it_ended(a_job: JobFolder, state: State) -> None:
    write_status(a_job, Status(state=state, pid=2**22, host="elsewhere", heartbeat=0.0))

    assert read_status(a_job).state is state


def test_a_damaged_status_is_told_with_what_still_works_and_without_it_the_job_is_resumed(a_job: JobFolder) -> None:
    a_job.status.write_text("{torn")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_launched(a_job, Process(ended.pid, 0.0))

    with pytest.raises(
        JobError, match=r"status\.json, line 1.*in its checkpoints\. Delete this file and resume the job"
    ):
        read_status(a_job)
    a_job.status.unlink()

    assert read_status(a_job).state is State.INTERRUPTED


def test_a_job_without_a_status_is_as_old_as_what_it_asks_for(a_job: JobFolder) -> None:
    made = a_job.spec.stat().st_mtime

    assert read_status(a_job, now=made + 50).state is State.QUEUED
    assert read_status(a_job, now=made + 70).state is State.INTERRUPTED


def test_a_status_with_an_unknown_state_is_told(a_job: JobFolder) -> None:
    a_job.status.write_text(json.dumps({"format_version": 1, "state": "dreaming"}))

    with pytest.raises(JobError, match=r"state must be one of 'queued'.*got 'dreaming'"):
        read_status(a_job)


def test_the_start_of_a_process_stays_and_differs_from_a_later_ones() -> None:
    mine = process_started(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as later:
        other = process_started(later.pid)

    assert mine is not None
    assert mine == process_started(os.getpid())
    assert other is not None
    assert other > mine
    assert process_started(0) is process_started(-1) is None
