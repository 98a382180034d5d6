"""Annotations and roles that change while a training runs: noticed, read when whole, taken between two steps."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from barl.cohort import Cohort, Coverage, CoverageKind, LabelTable, Modality, Role
from barl.errors import CohortError, JobError
from barl.imaging import Geometry, PreparedCache, Recipe, save_annotation, write_volume
from barl.jobs import EventReader, JobFolder
from barl.training.cases import RoundData, read_case
from barl.training.checkpoint import CheckpointFile
from barl.training.job import create
from barl.training.live import LiveCases
from barl.training.reporter import Reporter, SilentReporter
from barl.training.round import run_round
from barl.training.sampler import Sampler
from barl.training.watch import Change, CohortWatch, Trouble, WatchThread

GRID = Geometry(size=(32, 24, 24), spacing_mm=(0.5,) * 3, origin_mm=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
RECIPE = Recipe.for_modality(Modality.CBCT, None)
CPU = torch.device("cpu")
SMALL = {"network.base_filters": 4, "training.labeled_patches": 1, "training.unlabeled_patches": 1}


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """Three volumes with a bright box; P0 is annotated."""
    cohort = Cohort.create(
        tmp_path / "Kohorte", name="K", modality=Modality.CBCT, labels=LabelTable.from_names(["box", "rim"])
    )
    for number in range(3):
        array = np.random.default_rng(number).normal(0, 20, GRID.shape)
        array[6:16, 8:18, 10:22] += 500
        path = tmp_path / f"P{number}.nrrd"
        write_volume(path, array.astype(np.int16), GRID)
        cohort.add_case(path, case_id=f"P{number}")
    annotate(cohort, "P0")
    return cohort


def annotate(cohort: Cohort, case_id: str, *, width: int = 10, scribble: bool = False, rim: bool = True) -> None:
    array = np.full(GRID.shape, 255 if scribble else 0, np.uint8)
    array[6:16, 8 : 8 + width, 10:22] = 1
    if rim:
        array[6:16, 18, 10:22] = 2
    array[2] = 0
    kind = CoverageKind.SCRIBBLES if scribble else CoverageKind.COMPLETE
    save_annotation(cohort, case_id, array, coverage=Coverage(kind=kind), author="test")


def versions(cohort: Cohort, case_id: str) -> Path:
    return cohort.folder / "annotations" / case_id


def read_all(cohort: Cohort) -> RoundData:
    cache, data = PreparedCache(cohort, RECIPE), RoundData(store=CPU)
    for case in cohort.cases:
        if case.role is not Role.EXCLUDED:
            data.put(read_case(cache, case, cohort.annotation(case.id)))
    return data


class HandClock:
    """Moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    """The watch's time."""
    return HandClock()


@pytest.fixture
def watch(a_cohort: Cohort, clock: HandClock) -> CohortWatch:
    """Knows the cohort as it was at first, and has looked once."""
    made = CohortWatch(a_cohort, RECIPE, read_all(a_cohort).cases, clock)
    assert list(made.look()) == []
    return made


def changes(watch: CohortWatch) -> list[tuple[str, int | None, Role | None]]:
    """Case, version and role of each change; anything else is a surprise."""
    found = list(watch.look())
    assert all(isinstance(one, Change) for one in found), found
    told = []
    for one in found:
        read = one.read
        version = read.version.number if read is not None and read.version is not None else None
        told.append((one.case_id, version, None if read is None else read.role))
    return told


def troubles(watch: CohortWatch) -> list[str]:
    found = list(watch.look())
    assert all(isinstance(one, Trouble) for one in found), found
    return [one.message for one in found]


# What a look finds


def test_a_new_annotation_is_found_once(a_cohort: Cohort, watch: CohortWatch) -> None:
    annotate(a_cohort, "P1")
    assert changes(watch) == [("P1", 1, Role.TRAINING)]
    assert changes(watch) == []
    annotate(a_cohort, "P0", scribble=True)
    assert changes(watch) == [("P0", 2, Role.TRAINING)]


