"""Trainings are begun, found again, gone on with and ended; files are real, most processes are not."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cohort_scene import ReadOnly
from scene_data import CASE, makeCohort, writePrediction

import barl
from barl.atomic import write_json
from barl.cohort import Cohort, Coverage
from barl.errors import CohortError, JobError, NewerFormatError, SettingsError, StorageError
from barl.jobs import (
    JobFolder,
    State,
    Status,
    launch,
    read_spec,
    read_status,
    stop_and_wait,
    stop_requested,
    write_status,
)
from barl.jobs.processes import Process
from barl.jobs.status import write_launched
from barl.presets import PRESETS as ENGINES_PRESETS
from BARLSegmentLib.logic.JobProcesses import DetachedProcesses
from BARLSegmentLib.logic.TrainLogic import PRESETS, TrainLogic, TrainWish

_STUBBORN = """
import signal, subprocess, sys, time
from pathlib import Path
from barl.jobs import State, Status, write_status
signal.signal(signal.SIGTERM, signal.SIG_IGN)
program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", program])
Path(sys.argv[-1], "child").write_text(str(child.pid))
write_status(sys.argv[-1], Status(state=State.RUNNING).by_this_process())
time.sleep(600)
"""


class Processes:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.launched: list[Path] = []
        self.ended: list[tuple[Path, float]] = []
        self.refuses = False

    def launch(self, folder: Path) -> int:
        if self.refuses:
            raise JobError("Cannot start PythonSlicer: No such file or directory.")
        self.launched.append(folder)
        write_status(folder, Status(state=State.RUNNING).by_this_process())
        return 1

    def end(self, folder: Path, graceSeconds: float) -> None:
        self.ended.append((folder, graceSeconds))


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def logic(processes: Processes) -> TrainLogic:
    return TrainLogic(processes)


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """A cohort with one annotated case."""
    cohort = makeCohort(tmp_path)
    drawn = writePrediction(tmp_path / "drawn") / f"{CASE}.seg.nrrd"
    cohort.add_annotation(CASE, lambda path: shutil.copyfile(drawn, path), coverage=Coverage(), author="Ä")
    return cohort


def _end(folder: Path, state: State) -> None:
    write_status(folder, Status(state=state).by_this_process())


def test_a_training_is_a_new_round_with_a_launched_job(
    logic: TrainLogic, processes: Processes, a_cohort: Cohort
) -> None:
    folder = logic.start(a_cohort, TrainWish(minutes=5, settings={"training.learning_rate": 0.01}))

    assert folder == a_cohort.folder / "rounds" / "0001"
    assert processes.launched == [folder]
    spec = read_spec(folder)
    assert spec.kind == "train"
    assert spec.payload["cohort"] == str(a_cohort.folder)
    assert (spec.payload["minutes"], spec.payload["settings"]) == (5, {"training.learning_rate": 0.01})
    assert "from_round" not in spec.payload


def test_the_engine_understands_the_job(logic: TrainLogic, a_cohort: Cohort) -> None:
    """Asked in a process of its own, because the engine's side of a job imports torch."""
    folder = logic.start(a_cohort, TrainWish(method="supervised", minutes=5, seed=3, predict=False, device="cpu"))
    code = (
        "import sys; from pathlib import Path; from barl.training.job import read_job; "
        "cohort, job = read_job(Path(sys.argv[1])); job.check_settings(); "
        "print(cohort.name.encode(), job.method, job.minutes, job.seed, job.predict, job.device)"
    )

    answer = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)

    assert answer.stdout.split() == [str("Zähne".encode()), "supervised", "5", "3", "False", "cpu"], answer.stderr


def test_without_an_annotation_there_is_no_round(logic: TrainLogic, tmp_path: Path) -> None:
    cohort = makeCohort(tmp_path)

    with pytest.raises(CohortError, match="no annotated training case"):
        logic.start(cohort, TrainWish())

    assert cohort.rounds() == []


def test_a_python_that_is_not_there_leaves_no_round(logic: TrainLogic, processes: Processes, a_cohort: Cohort) -> None:
    processes.refuses = True

    with pytest.raises(JobError, match="Cannot start PythonSlicer"):
        logic.start(a_cohort, TrainWish())

    assert a_cohort.rounds() == []


