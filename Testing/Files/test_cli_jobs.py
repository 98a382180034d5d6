"""``barl jobs list|show|stop|resume`` and the watching of a job, which reads files only."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_study import Answer, barl, make_cohort, snapshot

from barl.cli import watch
from barl.jobs import (
    EventWriter,
    JobFolder,
    JobSpec,
    State,
    Status,
    control,
    stop_requested,
    write_spec,
    write_status,
)


@pytest.fixture
def a_job(tmp_path: Path) -> JobFolder:
    return _job(tmp_path / "jobs" / "0001")


def _job(folder: Path) -> JobFolder:
    folder.mkdir(parents=True)
    write_spec(folder, JobSpec(kind="train", payload={"method": "barl", "seed": 7}))
    return JobFolder(folder)


def _running(**fields: object) -> Status:
    return Status(state=State.RUNNING, **fields).by_this_process()


def test_the_list_shows_every_job_with_its_state(tmp_path: Path) -> None:
    write_status(_job(tmp_path / "0001"), Status(state=State.FINISHED, percent=100.0))
    write_status(_job(tmp_path / "0002"), _running(percent=41.7, stage="training", remaining_s=75.0))

    answer = barl("jobs", "list", tmp_path, "--json")
    shown = barl("jobs", "list", tmp_path)

    assert [(Path(row["job"]).name, row["state"]) for row in answer.json["jobs"]] == [
        ("0001", "finished"),
        ("0002", "running"),
    ]
    assert all(part in shown.out for part in ("42 %", "training", "1 min 15 s"))


def test_a_folder_without_jobs_and_one_that_is_none(tmp_path: Path) -> None:
    empty = barl("jobs", "list", tmp_path)
    nowhere = barl("jobs", "list", tmp_path / "nowhere")

    assert empty.code == 0
    assert "No job below" in empty.said
    assert nowhere.code == 2
    assert "not a folder" in nowhere.said


def test_a_damaged_job_does_not_hide_the_others(tmp_path: Path) -> None:
    write_status(_job(tmp_path / "0001"), Status(state=State.FINISHED))
    _job(tmp_path / "0002").status.write_text("{", encoding="utf-8")

    answer = barl("jobs", "list", tmp_path, "--json")

    assert answer.code == 0
    assert [row["state"] for row in answer.json["jobs"]] == ["finished", "unreadable"]


def test_show_tells_what_was_asked_and_what_was_said_last(a_job: JobFolder) -> None:
    write_status(a_job, _running(percent=10.0, step=5, total_steps=50))
    events = EventWriter(a_job)
    events.write("metric", step=5, loss=0.25, dice=0.5)
    events.write("warning", message="The batch was halved to fit into memory.")

    answer = barl("jobs", "show", a_job.path, "--json").json

    assert answer["payload"] == {"method": "barl", "seed": 7}
    assert answer["metrics"] == {"loss": 0.25, "dice": 0.5}
    assert answer["messages"] == ["The batch was halved to fit into memory."]
    assert barl("jobs", "show", a_job.path).code == 0


def test_a_path_that_is_no_job_and_a_cohort_without_rounds_are_refused(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "study")
    before = snapshot(tmp_path)

    for command in ("show", "stop", "resume"):
        no_job, no_round = barl("jobs", command, tmp_path), barl("jobs", command, cohort, "--json")
        assert no_job.code == no_round.code == 2
        assert "no job folder" in no_job.said
        assert "no round yet" in no_round.json["error"]["message"]
    assert snapshot(tmp_path) == before


def test_a_running_job_is_asked_to_stop_and_an_ended_one_is_not(a_job: JobFolder) -> None:
    write_status(a_job, _running())
    asked = barl("jobs", "stop", a_job.path, "--json")
    was_asked = stop_requested(a_job)
    a_job.stop.unlink()
    write_status(a_job, Status(state=State.FINISHED))
    refused = barl("jobs", "stop", a_job.path)

    assert asked.code == 0
    assert asked.json["state"] == "stopping"
    assert was_asked
    assert refused.code == 2
    assert "finished" in refused.said
    assert not stop_requested(a_job)


@pytest.mark.parametrize(
    ("state", "part"), [(State.RUNNING, "runs already"), (State.FINISHED, "nothing to go on with")]
)
def test_only_what_was_stopped_or_interrupted_is_resumed(a_job: JobFolder, state: State, part: str) -> None:
    write_status(a_job, _running() if state is State.RUNNING else Status(state=state))
    before = snapshot(a_job.path)

    answer = barl("jobs", "resume", a_job.path)

    assert answer.code == 2
    assert part in answer.said
    assert snapshot(a_job.path) == before


def _resume_with(
    monkeypatch: pytest.MonkeyPatch, job: JobFolder, *moves: Status, arguments: tuple[str, ...] = ()
) -> Answer:
    """Resume a stopped job whose process is played by a thread that writes one status after the other."""
    write_status(job, Status(state=State.STOPPED))

    threads: list[threading.Thread] = []

    def work() -> None:
        events = EventWriter(job)
        for step, move in enumerate(moves):
            events.write("metric", step=step, loss=1.0 / (step + 1))
            write_status(job, move)
            time.sleep(0.03)

    def launched(folder: JobFolder) -> int:
        write_status(folder, Status(state=State.QUEUED))
        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return 1

    monkeypatch.setattr(watch, "launch", launched)
    monkeypatch.setattr(watch, "_SECONDS_BETWEEN_LOOKS", 0.01)
    answer = barl("jobs", "resume", job.path, *arguments)
    for thread in threads:
        thread.join()
    return answer


def test_a_resumed_job_is_watched_to_its_end(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = [
        _running(percent=50.0, stage="training"),
        Status(state=State.FINISHED, percent=100.0, step=2, total_steps=2),
    ]

    answer = _resume_with(monkeypatch, a_job, *moves, arguments=("--json",))

    assert answer.code == 0
    assert answer.json["state"] == "finished"
    assert "training" in answer.err


def test_a_failed_job_says_why_and_where_its_log_is(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Status(state=State.FAILED, error="The loss is no longer a number.")

    spoken = _resume_with(monkeypatch, a_job, failed)
    as_json = _resume_with(monkeypatch, a_job, failed, arguments=("--json",))

    assert spoken.code == as_json.code == 1
    assert all(part in spoken.said for part in ("no longer a number", "log.txt", "barl jobs resume"))
    assert as_json.json["error"] == {"type": "JobFailedError", "message": "The loss is no longer a number."}


def test_the_way_on_is_a_checkpoint_only_where_there_is_one(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Status(state=State.FAILED, error="The disk is full.")

    without = _resume_with(monkeypatch, a_job, failed).said
    a_job.checkpoints.mkdir()
    (a_job.checkpoints / "last.pt").write_bytes(b"weights")
    with_one = _resume_with(monkeypatch, a_job, failed).said

    assert "no checkpoint yet" in without
    assert "Once that is mended, go on from the last checkpoint" in with_one
    assert "barl jobs resume" in without


@pytest.mark.parametrize(("free", "part"), [(0, "disk is full"), (10**12, "was killed")])
def test_a_process_that_ended_without_a_word_is_explained(
    a_job: JobFolder, monkeypatch: pytest.MonkeyPatch, free: int, part: str
) -> None:
    monkeypatch.setattr(watch.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    answer = _resume_with(monkeypatch, a_job, Status(state=State.INTERRUPTED), arguments=("--json",))

    assert answer.code == 1
    assert part in answer.json["error"]["message"]


def test_a_job_that_found_its_input_wrong_ends_with_code_2(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    EventWriter(a_job).write("failed", message="Case P01: the image is missing.", error="CohortError")

    answer = _resume_with(
        monkeypatch,
        a_job,
        Status(state=State.FAILED, error="Case P01: the image is missing."),
        arguments=("--json",),
    )

    assert answer.code == 2
    assert answer.json["error"]["type"] == "CohortError"


def test_a_detached_job_returns_at_once(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = _resume_with(monkeypatch, a_job, Status(state=State.FINISHED), arguments=("--detach",))

    assert answer.code == 0
    assert "barl jobs show" in answer.said


def _press_control_c(monkeypatch: pytest.MonkeyPatch, job: JobFolder, *, times: int) -> None:
    presses = iter([True] * times)

    def sleep(_: float) -> None:
        if next(presses, False):
            raise KeyboardInterrupt
        write_status(job, Status(state=State.STOPPED, step=3, total_steps=9))

    monkeypatch.setattr(watch, "launch", lambda folder: write_status(folder, _running()))
    monkeypatch.setattr(control, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))


def test_the_first_control_c_asks_to_stop_and_waits(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write_status(a_job, Status(state=State.STOPPED))
    _press_control_c(monkeypatch, a_job, times=1)

    answer = barl("jobs", "resume", a_job.path)

    assert answer.code == 0
    assert stop_requested(a_job)
    assert "Stopped at step 3 of 9" in answer.said


def test_the_second_control_c_leaves_it_running(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write_status(a_job, Status(state=State.STOPPED))
    _press_control_c(monkeypatch, a_job, times=2)

    answer = barl("jobs", "resume", a_job.path)

    assert answer.code == 0
    assert "Running by itself" in answer.said


def test_control_c_while_following_ends_only_the_following(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write_status(a_job, _running())
    _press_control_c(monkeypatch, a_job, times=1)

    answer = barl("jobs", "show", a_job.path, "--follow")

    assert answer.code == 0
    assert not stop_requested(a_job)
