"""Scores against a reference that is known in part: only what is known counts, surfaces too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_study import barl, box, make_cohort, write_image

from barl.cohort import LabelTable
from barl.evaluation import score_case
from barl.evaluation.metrics import NO_KNOWN_SURFACE, ClassScore, surface

TABLE = LabelTable.from_names(["organ"])


def score(prediction: np.ndarray, reference: np.ndarray) -> ClassScore:
    (one,) = score_case(prediction, reference, table=TABLE, spacing_dhw_mm=(1.0, 1.0, 1.0))
    return one


def a_bar(width: int) -> np.ndarray:
    """A bar of 10 x ``width`` voxels through all slices."""
    labels = np.zeros((9, 20, 20), np.uint8)
    labels[:, 5:15, 5 : 5 + width] = 1
    return labels


def in_slices(labels: np.ndarray, *known: int) -> np.ndarray:
    partly = np.full_like(labels, 255)
    partly[list(known)] = labels[list(known)]
    return partly


def test_in_annotated_slices_distances_are_those_of_the_outline_and_not_of_the_inside() -> None:
    """Outlines of 36 and 28 voxels a slice, at distances that sum to 52 and 20 mm; no voxel inside counts."""
    partly = score(a_bar(10), in_slices(a_bar(6), 2, 4, 6))
    assert (partly.known_voxels, partly.voxels) == (3 * 400, 9 * 400)
    assert partly.assd_mm == pytest.approx((52 + 20) / (36 + 28))
    assert partly.asd_mm == pytest.approx(52 / 36)
    assert partly.hd95_mm == pytest.approx(4.0)


def test_a_complete_reference_scores_as_before() -> None:
    known = np.ones((9, 20, 20), bool)
    mask = a_bar(6).astype(bool)
    np.testing.assert_array_equal(surface(mask, known), surface(mask))


def test_strokes_apart_from_each_other_have_dice_and_no_distance() -> None:
    reference = np.full((9, 20, 20), 255, np.uint8)
    reference[4, 6:14, 8] = 1
    reference[4, 6:14, 17] = 0
    one = score(a_bar(10), reference)
    assert (one.dice, one.hd95_mm, one.assd_mm, one.note) == (1.0, None, None, NO_KNOWN_SURFACE)
    assert one.known_voxels == 16


def test_strokes_that_touch_have_a_surface_between_them() -> None:
    reference = np.full((9, 20, 20), 255, np.uint8)
    reference[4, 6:14, 8] = 1
    reference[4, 6:14, 9] = 0
    one = score(reference % 255, reference)
    assert (one.dice, one.hd95_mm, one.note) == (1.0, 0.0, "")


def test_evaluation_tells_how_many_voxels_count(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "cohort", "P01", "P02")
    drawn = np.zeros(box().shape, np.uint8)
    drawn[3] = box()[3]
    file = write_image(tmp_path / "drawn.nii.gz", drawn)
    assert barl("cohort", "annotate", cohort, "P01", file, "--coverage", "slices", "--axis", "0").code == 0
    assert barl("cohort", "annotate", cohort, "P02", write_image(tmp_path / "whole.nii.gz", box())).code == 0
    for name in ("P01", "P02"):
        write_image(tmp_path / "predictions" / f"{name}.nii.gz", box())
    answer = barl("evaluate", tmp_path / "predictions", cohort)
    assert "P01: the reference knows 80 of 480 voxels (16.67%); only these count." in answer.said
    assert "P02: the reference" not in answer.said
