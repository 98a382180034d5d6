"""The simulated annotator draws what is true, keeps what was drawn before, and counts what that costs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging_data import grid, turned

from barl.cohort import Coverage, CoverageKind
from barl.errors import InputError, SettingsError
from barl.evaluation.annotator import Cost, Desk, box_mask, correct_regions, draw_case, draw_slices
from barl.evaluation.cost_curves import Point, cost_to_reach, reached, write_curves
from barl.evaluation.review_regions import ReviewRegion, read_review_regions

SHAPE = (8, 10, 12)
GRID = grid(SHAPE, spacing=(1.0, 1.0, 2.0), origin=(0, 0, 0))
"""Voxel (d, h, w) lies at R -w, A -h, S 2d mm."""

SLICES = Coverage(kind=CoverageKind.SLICES, axis=0)


@pytest.fixture
def a_desk() -> Desk:
    """A box of 4 x 4 x 4 voxels, predicted one column too far to one side; nothing is annotated."""
    truth, shown = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    truth[2:6, 3:7, 4:8] = 1
    shown[2:6, 3:7, 5:9] = 1
    return Desk(truth=truth, shown=shown, geometry=GRID)


def a_region(low_dhw: tuple[int, int, int], high_dhw: tuple[int, int, int], **more: Any) -> ReviewRegion:
    """A region around voxels from and to, both included."""
    (d, h, w), (d_end, h_end, w_end) = low_dhw, high_dhw
    bounds = ((-w_end - 0.5, -w + 0.5), (-h_end - 0.5, -h + 0.5), (2.0 * d - 1, 2.0 * d_end + 1))
    return ReviewRegion(**{"rank": 1, "expected_error_mm3": 1.0, **more}, bounds_ras_mm=bounds)


def test_a_whole_case_is_the_truth_and_costs_what_was_wrong(a_desk: Desk) -> None:
    drawn = draw_case(a_desk)
    np.testing.assert_array_equal(drawn.annotation, a_desk.truth)
    assert drawn.coverage == Coverage()
    wrong = 2 * 4 * 4  # A column of the box on each side.
    assert drawn.cost == Cost(voxels_changed=wrong, voxels_reviewed=960, slices_touched=4, cases_opened=1)


def test_a_prediction_worse_than_nothing_is_cleared_before_a_whole_case_is_drawn(a_desk: Desk) -> None:
    drawn = draw_case(replace(a_desk, shown=np.ones(SHAPE, np.uint8)))
    assert (drawn.cost.voxels_changed, drawn.cost.slices_touched) == (4 * 4 * 4, 4)


def test_a_region_is_true_inside_its_box_and_unknown_elsewhere(a_desk: Desk) -> None:
    corrected = correct_regions(a_desk, [a_region((3, 3, 8), (4, 6, 8))], margin_mm=0)
    known = corrected.annotation != 255
    assert np.argwhere(known).min(axis=0).tolist() == [3, 3, 8]
    assert np.argwhere(known).max(axis=0).tolist() == [4, 6, 8]
    np.testing.assert_array_equal(corrected.annotation[known], a_desk.truth[known])
    assert corrected.coverage.kind is CoverageKind.SCRIBBLES
    assert corrected.cost == Cost(
        voxels_changed=8, voxels_reviewed=8, slices_touched=2, regions_visited=1, cases_opened=1
    )


def test_the_margin_is_in_millimeters(a_desk: Desk) -> None:
    region = a_region((3, 3, 8), (4, 6, 8))
    known = np.argwhere(correct_regions(a_desk, [region], margin_mm=2.0).annotation != 255)
    assert [known.min(axis=0).tolist(), known.max(axis=0).tolist()] == [[2, 1, 6], [5, 8, 10]]


def test_accepting_the_rest_keeps_the_predictions_errors_there(a_desk: Desk) -> None:
    corrected = correct_regions(a_desk, [a_region((2, 3, 8), (5, 6, 8))], margin_mm=0, elsewhere="accepted")
    assert corrected.coverage == Coverage()
    assert np.count_nonzero(corrected.annotation != a_desk.truth) == 16  # The column that no region showed.


def test_what_was_annotated_before_stays_and_costs_nothing_again(a_desk: Desk) -> None:
    region = a_region((3, 3, 8), (4, 6, 8))
    first = correct_regions(a_desk, [region], margin_mm=0)
    desk = replace(a_desk, known=first.annotation, coverage=first.coverage)
    again = correct_regions(desk, [region], margin_mm=0)
    more = correct_regions(desk, [a_region((3, 3, 4), (4, 6, 4))], margin_mm=0)
    assert again.cost == Cost(regions_visited=1, cases_opened=1)
    assert np.count_nonzero(more.annotation != 255) == 16
    assert draw_case(desk).cost.voxels_reviewed == 960 - 8


@pytest.mark.parametrize("degrees", [(0, 0), (25, -40)])
def test_a_box_holds_the_voxels_with_their_center_in_it_also_on_a_turned_grid(degrees: tuple[float, float]) -> None:
    geometry = grid(SHAPE, direction=turned(*degrees), spacing=(0.7, 0.9, 1.3))
    middle = np.array(geometry.index_to_ras((4, 5, 6)))
    bounds = tuple((float(m - 1.9), float(m + 2.3)) for m in middle)
    expected = np.zeros(SHAPE, bool)
    for index in np.ndindex(SHAPE):
        place = geometry.index_to_ras(index)
        expected[index] = all(low <= value <= high for (low, high), value in zip(bounds, place, strict=True))
    np.testing.assert_array_equal(box_mask(bounds, geometry, 0.0), expected)  # type: ignore[arg-type]
    assert expected.any()


def test_slices_are_complete_evenly_spread_and_those_of_the_structure(a_desk: Desk) -> None:
    drawn = draw_slices(a_desk, axis=0, count=2, seed=3)
    known = np.flatnonzero((drawn.annotation != 255).any(axis=(1, 2)))
    assert drawn.coverage == SLICES
    assert known.tolist() in ([2, 4], [3, 5])
    np.testing.assert_array_equal(drawn.annotation[known], a_desk.truth[known])
    assert drawn.cost == Cost(voxels_changed=16, voxels_reviewed=240, slices_touched=2, cases_opened=1)
    again = draw_slices(a_desk, axis=0, count=2, seed=3)
    np.testing.assert_array_equal(again.annotation, drawn.annotation)


def test_more_slices_come_beside_those_already_drawn(a_desk: Desk) -> None:
    first = draw_slices(a_desk, axis=0, count=2, seed=3)
    second = draw_slices(replace(a_desk, known=first.annotation, coverage=first.coverage), axis=0, count=2, seed=3)
    assert np.flatnonzero((second.annotation != 255).any(axis=(1, 2))).tolist() == [2, 3, 4, 5]
    assert (second.coverage, second.cost.slices_touched) == (SLICES, 2)
    third = draw_slices(replace(a_desk, known=second.annotation, coverage=second.coverage), axis=0, count=9, seed=3)
    assert third.coverage == Coverage()
    np.testing.assert_array_equal(third.annotation, a_desk.truth)


def test_slices_of_another_axis_make_scribbles_of_both(a_desk: Desk) -> None:
    first = draw_slices(a_desk, axis=0, count=1, seed=0)
    crossed = draw_slices(replace(a_desk, known=first.annotation, coverage=first.coverage), axis=2, count=1, seed=0)
    assert crossed.coverage.kind is CoverageKind.SCRIBBLES


def test_truth_that_is_not_known_everywhere_and_senseless_wishes_are_refused(a_desk: Desk) -> None:
    hole = a_desk.truth.copy()
    hole[0, 0, 0] = 255
    with pytest.raises(InputError, match="needs complete labels"):
        replace(a_desk, truth=hole)
    with pytest.raises(InputError, match="Give one grid"):
        replace(a_desk, shown=np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(SettingsError, match="'guessed'"):
        correct_regions(a_desk, [], elsewhere="guessed")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="axis must be 0, 1 or 2"):
        draw_slices(a_desk, axis=3, count=1, seed=0)


# Regions as predictions list them


def a_record(tmp_path: Path, **record: Any) -> Path:
    path = tmp_path / "P07.json"
    path.write_text(json.dumps({"format_version": 1, **record}), encoding="utf-8")
    return path


def test_regions_are_read_by_rank(tmp_path: Path) -> None:
    bounds = [[-3.0, 4.5], [0.0, 1.0], [2, 9]]
    rows = [
        {"rank": rank, "center_ras_mm": [0, 0, 0], "bounds_ras_mm": bounds, "volume_mm3": 9.0, "reason": "unsure"}
        | {"expected_error_mm3": error, "classes": [0, 1]}
        for rank, error in ((2, 3.5), (1, 7.0))
    ]
    found = read_review_regions(a_record(tmp_path, regions=rows))
    assert [(one.rank, one.expected_error_mm3) for one in found] == [(1, 7.0), (2, 3.5)]
    assert found[0].bounds_ras_mm == ((-3.0, 4.5), (0.0, 1.0), (2.0, 9.0))
    assert read_review_regions(a_record(tmp_path, regions=[])) == []


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({}, "lists no regions to review: the prediction was made without uncertainty"),
        ({"regions": [{"rank": 1, "bounds_ras_mm": [[1, 2], [3]]}]}, "must be three pairs of numbers"),
        ({"regions": [{"rank": 1}]}, "must be three pairs of numbers, got None"),
    ],
)
def test_predictions_without_usable_regions_are_told(tmp_path: Path, record: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_review_regions(a_record(tmp_path, **record))


# Curves


def points(strategy: str, *rows: tuple[int, float], seed: int = 0) -> list[Point]:
    return [
        Point(
            strategy=strategy,
            seed=seed,
            round=number,
            cost=Cost(slices_touched=slices, voxels_changed=10 * slices, cases_opened=number),
            dice=dice,
            dice_by_class={"organ": dice},
            steps=5,
        )
        for number, (slices, dice) in enumerate(rows)
    ]


def test_the_cost_of_a_dice_lies_on_the_line_between_two_trainings() -> None:
    loop = points("regions", (10, 0.5), (20, 0.7), (40, 0.6))
    assert cost_to_reach(loop, 0.6, "slices_touched") == pytest.approx(15)
    assert cost_to_reach(loop, 0.4, "slices_touched") == 10
    assert cost_to_reach(loop, 0.8, "slices_touched") is None


def test_what_is_reached_is_measured_against_everything_annotated_of_the_same_seed() -> None:
    loops = [
        *points("all", (10, 0.5), (400, 0.8)),
        *points("regions", (10, 0.5), (20, 0.76)),
        *points("cases", (10, 0.5), (210, 0.76)),
        *points("all", (10, 0.5), (400, 0.9), seed=1),
        *points("regions", (10, 0.5), (40, 0.855), seed=1),
        *points("cases", (10, 0.5), (50, 0.6), seed=1),
    ]
    found = reached(loops)
    assert found["target"] == pytest.approx(0.95 * 0.85)
    assert found["cost"]["regions"]["slices_touched"] == pytest.approx(30)
    assert found["cost"]["cases"]["slices_touched"] is None
    assert reached(points("regions", (1, 0.5))) == {}


def test_curves_are_written_for_programs_tables_and_people(tmp_path: Path) -> None:
    loops = [*points("all", (10, 0.5), (400, 0.8)), *points("regions", (10, 0.5), (20, 0.76))]
    loops[-1] = replace(loops[-1], dice_by_class={"jaw": 0.76})
    page = write_curves(tmp_path, loops, {"Cohort": "<K>"}).read_text(encoding="utf-8")
    told = json.loads((tmp_path / "curves.json").read_text(encoding="utf-8"))
    with (tmp_path / "curves.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Point.from_json(one) for one in told["points"]] == loops
    assert told["reached"]["cost"]["regions"]["slices_touched"] == pytest.approx(20)
    assert [(row["strategy"], row["round"], row["slices_touched"]) for row in rows][-1] == ("regions", "1", "20")
    assert rows[0]["Dice jaw"] == ""
    assert page.count("<svg") == 3
    assert "&lt;K&gt;" in page
    assert not any(link in page for link in ("http://", "https://", "<script", "src="))
