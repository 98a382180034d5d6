"""A job is followed by its files: bit by bit, across restarts, and whatever happens to scene, clock and folder."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cohort_scene import Clock
from scene_data import Stage
from vtk.util.numpy_support import vtk_to_numpy

from barl.atomic import write_json
from barl.errors import JobError, NewerFormatError
from barl.jobs import EventWriter, JobFolder, JobSpec, State, Status, write_spec, write_status
from BARLSegmentLib.logic.CurveChart import MOST_ROWS
from BARLSegmentLib.logic.JobFollower import BYTES_A_LOOK
from BARLSegmentLib.logic.MonitorLogic import Change, MonitorEvent, MonitorLogic


@pytest.fixture
def a_monitor(a_stage: Stage, a_clock: Clock) -> Iterator[MonitorLogic]:
    monitor = MonitorLogic(a_stage.scene, clock=a_clock)
    yield monitor
    monitor.cleanup()


@pytest.fixture
def a_job(tmp_path: Path) -> JobFolder:
    """A running job; its process is this one."""
    job = JobFolder(tmp_path / "Läufe 歯" / "0001")
    write_spec(job, JobSpec(kind="train"))
    write_status(job, Status(state=State.RUNNING, percent=5.0).by_this_process())
    return job


@pytest.fixture
def events(a_job: JobFolder) -> EventWriter:
    return EventWriter(a_job)


@pytest.fixture
def heard(a_monitor: MonitorLogic) -> list[MonitorEvent]:
    """What the monitor has told."""
    told: list[MonitorEvent] = []
    a_monitor.observers.add(told.append)
    return told


def _rows(monitor: MonitorLogic) -> dict[str, list[float]]:
    """The table of the losses, column by column."""
    table = monitor.losses.tableNode.GetTable()
    columns = [table.GetColumn(index) for index in range(table.GetNumberOfColumns())]
    return {column.GetName(): vtk_to_numpy(column).tolist() for column in columns}


def _catchUp(monitor: MonitorLogic) -> int:
    ticks = 1
    while monitor.tick():
        ticks += 1
    return ticks


def test_what_happens_is_told_once_and_in_order(
    a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter, heard: list[MonitorEvent]
) -> None:
    a_monitor.attach(a_job.path)
    a_monitor.tick()
    events.write("log", message="Zähne")
    events.write("prediction", case="P07")
    a_monitor.tick()
    a_monitor.tick()

    told = [event.event["kind"] if event.event else event.change.value for event in heard]
    assert told == ["status", "log", "prediction"]
    assert a_monitor.status is not None
    assert a_monitor.status.state is State.RUNNING


def test_a_half_written_line_waits_for_its_end(
    a_monitor: MonitorLogic, a_job: JobFolder, heard: list[MonitorEvent]
) -> None:
    a_monitor.attach(a_job.path)
    with a_job.events.open("ab") as file:
        file.write(b'{"kind": "log", "mess')
        file.flush()
        a_monitor.tick()
        assert [event for event in heard if event.event] == []
        file.write(b'age": "whole"}\n')
    a_monitor.tick()

    assert [event.event["message"] for event in heard if event.event] == ["whole"]


def test_a_tick_reads_a_bounded_part_of_a_long_history(
    a_monitor: MonitorLogic, a_job: JobFolder, heard: list[MonitorEvent]
) -> None:
    line = json.dumps({"kind": "log", "message": "x" * 1000}).encode() + b"\n"
    a_job.events.write_bytes(line * 400)
    a_monitor.attach(a_job.path)

    assert a_monitor.tick()
    first = sum(event.change is Change.EVENT for event in heard)
    assert first == math.ceil(BYTES_A_LOOK / len(line))

    ticks = 1 + _catchUp(a_monitor)
    assert sum(event.change is Change.EVENT for event in heard) == 400
    assert ticks >= 400 * len(line) // (BYTES_A_LOOK + len(line))
    assert not a_monitor.tick()


def test_what_was_there_already_is_told_from_what_is_new(
    a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter, heard: list[MonitorEvent]
) -> None:
    events.write("prediction", case="old")
    a_monitor.attach(a_job.path)
    a_monitor.tick()
    events.write("prediction", case="new")
    a_monitor.tick()

    assert [event.isPast for event in heard if event.event] == [True, False]


def test_curves_grow_in_place_at_most_once_a_second(
    a_stage: Stage, a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter, a_clock: Clock
) -> None:
    a_monitor.attach(a_job.path)
    a_monitor.showCurves()
    events.write("metric", step=10, seconds=1.0, loss=0.9, supervised=0.5)
    a_monitor.tick()
    table = a_monitor.losses.tableNode
    assert _rows(a_monitor) == {"step": [10.0], "loss": [0.9], "supervised": [0.5]}

    events.write("metric", step=20, seconds=2.0, loss=0.8, supervised=0.4)
    a_clock.now += 0.5
    a_monitor.tick()
    assert _rows(a_monitor)["step"] == [10.0]

    a_clock.now += 0.5
    a_monitor.tick()
    assert _rows(a_monitor) == {"step": [10.0, 20.0], "loss": [0.9, 0.8], "supervised": [0.5, 0.4]}
    assert a_monitor.losses.tableNode is table
    assert a_stage.scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2


def test_a_chart_shows_each_column_over_the_steps(
    a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter
) -> None:
    events.write("metric", step=100, dice=0.7, dice_by_class={"Kiefer": 0.9, "Zähne": 0.5})
    a_monitor.attach(a_job.path)
    a_monitor.showCurves()
    a_monitor.tick()

    chart = a_monitor.scores.chartNode
    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [one.GetYColumnName() for one in series] == ["Kiefer", "Zähne", "mean"]
    assert {one.GetXColumnName() for one in series} == {"step"}
    assert {one.GetTableNode() for one in series} == {a_monitor.scores.tableNode}
    assert a_monitor.losses.chartNode.GetNumberOfPlotSeriesNodes() == 0


def test_a_clock_set_back_does_not_stop_the_curves(
    a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter, a_clock: Clock
) -> None:
    a_monitor.attach(a_job.path)
    a_monitor.showCurves()
    events.write("metric", step=1, loss=0.9)
    a_monitor.tick()
    a_clock.now -= 3600.0
    events.write("metric", step=2, loss=0.8)
    write_status(a_job, Status(state=State.STOPPING).by_this_process())
    a_monitor.tick()

    assert _rows(a_monitor)["step"] == [1.0, 2.0]
    assert a_monitor.status is not None
    assert a_monitor.status.state is State.STOPPING


def test_steps_that_a_resumed_job_takes_again_are_drawn_once(
    a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter
) -> None:
    a_monitor.showCurves()
    for step in (10, 20, 30):
        events.write("metric", step=step, loss=1.0 / step)
    events.write("resumed", step=20)
    events.write("metric", step=30, loss=0.5)
    a_monitor.attach(a_job.path)
    a_monitor.tick()

    assert _rows(a_monitor)["step"] == [10.0, 20.0, 30.0]
    assert _rows(a_monitor)["loss"][-1] == 0.5


def test_a_long_training_keeps_a_bounded_number_of_rows(a_monitor: MonitorLogic) -> None:
    chart = a_monitor.losses
    chart.show()
    for step in range(10 * MOST_ROWS):
        chart.add(step, {"loss": 1.0})
    chart.update()

    steps = _rows(a_monitor)["step"]
    assert MOST_ROWS / 2 <= len(steps) <= MOST_ROWS
    assert steps == sorted(steps)
    assert steps[-1] > 10 * MOST_ROWS - 40


def test_the_end_is_told_once_after_the_last_event(
    a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter, heard: list[MonitorEvent]
) -> None:
    a_monitor.attach(a_job.path)
    a_monitor.showCurves()
    events.write("metric", step=5, loss=0.1)
    events.write("finished", step=5)
    write_status(a_job, Status(state=State.FINISHED, percent=100.0).by_this_process())
    a_monitor.tick()
    a_monitor.tick()

    assert [event.change for event in heard] == [Change.EVENT, Change.EVENT, Change.STATUS, Change.ENDED]
    assert heard[-1].folder == a_job.path
    assert a_monitor.folder is None
    assert _rows(a_monitor)["loss"] == [0.1]


def test_a_dead_process_is_told_from_a_slow_one(
    a_monitor: MonitorLogic, a_job: JobFolder, heard: list[MonitorEvent], a_clock: Clock
) -> None:
    long_ago = time.time() - 7200.0
    status = Status(state=State.RUNNING).by_this_process()
    write_status(a_job, Status(**{**vars(status), "heartbeat": long_ago}))
    a_monitor.attach(a_job.path)
    a_monitor.tick()
    assert heard[-1].status is not None
    assert heard[-1].status.state is State.RUNNING

    write_status(a_job, Status(**{**vars(status), "process_started": -1.0}))
    a_monitor.tick()
    assert heard[-1].change is Change.ENDED
    assert heard[-1].status is not None
    assert heard[-1].status.state is State.INTERRUPTED


def test_a_process_that_dies_without_a_word_is_noticed_within_seconds(
    a_monitor: MonitorLogic, a_job: JobFolder, a_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_monitor.attach(a_job.path)
    a_monitor.tick()
    monkeypatch.setattr("barl.jobs.processes._started", lambda pid: None)
    a_monitor.tick()
    assert a_monitor.folder is not None

    a_clock.now += 2.0
    a_monitor.tick()
    assert a_monitor.status is not None
    assert a_monitor.status.state is State.INTERRUPTED


def test_a_second_monitor_finds_the_same_curves_after_a_restart(
    a_stage: Stage, a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter
) -> None:
    for step in range(50):
        events.write("metric", step=step, loss=1.0 / (step + 1))
    after_restart = MonitorLogic(a_stage.scene)
    for monitor in (a_monitor, after_restart):
        monitor.attach(a_job.path)
        monitor.showCurves()
        monitor.tick()

    assert _rows(after_restart) == _rows(a_monitor)
    after_restart.cleanup()


def test_a_scene_closed_during_a_job_does_not_stop_the_watching(
    a_stage: Stage, a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter, heard: list[MonitorEvent]
) -> None:
    events.write("metric", step=1, loss=0.9)
    a_monitor.attach(a_job.path)
    a_monitor.showCurves()
    a_monitor.tick()

    a_stage.scene.Clear()
    assert heard[-1].change is Change.CURVES
    events.write("log", message="still here")
    a_monitor.tick()

    assert heard[-1].event is not None
    assert _rows(a_monitor)["step"] == [1.0]


def test_a_table_removed_by_the_user_stays_away_until_it_is_asked_for(
    a_stage: Stage, a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter
) -> None:
    a_monitor.attach(a_job.path)
    a_monitor.showCurves()
    events.write("metric", step=1, loss=0.9)
    a_monitor.tick()
    a_stage.scene.RemoveNode(a_monitor.losses.tableNode)
    events.write("metric", step=2, loss=0.8)
    a_monitor.tick()
    assert a_monitor.losses.tableNode is None

    a_monitor.showCurves()
    assert _rows(a_monitor)["step"] == [1.0, 2.0]
    assert a_stage.scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 2


def test_a_job_of_a_newer_version_is_not_attached_to(a_monitor: MonitorLogic, a_job: JobFolder) -> None:
    content = json.loads(a_job.spec.read_text("utf-8"))
    write_json(a_job.spec, content | {"format_version": 99, "written_by": "9.9"})

    with pytest.raises(NewerFormatError, match=r"Install BARL 9\.9"):
        a_monitor.attach(a_job.path)
    with pytest.raises(JobError, match="is not a job"):
        a_monitor.attach(a_job.path.parent)
    assert a_monitor.folder is None


def test_a_job_taken_over_by_a_newer_version_is_told_once_in_words(
    a_monitor: MonitorLogic, a_job: JobFolder, heard: list[MonitorEvent]
) -> None:
    a_monitor.attach(a_job.path)
    a_monitor.tick()
    before = a_job.status.read_text("utf-8")
    write_json(a_job.status, json.loads(before) | {"format_version": 99, "written_by": "9.9", "state": "dreaming"})
    a_monitor.tick()
    a_monitor.tick()
    a_job.status.write_text(before, "utf-8")
    a_monitor.tick()

    problems = [event.message for event in heard if event.change is Change.PROBLEM]
    assert len(problems) == 2
    assert "Install BARL 9.9" in problems[0]
    assert problems[1] == ""


def test_a_round_deleted_while_it_is_followed_is_told_and_breaks_nothing(
    a_monitor: MonitorLogic, a_job: JobFolder, heard: list[MonitorEvent], a_clock: Clock
) -> None:
    a_monitor.attach(a_job.path)
    a_monitor.tick()

    shutil.rmtree(a_job.path)
    a_clock.now += 2.0
    for _ in range(3):
        assert not a_monitor.tick()

    assert [event.change for event in heard] == [Change.STATUS, Change.PROBLEM]
    assert "is not a job" in heard[-1].message
    assert not a_job.path.exists()


def test_an_observer_may_turn_to_another_job_in_the_middle(
    a_monitor: MonitorLogic, a_job: JobFolder, events: EventWriter, tmp_path: Path
) -> None:
    other = JobFolder(tmp_path / "0002")
    write_spec(other, JobSpec(kind="train"))
    told: list[Path] = []

    def turn(event: MonitorEvent) -> None:
        told.append(event.folder)
        if event.folder == a_job.path:
            a_monitor.attach(other.path)

    a_monitor.observers.add(turn)
    events.write("log", message="one")
    events.write("log", message="two")
    a_monitor.attach(a_job.path)
    a_monitor.tick()

    assert told == [a_job.path]
    assert a_monitor.folder == other.path
