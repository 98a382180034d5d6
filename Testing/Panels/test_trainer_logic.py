"""What is behind the engineer's panels: histories, figures, exports and disk use, on real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trainer_study import aModel, aRound

from barl.cohort import Cohort
from barl.errors import JobError, StorageError
from barl.jobs import EventWriter, State, Status, write_status


@pytest.fixture
def a_cohort(standin: Any, a_cohort_folder: Path) -> Cohort:
    """A cohort with one round that was measured on three cases."""
    cohort = Cohort.open(a_cohort_folder)
    aRound(cohort, "barl", dice=0.8, cases=3)
    return cohort


@pytest.fixture
def a_model(a_cohort: Cohort) -> Path:
    """The round's model."""
    return aModel(a_cohort.rounds()[0])


def export(a_cohort: Cohort, target: Path) -> list[float]:
    from BARLTrainerLib.logic.ModelExport import exporting

    return list(exporting(a_cohort.rounds()[0], target))


def history(folder: Path) -> Any:
    from BARLTrainerLib.logic.RoundHistory import RoundHistory

    made = RoundHistory(folder)
    while made.readOn():
        pass
    return made


def test_a_resumed_round_draws_the_repeated_steps_once(a_cohort: Cohort) -> None:
    folder = a_cohort.rounds()[0]
    events = EventWriter(folder)
    events.write("resumed", step=10)
    events.write("metric", step=20, dice=0.9, dice_by_class={}, validation_cases=3)
    events.write("metric", step=20, loss=0.1)

    read = history(folder)

    assert [(score.step, score.dice) for score in read.scores] == [(10, 0.4), (20, 0.9)]
    assert read.losses == [(10, 1.0), (20, 0.1)]


def test_a_round_that_is_begun_anew_forgets_what_was(a_cohort: Cohort) -> None:
    folder = a_cohort.rounds()[0]
    EventWriter(folder).write("started")

    assert history(folder).scores == []


def test_a_long_history_is_read_in_parts_and_thinned_out(a_cohort: Cohort) -> None:
    from BARLTrainerLib.logic.RoundHistory import BYTES_A_LOOK, MOST_POINTS, RoundHistory

    folder = a_cohort.rounds()[0]
    lines = [json.dumps({"time": 0, "kind": "metric", "step": 100 + n, "loss": 1.0}) for n in range(3 * MOST_POINTS)]
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    read, looks = RoundHistory(folder), 1
    while read.readOn():
        looks += 1

    assert looks >= (folder / "events.jsonl").stat().st_size // (BYTES_A_LOOK + 200)
    assert MOST_POINTS / 2 < len(read.losses) <= MOST_POINTS
    assert read.losses == sorted(read.losses)


def test_a_score_without_a_noted_number_of_cases_counts_the_annotated_ones_of_today(a_cohort: Cohort) -> None:
    from trainer_study import FilesOnly

    from barl.cohort import Coverage, Role
    from BARLSegmentLib.logic.TrainLogic import TrainLogic
    from BARLTrainerLib.logic.RoundsLogic import RoundsLogic

    EventWriter(a_cohort.rounds()[0]).write("metric", step=30, dice=0.7, dice_by_class={"jaw": 0.7})
    for case in ("scan_02", "scan_03"):
        a_cohort.set_role(case, Role.VALIDATION)
    a_cohort.add_annotation("scan_02", lambda path: path.write_bytes(b"v"), coverage=Coverage(), author="anna")
    logic = RoundsLogic(TrainLogic(FilesOnly()))
    logic.show(a_cohort)
    logic.look()

    assert logic.rows[0].validationCases == 1
    assert logic.rows[0].isTooFew


def test_an_export_of_the_same_model_takes_the_place_of_the_one_before(
    a_cohort: Cohort, a_model: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "model"
    assert export(a_cohort, target)[-1] == 1.0
    (target / "weights.pt").write_bytes(b"half")

    export(a_cohort, target)

    assert (target / "weights.pt").read_bytes() == b"weights"
    assert [path.name for path in target.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("foreign", ["thesis.txt", "model.json"])
def test_an_export_never_overwrites_what_is_foreign(
    a_cohort: Cohort, a_model: Path, tmp_path: Path, foreign: str
) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / foreign).write_text("mine", encoding="utf-8")

    with pytest.raises(StorageError, match="holds something else"):
        export(a_cohort, target)

    assert [(path.name, path.read_text(encoding="utf-8")) for path in target.iterdir()] == [(foreign, "mine")]


def test_an_export_of_another_model_is_kept(a_cohort: Cohort, a_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    export(a_cohort, target)
    aModel(a_cohort.rounds()[0], b"other weights")

    with pytest.raises(StorageError, match="holds something else"):
        export(a_cohort, target)

    assert (target / "weights.pt").read_bytes() == b"weights"


def test_an_export_into_the_round_is_refused(a_cohort: Cohort, a_model: Path) -> None:
    with pytest.raises(StorageError, match="lies in the round itself"):
        export(a_cohort, a_cohort.rounds()[0] / "copy")


def test_a_damaged_model_is_not_exported(a_cohort: Cohort, a_model: Path, tmp_path: Path) -> None:
    (a_model / "weights.pt").write_bytes(b"weighty")

    with pytest.raises(JobError, match="is damaged"):
        export(a_cohort, tmp_path / "model")

    assert not (tmp_path / "model").exists()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".tmp-")] == []


