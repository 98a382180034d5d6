"""A round in this process, as far as the journey through the command line does not go."""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from barl.cohort import Cohort, Coverage, CoverageKind, LabelTable, Modality, Role
from barl.errors import CohortError, OutOfMemoryError, SettingsError
from barl.imaging import Geometry, audit, save_annotation, volumes, write_volume
from barl.imaging.sound_images import sound_cases
from barl.inference.model_folder import read_card, read_weights
from barl.jobs import EventReader, JobFolder
from barl.methods.factory import method_class
from barl.training.distributed import Group, Share
from barl.training.job import TrainingJob, create
from barl.training.plan import read_plan
from barl.training.preparation import refuse_before_round
from barl.training.round import run_round
from barl.training.sampler import Sampler

GRID = Geometry(
    size=(32, 24, 24), spacing_mm=(0.25, 0.25, 0.25), origin_mm=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
)
SMALL = {"network.base_filters": 4, "training.labeled_patches": 2, "training.unlabeled_patches": 2}


@pytest.fixture(autouse=True)
def _still_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that wait for each other on a busy computer take ten times as long."""
    monkeypatch.setattr("barl.training.round.set_cpu_threads", lambda: None)


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """Three volumes with a bright box, of which the first is annotated."""
    return made(tmp_path, GRID)


def made(folder: Path, grid: Geometry) -> Cohort:
    labels = LabelTable.from_names(["box"])
    cohort = Cohort.create(folder / "Kohorte", name="K", modality=Modality.CBCT, labels=labels)
    for number in range(3):
        array = np.random.default_rng(number).normal(0, 20, grid.shape)
        array[6:16, 8:18, 10:22] += 500
        path = folder / "images" / f"P{number}.nrrd"
        path.parent.mkdir(exist_ok=True)
        write_volume(path, array.astype(np.int16), grid)
        cohort.add_case(path, case_id=f"P{number}")
    annotate(cohort, "P0", box=(slice(6, 16), slice(8, 18), slice(10, 22)))
    return cohort


def annotate(cohort: Cohort, case_id: str, *, box: tuple[slice, slice, slice], scribble: bool = False) -> None:
    array = np.full(GRID.shape, 255 if scribble else 0, np.uint8)
    array[box] = 1
    if scribble:  # Background is painted too, beside the structure.
        array[tuple(slice(cut.start, cut.stop) for cut in (box[0], box[1]))][:, :, 1:3] = 0
    kind = CoverageKind.SCRIBBLES if scribble else CoverageKind.COMPLETE
    save_annotation(cohort, case_id, array, coverage=Coverage(kind=kind), author="test")


def round_of(cohort: Cohort, **wish: Any) -> JobFolder:
    asked = {
        "method": "supervised",
        "steps": 2,
        "precision": "fp32",
        "device": "cpu",
        "predict": False,
        "settings": SMALL,
    }
    folder = create(cohort.folder, {**asked, **wish})
    run_round(folder)
    return JobFolder(folder)


def warnings_of(job: JobFolder) -> list[str]:
    return [event["message"] for event in EventReader(job.path).read_new() if event["kind"] == "warning"]


def logs_of(job: JobFolder) -> list[dict[str, Any]]:
    return [event for event in EventReader(job.path).read_new() if event["kind"] == "log"]


def test_a_round_starts_from_the_weights_and_the_voxels_of_an_earlier_one(a_cohort: Cohort) -> None:
    first = round_of(a_cohort)
    # With steps this short it ends where it started.
    still = {**SMALL, "training.learning_rate": 1e-12, "training.weight_decay": 0}
    second = round_of(a_cohort, from_round=1, seed=5, settings=still)
    cards = [read_card(job.model) for job in (first, second)]
    before, after = (read_weights(job.model, card) for job, card in zip((first, second), cards, strict=True))
    for key, value in before.items():
        torch.testing.assert_close(after[key], value)
    assert cards[0].recipe == cards[1].recipe
    assert cards[0].network == cards[1].network
    assert cards[1].training["from_round"] == 1


def test_thick_slices_are_halved_late_from_the_training_to_the_prediction(tmp_path: Path) -> None:
    thick = made(tmp_path, dataclasses.replace(GRID, spacing_mm=(0.5, 0.5, 3.0)))
    job = round_of(thick, predict=True)
    card = read_card(job.model)
    assert (card.network.late_halvings, card.patch_size_voxels[0]) == ((2, 0, 0), 24)
    (told,) = [event["message"] for event in logs_of(job) if "halvings" in event["message"]]
    assert told.startswith("From head to foot a voxel is 3.00 mm long: the first 2 of the networks' halvings pass that")
    assert sorted(path.name for path in job.predictions.glob("*.seg.nrrd")) == ["P1.seg.nrrd", "P2.seg.nrrd"]
    again = round_of(thick, from_round=1)
    assert read_card(again.model).network == card.network
    assert warnings_of(again) == warnings_of(job)
    with pytest.raises(SettingsError, match="other networks than this round asks for"):
        round_of(thick, from_round=1, settings={**SMALL, "network.late_halvings": "0,0,0"})


def test_who_goes_on_from_a_model_that_halves_thick_slices_like_the_rest_is_told(tmp_path: Path) -> None:
    thick = made(tmp_path, dataclasses.replace(GRID, spacing_mm=(0.5, 0.5, 3.0)))
    first = round_of(thick, settings={**SMALL, "network.late_halvings": "0,0,0"})
    card = json.loads((first.model / "model.json").read_text(encoding="utf-8"))
    del card["network"]["late_halvings"]  # As an earlier version wrote it.
    (first.model / "model.json").write_text(json.dumps(card), encoding="utf-8")
    second = round_of(thick, from_round=1)
    assert read_card(second.model).network.late_halvings == (0, 0, 0)
    assert any("round 1 do not halve by the length of the voxels" in message for message in warnings_of(second))


@pytest.mark.parametrize("change", [{"method": "mean_teacher"}, {"settings": {**SMALL, "network.base_filters": 6}}])
def test_a_round_cannot_start_from_another_methods_or_networks_weights(
    a_cohort: Cohort, change: dict[str, Any]
) -> None:
    round_of(a_cohort)
    with pytest.raises(
        SettingsError, match="Choose the same method and settings, or start without a round to begin from"
    ):
        round_of(a_cohort, from_round=1, **change)
    assert [path.name for path in a_cohort.rounds()] == ["0001"]


def test_a_thin_scribble_is_learned_from_where_voxels_are_four_times_as_coarse(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(a_cohort, "P0", box=(slice(10, 11), slice(12, 13), slice(10, 20)), scribble=True)
    monkeypatch.setattr("barl.training.plan.choose_spacing", lambda grids: (1.0, 1.0, 1.0))
    job = round_of(a_cohort)
    assert [message for message in warnings_of(job) if "P0" in message] == []
    assert (job.model / "model.json").is_file()


IN_THE_AIR = (slice(22, 23), slice(22, 23), slice(10, 20))
"""Cut away where the margin around the box is thin."""


def test_an_annotation_wholly_in_the_air_counts_as_none_and_is_told(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(a_cohort, "P1", box=IN_THE_AIR, scribble=True)
    monkeypatch.setattr("barl.imaging.foreground._MARGIN_MM", 1.0)
    job = round_of(a_cohort)
    (told,) = [message for message in warnings_of(job) if "P1" in message]
    assert "wholly in the air" in told
    assert (job.model / "model.json").is_file()


def test_where_only_such_annotations_are_left_the_training_says_what_is_missing(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(a_cohort, "P0", box=IN_THE_AIR, scribble=True)
    monkeypatch.setattr("barl.imaging.foreground._MARGIN_MM", 1.0)
    with pytest.raises(CohortError, match="no annotated training case"):
        round_of(a_cohort)


def test_a_cohort_that_broke_after_the_round_was_made_is_refused_in_the_round_too(a_cohort: Cohort) -> None:
    folder = create(a_cohort.folder, {"method": "supervised", "steps": 2, "device": "cpu"})
    a_cohort.image_path("P2").unlink()
    with pytest.raises(CohortError, match=r"(?s)1 error\(s\) that must be mended before training:\nCase P2"):
        run_round(folder)


def test_out_of_memory_halves_the_patches_of_a_step_and_the_plan_remembers(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Sampler.next_batch

    def next_batch(sampler: Sampler) -> Any:
        if sampler.settings.labeled_patches > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate too much")
        return draw(sampler)

    monkeypatch.setattr(Sampler, "next_batch", next_batch)
    job = round_of(a_cohort, method="mean_teacher")
    plan = read_plan(job.path)
    assert plan is not None
    assert (plan.labeled_patches, plan.unlabeled_patches) == (1, 1)
    assert any("Memory did not suffice" in message for message in warnings_of(job))


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process leads another one, which takes part as if by magic."""
    cpu = torch.device("cpu")
    monkeypatch.setattr("barl.training.round.join", lambda wish: nullcontext(Group(cpu, Share(0, 2))))


