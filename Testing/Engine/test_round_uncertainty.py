"""What a round and a prediction leave of uncertainty: temperatures in the model, regions and doubt in the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_doubles import PATCH, TINY, on_cpu
from torch import Tensor, nn

from barl.cohort import Cohort, Coverage, CoverageKind, LabelTable, Modality, Role
from barl.imaging import Geometry, Recipe, save_annotation, write_volume
from barl.inference.batch import Job, Outcome, segment
from barl.inference.calibration import Calibration
from barl.inference.model_folder import ModelCard, read_card
from barl.inference.predictor import Predictor
from barl.jobs import EventReader, JobFolder
from barl.ranking import next_cases
from barl.training.job import create
from barl.training.round import run_round

GRID = Geometry(
    size=(32, 24, 24), spacing_mm=(0.5, 0.5, 0.5), origin_mm=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
)
BOX = (slice(6, 16), slice(8, 18), slice(10, 22))
KEYS = ["rank", "center_ras_mm", "bounds_ras_mm", "volume_mm3", "expected_error_mm3", "classes", "reason"]


@pytest.fixture(autouse=True)
def _still_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barl.training.round.set_cpu_threads", lambda: None)


def a_scan(number: int) -> np.ndarray:
    array = np.random.default_rng(number).normal(0, 20, GRID.shape)
    array[BOX] += 500
    return array.astype(np.int16)


def a_study(folder: Path, validation: int) -> Cohort:
    """One annotated case to learn from, one without annotation, and some for validation."""
    cohort = Cohort.create(folder / "Kohorte", name="K", modality=Modality.CBCT, labels=LabelTable.from_names(["box"]))
    for number in range(validation + 2):
        path = folder / "images" / f"P{number}.nrrd"
        path.parent.mkdir(exist_ok=True)
        write_volume(path, a_scan(number), GRID)
        role = Role.VALIDATION if number > 1 else Role.TRAINING
        cohort.add_case(path, case_id=f"P{number}", role=role)
        if number != 1:
            labels = np.zeros(GRID.shape, np.uint8)
            labels[BOX] = 1
            save_annotation(cohort, f"P{number}", labels, coverage=Coverage(), author="test")
    return cohort


def a_round(cohort: Cohort) -> JobFolder:
    settings = {"network.base_filters": 4, "training.labeled_patches": 2}
    wish = {"method": "supervised", "steps": 2, "precision": "fp32", "device": "cpu", "settings": settings}
    folder = create(cohort.folder, wish)
    run_round(folder)
    return JobFolder(folder)


def said(job: JobFolder) -> str:
    return " ".join(str(event.get("message", "")) for event in EventReader(job.path).read_new())


def record_of(folder: Path, case_id: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / f"{case_id}.json").read_text(encoding="utf-8"))
    return record


def test_a_round_with_three_validation_cases_leaves_a_calibrated_model_and_predictions(tmp_path: Path) -> None:
    cohort = a_study(tmp_path, validation=3)
    job = a_round(cohort)
    card = read_card(job.model)
    assert card.calibration is not None
    assert card.calibration.cases == 3
    assert card.mirror_left_right
    assert "Uncertainty calibrated on 3 validation cases: temperature of background" in said(job)
    record = record_of(job.predictions, "P1")
    assert record["calibration"] == card.calibration.to_json()
    assert record["mirrored"] is False
    assert set(record["doubt"]) == {"box"}
    assert all(list(region) == KEYS for region in record["regions"])
    (ranked,) = next_cases(cohort)
    assert (ranked.case_id, ranked.predicted) == ("P1", True)


def test_a_validation_set_of_one_case_is_told_and_the_model_stays_as_it_is(tmp_path: Path) -> None:
    job = a_round(a_study(tmp_path, validation=1))
    assert read_card(job.model).calibration is None
    assert "stays uncalibrated: that needs 3 annotated validation cases" in said(job)
    measured = [event for event in EventReader(job.path).read_new() if event.get("dice") is not None]
    assert {event["validation_cases"] for event in measured} == {1}
    assert record_of(job.predictions, "P1")["calibration"] is None


def test_a_case_that_is_partly_annotated_is_asked_about_only_where_nobody_has_drawn(tmp_path: Path) -> None:
    cohort = a_study(tmp_path, validation=0)
    drawn = np.full(GRID.shape, 255, np.uint8)
    drawn[:, :, :16] = 0
    drawn[BOX] = 1
    drawn[:, :, 16:] = 255
    save_annotation(cohort, "P1", drawn, coverage=Coverage(kind=CoverageKind.SCRIBBLES), author="test")

    regions = record_of(a_round(cohort).predictions, "P1")["regions"]

    edge = GRID.index_to_ras((0, 0, 15.5))[0]
    assert regions
    assert all(region["bounds_ras_mm"][0][1] <= edge + 1e-3 for region in regions)


# One prediction


def a_card(calibration: Calibration | None = None) -> ModelCard:
    recipe = Recipe(modality=Modality.CBCT, spacing_dhw_mm=None, normalization="percentile", crop=False)
    return ModelCard(
        method="supervised",
        settings={},
        network=TINY,
        labels=LabelTable.from_names(["box"]),
        recipe=recipe,
        patch_size_voxels=PATCH,
        mirror_left_right=True,
        calibration=calibration,
    )


def hardly_sure(windows: Tensor) -> Tensor:
    """One branch, unsure along the border of what is bright."""
    low, high = float(windows.min()), float(windows.max())
    smooth = torch.nn.functional.avg_pool3d(windows, 3, 1, 1, count_include_pad=False)[:, 0]
    bright = 6 * ((smooth - low) / (high - low + 1e-3) - 0.5)
    return torch.stack([-bright, bright], dim=1)[:, None]


def nothing(windows: Tensor) -> Tensor:
    logits = torch.zeros(len(windows), 1, 2, *windows.shape[2:])
    logits[:, :, 0] = 9
    return logits


def predicted(folder: Path, card: ModelCard, *, look: Any = hardly_sure, mirror: bool = False) -> Outcome:
    image = folder / "P1.nrrd"
    if not image.exists():
        write_volume(image, a_scan(1), GRID)
    predictor = Predictor(card, nn.Identity(), look, torch.device("cpu"), on_cpu(bf16=False), mirror=mirror)
    (outcome,) = segment(predictor, [Job(case="P1", image=image)], folder / "out")
    return outcome


def test_the_record_holds_ranked_regions_that_lie_in_the_volume(tmp_path: Path) -> None:
    assert predicted(tmp_path, a_card()).state == "done"
    regions = record_of(tmp_path / "out", "P1")["regions"]
    assert regions
    assert [region["rank"] for region in regions] == list(range(1, len(regions) + 1))
    low, high = GRID.index_to_ras((23, 23, 31)), GRID.index_to_ras((0, 0, 0))
    for region in regions:
        assert list(region) == KEYS
        for axis in range(3):
            assert min(low[axis], high[axis]) <= region["center_ras_mm"][axis] <= max(low[axis], high[axis])
        assert region["classes"] == [0, 1]


def test_an_empty_prediction_has_an_empty_list_of_regions_and_no_doubt(tmp_path: Path) -> None:
    outcome = predicted(tmp_path, a_card(), look=nothing)
    assert outcome.state == "done"
    assert outcome.message.startswith("No structure was found, so there is no region to look at either.")
    record = record_of(tmp_path / "out", "P1")
    assert record["regions"] == []
    assert record["doubt"] == {"box": None}


def test_what_was_predicted_in_another_way_is_predicted_again(tmp_path: Path) -> None:
    hot = Calibration(temperatures=(2.0, 2.0), cases=3)
    assert [predicted(tmp_path, a_card()).state for _ in range(2)] == ["done", "skipped"]
    assert [predicted(tmp_path, a_card(), mirror=True).state for _ in range(2)] == ["done", "skipped"]
    assert record_of(tmp_path / "out", "P1")["mirrored"] is True
    assert [predicted(tmp_path, a_card(hot)).state for _ in range(2)] == ["done", "skipped"]