def test_what_was_saved_before_the_first_look_and_after_the_round_read_the_cohort_is_found(a_cohort: Cohort) -> None:
    data = read_all(a_cohort)
    annotate(a_cohort, "P2")
    assert changes(CohortWatch(a_cohort, RECIPE, data.cases)) == [("P2", 1, Role.TRAINING)]


def test_a_removed_version_gives_way_to_the_one_before_or_to_none(a_cohort: Cohort, watch: CohortWatch) -> None:
    annotate(a_cohort, "P0", width=3)
    assert changes(watch) == [("P0", 2, Role.TRAINING)]
    for number, left in ((2, 1), (1, None)):
        for path in versions(a_cohort, "P0").glob(f"{number:04d}.*"):
            path.unlink()
        assert changes(watch) == [("P0", left, Role.TRAINING)]


def test_a_version_removed_and_saved_anew_under_its_number_is_another_one(a_cohort: Cohort, watch: CohortWatch) -> None:
    for path in versions(a_cohort, "P0").iterdir():
        path.unlink()
    annotate(a_cohort, "P0", width=5)
    assert changes(watch) == [("P0", 1, Role.TRAINING)]


@pytest.mark.parametrize("role", [Role.VALIDATION, Role.EXCLUDED])
def test_a_case_that_changes_its_role_leaves_and_comes_back(a_cohort: Cohort, watch: CohortWatch, role: Role) -> None:
    Cohort.open(a_cohort.folder).set_role("P0", role)
    assert changes(watch) == [("P0", 1, role) if role is Role.VALIDATION else ("P0", None, None)]
    Cohort.open(a_cohort.folder).set_role("P0", Role.TRAINING)
    assert changes(watch) == [("P0", 1, Role.TRAINING)]


def test_a_case_added_meanwhile_takes_part(a_cohort: Cohort, watch: CohortWatch, tmp_path: Path) -> None:
    write_volume(tmp_path / "P9.nrrd", np.full(GRID.shape, 5, np.int16) + np.eye(24, 32, dtype=np.int16), GRID)
    Cohort.open(a_cohort.folder).add_case(tmp_path / "P9.nrrd", case_id="P9")
    assert changes(watch) == [("P9", None, Role.TRAINING)]
    annotate(Cohort.open(a_cohort.folder), "P9")
    assert changes(watch) == [("P9", 1, Role.TRAINING)]


def test_a_half_written_version_is_not_read_until_it_is_whole(a_cohort: Cohort, watch: CohortWatch) -> None:
    annotate(a_cohort, "P1")
    file = versions(a_cohort, "P1") / "0001.seg.nrrd"
    whole = file.read_bytes()
    for part in (None, b"", whole[:-50]):  # A share may bring the record before its file, or the file in parts.
        file.unlink(missing_ok=True)
        if part is not None:
            file.write_bytes(part)
        assert changes(watch) == []
    file.write_bytes(whole)
    assert changes(watch) == [("P1", 1, Role.TRAINING)]


def test_a_file_without_its_record_is_nothing(a_cohort: Cohort, watch: CohortWatch) -> None:
    versions(a_cohort, "P1").mkdir()
    (versions(a_cohort, "P1") / "0001.seg.nrrd").write_bytes(b"half")
    (versions(a_cohort, "P1") / ".tmp-abc.seg.nrrd").write_bytes(b"half")
    assert changes(watch) == []


def test_a_version_that_never_becomes_whole_is_told_once_after_a_minute(
    a_cohort: Cohort, watch: CohortWatch, clock: HandClock
) -> None:
    annotate(a_cohort, "P1")
    (versions(a_cohort, "P1") / "0001.seg.nrrd").write_bytes(b"half")
    assert troubles(watch) == []
    clock.now += 61
    (told,) = troubles(watch)
    assert "P1" in told
    assert "another checksum" in told
    assert troubles(watch) == []
    annotate(a_cohort, "P1")
    assert changes(watch) == [("P1", 2, Role.TRAINING)]


def test_a_damaged_record_is_told_once_and_the_case_stays_as_it_was(a_cohort: Cohort, watch: CohortWatch) -> None:
    annotate(a_cohort, "P0", width=2)
    record = versions(a_cohort, "P0") / "0002.json"
    record.write_text("{", encoding="utf-8")
    (told,) = troubles(watch)
    assert "0002.json, line 1" in told
    assert "goes on with what it knew" in told
    assert troubles(watch) == []


