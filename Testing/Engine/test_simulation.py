"""Loops of a simulation in this process: what each strategy annotates, what it costs, what is skipped the next time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barl.cli import main
from barl.cohort import Cohort, CoverageKind, LabelTable, Modality, Role
from barl.errors import InputError, JobFailedError, SettingsError
from barl.imaging import Geometry, write_volume
from barl.imaging.annotations import load_annotation
from barl.jobs import State, Status, read_status
from barl.run_job import run
from barl.simulation import SimulationSettings, measured_cases, simulate

GRID = Geometry(size=(32, 24, 24), spacing_mm=(1.0,) * 3, origin_mm=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
SMALL = {"network.base_filters": 4, "training.labeled_patches": 1}
TINY = {"steps": 2, "rounds": 1, "method": "supervised", "device": "cpu", "precision": "fp32", "settings": SMALL}
REGION = {"rank": 1, "bounds_ras_mm": [[-14, -10], [-12, -8], [6, 10]], "expected_error_mm3": 2.0}


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """Five volumes with a bright box, of which the last is for validation."""
    cohort = Cohort.create(
        tmp_path / "Kohorte", name="K", modality=Modality.CBCT, labels=LabelTable.from_names(["box"])
    )
    for number in range(5):
        array = np.random.default_rng(number).normal(0, 20, GRID.shape)
        array[6:16, 8:18, 10:22] += 500
        path = tmp_path / "images" / f"P{number}.nrrd"
        path.parent.mkdir(exist_ok=True)
        write_volume(path, array.astype(np.int16), GRID)
        cohort.add_case(path, case_id=f"P{number}", role=Role.VALIDATION if number == 4 else Role.TRAINING)
    return cohort


@pytest.fixture
def truth(a_cohort: Cohort, tmp_path: Path) -> dict[str, Path]:
    """A label file for each case."""
    labels = np.zeros(GRID.shape, np.uint8)
    labels[6:16, 8:18, 10:22] = 1
    files = {case.id: tmp_path / "truth" / f"{case.id}.nrrd" for case in a_cohort.cases}
    for path in files.values():
        path.parent.mkdir(exist_ok=True)
        write_volume(path, labels, GRID)
    return files


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trainings run in this process, and their predictions list a region; gives which ones ran."""
    ran: list[str] = []

    def launch(folder: Path) -> None:
        ran.append(f"{folder.parent.parent.name} {folder.name}")
        assert run(folder) == 0
        for path in (folder / "predictions").glob("*.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"regions": [REGION]}), encoding="utf-8")

    monkeypatch.setattr("barl.simulation.study.launch", launch)
    monkeypatch.setattr("barl.training.round.set_cpu_threads", lambda: None)
    return ran


def asked(**more: Any) -> SimulationSettings:
    return SimulationSettings(**{**TINY, "start_cases": 1, "cases_per_round": 2, "slices_per_round": 3, **more})


def known(folder: Path) -> dict[str, tuple[str, int]]:
    """Coverage and known voxels of each annotated case."""
    cohort = Cohort.open(folder)
    newest = {case.id: cohort.annotation(case.id) for case in cohort.cases}
    return {
        case_id: (version.coverage.kind.value, int((load_annotation(cohort, version) != 255).sum()))
        for case_id, version in newest.items()
        if version is not None
    }


WHOLE = 24 * 24 * 32


def test_every_strategy_annotates_its_own_way_from_one_start_and_is_not_repeated(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, trained: list[str]
) -> None:
    before = sorted(path.name for path in a_cohort.folder.rglob("*"))
    out = tmp_path / "out"
    page = simulate(a_cohort, truth, out, asked())

    assert trained == ["start-0 0001", "regions-0 0002", "slices-0 0002", "cases-0 0002", "all-0 0002"]
    regions, slices, cases, everything = (known(out / "cohorts" / f"{name}-0") for name in asked().strategies)
    (start,) = known(out / "cohorts" / "start-0")
    assert all(found[start] == ("complete", WHOLE) for found in (regions, slices, cases, everything))
    rest = {"P0", "P1", "P2", "P3"} - {start}
    assert {case_id: found for case_id, found in regions.items() if case_id != start} == dict.fromkeys(
        rest, ("scribbles", 9 * 9 * 9)
    )
    assert sorted(found for case_id, found in slices.items() if case_id != start) == [
        ("slices", 24 * 32),
        ("slices", 2 * 24 * 32),
    ]
    assert [sum(found[0] == CoverageKind.COMPLETE.value for found in one.values()) for one in (cases, everything)] == [
        3,
        4,
    ]
    assert sorted(path.name for path in a_cohort.folder.rglob("*")) == before

    told = json.loads((out / "curves.json").read_text(encoding="utf-8"))["points"]
    spent = {one["strategy"]: one["cost"] for one in told if one["round"] == 1}
    first = next(one["cost"] for one in told if one["round"] == 0)
    assert first == {
        "voxels_changed": 10 * 10 * 12,
        "voxels_reviewed": WHOLE,
        "slices_touched": 10,
        "regions_visited": 0,
        "cases_opened": 1,
    }
    assert (spent["regions"]["regions_visited"], spent["regions"]["cases_opened"]) == (3, 4)
    assert spent["regions"]["voxels_reviewed"] == WHOLE + 3 * 729
    assert spent["slices"]["slices_touched"] == 10 + 3
    assert spent["all"]["voxels_reviewed"] == 4 * WHOLE
    assert all(0 <= one["dice"] <= 1 for one in told)

    trained.clear()
    simulate(a_cohort, truth, out, asked())
    assert trained == []
    assert page.is_file()


def test_the_first_cases_may_be_annotated_in_a_few_slices_alone(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, trained: list[str]
) -> None:
    simulate(a_cohort, truth, tmp_path / "out", asked(strategies=("cases",), start_slices=2))
    (first,) = known(tmp_path / "out" / "cohorts" / "start-0").values()
    assert first == ("slices", 2 * 24 * 32)
    told = json.loads((tmp_path / "out" / "curves.json").read_text(encoding="utf-8"))["points"]
    assert [(one["cost"]["slices_touched"], one["cost"]["voxels_changed"]) for one in told[:1]] == [(2, 2 * 10 * 12)]


def test_regions_may_come_from_the_very_cases_that_would_be_drawn_whole(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, trained: list[str]
) -> None:
    settings = asked(strategies=("regions", "cases"), region_cases=2, elsewhere="accepted")
    simulate(a_cohort, truth, tmp_path / "out", settings)

    regions, cases = (known(tmp_path / "out" / "cohorts" / f"{name}-0") for name in settings.strategies)
    assert regions.keys() == cases.keys()
    assert set(regions.values()) == set(cases.values()) == {("complete", WHOLE)}
    told = json.loads((tmp_path / "out" / "curves.json").read_text(encoding="utf-8"))["points"]
    reviewed = {one["strategy"]: one["cost"]["voxels_reviewed"] for one in told if one["round"] == 1}
    assert reviewed == {"regions": WHOLE + 2 * 729, "cases": 3 * WHOLE}


def test_later_trainings_may_go_on_from_the_weights_before_and_all_get_as_many_steps(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, trained: list[str]
) -> None:
    settings = asked(strategies=("cases", "all"), rounds=2, cases_per_round=1, refine_steps=1)
    simulate(a_cohort, truth, tmp_path / "out", settings)

    assert trained == ["start-0 0001", "cases-0 0002", "cases-0 0003", "all-0 0002", "all-0 0003"]
    wishes = [
        json.loads((tmp_path / "out/cohorts/all-0/rounds" / name / "job.json").read_text(encoding="utf-8"))["payload"]
        for name in ("0001", "0002", "0003")
    ]
    assert [(wish.get("from_round"), wish["steps"]) for wish in wishes] == [(None, 2), (1, 1), (2, 1)]
    assert len({wish["seed"] for wish in wishes}) == 3
    told = json.loads((tmp_path / "out" / "curves.json").read_text(encoding="utf-8"))["points"]
    assert [point["steps"] for point in told] == [2, 3, 4] * 2
    everything = [point["cost"]["voxels_reviewed"] for point in told if point["strategy"] == "all"]
    assert everything == [WHOLE, 4 * WHOLE, 4 * WHOLE]


def test_a_simulation_cut_short_goes_on_with_the_same_costs(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = asked(strategies=("cases",))
    simulate(a_cohort, truth, tmp_path / "whole", settings)
    whole = json.loads((tmp_path / "whole" / "curves.json").read_text(encoding="utf-8"))["points"]

    measure = "barl.simulation.study.score_case"
    with monkeypatch.context() as patch:
        patch.setattr(measure, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            simulate(a_cohort, truth, tmp_path / "cut", settings)
    simulate(a_cohort, truth, tmp_path / "cut", settings)
    again = json.loads((tmp_path / "cut" / "curves.json").read_text(encoding="utf-8"))["points"]
    assert again == whole
    assert trained.count("start-0 0001") == 2
    versions = [len(list(path.glob("*.json"))) for path in (tmp_path / "cut/cohorts/cases-0/annotations").iterdir()]
    assert versions == [1, 1, 1]


def test_another_question_needs_another_folder_and_more_of_the_same_does_not(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, trained: list[str]
) -> None:
    simulate(a_cohort, truth, tmp_path / "out", asked(strategies=("slices",)))
    with pytest.raises(InputError, match=r"a simulation with steps 2, not 3\. Choose another folder"):
        simulate(a_cohort, truth, tmp_path / "out", asked(strategies=("slices",), steps=3))
    simulate(a_cohort, truth, tmp_path / "out", asked(strategies=("slices",), rounds=2))
    assert trained == ["start-0 0001", "slices-0 0002", "slices-0 0003"]


def test_damaged_files_of_a_simulation_are_told_with_what_helps(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, trained: list[str]
) -> None:
    wish = asked(strategies=("slices",))
    simulate(a_cohort, truth, tmp_path / "out", wish)
    point = next((tmp_path / "out" / "points").glob("slices-0-01*"))
    for content in ("{", '{"round": 1}'):
        point.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=rf"{point.name}.*Delete this file: its round is then measured again"):
            simulate(a_cohort, truth, tmp_path / "out", wish)
    (tmp_path / "out" / "simulation.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match=r"simulation\.json.*Choose another folder"):
        simulate(a_cohort, truth, tmp_path / "out", wish)


def test_a_training_that_outlived_a_simulation_is_waited_for(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []

    def status(folder: Path) -> Status:
        looks.append(folder)
        return Status(state=State.RUNNING) if len(looks) == 1 else read_status(folder)

    def wait(folder: Path, **_: Any) -> Status:
        if read_status(folder).state is State.QUEUED:  # What goes on beside the simulation.
            assert run(folder) == 0
        return read_status(folder)

    monkeypatch.setattr("barl.simulation.study.read_status", status)
    monkeypatch.setattr("barl.simulation.study.wait", wait)
    simulate(a_cohort, truth, tmp_path / "out", asked(strategies=("all",)))
    assert trained == ["all-0 0002"]


def test_a_training_that_fails_is_told(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barl.simulation.study.launch", lambda folder: None)
    failed = Status(state=State.FAILED, error="no memory")
    monkeypatch.setattr("barl.simulation.study.wait", lambda folder, **_: failed)
    with pytest.raises(JobFailedError, match=r"0001 ended as failed: no memory"):
        simulate(a_cohort, truth, tmp_path / "out", asked())


def test_measured_are_the_validation_cases_or_a_fifth(a_cohort: Cohort, truth: dict[str, Path]) -> None:
    assert measured_cases(a_cohort, truth) == ("P4",)
    a_cohort.set_role("P4", Role.TRAINING)
    assert len(measured_cases(a_cohort, truth)) == 1
    few = {case_id: truth[case_id] for case_id in ("P0", "P1")}
    with pytest.raises(InputError, match="No case can be measured"):
        measured_cases(a_cohort, few)


def test_too_little_truth_is_told_before_anything_is_made(
    a_cohort: Cohort, truth: dict[str, Path], tmp_path: Path
) -> None:
    few = {case_id: truth[case_id] for case_id in ("P0", "P4")}
    with pytest.raises(InputError, match="nothing is left to correct"):
        simulate(a_cohort, few, tmp_path / "out", asked())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--seeds", "0,one"), "takes whole numbers"),
        (("--strategies", "regions,luck"), "strategies must be some of"),
        (("--set", "training.epochs=3"), "no setting 'epochs'"),
        (("--method", "unet"), "method must be one of"),
    ],
)
def test_the_command_line_refuses_before_anything_is_made(
    a_cohort: Cohort,
    truth: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, str],
    told: str,
) -> None:
    folders = ("--truth", str(truth["P0"].parent), "--output", str(tmp_path / "out"))
    assert main(["simulate", str(a_cohort.folder), *folders, *options, "--json"]) == 2
    assert told in json.loads(capsys.readouterr().out)["error"]["message"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"strategies": ("regions", "luck")}, "strategies must be some of"),
        ({"strategies": ()}, "strategies must be some of"),
        ({"seeds": (0, 0)}, "different numbers"),
        ({"seeds": ()}, "different numbers"),
        ({"seeds": (-1,)}, "different numbers"),
        ({"rounds": 0}, "rounds must be 1 or more"),
        ({"refine_steps": 0}, "refine_steps must be 1 or more"),
        ({"region_cases": 0}, "region_cases must be 1 or more"),
        ({"elsewhere": "guessed"}, "elsewhere must be one of"),
        ({"margin_mm": -1.0}, "margin_mm"),
        ({"slice_axis": 3}, "slice_axis"),
    ],
)
def test_a_senseless_simulation_is_refused(wish: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        SimulationSettings(**wish)
