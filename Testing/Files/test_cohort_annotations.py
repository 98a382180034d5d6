"""Annotation versions are numbered, never overwritten, and whole or not there; states and rounds follow from files."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from barl.cohort import AnnotationVersion, CaseState, Cohort, Coverage, CoverageKind, prediction_path
from barl.errors import CohortError, NewerFormatError, StorageError

COMPLETE = Coverage()
SLICES = Coverage(kind=CoverageKind.SLICES, axis=0)
SCRIBBLES = Coverage(kind=CoverageKind.SCRIBBLES)


@pytest.fixture
def a_case(a_cohort: Cohort, an_image: Path) -> str:
    """The id of a case without annotations."""
    return a_cohort.add_case(an_image).id


def _annotate(cohort: Cohort, case_id: str, text: str = "labels", **more: object) -> AnnotationVersion:
    arguments = {"coverage": COMPLETE, "author": "Ana"} | more
    return cohort.add_annotation(case_id, lambda path: path.write_text(text) and None, **arguments)  # type: ignore[arg-type]


def _files(cohort: Cohort, case_id: str) -> list[str]:
    return sorted(path.name for path in (cohort.folder / "annotations" / case_id).iterdir())


def test_a_version_read_again_is_the_same(a_cohort: Cohort, a_case: str) -> None:
    saved = _annotate(
        a_cohort, a_case, coverage=SLICES, source="imported", from_prediction="rounds/0001/x.seg.nrrd", note="schön"
    )

    assert a_cohort.annotations(a_case) == [saved]
    assert a_cohort.annotation(a_case) == saved
    assert saved.path == a_cohort.folder / "annotations" / a_case / "0001.seg.nrrd"
    assert saved.content_hash == hashlib.sha256(b"labels").hexdigest()
    assert saved.created.endswith("+00:00")


def test_versions_are_numbered_and_the_earlier_ones_stay(a_cohort: Cohort, a_case: str) -> None:
    versions = [_annotate(a_cohort, a_case, text) for text in ("one", "two", "three")]

    assert [(version.number, version.parent) for version in versions] == [(1, None), (2, 1), (3, 2)]
    assert [version.path.read_text() for version in a_cohort.annotations(a_case)] == ["one", "two", "three"]
    assert _annotate(a_cohort, a_case, parent=1).parent == 1


def test_a_case_without_annotations_has_none(a_cohort: Cohort, a_case: str) -> None:
    assert a_cohort.annotations(a_case) == []
    assert a_cohort.annotation(a_case) is None


def _save_at_the_same_moment(folder: Path, case_id: str, author: str, barrier: Barrier) -> None:
    cohort = Cohort.open(folder)

    def write(path: Path) -> None:
        path.write_text(author)
        barrier.wait(timeout=60)

    cohort.add_annotation(case_id, write, coverage=COMPLETE, author=author)


def test_two_annotators_saving_one_case_at_the_same_moment_lose_nothing(a_cohort: Cohort, a_case: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    annotators = [
        context.Process(target=_save_at_the_same_moment, args=(a_cohort.folder, a_case, author, barrier))
        for author in ("Ana", "Ben")
    ]
    for annotator in annotators:
        annotator.start()
    for annotator in annotators:
        annotator.join(timeout=60)

    versions = a_cohort.annotations(a_case)
    assert [annotator.exitcode for annotator in annotators] == [0, 0]
    assert [(version.number, version.parent) for version in versions] == [(1, None), (2, None)]
    assert {version.author for version in versions} == {"Ana", "Ben"}
    assert all(version.path.read_text() == version.author for version in versions)


def test_a_file_without_its_json_is_no_version_and_keeps_its_number(a_cohort: Cohort, a_case: str) -> None:
    _annotate(a_cohort, a_case)
    half = a_cohort.folder / "annotations" / a_case / "0002.seg.nrrd"
    half.write_text("half")

    assert [version.number for version in a_cohort.annotations(a_case)] == [1]
    assert _annotate(a_cohort, a_case).number == 3
    assert half.read_text() == "half"


@pytest.mark.parametrize("full_when_writing", ["0001.seg.nrrd", "0001.json", ".tmp-"])
def test_a_full_disk_leaves_no_version(
    a_cohort: Cohort, a_case: str, monkeypatch: pytest.MonkeyPatch, full_when_writing: str
) -> None:
    real = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name.startswith(full_when_writing):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(StorageError, match="disk is full"):
            _annotate(a_cohort, a_case)

    assert _files(a_cohort, a_case) == []
    assert _annotate(a_cohort, a_case).number == 1


def test_a_writer_that_fails_leaves_nothing(a_cohort: Cohort, a_case: str) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        a_cohort.add_annotation(a_case, fail, coverage=COMPLETE, author="Ana")

    assert _files(a_cohort, a_case) == []


def test_what_a_killed_writer_left_is_removed_a_day_later(a_cohort: Cohort, a_case: str) -> None:
    _annotate(a_cohort, a_case)
    folder = a_cohort.folder / "annotations" / a_case
    for name, age_s in (("old", 2 * 24 * 3600), ("at-work", 60)):
        path = folder / f".tmp-{name}.seg.nrrd"
        path.write_text("half")
        os.utime(path, (time.time() - age_s,) * 2)

    _annotate(a_cohort, a_case)

    assert [name for name in _files(a_cohort, a_case) if name.startswith(".tmp")] == [".tmp-at-work.seg.nrrd"]


def test_a_damaged_version_is_told_with_file_and_line(a_cohort: Cohort, a_case: str) -> None:
    sidecar = _annotate(a_cohort, a_case).path.with_name("0001.json")
    sidecar.write_text('{\n"format_version": 1,\n')

    with pytest.raises(CohortError, match=r"0001\.json, line 3"):
        a_cohort.annotations(a_case)


def test_a_newer_version_is_refused(a_cohort: Cohort, a_case: str) -> None:
    sidecar = _annotate(a_cohort, a_case).path.with_name("0001.json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text("utf-8")) | {"format_version": 9}), "utf-8")

    with pytest.raises(NewerFormatError, match="format 9"):
        a_cohort.annotation(a_case)


@pytest.mark.parametrize(
    "arguments", [{"kind": CoverageKind.SLICES}, {"kind": CoverageKind.SLICES, "axis": 3}, {"axis": 0}]
)
def test_an_axis_belongs_to_slices(arguments: dict[str, object]) -> None:
    with pytest.raises(CohortError, match="axis"):
        Coverage(**arguments)  # type: ignore[arg-type]


def test_an_unknown_source_is_refused(a_cohort: Cohort, a_case: str) -> None:
    with pytest.raises(CohortError, match=r"one of .*got 'guessed'"):
        _annotate(a_cohort, a_case, source="guessed")


@pytest.mark.parametrize(
    ("coverage", "source", "state"),
    [
        (COMPLETE, "drawn", CaseState.ANNOTATED),
        (COMPLETE, "imported", CaseState.ANNOTATED),
        (COMPLETE, "accepted", CaseState.ACCEPTED),
        (SLICES, "accepted", CaseState.PARTLY_ANNOTATED),
        (SCRIBBLES, "drawn", CaseState.PARTLY_ANNOTATED),
    ],
)
@pytest.mark.parametrize("predicted", [False, True])
def test_the_newest_annotation_decides_the_state(
    a_cohort: Cohort, a_case: str, coverage: Coverage, source: str, state: CaseState, predicted: bool
) -> None:
    if predicted:
        _predict(a_cohort.new_round(), a_case)
    _annotate(a_cohort, a_case, coverage=SLICES)
    _annotate(a_cohort, a_case, coverage=coverage, source=source)

    assert a_cohort.state(a_case) is state


def test_without_annotation_a_prediction_decides_the_state(a_cohort: Cohort, a_case: str) -> None:
    assert a_cohort.state(a_case) is CaseState.UNLABELED

    _predict(a_cohort.new_round(), a_case)

    assert a_cohort.state(a_case) is CaseState.PREDICTED


def test_rounds_are_numbered_and_the_newest_prediction_counts(a_cohort: Cohort, a_case: str) -> None:
    assert a_cohort.latest_prediction(a_case) is None
    rounds = [a_cohort.new_round() for _ in range(3)]
    predictions = [_predict(path, a_case) for path in rounds[:2]]
    (a_cohort.folder / "rounds" / "notes.txt").write_text("mine")

    assert [path.name for path in a_cohort.rounds()] == ["0001", "0002", "0003"]
    assert a_cohort.rounds() == rounds
    assert a_cohort.latest_prediction(a_case) == predictions[1]


def test_a_prediction_without_its_json_is_not_finished(a_cohort: Cohort, a_case: str) -> None:
    path = _predict(a_cohort.new_round(), a_case)
    path.with_name(f"{a_case}.json").unlink()

    assert a_cohort.latest_prediction(a_case) is None


def _predict(folder: Path, case_id: str) -> Path:
    path = prediction_path(folder, case_id)
    path.parent.mkdir(parents=True)
    path.write_text("labels")
    path.with_name(f"{case_id}.json").write_text("{}")
    return path