def test_a_case_that_cannot_be_read_leaves_training_all_the_same(a_cohort: Cohort, watch: CohortWatch) -> None:
    (versions(a_cohort, "P0") / "0001.json").write_text("{", encoding="utf-8")
    Cohort.open(a_cohort.folder).set_role("P0", Role.VALIDATION)
    first, second = list(watch.look())
    assert first == Change(case_id="P0", read=None)
    assert isinstance(second, Trouble)
    assert "takes no part any more" in second.message


def test_another_label_table_is_told_and_nothing_is_taken_over(a_cohort: Cohort, watch: CohortWatch) -> None:
    path = a_cohort.folder / "cohort.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["labels"].append({"value": 9, "name": "sinus", "color": [1, 2, 3], "terminology": ""})
    path.write_text(json.dumps(record), encoding="utf-8")
    annotate(a_cohort, "P1")
    (told,) = troubles(watch)
    assert "label table was changed" in told
    assert troubles(watch) == []


def test_a_look_at_two_hundred_unchanged_cases_opens_no_record(
    a_cohort: Cohort, watch: CohortWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cohort, "annotation", lambda *_: pytest.fail("a record was opened"))
    assert changes(watch) == []


# What the round makes of it


@pytest.fixture
def live(a_cohort: Cohort, a_job: JobFolder) -> tuple[LiveCases, RoundData]:
    """A round's cases; the watch looks whenever it is asked."""
    data = read_all(a_cohort)
    made = LiveCases(a_cohort, RECIPE, data, Reporter(a_job.path), lambda: None)
    watch = CohortWatch(a_cohort, RECIPE, data.cases)
    made.ready = lambda: list(watch.look())
    return made, data


def ids(cases: list[Any]) -> list[str]:
    return [case.case_id for case in cases]


def told(job: JobFolder, kind: str) -> list[str]:
    return [event["message"] for event in EventReader(job.path).read_new() if event["kind"] == kind]


def test_an_unlabeled_case_becomes_labeled_and_keeps_its_image(
    a_cohort: Cohort, live: tuple[LiveCases, RoundData], a_job: JobFolder
) -> None:
    cases, data = live
    before = data.unlabeled[1].image
    annotate(a_cohort, "P1", scribble=True)
    assert cases.take(7) != ""
    assert ids(data.labeled) == ["P0", "P1"]
    assert ids(data.unlabeled) == ["P0", "P1", "P2"]
    assert data.labeled[1].image is before
    assert [int((case.label != 255).sum()) for case in data.labeled] == [
        GRID.shape[0] * GRID.shape[1] * GRID.shape[2],
        10 * 10 * 12 + 10 * 12 + 24 * 32,
    ]
    assert told(a_job, "annotation") == ["Case P1: annotation 1 picked up (scribbles, for training), from step 8 on."]
    (event,) = [event for event in EventReader(a_job.path).read_new() if event["kind"] == "annotation"]
    assert (event["case"], event["version"], event["role"], event["step"]) == ("P1", 1, "training", 7)


def test_what_becomes_of_a_case_is_told_in_words(
    a_cohort: Cohort, live: tuple[LiveCases, RoundData], a_job: JobFolder
) -> None:
    cases, data = live
    annotate(a_cohort, "P1")
    cases.take(0)
    for path in versions(a_cohort, "P1").iterdir():
        path.unlink()
    cases.take(1)
    a_cohort.set_role("P2", Role.EXCLUDED)
    cases.take(2)
    annotate(a_cohort, "P1")
    a_cohort.set_role("P1", Role.VALIDATION)
    cases.take(3)
    assert told(a_job, "annotation") == [
        "Case P1: annotation 1 picked up (complete, for training), from step 1 on.",
        "Case P1: its annotation was removed, it counts as not annotated, from step 2 on.",
        "Case P2: it is excluded and takes no part, from step 3 on.",
        "Case P1: annotation 1 picked up (complete, for validation), from step 4 on.",
    ]
    assert (ids(data.labeled), ids(data.unlabeled), ids(data.validation)) == (["P0"], ["P0"], ["P1"])


