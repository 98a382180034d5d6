"""Events are appended whole, read once, and survive killed writers."""

from __future__ import annotations

import errno
import json
import math
import os
import time
from pathlib import Path

import pytest

from barl.errors import StorageError
from barl.jobs import EventReader, EventWriter, JobFolder


def test_a_reader_gets_each_event_once(a_job: JobFolder) -> None:
    writer, reader = EventWriter(a_job, clock=lambda: 12.5), EventReader(a_job)
    assert reader.read_new() == []

    writer.write("metric", name="loss", value=0.5)
    writer.write("log", text="Zähne\nin zwei Zeilen")

    assert reader.read_new() == [
        {"time": 12.5, "kind": "metric", "name": "loss", "value": 0.5},
        {"time": 12.5, "kind": "log", "text": "Zähne\nin zwei Zeilen"},
    ]
    assert reader.read_new() == []
    writer.write("finished")
    assert [event["kind"] for event in reader.read_new()] == ["finished"]


def test_a_line_that_is_still_being_written_waits(a_job: JobFolder) -> None:
    reader = EventReader(a_job)
    with a_job.events.open("wb") as file:
        file.write(b'{"kind": "log"}\n{"kind": "ch')
        file.flush()
        assert reader.read_new() == [{"kind": "log"}]
        file.write(b'eckpoint"}\n')
        file.flush()
        assert reader.read_new() == [{"kind": "checkpoint"}]


def test_a_line_torn_by_a_killed_writer_harms_no_other(a_job: JobFolder) -> None:
    EventWriter(a_job).write("started")
    with a_job.events.open("ab") as file:
        file.write(b'{"kind": "metr')
    reader = EventReader(a_job)
    assert [event["kind"] for event in reader.read_new()] == ["started"]

    EventWriter(a_job).write("resumed")

    assert [event["kind"] for event in reader.read_new()] == ["resumed"]
    assert reader.skipped == 1


def test_lines_that_are_no_events_are_skipped_and_counted(a_job: JobFolder) -> None:
    a_job.events.write_bytes(b'\xff\xfe\n[1]\n\n{"kind": "log"}\nnot json\n')
    reader = EventReader(a_job)

    assert reader.read_new() == [{"kind": "log"}]
    assert reader.skipped == 3


def test_a_file_begun_anew_is_read_from_its_start(a_job: JobFolder) -> None:
    reader = EventReader(a_job)
    for _ in range(3):
        EventWriter(a_job).write("log", text="old")
    reader.read_new()

    a_job.events.write_text('{"kind": "started"}\n')

    assert reader.read_new() == [{"kind": "started"}]
    a_job.events.unlink()
    assert reader.read_new() == []


def test_numbers_that_json_does_not_know_become_null(a_job: JobFolder) -> None:
    class Scalar:
        def item(self) -> float:
            return math.inf

    EventWriter(a_job).write("metric", loss=math.nan, rows=[(1, -math.inf)], norm=Scalar(), path=Path("a"))

    event = EventReader(a_job).read_new()[0]
    assert (event["loss"], event["rows"], event["norm"], event["path"]) == (None, [[1, None]], None, "a")


def test_a_field_that_is_no_json_value_is_named(a_job: JobFolder) -> None:
    with pytest.raises(TypeError, match="got object"):
        EventWriter(a_job).write("log", thing=object())


def test_a_full_disk_is_told_and_the_next_event_is_whole(a_job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(file: object, data: bytes) -> None:
        file.write(data[:9])  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("barl.jobs.events._append", half)
        with pytest.raises(StorageError, match="disk is full"):
            EventWriter(a_job).write("log")
    EventWriter(a_job).write("warning")

    assert [event["kind"] for event in EventReader(a_job).read_new()] == ["warning"]


def test_following_a_long_file_costs_nothing_when_nothing_is_new(a_job: JobFolder) -> None:
    line = json.dumps({"time": 1.0, "kind": "metric", "step": 1, "loss": 0.5}) + "\n"
    a_job.events.write_text(line * 100_000)
    reader = EventReader(a_job)

    assert len(reader.read_new()) == 100_000
    assert min(_seconds(reader, expected=0) for _ in range(5)) <= 0.010
    EventWriter(a_job).write("finished")
    assert _seconds(reader, expected=1) <= 0.050


def _seconds(reader: EventReader, *, expected: int) -> float:
    start = time.perf_counter()
    assert len(reader.read_new()) == expected
    return time.perf_counter() - start


def test_a_long_history_is_read_in_parts_of_whole_lines(a_job: JobFolder) -> None:
    writer, reader = EventWriter(a_job), EventReader(a_job)
    for index in range(20):
        writer.write("log", message="x" * (1000 if index == 7 else 10), index=index)

    parts = [reader.read_new(most_bytes=200) for _ in range(20)]

    assert [event["index"] for part in parts for event in part] == list(range(20))
    assert max(map(len, parts)) < 10
    assert reader.offset == a_job.events.stat().st_size