def test_an_export_that_is_dropped_leaves_nothing(a_cohort: Cohort, a_model: Path, tmp_path: Path) -> None:
    from BARLTrainerLib.logic.ModelExport import exporting

    going = exporting(a_cohort.rounds()[0], tmp_path / "out" / "model")
    next(going)
    going.close()

    assert list((tmp_path / "out").iterdir()) == []


def test_a_round_without_a_model_has_nothing_to_export(a_cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="has no model"):
        export(a_cohort, tmp_path / "model")


def test_an_export_is_named_after_cohort_and_round(a_cohort: Cohort, tmp_path: Path) -> None:
    from BARLTrainerLib.logic.ModelExport import exportFolder

    assert exportFolder(a_cohort, 7, tmp_path) == tmp_path / "Jaws-round-0007"


def test_a_table_of_figures_is_written_again_but_never_over_another_file(tmp_path: Path, standin: Any) -> None:
    from BARLTrainerLib.logic.FiguresTable import HEADER, writeFigures
    from BARLTrainerLib.logic.RoundRow import RoundRow

    path = tmp_path / "rounds.csv"
    rows = [RoundRow(number=1, folder=tmp_path, asked={"method": 'a "name", with comma'})]
    writeFigures(path, rows)
    writeFigures(path, rows)
    assert path.read_text(encoding="utf-8").splitlines() == [
        ",".join(HEADER),
        '1,"a ""name"", with comma",,,unreadable,,,,,',
    ]

    path.write_text("name,grade\nanna,1\n", encoding="utf-8")
    with pytest.raises(StorageError, match="is no table of BARL's rounds"):
        writeFigures(path, rows)
    assert path.read_text(encoding="utf-8").startswith("name,grade")


def test_the_cache_is_not_deleted_under_a_running_training(a_cohort: Cohort) -> None:
    from BARLTrainerLib.logic.DiskUse import DiskUse, Kind

    (a_cohort.folder / "cache").mkdir(exist_ok=True)
    (a_cohort.folder / "cache" / "array.npy").write_bytes(b"0" * 1000)
    use = DiskUse(a_cohort)
    (cache,) = (part for part in use.parts if part.kind is Kind.CACHE)
    write_status(a_cohort.rounds()[0], Status(state=State.RUNNING).by_this_process())
    with pytest.raises(JobError, match="being trained"):
        use.delete(cache)

    write_status(a_cohort.rounds()[0], Status(state=State.FINISHED))
    use.delete(cache)

    assert not (a_cohort.folder / "cache").exists()
    assert cache not in use.parts


def test_what_a_person_brought_or_drew_is_never_deleted(a_cohort: Cohort) -> None:
    from BARLTrainerLib.logic.DiskUse import DiskUse, Kind, Part

    folder = a_cohort.folder / "annotations"
    folder.mkdir()
    (a_cohort.folder / "drafts").mkdir()
    assert Kind.DRAFTS in [part.kind for part in DiskUse(a_cohort).parts]

    for kind in (Kind.ANNOTATIONS, Kind.DRAFTS, Kind.IMAGES):
        with pytest.raises(JobError, match="not deleted here"):
            DiskUse(a_cohort).delete(Part(kind=kind, path=folder))
    assert folder.is_dir()


def test_a_damaged_round_can_be_deleted(a_cohort: Cohort) -> None:
    from BARLTrainerLib.logic.DiskUse import DiskUse, Kind

    (a_cohort.rounds()[0] / "job.json").unlink()
    use = DiskUse(a_cohort)
    use.delete(next(part for part in use.parts if part.kind is Kind.ROUND))

    assert a_cohort.rounds() == []


def test_checkpoints_that_are_gone_no_longer_count_in_their_round(a_cohort: Cohort) -> None:
    from BARLTrainerLib.logic.DiskUse import DiskUse, Kind

    checkpoints = a_cohort.rounds()[0] / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "newest.pt").write_bytes(b"0" * 5000)
    use = DiskUse(a_cohort)
    while use.look():
        pass
    parts = {part.kind: part for part in use.parts}
    before = parts[Kind.ROUND].bytes
    assert parts[Kind.CHECKPOINTS].bytes == 5000
    assert use.total == sum(part.bytes for part in use.parts) - 5000

    use.delete(parts[Kind.CHECKPOINTS])

    assert parts[Kind.ROUND].bytes == before - 5000
    assert a_cohort.rounds()[0].is_dir()