def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Patches of each step: labeled, unlabeled."""
    seen: list[tuple[int, ...]] = []
    cut = Sampler.next_batch

    def next_batch(sampler: Sampler) -> Any:
        batch = cut(sampler)
        seen.append((len(batch.labeled), len(batch.weak)))
        return batch

    monkeypatch.setattr(Sampler, "next_batch", next_batch)
    return seen


@pytest.mark.usefixtures("two_processes")
def test_each_process_cuts_as_many_patches_as_one_alone_and_the_plan_holds_them_all(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = shapes(monkeypatch)
    job = round_of(a_cohort, method="mean_teacher")
    plan = read_plan(job.path)
    assert plan is not None
    assert (plan.labeled_patches, plan.unlabeled_patches) == (4, 4)
    assert seen == [(2, 2), (2, 2)]
    assert any("4 labeled and 4 unlabeled" in event["message"] for event in logs_of(job))


def test_a_round_that_goes_on_with_another_number_of_processes_keeps_the_whole_batch(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = round_of(a_cohort, method="mean_teacher")
    for path in job.checkpoints.iterdir():
        path.unlink()
    seen = shapes(monkeypatch)
    for size in (2, 3):
        group = Group(torch.device("cpu"), Share(0, size))
        monkeypatch.setattr("barl.training.round.join", lambda wish, group=group: nullcontext(group))
        run_round(job.path)
        for path in job.checkpoints.iterdir():
            path.unlink()
    # Of two patches, three processes get one each: as many as can be shared equally.
    assert seen == [(1, 1)] * 4


@pytest.mark.usefixtures("two_processes")
def test_when_one_of_two_processes_lacks_memory_the_round_can_go_on_smaller(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def next_batch(sampler: Sampler) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate too much")

    monkeypatch.setattr(Sampler, "next_batch", next_batch)
    with pytest.raises(OutOfMemoryError, match="smaller patches"):
        round_of(a_cohort, method="mean_teacher")
    folder = a_cohort.rounds()[0]
    first = read_plan(folder)
    with pytest.raises(OutOfMemoryError, match=r"smaller patches|smallest patch"):
        run_round(folder)
    second = read_plan(folder)
    assert first is not None
    assert second is not None
    assert [(plan.labeled_patches, plan.unlabeled_patches) for plan in (first, second)] == [(2, 2), (2, 2)]


def test_the_same_seed_gives_the_same_model(a_cohort: Cohort) -> None:
    hashes = [read_card(round_of(a_cohort, method="barl", seed=seed).model).weights_sha256 for seed in (3, 3, 4)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_model_remembers_all_settings_so_that_other_defaults_later_do_not_change_it(a_cohort: Cohort) -> None:
    card = read_card(round_of(a_cohort, method="barl", settings={**SMALL, "dpr_weight": 0.5}).model)
    asked = method_class("barl").settings_class(dpr_weight=0.5)
    assert card.settings == dataclasses.asdict(asked)


@pytest.fixture
def images_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the name of every image that an audit reads as a whole."""
    read: list[str] = []
    module = sys.modules[audit.__module__]
    monkeypatch.setattr(module, "read_volume", lambda path: (read.append(path.stem), volumes.read_volume(path))[1])
    return read


