"""What a training may ask for, and what is refused before a round exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from barl.cohort import Cohort, LabelTable, Modality
from barl.errors import CohortError, JobError, SettingsError
from barl.jobs import JobSpec, State, read_status, write_spec
from barl.training.job import TrainingJob, create, from_payload, model_of_round, read_job


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """A cohort without cases."""
    labels = LabelTable.from_names(["jaw"])
    return Cohort.create(tmp_path / "Kohorte ä", name="Kiefer", modality=Modality.CBCT, labels=labels)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"minutes": 5.0, "steps": 10}, "either minutes or steps, not both"),
        ({"minutes": 0.0}, r"minutes must be from 0\.1 to 20160 \(two weeks\), got 0\.0"),
        ({"minutes": -3.0}, r"got -3\.0"),
        ({"minutes": float("nan")}, "got nan"),
        ({"minutes": 1e9}, "two weeks"),
        ({"steps": 0}, "steps must be 1 or more, got 0"),
        ({"steps": -5}, "got -5"),
        ({"memory_gib": 0.1}, r"memory_gib must be 0\.5 or more, got 0\.1"),
        ({"preset": "slow"}, r"preset must be one of \('quick', 'standard', 'thorough'\), got 'slow'"),
        ({"precision": "fp16"}, r"precision must be one of .*got 'fp16'"),
        ({"patience": 3}, r"a training has no option 'patience'\. Its options: .*minutes.*steps"),
        ({"device": "tpu"}, "device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ({"device": "cuda:99"}, "device cuda:99 is not there: this computer has "),
        ({"method": "unet"}, "method must be one of .*got 'unet'"),
        ({"settings": {"patience": 1}}, r"method barl has no setting 'patience'\. Its settings: second_branch"),
        ({"settings": {"training.epochs": 1}}, r"training has no setting 'epochs'\. Its settings: learning_rate"),
        ({"settings": {"network.layers": 1}}, "network has no setting 'layers'"),
        ({"settings": {"views.zoom": 1}}, "views has no setting 'zoom'"),
        ({"settings": {"optimizer.lr": 1}}, r"before the dot stands one of .*got 'optimizer'"),
        ({"settings": {"training.learning_rate": "fast"}}, "learning_rate must be a number, got 'fast'"),
        ({"settings": {".momentum": 1}}, r"before the dot stands one of .*got ''"),
        ({"settings": {"training.labeled_patches": "2.5"}}, "labeled_patches must be a whole number, got '2.5'"),
        ({"settings": {"views.mirror_left_right": "maybe"}}, "mirror_left_right must be true or false, got 'maybe'"),
        (
            {"method": "supervised", "settings": {"views.paste_share": "0.5"}},
            "views.paste_share has no effect with method supervised",
        ),
        ({"settings": {"views.paste_share": 2}}, "paste_share must be from 0 to 1, got 2"),
        ({"settings": {"dpr_weight": -1}}, "dpr_weight must be 0 or more, got -1"),
    ],
)
def test_a_senseless_wish_is_refused_and_no_round_is_made(a_cohort: Cohort, options: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refusal:
        create(a_cohort.folder, options)
    assert refusal.value.exit_code == 2
    assert a_cohort.rounds() == []


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("learning_rate", "training.learning_rate"),
        ("gamma", "views.gamma"),
        ("base_filters", "network.base_filters"),
        ("views.learning_rate", "training.learning_rate"),
        ("optimizer.learning_rate", "training.learning_rate"),
        ("training.learning-rate", "training.learning_rate"),
        ("base_filter", "network.base_filters"),
        ("agrement_weight", "agreement_weight"),
        ("network.agreement_weight", "agreement_weight"),
        ("training.momentun", "training.momentum or momentum"),
    ],
)
def test_a_setting_of_another_group_or_spelling_is_asked_for(key: str, meant: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        TrainingJob(method="mean_teacher", settings={key: 1}).check_settings()
    assert f" Did you mean {meant}?" in str(refusal.value)


def test_nothing_is_asked_for_where_no_setting_is_alike() -> None:
    with pytest.raises(SettingsError) as refusal:
        TrainingJob(settings={"patience": 1}).check_settings()
    assert "Did you mean" not in str(refusal.value)


def test_a_round_holds_the_wish_and_waits(a_cohort: Cohort) -> None:
    wish = {
        "method": "mean_teacher",
        "steps": 20,
        "seed": None,
        "settings": {"network.base_filters": "8", "momentum": "0.9"},
    }
    folder = create(a_cohort.folder, wish)
    assert folder == a_cohort.rounds()[0]
    assert read_status(folder).state is State.QUEUED
    cohort, job = read_job(folder)
    assert cohort.folder == a_cohort.folder
    assert job == TrainingJob(method="mean_teacher", steps=20, settings=wish["settings"])
    assert job.network().base_filters == 8
    assert job.method_settings() == {"momentum": "0.9"}


def test_a_cohort_that_moved_is_found_around_its_round(a_cohort: Cohort) -> None:
    folder = create(a_cohort.folder, {"steps": 1})
    elsewhere = a_cohort.folder.rename(a_cohort.folder.with_name("moved"))
    cohort, _ = read_job(elsewhere / folder.relative_to(a_cohort.folder))
    assert cohort.folder == elsewhere


def test_another_kind_of_job_is_refused(a_cohort: Cohort) -> None:
    folder = a_cohort.new_round()
    write_spec(folder, JobSpec(kind="predict", payload={}))
    with pytest.raises(JobError, match="kind 'predict', not a training"):
        read_job(folder)


def test_there_must_be_a_cohort(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="is not a cohort"):
        create(tmp_path, {"steps": 1})


def test_a_round_to_start_from_must_be_there_and_have_a_model(a_cohort: Cohort) -> None:
    with pytest.raises(CohortError, match=r"has no round 3\. Its rounds: none yet"):
        create(a_cohort.folder, {"from_round": 3, "steps": 1})
    create(a_cohort.folder, {"steps": 1})
    with pytest.raises(CohortError, match=r"Round 1 of Kiefer has no model"):
        create(a_cohort.folder, {"from_round": 1, "steps": 1})
    model = a_cohort.rounds()[0] / "model"
    model.mkdir()
    (model / "model.json").write_text("{}")
    assert model_of_round(a_cohort, 1) == model
    assert len(a_cohort.rounds()) == 1


@pytest.mark.parametrize(
    ("wish", "preset", "seconds"),
    [
        ({}, "standard", 3600),
        ({"minutes": 3.0}, "quick", 180),
        ({"minutes": 20.0}, "quick", 1200),
        ({"minutes": 60.0}, "standard", 3600),
        ({"minutes": 500.0}, "thorough", 30000),
        ({"preset": "quick"}, "quick", 600),
        ({"preset": "thorough", "minutes": 5.0}, "thorough", 300),
    ],
)
def test_the_preset_follows_the_minutes(wish: dict[str, Any], preset: str, seconds: float) -> None:
    job = from_payload(wish)
    assert job.effective_preset == preset
    assert job.budget_seconds == seconds


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"steps": "ten"}, "steps must be a whole number, got 'ten'"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"seed": True}, "seed must be a whole number, got True"),
        ({"minutes": "5"}, "minutes must be a number, got '5'"),
        ({"settings": ["a"]}, "settings must be an object"),
        ({"predict": "no"}, "predict must be true or false, got 'no'"),
        ({"method": 3}, "method must be a text, got 3"),
        ({"memory_gib": float("nan")}, "memory_gib must be 0.5 or more, got nan"),
    ],
)
def test_a_wish_that_somebody_wrote_by_hand_is_refused_by_name(wish: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        from_payload(wish)


def test_a_job_that_names_no_cohort_is_told(a_cohort: Cohort) -> None:
    folder = create(a_cohort.folder, {"steps": 2})
    write_spec(folder, JobSpec(kind="train", payload={"steps": 2}))
    with pytest.raises(JobError, match="cohort must be a text, but it is missing"):
        read_job(folder)


def test_settings_arrive_as_text_and_become_what_they_are() -> None:
    job = TrainingJob(settings={"training.labeled_patches": "3", "views.mirror_left_right": "no", "views.gamma": "0.1"})
    assert job.training().labeled_patches == 3
    assert job.views().mirror_left_right is False
    assert job.views().gamma == 0.1
    job.check_settings()