def test_when_nothing_is_left_to_learn_from_the_way_out_is_told(
    a_cohort: Cohort, live: tuple[LiveCases, RoundData]
) -> None:
    a_cohort.set_role("P0", Role.VALIDATION)
    with pytest.raises(CohortError, match=r"Annotate at least one.*kept: resume the training to go on"):
        live[0].take(0)


def test_a_class_that_no_annotation_holds_any_more_is_warned_of(
    a_cohort: Cohort, live: tuple[LiveCases, RoundData], a_job: JobFolder
) -> None:
    annotate(a_cohort, "P0", rim=False)
    live[0].take(0)
    (warning,) = told(a_job, "warning")
    assert "holds rim any more" in warning


def test_strokes_without_background_are_used_and_warned_of(
    a_cohort: Cohort, live: tuple[LiveCases, RoundData], a_job: JobFolder
) -> None:
    strokes = np.full(GRID.shape, 255, np.uint8)
    strokes[8, 9, 10:22] = 1
    save_annotation(a_cohort, "P1", strokes, coverage=Coverage(kind=CoverageKind.SCRIBBLES), author="test")
    live[0].take(0)
    assert ids(live[1].labeled) == ["P0", "P1"]
    (warning,) = told(a_job, "warning")
    assert "Case P1: Annotation 1 has strokes of structures and none of background" in warning


def test_another_process_does_the_same_by_the_leaders_words(
    a_cohort: Cohort, live: tuple[LiveCases, RoundData], a_job: JobFolder
) -> None:
    follower_data = read_all(Cohort.open(a_cohort.folder))
    refreshed: list[bool] = []
    follower = LiveCases(
        Cohort.open(a_cohort.folder), RECIPE, follower_data, SilentReporter(a_job.path), lambda: refreshed.append(True)
    )
    cases, data = live
    annotate(a_cohort, "P1")
    a_cohort.set_role("P2", Role.EXCLUDED)
    words = cases.take(0)
    annotate(a_cohort, "P1", width=2)  # Saved already, but not what the leader goes by.
    follower.follow(words)
    assert follower_data.fingerprint() == data.fingerprint()
    assert ids(follower_data.labeled) == ["P0", "P1"]
    assert refreshed == [True]


def test_a_version_that_is_gone_before_another_process_reads_it_ends_the_training_with_the_way_out(
    a_cohort: Cohort, live: tuple[LiveCases, RoundData], a_job: JobFolder
) -> None:
    follower = LiveCases(a_cohort, RECIPE, read_all(a_cohort), SilentReporter(a_job.path), lambda: None)
    annotate(a_cohort, "P1")
    words = live[0].take(0)
    for path in versions(a_cohort, "P1").iterdir():
        path.unlink()
    with pytest.raises(JobError, match="resume the round from its last checkpoint"):
        follower.follow(words)


# The thread