def test_a_full_disk_leaves_no_round(logic: TrainLogic, a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, spec: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr("BARLSegmentLib.logic.TrainLogic.write_spec", refuse)

    with pytest.raises(StorageError):
        logic.start(a_cohort, TrainWish())

    assert a_cohort.rounds() == []


def test_a_read_only_cohort_is_not_trained(
    logic: TrainLogic, processes: Processes, a_cohort: Cohort, read_only: ReadOnly
) -> None:
    read_only(a_cohort.folder)

    with pytest.raises(StorageError, match="read-only: choose another folder"):
        logic.start(a_cohort, TrainWish())

    assert processes.launched == []
    assert a_cohort.rounds() == []


def test_a_cohort_is_trained_once_at_a_time(logic: TrainLogic, a_cohort: Cohort) -> None:
    first = logic.start(a_cohort, TrainWish())
    assert logic.activeJob(a_cohort) == first

    with pytest.raises(JobError, match="trained already, in round 0001"):
        logic.start(a_cohort, TrainWish())

    _end(first, State.FINISHED)
    assert logic.start(a_cohort, TrainWish()).name == "0002"


def test_a_round_to_start_from_must_have_a_model(logic: TrainLogic, a_cohort: Cohort) -> None:
    first = logic.start(a_cohort, TrainWish())
    _end(first, State.FINISHED)

    with pytest.raises(CohortError, match="Round 1 of Zähne has no model"):
        logic.start(a_cohort, TrainWish(fromRound=1))

    JobFolder(first).model.mkdir()
    (JobFolder(first).model / "model.json").write_text("{}")
    assert read_spec(logic.start(a_cohort, TrainWish(fromRound=1))).payload["from_round"] == 1


@pytest.mark.parametrize(("wish", "words"), [({"method": "magic"}, "'magic'"), ({"minutes": 0.0}, "from 0.1 to 20160")])
def test_nonsense_is_refused_before_anything_is_written(wish: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        TrainWish(**wish)  # type: ignore[arg-type]


def test_a_stopped_or_interrupted_job_goes_on_and_a_finished_one_does_not(
    logic: TrainLogic, processes: Processes, a_cohort: Cohort
) -> None:
    folder = logic.start(a_cohort, TrainWish())
    with pytest.raises(JobError, match="is running"):
        logic.resume(folder)

    _end(folder, State.STOPPED)
    logic.resume(folder)
    write_status(folder, Status(state=State.RUNNING, pid=1, process_started=-1.0, host=socket.gethostname()))
    logic.resume(folder)
    assert processes.launched == [folder] * 3

    _end(folder, State.FINISHED)
    with pytest.raises(JobError, match="nothing to go on with"):
        logic.resume(folder)


def test_a_job_whose_process_is_just_leaving_keeps_nobody_waiting(
    logic: TrainLogic, processes: Processes, a_cohort: Cohort
) -> None:
    folder = logic.start(a_cohort, TrainWish())
    _end(folder, State.STOPPED)
    write_launched(folder, Process.current())
    assert logic.isEnding(folder)

    with pytest.raises(JobError, match="Try again in a few seconds"):
        logic.resume(folder)

    assert processes.launched == [folder]


def test_stopping_asks_first_and_leaves_the_rest_to_another_process(
    logic: TrainLogic, processes: Processes, a_cohort: Cohort
) -> None:
    folder = logic.start(a_cohort, TrainWish())

    logic.stop(folder)

    assert stop_requested(folder)
    assert processes.ended == [(folder, 10.0)]
    _end(folder, State.STOPPED)
    with pytest.raises(JobError, match="does not run: it is stopped"):
        logic.stop(folder)


def test_one_job_of_a_newer_version_does_not_hide_the_others(logic: TrainLogic, a_cohort: Cohort) -> None:
    old = logic.start(a_cohort, TrainWish())
    _end(old, State.FINISHED)
    newer = logic.start(a_cohort, TrainWish())
    status = JobFolder(newer).status
    write_json(status, json.loads(status.read_text("utf-8")) | {"format_version": 99, "written_by": "9.9"})

    first, second = logic.jobs(a_cohort)

    assert first.status is not None
    assert first.status.state is State.FINISHED
    assert second.status is None
    assert "Install BARL 9.9" in second.problem
    with pytest.raises(NewerFormatError):
        logic.resume(newer)


def test_only_a_round_that_has_learned_nothing_is_discarded(logic: TrainLogic, a_cohort: Cohort) -> None:
    folder = logic.start(a_cohort, TrainWish())
    with pytest.raises(JobError, match="a running process"):
        logic.discard(folder)

    _end(folder, State.FAILED)
    JobFolder(folder).checkpoints.mkdir()
    with pytest.raises(JobError, match="has checkpoints"):
        logic.discard(folder)

    JobFolder(folder).checkpoints.rmdir()
    logic.discard(folder)
    assert not folder.exists()


@pytest.fixture
def a_stubborn_job(logic: TrainLogic, a_cohort: Cohort) -> Iterator[Path]:
    """A job with a child that obeys neither the stop file nor a polite signal."""
    folder = logic.start(a_cohort, TrainWish())
    _end(folder, State.STOPPED)
    launch(folder, prefix=[sys.executable, "-c", _STUBBORN])
    _waitFor(folder, State.RUNNING)
    yield folder
    stop_and_wait(folder, grace_s=0)


@pytest.mark.skipif(sys.platform == "win32", reason="the stubborn program ignores a POSIX signal")
def test_what_does_not_obey_is_ended_with_its_children_while_nobody_waits(a_stubborn_job: Path) -> None:
    child = Process(int((a_stubborn_job / "child").read_text()), None)
    assert child.is_alive
    began = time.process_time()

    DetachedProcesses().end(a_stubborn_job, 0.0)

    assert time.process_time() - began < 1.0
    _waitFor(a_stubborn_job, State.INTERRUPTED)
    deadline = time.monotonic() + 30
    while child.is_alive and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.is_alive


def test_a_real_process_tells_by_its_files_what_is_wrong(tmp_path: Path) -> None:
    """The job asks for work that no version knows, so that it ends before torch would be imported."""
    folder = tmp_path / "Läufe 1" / "0001"
    write_json(folder / "job.json", {"format_version": 1, "kind": "dream", "payload": {}})

    DetachedProcesses(sys.executable, environment={"PATH": ""}).launch(folder)

    _waitFor(folder, State.FAILED)
    assert "asks for 'dream'" in (read_status(folder).error or "")


def test_a_foreign_python_gets_our_barl_unless_it_brings_its_own() -> None:
    here = str(Path(barl.__file__).parents[1])

    ours = DetachedProcesses("PythonSlicer", environment={"PYTHONPATH": "there"})
    own = DetachedProcesses("/opt/python", environment={"PYTHONPATH": "there"}, bringsOwnBarl=True)

    assert ours.environment["PYTHONPATH"].startswith(here)
    assert ours.environment["PYTHONPATH"].endswith("there")
    assert own.environment == {"PYTHONPATH": "there"}


def test_a_python_that_is_not_there_cannot_end_a_job(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Cannot start"):
        DetachedProcesses(str(tmp_path / "no python")).end(tmp_path, 0.0)


def _waitFor(folder: Path, state: State) -> None:
    deadline = time.monotonic() + 120
    while read_status(folder).state is not state:
        assert time.monotonic() < deadline, read_status(folder)
        time.sleep(0.05)


def test_a_preset_is_written_into_the_job_only_when_one_is_chosen(logic: TrainLogic, a_cohort: Cohort) -> None:
    folder = logic.start(a_cohort, TrainWish(preset="thorough"))
    assert read_spec(folder).payload["preset"] == "thorough"
    _end(folder, State.FINISHED)

    assert "preset" not in read_spec(logic.start(a_cohort, TrainWish())).payload


def test_presets_are_the_engines_own() -> None:
    assert tuple(ENGINES_PRESETS) == PRESETS
    with pytest.raises(SettingsError, match=r"preset must be one of .*'quick'.*got 'fast'"):
        TrainWish(preset="fast")
