"""Scores by hand-computed numbers and by properties."""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from barl.cohort import LabelTable
from barl.errors import LabelError
from barl.evaluation import CaseScores, ClassScore, score_case, summary, write_csv
from barl.evaluation.metrics import surface

TABLE = LabelTable.from_names(["organ", "tumor"])
ONE = LabelTable.from_names(["organ"])
UNIT = (1.0, 1.0, 1.0)


def _score(prediction: np.ndarray, reference: np.ndarray, spacing=UNIT) -> ClassScore:
    return score_case(prediction, reference, table=ONE, spacing_dhw_mm=spacing)[0]


def _box(*bounds: tuple[int, int], shape: tuple[int, int, int] = (12, 14, 16)) -> np.ndarray:
    array = np.zeros(shape, np.uint8)
    array[tuple(slice(*bound) for bound in bounds)] = 1
    return array


def _blob(seed: int, shape: tuple[int, int, int] = (14, 17, 20)) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.0)
    return (noise > 0.01).astype(np.uint8)


def test_overlap_of_two_shifted_boxes() -> None:
    """4 x 4 x 4 boxes, one voxel apart: 48 of 64 common; union 80."""
    score = _score(_box((2, 6), (2, 6), (2, 6)), _box((2, 6), (2, 6), (3, 7)))
    assert score.dice == pytest.approx(48 / 64)
    assert score.jaccard == pytest.approx(48 / 80)


def test_two_single_voxels_are_as_far_apart_as_their_centers() -> None:
    """3 slices of 2 mm and 4 columns of 0.5 mm: sqrt(36 + 4) mm, 5 voxels."""
    score = _score(_box((1, 2), (5, 6), (3, 4)), _box((4, 5), (5, 6), (7, 8)), spacing=(2.0, 1.0, 0.5))
    for name in ("hd95", "assd", "asd"):
        assert getattr(score, f"{name}_mm") == pytest.approx(40**0.5)
        assert getattr(score, f"{name}_voxels") == pytest.approx(5.0)


def test_directed_distances_are_pooled_as_medpy_does() -> None:
    """Prediction: voxels 0 and 10 of a line, reference: voxel 0 alone, 1 mm apart.

    Distances to the reference 0 and 10, back 0. ASD (0 + 10) / 2; ASSD (0 + 10 + 0) / 3 as medpy since 0.5 and MONAI;
    95th percentile of (0, 0, 10) by linear interpolation: 9.
    """
    prediction = np.zeros((1, 1, 12), np.uint8)
    prediction[0, 0, [0, 10]] = 1
    reference = np.zeros_like(prediction)
    reference[0, 0, 0] = 1
    score = _score(prediction, reference)
    assert score.asd_mm == pytest.approx(5.0)
    assert score.assd_mm == pytest.approx(10 / 3)
    assert score.hd95_mm == pytest.approx(9.0)
    assert _score(reference, prediction).asd_mm == pytest.approx(0.0)


def test_numbers_that_medpy_gave() -> None:
    """medpy 0.5.2 on the same blobs: dc, jc, hd95, assd, asd with voxelspacing, then without."""
    score = _score(_blob(1), _blob(2), spacing=(1.5, 0.8, 0.6))
    numbers = [score.dice, score.jaccard, score.hd95_mm, score.assd_mm, score.asd_mm]
    numbers += [score.hd95_voxels, score.assd_voxels, score.asd_voxels]
    assert numbers == pytest.approx(MEDPY, rel=1e-5)


MEDPY = [0.36040100, 0.21981046, 3.37810832, 1.19353593, 1.20745126, 4.00000000, 1.45074247, 1.49813259]


def test_a_perfect_prediction_scores_one_and_zero() -> None:
    score = _score(_blob(3), _blob(3))
    assert (score.dice, score.jaccard, score.hd95_mm, score.assd_mm, score.asd_voxels) == (1, 1, 0, 0, 0)
    assert score.note == ""


@pytest.mark.parametrize("spacing", [UNIT, (2.0, 0.7, 0.7)])
def test_distances_are_those_of_all_pairs_of_surface_voxels(spacing: tuple[float, float, float]) -> None:
    prediction, reference = _blob(4), _blob(5)
    points = [np.argwhere(surface(mask.astype(bool))) * spacing for mask in (prediction, reference)]
    pairs = np.linalg.norm(points[0][:, None] - points[1][None], axis=2)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    score = _score(prediction, reference, spacing)
    assert score.hd95_mm == pytest.approx(np.percentile(np.concatenate([there, back]), 95), rel=1e-5)
    assert score.assd_mm == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)
    assert score.asd_mm == pytest.approx(there.mean(), rel=1e-5)


def test_the_surface_is_the_mask_without_its_erosion() -> None:
    mask = _blob(6).astype(bool)
    np.testing.assert_array_equal(surface(mask), mask & ~ndimage.binary_erosion(mask))
    solid = _box((2, 7), (2, 7), (2, 7)).astype(bool)
    assert surface(solid).sum() == 5**3 - 3**3


def test_symmetric_scores_do_not_depend_on_the_order() -> None:
    there, back = _score(_blob(7), _blob(8)), _score(_blob(8), _blob(7))
    assert (there.dice, there.jaccard) == (back.dice, back.jaccard)
    assert there.hd95_mm == pytest.approx(back.hd95_mm)
    assert there.assd_mm == pytest.approx(back.assd_mm)


