"""Annotations of a part of an image in training: patches lie where labels are, and a cohort may mix all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from barl.cohort import Cohort, Coverage, CoverageKind, LabelTable, Modality, Role
from barl.imaging import Geometry, save_annotation, write_volume
from barl.jobs import EventReader
from barl.methods.protocol import Batch
from barl.training.job import create
from barl.training.resident import labeled_case
from barl.training.round import run_round
from barl.training.sampler import Sampler, SamplerSettings
from barl.training.validation import known_share
from barl.training.views import Chance, ViewSettings

CPU = torch.device("cpu")
SHAPE = (40, 48, 48)
PATCH = (16, 16, 16)


def a_volume(*labels: np.ndarray) -> Sampler:
    """Draws turned and mirrored patches of a case for each label, as a training does."""
    image = np.zeros((1, *SHAPE), np.float16)
    asked = SamplerSettings(
        patch_size_voxels=PATCH,
        spacing_mm=(1.0, 1.0, 1.0),
        labeled_patches=200,
        unlabeled_patches=0,
        foreground_share=0.67,
        least_foreground_share=0.67,
        views=ViewSettings(),
    )
    cases = [labeled_case(f"P{index}", image, label, CPU) for index, label in enumerate(labels)]
    return Sampler(cases, [], asked, Chance(3, CPU))


def known(batch: Batch) -> torch.Tensor:
    """(B,) share of known voxels in each patch."""
    return (batch.label != 255).float().mean(dim=(1, 2, 3))


def scribbles(*, at_the_border: bool) -> np.ndarray:
    """A thin stroke of a structure and one of background, 60 voxels of 92,160."""
    label = np.full(SHAPE, 255, np.uint8)
    row, column = (0, 0) if at_the_border else (20, 24)
    label[row, 10:40, column] = 1
    label[row, 10:40, column + 5] = 0
    return label


@pytest.mark.parametrize("at_the_border", [False, True])
def test_patches_lie_on_thin_strokes_also_at_the_border(at_the_border: bool) -> None:
    label = scribbles(at_the_border=at_the_border)
    shares = known(a_volume(label).next_batch())
    by_chance = float((label != 255).mean())
    assert float((shares > 0).float().mean()) == 1.0
    assert float(shares.mean()) > 8 * by_chance  # A patch of 16 voxels can hold half a stroke of 30 at most.


def test_patches_lie_on_annotated_slices() -> None:
    label = np.full(SHAPE, 255, np.uint8)
    label[30] = 0
    label[30, 20:30, 20:30] = 1
    shares = known(a_volume(label).next_batch())
    assert float((shares > 0).float().mean()) == 1.0
    assert float(shares.mean()) > 1.5 * float((label != 255).mean())  # A slice of 16 instead of one of 40.


def test_a_case_of_a_few_corrected_voxels_is_drawn_by_the_root_of_what_is_known() -> None:
    whole, corrected = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8)
    whole[10:30, 10:30, 10:30] = 1
    corrected[10:20, 10:26, 10:28] = whole[10:20, 10:26, 10:28]  # A 32nd, of which the root is 0.177.
    drawn = [draw.case.case_id for draw in a_volume(whole, corrected, corrected).draw()[0]]
    both = drawn.count("P1") + drawn.count("P2")
    assert 0.2 < both / drawn.count("P0") < 0.5  # 0.35 is expected; drawn evenly it would be 2.
    alike = [draw.case.case_id for draw in a_volume(whole, whole, whole).draw()[0]]
    assert min(alike.count(f"P{index}") for index in range(3)) > 45


def test_the_share_of_known_voxels_is_over_all_cases() -> None:
    half = np.full((2, 4, 4), 255, np.uint8)
    half[0] = 1
    assert known_share([half, np.zeros((2, 4, 4), np.uint8)]) == 0.75
    assert known_share([]) == 1.0


# A whole round


GRID = Geometry(size=(32, 24, 24), spacing_mm=(1.0,) * 3, origin_mm=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))


@pytest.fixture
def a_mixed_cohort(tmp_path: Path) -> Cohort:
    """A complete case, one by slices, one by scribbles, one for validation known in a tenth, and one without."""
    labels = LabelTable.from_names(["box"])
    cohort = Cohort.create(tmp_path / "Kohorte", name="K", modality=Modality.CBCT, labels=labels)
    truth = np.zeros(GRID.shape, np.uint8)
    truth[6:16, 8:18, 10:22] = 1
    for number in range(5):
        array = np.random.default_rng(number).normal(0, 20, GRID.shape) + 500.0 * truth
        write_volume(tmp_path / f"P{number}.nrrd", array.astype(np.int16), GRID)
        cohort.add_case(tmp_path / f"P{number}.nrrd", case_id=f"P{number}")
    sliced, scribbled = np.full_like(truth, 255), np.full_like(truth, 255)
    sliced[[7, 12]] = truth[[7, 12]]
    scribbled[10, 12, 5:28] = truth[10, 12, 5:28]
    kinds = [Coverage(), Coverage(kind=CoverageKind.SLICES, axis=0), Coverage(kind=CoverageKind.SCRIBBLES)]
    for number, (array, coverage) in enumerate(zip((truth, sliced, scribbled), kinds, strict=True)):
        save_annotation(cohort, f"P{number}", array, coverage=coverage, author="test")
    save_annotation(cohort, "P3", sliced, coverage=kinds[1], author="test")
    cohort.set_role("P3", Role.VALIDATION)
    return cohort


@pytest.mark.parametrize("method", ["supervised", "barl"])
def test_a_cohort_may_mix_complete_cases_slices_and_scribbles(
    a_mixed_cohort: Cohort, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("barl.training.round.set_cpu_threads", lambda: None)
    settings: dict[str, Any] = {
        "network.base_filters": 4,
        "training.labeled_patches": 3,
        "training.unlabeled_patches": 1,
    }
    wish = {"method": method, "steps": 4, "device": "cpu", "precision": "fp32", "predict": False}
    folder = create(a_mixed_cohort.folder, {**wish, "settings": settings})
    run_round(folder)
    happened = EventReader(folder).read_new()
    (told,) = [event["message"] for event in happened if " annotated (" in event.get("message", "")]
    assert "3 annotated (1 by slices, 1 by scribbles), 1 without annotation" in told
    assert "1 for validation (9.52% of their voxels known)" in told  # 2 of 21 slices: air is cut away.
    losses = [event["loss"] for event in happened if event["kind"] == "metric" and "loss" in event]
    dice = [event["dice"] for event in happened if event["kind"] == "metric" and "dice" in event]
    assert losses
    assert np.isfinite(losses).all()
    assert dice
    assert 0 <= min(dice) <= max(dice) <= 1