def wait_for(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (value := true()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return value


def test_a_thread_looks_and_asking_it_returns_at_once(a_cohort: Cohort, watch: CohortWatch) -> None:
    thread = WatchThread(watch, seconds=0.01)
    with thread.running():
        assert thread.ready() == []
        annotate(a_cohort, "P1")
        (found,) = wait_for(thread.ready)
    assert found.case_id == "P1"


def test_a_fault_in_the_thread_is_raised_where_it_is_asked(watch: CohortWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "look", lambda: (_ for _ in ()).throw(ZeroDivisionError("a fault")))
    thread = WatchThread(watch, seconds=0.001)
    with thread.running(), pytest.raises(ZeroDivisionError):
        wait_for(thread.ready)


def test_a_share_that_is_gone_for_a_moment_does_not_end_the_watch(
    watch: CohortWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def look() -> list[Trouble]:
        looks.append(1)
        if len(looks) < 3:
            raise OSError("the network path was not found")
        return [Trouble(case_id=None, message="back")]

    monkeypatch.setattr(watch, "look", look)
    thread = WatchThread(watch, seconds=0.001)
    with thread.running():
        assert wait_for(thread.ready)[0].message == "back"


# A whole round


@pytest.fixture
def looking_between_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch looks when the training asks, so that a test knows at which step."""
    monkeypatch.setattr("barl.training.round.set_cpu_threads", lambda: None)
    monkeypatch.setattr(WatchThread, "ready", lambda thread: list(thread._watch.look()))
    monkeypatch.setattr(WatchThread, "running", lambda thread: nullcontext())


Drawn = tuple[list[str], list[str]]


def run_with(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch, before: dict[int, Callable[[], Any]]
) -> tuple[Path, list[Drawn]]:
    """A round of six steps, and the labeled and unlabeled cases of each; ``before`` happens while a batch is drawn."""
    folder = create(
        cohort.folder,
        {
            "method": "mean_teacher",
            "steps": 6,
            "device": "cpu",
            "precision": "fp32",
            "settings": SMALL,
        },
    )
    drawn: list[Drawn] = []
    draw = Sampler.next_batch

    def next_batch(sampler: Sampler) -> Any:
        drawn.append((ids(sampler.labeled), ids(sampler.unlabeled)))
        before.get(len(drawn), lambda: None)()
        return draw(sampler)

    monkeypatch.setattr(Sampler, "next_batch", next_batch)
    run_round(folder)
    return folder, drawn


@pytest.mark.usefixtures("looking_between_steps")
def test_a_running_training_draws_from_a_new_annotation_and_no_longer_from_a_validation_case(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Cohort.open(a_cohort.folder)
    before = {2: lambda: annotate(elsewhere, "P1"), 4: lambda: elsewhere.set_role("P0", Role.VALIDATION)}
    folder, drawn = run_with(a_cohort, monkeypatch, before)
    everyone = ["P0", "P1", "P2"]
    assert drawn == [
        *[(["P0"], everyone)] * 2,
        *[(["P0", "P1"], everyone)] * 2,
        *[(["P1"], ["P1", "P2"])] * 2,
    ]
    assert sorted(path.name for path in (folder / "predictions").glob("*.seg.nrrd")) == ["P0.seg.nrrd", "P2.seg.nrrd"]
    reader = EventReader(folder).read_new()
    assert [(e["case"], e["step"]) for e in reader if e["kind"] == "annotation"] == [("P1", 2), ("P0", 4)]
    assert [e["step"] for e in reader if e["kind"] == "metric" and "dice" in e] != []


@pytest.mark.usefixtures("looking_between_steps")
def test_the_last_annotation_removed_during_training_keeps_what_was_learned(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove() -> None:
        for path in versions(a_cohort, "P0").iterdir():
            path.unlink()

    with pytest.raises(CohortError, match="no annotated training case"):
        run_with(a_cohort, monkeypatch, {3: remove})
    snapshot = CheckpointFile(JobFolder(a_cohort.rounds()[0]).checkpoints).read()
    assert snapshot is not None
    assert snapshot.step == 3


class KilledError(BaseException):
    """Ends a training as a killed process would: nobody catches it."""


def test_a_watched_round_killed_and_resumed_equals_an_undisturbed_one_bit_for_bit(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barl.training.round.set_cpu_threads", lambda: None)
    monkeypatch.setattr("barl.training.loop._Clock.checkpoint_due", lambda clock: True)
    monkeypatch.setattr(WatchThread.__init__, "__defaults__", (0.001,))  # Looks between any two steps.
    draw, batches = Sampler.next_batch, itertools.count(1)

    def next_batch(sampler: Sampler) -> Any:
        if next(batches) == 10:  # The fourth of the second round.
            raise KilledError
        return draw(sampler)

    monkeypatch.setattr(Sampler, "next_batch", next_batch)
    wish = {"method": "mean_teacher", "steps": 6, "device": "cpu", "precision": "fp32", "predict": False}
    whole, killed = (create(a_cohort.folder, {**wish, "settings": SMALL}) for _ in range(2))
    run_round(whole)
    with pytest.raises(KilledError):
        run_round(killed)
    run_round(killed)
    first, second = (
        torch.load(JobFolder(folder).model / "weights.pt", weights_only=True) for folder in (whole, killed)
    )
    assert next(batches) <= 6 + 4 + 4 + 1  # It went on from one of the last checkpoints.
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert told(JobFolder(killed), "annotation") == []