def test_padding_and_millimeters_change_nothing_else() -> None:
    prediction, reference = _blob(9), _blob(10)
    plain = _score(prediction, reference, (2.0, 2.0, 2.0))
    padded = _score(np.pad(prediction, 3), np.pad(reference, 3), (2.0, 2.0, 2.0))
    assert padded.hd95_mm == pytest.approx(plain.hd95_mm)
    assert plain.hd95_voxels == pytest.approx(plain.hd95_mm / 2)
    assert plain.reference_ml == pytest.approx(reference.sum() * 8 / 1000)


DISTANCES = ("hd95_mm", "assd_mm", "asd_mm", "hd95_voxels", "assd_voxels", "asd_voxels")


@pytest.mark.parametrize(
    ("predicted", "wanted", "dice", "note"),
    [
        (False, False, None, "absent in both"),
        (False, True, 0.0, "not predicted"),
        (True, False, 0.0, "not in the reference"),
    ],
)
def test_an_empty_mask_has_no_distance_and_never_zero(
    predicted: bool, wanted: bool, dice: float | None, note: str
) -> None:
    ball = _box((2, 5), (2, 5), (2, 5))
    score = _score(ball * np.uint8(predicted), ball * np.uint8(wanted))
    assert (score.dice, score.jaccard, score.note) == (dice, dice, note)
    assert all(getattr(score, name) is None for name in DISTANCES)


def test_unknown_voxels_are_not_counted() -> None:
    reference = _box((2, 8), (2, 8), (2, 8))
    prediction = reference.copy()
    prediction[:, :, 10:] = 1
    reference[:, :, 9:] = 255
    score = _score(prediction, reference)
    assert (score.dice, score.hd95_mm) == (1.0, 0.0)
    assert score.known_voxels == 12 * 14 * 9
    assert score.prediction_ml == pytest.approx(6**3 / 1000)


def test_a_reference_that_knows_nothing_scores_nothing() -> None:
    score = _score(_blob(1), np.full_like(_blob(1), 255))
    assert (score.dice, score.hd95_mm, score.known_voxels) == (None, None, 0)
    assert score.note == "nothing known in the reference"


def test_classes_are_scored_each_by_itself_in_the_order_of_the_table() -> None:
    reference = _box((2, 6), (2, 6), (2, 6)) + 2 * _box((8, 10), (2, 6), (2, 6))
    prediction = np.where(reference == 2, 0, reference).astype(np.uint8)
    organ, tumor = score_case(prediction, reference, table=TABLE, spacing_dhw_mm=UNIT)
    assert (organ.name, organ.value, organ.dice) == ("organ", 1, 1.0)
    assert (tumor.name, tumor.value, tumor.dice) == ("tumor", 2, 0.0)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(LabelError, match="must have one shape"):
        _score(np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 5), np.uint8))


def test_a_left_atrium_is_scored_quickly() -> None:
    z, y, x = np.ogrid[:88, :240, :160]
    one, other = (
        (((z - 44) / 28) ** 2 + ((y - c) / 50) ** 2 + ((x - 80) / 45) ** 2 < 1).astype(np.uint8) for c in (120, 124)
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        _score(one, other, spacing=(1.0, 0.625, 0.625))
        times.append(time.perf_counter() - start)
    assert min(times) < 1.0  # 0.12 s when nothing else runs


def _rows() -> list[CaseScores]:
    ball, empty = _box((2, 5), (2, 5), (2, 5)), _box((0, 0), (0, 0), (0, 0))
    moved = np.roll(ball, 1, axis=2)
    cases = [(ball, ball), (moved, ball), (empty, ball), (empty, empty)]
    return [CaseScores(case_id=f"c{i}", scores=[_score(*pair)]) for i, pair in enumerate(cases)]


def test_the_summary_leaves_undefined_values_out_and_counts_them() -> None:
    """Dice 1, 18/27, 0 and undefined: mean 5/9, sample deviation by hand."""
    organ, overall = summary(_rows())
    dice = organ.metrics["dice"]
    assert (dice.n, dice.undefined) == (3, 1)
    assert dice.mean == pytest.approx(5 / 9)
    assert dice.std == pytest.approx(np.std([1, 2 / 3, 0], ddof=1))
    assert (organ.metrics["hd95_mm"].n, organ.metrics["hd95_mm"].undefined) == (2, 2)
    assert (overall.value, overall.name) == (None, "all classes")


def test_the_overall_mean_is_over_cases_first_averaged_over_classes() -> None:
    score = _score(_blob(1), _blob(1))
    rows = [
        CaseScores(case_id="a", scores=[replace(score, dice=0.8), replace(score, value=2, name="tumor", dice=0.4)]),
        CaseScores(case_id="b", scores=[replace(score, dice=1.0), replace(score, value=2, name="tumor", dice=None)]),
    ]
    overall = summary(rows)[-1].metrics["dice"]
    assert overall.mean == pytest.approx((0.6 + 1.0) / 2)
    assert (overall.n, overall.undefined) == (2, 1)


def test_a_single_case_has_no_deviation_and_no_case_no_summary() -> None:
    assert summary(_rows()[:1])[0].metrics["dice"].std is None
    assert summary([]) == []


def test_the_table_names_units_and_leaves_undefined_fields_empty(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_csv(path, _rows())
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["case"] for line in lines] == ["c0", "c1", "c2", "c3"]
    assert float(lines[1]["Dice"]) == pytest.approx(2 / 3, abs=1e-5)
    assert lines[2]["95HD (mm)"] == "" and lines[2]["Dice"] == "0" and lines[2]["note"] == "not predicted"
    assert lines[0]["95HD (voxels)"] == "0"