def test_what_was_checked_before_a_round_is_not_read_again_to_check_it(
    a_cohort: Cohort, images_read: list[str]
) -> None:
    a_cohort.set_role("P2", Role.VALIDATION)  # Without an annotation: a finding, so it is looked at again.
    refuse_before_round(a_cohort, TrainingJob(), lambda done, total: None)
    assert images_read == ["P0", "P1", "P2"]
    refuse_before_round(a_cohort, TrainingJob(), lambda done, total: None)
    assert images_read[3:] == ["P2"]


def test_a_limit_that_cannot_hold_is_told_before_a_round_and_one_that_does_costs_no_reading(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"only 0\.6 GiB are allowed"):
        refuse_before_round(a_cohort, TrainingJob(memory_gib=0.6, precision="fp32"), lambda done, total: None)
    assert a_cohort.rounds() == []
    monkeypatch.setattr("barl.training.preparation.read_geometry", lambda path: pytest.fail("a grid was read"))
    refuse_before_round(a_cohort, TrainingJob(memory_gib=64.0), lambda done, total: None)


def test_nothing_is_noted_of_a_cohort_that_is_refused(a_cohort: Cohort) -> None:
    a_cohort.set_role("P0", Role.VALIDATION)
    with pytest.raises(CohortError, match="Annotate at least one"):
        refuse_before_round(a_cohort, TrainingJob(), lambda done, total: None)
    assert sound_cases(a_cohort) == set()
