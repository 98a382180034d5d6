"""Temperatures: fitted where they can be, applied without changing a label, kept with the model.

Shapes: K classes, D H W voxels, N voxels.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_doubles import PATCH, TINY, on_cpu
from torch import Tensor, nn

from barl.cohort import LabelTable, Modality
from barl.errors import InputError, SettingsError
from barl.evaluation.calibration import ShellSample, fit_temperatures, shell_sample
from barl.imaging import Recipe
from barl.inference.calibration import Calibration, least_unsure, tempered
from barl.inference.expected_error import LEVELS
from barl.inference.model_folder import ModelCard, read_card, write_calibration, write_model
from barl.inference.predictor import Predictor
from barl.inference.resampling import collect
from barl.inference.sliding_window import Slab
from barl.training.calibrating import calibrate, too_few
from barl.training.validation import ValidationCase

CPU = torch.device("cpu")
HOT = Calibration(temperatures=(2.0, 2.0, 2.0), cases=3)
GRID = (4, 5, 6)


def a_sample(
    true_error: float, claimed_error: float, *, best: int = 1, count: int = 4000, seed: int = 0
) -> ShellSample:
    """Voxels of one class whose labels are wrong more or less often than the model claims."""
    chance = np.random.default_rng(seed)
    other = 0 if best else 1
    probability = np.full((3, count), 1e-6, np.float32)
    probability[best], probability[other] = 1 - claimed_error, claimed_error
    truth = np.where(chance.random(count) < true_error, other, best).astype(np.uint8)
    return ShellSample(log_probability=np.log(probability), truth=truth)


def slabs(probability: Tensor, unlike: Tensor) -> list[Slab]:
    return [Slab(start=0, probability=probability, disagreement=unlike)]


def random_probability(seed: int = 0, sharpness: float = 4.0) -> Tensor:
    return (sharpness * torch.randn(3, *GRID, generator=torch.Generator().manual_seed(seed))).softmax(dim=0)


# Fitting


def test_the_temperature_that_makes_the_claimed_errors_true_is_found() -> None:
    # Claimed 0.02, true 0.2: logit(0.02) / T = logit(0.2).
    expected = math.log(0.98 / 0.02) / math.log(0.8 / 0.2)
    temperatures = fit_temperatures([a_sample(0.2, 0.02, seed=seed) for seed in range(3)])
    assert temperatures is not None
    assert temperatures[1] == pytest.approx(expected, rel=0.05)


def test_a_model_that_is_less_sure_than_it_could_be_gets_a_temperature_below_one() -> None:
    temperatures = fit_temperatures([a_sample(0.05, 0.3, seed=seed) for seed in range(3)])
    assert temperatures is not None
    assert temperatures[1] < 0.5


def test_classes_are_groups_of_their_own_and_a_rare_one_shares_that_of_the_structures() -> None:
    samples = [
        joined(
            a_sample(0.05, 0.05, best=0, seed=s),
            a_sample(0.2, 0.02, best=1, seed=s),
            a_sample(0.5, 0.1, best=2, count=6),
        )
        for s in range(3)
    ]
    temperatures = fit_temperatures(samples)
    assert temperatures is not None
    background, structure, rare = temperatures
    assert background == pytest.approx(1, rel=0.1)
    assert structure > 2
    assert rare == pytest.approx(structure, rel=0.1)


def joined(*samples: ShellSample) -> ShellSample:
    return ShellSample(
        log_probability=np.concatenate([one.log_probability for one in samples], axis=1),
        truth=np.concatenate([one.truth for one in samples]),
    )


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_cases_give_no_temperature(count: int) -> None:
    assert fit_temperatures([a_sample(0.2, 0.02)] * count) is None


def test_a_sample_holds_the_known_voxels_of_the_shell_only() -> None:
    label = np.zeros((30, 4, 4), np.uint8)
    label[:5] = 1
    label[8:] = 255
    probability = np.stack([label != 1, label == 1]).astype(np.float32)
    sample = shell_sample(probability, label, (1.0, 1.0, 1.0))
    assert sample is not None
    assert sample.log_probability.shape == (2, 8 * 16)
    assert shell_sample(probability, np.full_like(label, 255), (1.0, 1.0, 1.0)) is None


# Applying


def test_a_temperature_softens_as_the_formula_says() -> None:
    probability = torch.tensor([[0.9], [0.1]])
    softer = tempered(probability, torch.tensor([0]), replace(HOT, temperatures=(2.0, 1.0)))
    expected = math.sqrt(0.9) / (math.sqrt(0.9) + math.sqrt(0.1))
    assert softer[:, 0].tolist() == pytest.approx([expected, 1 - expected])
    unchanged = tempered(probability, torch.tensor([1]), replace(HOT, temperatures=(2.0, 1.0)))
    assert unchanged.flatten().tolist() == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize("temperatures", [(0.4, 0.4, 0.4), (3.0, 0.5, 1.5)])
def test_labels_and_rivals_stay_and_only_the_maps_change(temperatures: tuple[float, ...]) -> None:
    probability, unlike = random_probability(), torch.full(GRID, 0.2)
    plain = collect(slabs(probability, unlike), GRID, GRID)
    calibrated = collect(slabs(probability, unlike), GRID, GRID, Calibration(temperatures=temperatures, cases=3))
    assert np.array_equal(plain.classes, calibrated.classes)
    assert not np.array_equal(plain.entropy, calibrated.entropy)
    both = (plain.rival != plain.classes) & (calibrated.rival != calibrated.classes)
    assert both.any()
    assert np.array_equal(plain.rival[both], calibrated.rival[both])


def test_a_temperature_of_one_changes_nothing() -> None:
    probability, unlike = random_probability(), torch.full(GRID, 0.2)
    plain = collect(slabs(probability, unlike), GRID, GRID)
    same = collect(slabs(probability, unlike), GRID, GRID, Calibration(temperatures=(1.0, 1.0, 1.0), cases=3))
    assert np.abs(plain.entropy.astype(int) - same.entropy).max() <= 1
    assert np.abs(plain.disagreement.astype(int) - same.disagreement).max() <= 1


def test_disagreement_keeps_its_share_of_the_entropy() -> None:
    probability, unlike = random_probability(sharpness=1.0), torch.full(GRID, 0.1)
    plain = collect(slabs(probability, unlike), GRID, GRID)
    hot = collect(slabs(probability, unlike), GRID, GRID, HOT)
    expected = 0.1 * LEVELS * hot.entropy / plain.entropy.clip(1)
    assert hot.disagreement == pytest.approx(expected, abs=1.5)


def test_no_voxel_that_a_high_temperature_lifts_is_left_out_as_certain() -> None:
    errors = torch.logspace(-9, -1, 60)
    probability = torch.stack([1 - errors, errors / 2, errors / 2]).view(3, 60, 1, 1)
    hot = Calibration(temperatures=(2.5, 1.0, 1.0), cases=3)
    found = collect(slabs(probability, torch.zeros(60, 1, 1)), (60, 1, 1), (60, 1, 1), hot).entropy.reshape(-1)
    exact = tempered(probability.view(3, 60), torch.zeros(60, dtype=torch.uint8), hot)
    entropy = -(exact * exact.log()).sum(0) / math.log(3)
    assert found.tolist() == pytest.approx((entropy * LEVELS).tolist(), abs=2.0)
    assert least_unsure(None, 0.002, 3) == 0.002
    assert least_unsure(hot, 0.002, 3) < 1e-4


def test_the_rival_is_the_second_most_likely_class_and_none_where_the_first_is_certain() -> None:
    probability = torch.tensor([[0.6, 0.1, 1.0], [0.3, 0.2, 0.0], [0.1, 0.7, 0.0]]).view(3, 3, 1, 1)
    maps = collect(slabs(probability, torch.zeros(3, 1, 1)), (3, 1, 1), (3, 1, 1))
    assert maps.classes.reshape(-1).tolist() == [0, 2, 0]
    assert maps.rival.reshape(-1).tolist() == [1, 1, 0]


# With a model


def a_card(**changes: object) -> ModelCard:
    recipe = Recipe(modality=Modality.CBCT, spacing_dhw_mm=(1.0, 1.0, 1.0), normalization="percentile")
    card = ModelCard(
        method="supervised",
        settings={},
        network=TINY,
        labels=LabelTable.from_names(["ball"]),
        recipe=recipe,
        patch_size_voxels=PATCH,
    )
    return replace(card, **changes)  # type: ignore[arg-type]


def half_of_the_row(windows: Tensor) -> Tensor:
    """One branch that calls bright voxels 1, a little surer than it should."""
    logit = 4 * (windows[:, 0] - 0.5)
    return torch.stack([-logit, logit], dim=1)[:, None]


def a_predictor(card: ModelCard, *, mirror: bool = False) -> Predictor:
    return Predictor(card, nn.Identity(), half_of_the_row, CPU, on_cpu(bf16=False), mirror=mirror)


def cases(count: int) -> list[ValidationCase]:
    """Bright halves under noise, so that the double is wrong near the border and beyond."""
    found = []
    for number in range(count):
        chance = np.random.default_rng(number)
        label = np.zeros(PATCH, np.uint8)
        label[..., : PATCH[2] // 2] = 1
        image = (label + chance.normal(0, 0.5, PATCH)).astype(np.float16)[None]
        found.append(ValidationCase(case_id=f"P{number}", image=image, label=label))
    return found


def test_a_model_is_calibrated_on_its_validation_cases_and_keeps_it(tmp_path: Path) -> None:
    card = write_model(tmp_path, a_card(), {"w": torch.zeros(1)})
    calibration = calibrate(a_predictor(card), cases(3))
    assert calibration is not None
    assert calibration.cases == 3
    # The double's probabilities are those of noise with variance 1/8, the true one being 1/4.
    assert calibration.temperatures == pytest.approx((2.0, 2.0), rel=0.1)
    written = write_calibration(tmp_path, card, calibration)
    back = read_card(tmp_path)
    assert back.calibration is not None
    assert back.calibration.temperatures == pytest.approx(calibration.temperatures, abs=1e-3)
    assert back.weights_sha256 == written.weights_sha256 == card.weights_sha256


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_validation_set_that_is_too_small_is_told_and_leaves_the_model_uncalibrated(count: int) -> None:
    assert calibrate(a_predictor(a_card()), cases(count)) is None
    assert f"there are {count} for validation" in too_few(count)


def test_cases_without_a_border_do_not_count() -> None:
    empty = replace(cases(1)[0], label=np.full(PATCH, 255, np.uint8))
    assert calibrate(a_predictor(a_card()), [*cases(2), empty]) is None


def test_a_card_of_an_earlier_version_is_read_and_a_senseless_temperature_refused(tmp_path: Path) -> None:
    write_model(tmp_path, a_card(calibration=Calibration(temperatures=(2.0, 1.0), cases=3)), {"w": torch.zeros(1)})
    path = tmp_path / "model.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["calibration"]["temperatures"][1] = 0
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="is damaged"):
        read_card(tmp_path)
    for key in ("calibration", "mirror_left_right"):
        del content[key]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_card(tmp_path).calibration is None
    assert not read_card(tmp_path).mirror_left_right


# Mirrored windows


def test_mirroring_makes_disagree_what_depends_on_the_side_and_leaves_alone_what_does_not() -> None:
    card = a_card(mirror_left_right=True)
    array = np.zeros((1, *PATCH), np.float16)
    array[..., :10] = 1
    plain, both = a_predictor(card).maps(array, PATCH), a_predictor(card, mirror=True).maps(array, PATCH)
    assert np.array_equal(plain.classes, both.classes)
    assert np.array_equal(plain.entropy, both.entropy)
    assert not both.disagreement.any()

    def sided(windows: Tensor) -> Tensor:
        ramp = torch.linspace(-5, 5, windows.shape[-1]).expand(windows[:, 0].shape)
        return torch.stack([-ramp, ramp], dim=1)[:, None]

    lopsided = Predictor(card, nn.Identity(), sided, CPU, on_cpu(bf16=False), mirror=True).maps(array, PATCH)
    assert lopsided.disagreement[..., 0].min() > 200
    assert lopsided.disagreement[..., PATCH[2] // 2].max() < 50


def test_a_model_that_tells_left_from_right_is_not_asked_in_the_mirror() -> None:
    with pytest.raises(SettingsError, match="not been trained on mirrored patches"):
        a_predictor(a_card(), mirror=True)
