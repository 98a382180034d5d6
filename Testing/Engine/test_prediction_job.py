"""Segmenting files as a job: what a watcher without torch learns from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_predictor import a_model_in, an_image

from barl.jobs import EventReader, JobFolder, JobSpec, State, read_status, request_stop, write_spec
from barl.run_job import run


@pytest.fixture
def a_prediction_job(tmp_path: Path) -> JobFolder:
    """Two good images, and a file that is none between them."""
    images = [
        an_image(tmp_path / "in" / "A.nii.gz"),
        tmp_path / "in" / "bad.nrrd",
        an_image(tmp_path / "in" / "Ä.nrrd"),
    ]
    images[1].write_text("no image")
    job = JobFolder(tmp_path / "Auftrag 1")
    payload = {
        "model": str(a_model_in(tmp_path / "Modell 1")),
        "images": list(map(str, images)),
        "output": str(tmp_path / "out"),
        "device": "cpu",
    }
    write_spec(job, JobSpec(kind="predict", payload=payload))
    return job


def outcomes(job: JobFolder) -> list[dict[str, Any]]:
    return [event for event in EventReader(job).read_new() if event["kind"] == "prediction"]


def test_each_outcome_is_an_event_and_one_that_fails_keeps_none_back(a_prediction_job: JobFolder) -> None:
    assert run(a_prediction_job.path) == 0

    assert [(event["case"], event["state"]) for event in outcomes(a_prediction_job)] == [
        ("A", "done"),
        ("bad", "failed"),
        ("Ä", "done"),
    ]
    done, failed, _ = outcomes(a_prediction_job)
    assert set(done["volumes_ml"]) and 0 <= done["mean_uncertainty"] <= 1
    assert "is a text file" in failed["message"]
    status = read_status(a_prediction_job)
    assert (status.state, status.percent) == (State.FINISHED, 100.0)


def test_a_second_run_skips_what_is_done(a_prediction_job: JobFolder) -> None:
    run(a_prediction_job.path)
    run(a_prediction_job.path)

    assert [event["state"] for event in outcomes(a_prediction_job)[3:]] == ["skipped", "failed", "skipped"]


def test_a_job_that_is_asked_to_stop_stops(a_prediction_job: JobFolder) -> None:
    request_stop(a_prediction_job)

    assert run(a_prediction_job.path) == 0

    assert read_status(a_prediction_job).state is State.STOPPED
    assert outcomes(a_prediction_job) == []


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({}, "model must be a text, but it is missing"),
        ({"model": "m", "output": "o", "images": "A.nrrd"}, "images must be a list of paths, got 'A.nrrd'"),
        ({"model": "m", "output": "o", "images": ["A.nrrd"]}, "m holds no model"),
    ],
)
def test_a_wrong_order_is_told_in_the_status(tmp_path: Path, payload: dict[str, Any], told: str) -> None:
    write_spec(tmp_path / "job", JobSpec(kind="predict", payload=payload))

    assert run(tmp_path / "job") == 2

    status = read_status(tmp_path / "job")
    assert status.state is State.FAILED
    assert told in (status.error or "")
