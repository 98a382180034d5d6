"""Shells, expected error, and the figures of an uncertainty map, against numbers computed by hand or by brute force."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barl.errors import LabelError
from barl.evaluation.reliability_plot import write_reliability_plot
from barl.evaluation.uncertainty_metrics import (
    ErrorCounts,
    auroc,
    average_precision,
    count_errors,
    reliability,
    score_uncertainty,
)
from barl.inference.expected_error import LEVELS, error_by_disagreement, error_by_entropy, levels_of
from barl.inference.shells import doubt_by_label, surface_shell

ONE_MM = (1.0, 1.0, 1.0)


def counts(right: dict[int, int], wrong: dict[int, int]) -> ErrorCounts:
    """Voxels by step of the map."""
    arrays = [np.zeros(LEVELS + 1, np.int64) for _ in range(2)]
    for array, given_counts in zip(arrays, (right, wrong), strict=True):
        for step, number in given_counts.items():
            array[step] = number
    return ErrorCounts(right=arrays[0], wrong=arrays[1])


def level(error: float, num_classes: int = 2) -> int:
    """The step of the entropy map where two classes leave this error."""
    return round(LEVELS * -(error * math.log(error) + (1 - error) * math.log(1 - error)) / math.log(num_classes))


# Expected error


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("error", [0.01, 0.1, 0.3, 0.49])
def test_the_error_of_two_classes_in_question_is_read_back_from_their_entropy(num_classes: int, error: float) -> None:
    assert error_by_entropy(num_classes)[level(error, num_classes)] == pytest.approx(error, abs=0.02)


@pytest.mark.parametrize("num_classes", [2, 3, 8])
def test_error_grows_with_entropy_from_none_to_that_of_guessing(num_classes: int) -> None:
    table = error_by_entropy(num_classes)
    assert table[0] == 0
    assert table[-1] == pytest.approx(1 - 1 / num_classes, abs=1e-3)
    assert (np.diff(table) > 0).all()


def test_branches_that_are_certain_of_different_classes_are_wrong_half_the_time() -> None:
    assert error_by_disagreement()[[0, LEVELS]] == pytest.approx([0, 0.5], abs=1e-3)


def test_a_map_comes_back_in_its_steps() -> None:
    steps = np.arange(LEVELS + 1, dtype=np.uint8)
    assert np.array_equal(levels_of(steps.astype(np.float32) / np.float32(LEVELS)), steps)


# The shell


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.5, 1.0)])
def test_the_shell_is_what_lies_within_reach_of_a_change_of_label(spacing: tuple[float, float, float]) -> None:
    labels = np.zeros((9, 30, 20), np.uint8)
    labels[3:6, 10:14, 8:12] = 2
    touching = np.argwhere(labels_change(labels)) * spacing
    everywhere = np.argwhere(np.ones(labels.shape, bool)) * spacing
    nearest = np.min(np.linalg.norm(everywhere[:, None] - touching[None], axis=2), axis=1)
    assert np.array_equal(surface_shell(labels, spacing, 4.0).reshape(-1), nearest <= 4.0 + 1e-4)


def labels_change(labels: np.ndarray) -> np.ndarray:
    padded = np.pad(labels, 1, mode="edge")
    middle = padded[1:-1, 1:-1, 1:-1]
    shifted = [np.roll(padded, move, axis)[1:-1, 1:-1, 1:-1] for axis in range(3) for move in (-1, 1)]
    return np.any([middle != other for other in shifted], axis=0)


def test_one_label_everywhere_has_no_shell() -> None:
    assert not surface_shell(np.ones((4, 5, 6), np.uint8), ONE_MM, 5.0).any()


def test_only_known_voxels_near_a_surface_count_and_the_annotations_own_border_is_none() -> None:
    prediction = np.zeros((40, 6, 6), np.uint8)
    prediction[:10] = 1
    reference = np.full_like(prediction, 255)
    reference[8:30] = 0
    found = count_errors(np.zeros_like(prediction), prediction, reference, ONE_MM, shell_mm=3.0)
    # Slices 8 and 9 are called 1 and are 0; 10 to 13 lie within 3 mm of slice 10, which touches the surface.
    assert (found.wrong_voxels, found.voxels) == (2 * 36, 6 * 36)


def test_arrays_of_different_shapes_are_refused() -> None:
    with pytest.raises(LabelError, match="must have one shape"):
        count_errors(
            np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 2), np.uint8), ONE_MM
        )


# Figures


def test_errors_that_are_all_more_uncertain_than_what_is_right_are_found_perfectly() -> None:
    perfect = counts(right={0: 90, 20: 5}, wrong={100: 3, 200: 2})
    assert auroc(perfect) == average_precision(perfect) == 1
    assert auroc(counts(right={200: 5}, wrong={10: 5})) == 0


def test_one_and_the_same_uncertainty_everywhere_finds_errors_by_chance() -> None:
    same = counts(right={50: 90}, wrong={50: 10})
    assert auroc(same) == 0.5
    assert average_precision(same) == pytest.approx(0.1)


@given(st.lists(st.tuples(st.integers(0, LEVELS), st.booleans()), min_size=2, max_size=30))
def test_roc_area_is_the_share_of_pairs_in_the_right_order(voxels: list[tuple[int, bool]]) -> None:
    wrong = [step for step, is_wrong in voxels if is_wrong]
    right = [step for step, is_wrong in voxels if not is_wrong]
    found = auroc(counts(*({step: some.count(step) for step in some} for some in (right, wrong))))
    if not wrong or not right:
        assert found is None
        return
    pairs = [1.0 if w > r else 0.5 if w == r else 0.0 for w in wrong for r in right]
    assert found == pytest.approx(sum(pairs) / len(pairs))


def test_average_precision_of_a_ranking_by_hand() -> None:
    # From the most uncertain on: wrong, right, wrong, right.
    ranking = counts(right={200: 1, 10: 1}, wrong={250: 1, 100: 1})
    assert average_precision(ranking) == pytest.approx((1 + 2 / 3) / 2)


def test_a_model_right_as_often_as_it_says_has_no_calibration_error() -> None:
    honest = score_uncertainty(
        counts(right={level(0.2): 80, level(0.01): 99}, wrong={level(0.2): 20, level(0.01): 1}), 2
    )
    assert honest.ece == pytest.approx(0, abs=0.005)
    assert honest.brier == pytest.approx((100 * 0.16 + 100 * 0.0099) / 200, rel=0.05)
    too_sure = score_uncertainty(counts(right={0: 80}, wrong={0: 20}), 2)
    assert too_sure.ece == pytest.approx(0.2)
    assert too_sure.brier == pytest.approx(0.2)


def test_without_voxels_or_without_errors_figures_are_undefined_and_never_zero() -> None:
    nothing = score_uncertainty(counts({}, {}), 3)
    assert (nothing.ece, nothing.brier, nothing.auroc, nothing.auprc) == (None, None, None, None)
    flawless = score_uncertainty(counts(right={0: 10}, wrong={}), 3)
    assert (flawless.ece, flawless.auroc, flawless.auprc) == (0, None, None)


def test_counts_of_cases_add_up() -> None:
    one, other = counts({3: 4}, {9: 1}), counts({3: 1}, {8: 2})
    assert (one + other).voxels == 8
    assert reliability(one + other, 2)[-1].voxels == 8


def test_the_plot_is_one_valid_file_without_links(tmp_path: Path) -> None:
    some = counts(right={0: 900, 120: 60}, wrong={0: 5, 120: 40})
    path = tmp_path / "Läufe" / "r.svg"
    write_reliability_plot(path, reliability(some, 3), score_uncertainty(some, 3), 'Cases <1> & "2"')
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    assert text.count('class="dot"') == len(reliability(some, 3))
    assert "href" not in text


# Doubt by label


def test_doubt_of_a_small_structure_is_not_diluted_by_a_large_one() -> None:
    labels = np.zeros((30, 30, 60), np.uint8)
    labels[5:25, 5:25, 5:25] = 1
    labels[14:16, 14:16, 45:47] = 3
    entropy = np.where(labels == 3, 250, 0).astype(np.uint8)
    jaw, teeth, canal = doubt_by_label(labels, entropy, (1, 2, 3), ONE_MM)
    shell = surface_shell((labels == 3).view(np.uint8), ONE_MM, 5.0).sum()
    assert jaw == 0
    assert teeth is None
    assert canal == pytest.approx(8 / round(0.1 * shell), abs=1e-3)


def test_doubt_of_fine_voxels_is_that_of_the_same_scene_in_coarse_ones() -> None:
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[8:16, 8:16, 8:16] = 1
    entropy = (np.indices(labels.shape).sum(axis=0) * 3).astype(np.uint8)
    fine = [np.repeat(np.repeat(np.repeat(a, 3, 0), 3, 1), 3, 2) for a in (labels, entropy)]
    (coarse,) = doubt_by_label(labels, entropy, (1,), ONE_MM)
    assert doubt_by_label(*fine, (1,), (1 / 3,) * 3) == [pytest.approx(coarse, rel=0.01)]
