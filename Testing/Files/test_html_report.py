"""The page: self-contained, well-formed, honest about what is undefined."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from barl.cohort import LabelTable
from barl.errors import SettingsError
from barl.evaluation import CaseScores, score_case
from barl.evaluation.html_report import Curve, MethodResult, Report, ReportCase, write_html_report
from barl.evaluation.html_report.charts import curve_chart
from barl.evaluation.html_report.pictures import (
    EXTRA,
    MISSED,
    View,
    choose_view,
    contours,
    error_overlay,
    image_symbol,
    size_mm,
    uncertainty_overlay,
)

TABLE = LabelTable.from_names(["jaw", "canal"])
SPACING = (1.0, 0.5, 0.5)


def _truth() -> np.ndarray:
    truth = np.zeros((6, 12, 14), np.uint8)
    truth[1:5, 3:9, 3:11] = 1
    truth[2:4, 5:7, 5:9] = 2
    return truth


def _case(case_id: str, predictions: Mapping[str, np.ndarray]) -> ReportCase:
    noise = np.random.default_rng(0)
    uncertainty = {name: noise.random(_truth().shape) for name in predictions}
    image = noise.normal(size=_truth().shape)
    return ReportCase(
        case_id=case_id,
        image=image,
        truth=_truth(),
        predictions=predictions,
        uncertainty=uncertainty,
        spacing_dhw_mm=SPACING,
    )


def _method(name: str, title: str, prediction: np.ndarray) -> MethodResult:
    scores = score_case(prediction, _truth(), table=TABLE, spacing_dhw_mm=SPACING)
    curve = Curve(steps=range(40), values=[1 / (step + 1) for step in range(40)])
    return MethodResult(
        name=name,
        title=title,
        scores=[CaseScores(case_id="P1", scores=scores), CaseScores(case_id="P2", scores=scores)],
        steps=1200,
        seconds=83.4,
        curves={"loss": curve, "validation Dice": curve},
    )


@pytest.fixture
def a_report() -> Report:
    """The first method misses the canal, the second one is perfect."""
    missing = np.where(_truth() == 2, 1, _truth()).astype(np.uint8)
    predictions = {"plain": missing, "better": _truth()}
    return Report(
        title="Three scans & nine",
        subtitle="A test",
        table=TABLE,
        methods=[_method("plain", "Supervised", missing), _method("better", "BARL", _truth())],
        cases=[_case("P1", predictions), _case("P2", predictions)],
        facts={"Volumes": "12"},
        statements=["One seed only."],
    )


def _written(report: Report, folder: Path) -> str:
    write_html_report(folder / "report.html", report)
    return (folder / "report.html").read_text(encoding="utf-8")


class _Checker(HTMLParser):
    """Follows the tags: what is open, what links where, what text is shown."""

    EMPTY = frozenset({"meta", "line", "circle", "image", "use", "path", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _checked(page: str) -> _Checker:
    checker = _Checker()
    checker.feed(page)
    checker.close()
    return checker


def test_the_page_is_well_formed_and_needs_nothing_from_outside(a_report: Report, tmp_path: Path) -> None:
    page = _written(a_report, tmp_path)
    checker = _checked(page)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    for link in checker.links:
        assert link.startswith("data:image/png;base64,") or link.removeprefix("#") in checker.ids
    assert "http" not in page and "url(" not in page and "@import" not in page and "<script" not in page


def test_every_picture_can_be_decoded(a_report: Report, tmp_path: Path) -> None:
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", _written(a_report, tmp_path))
    # Two cases with two views each: the scan once, errors and uncertainty of two methods.
    assert len(pictures) == 2 * 2 * (1 + 2 * 2)
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).load()


def test_facts_statements_scores_and_times_are_told(a_report: Report, tmp_path: Path) -> None:
    text = _checked(_written(a_report, tmp_path)).text
    for told in ("Volumes", "One seed only.", "1,200 steps in 1 min 23 s", "+0.5", "ahead on 2 of 2 cases", "P2"):
        assert told in text


def test_what_is_undefined_is_said_and_no_number(a_report: Report, tmp_path: Path) -> None:
    page = _written(a_report, tmp_path)
    assert "2 (2 without distance)" in page
    assert "Supervised: 1,200 steps in 1 min 23 s, 2 cases scored. 2 times a class has no distance" in page
    assert "nan" not in _checked(page).text.casefold().replace("nance", "")


def test_names_cannot_break_the_page(a_report: Report, tmp_path: Path) -> None:
    evil = '<img src="http://x">&'
    table = LabelTable(labels=(replace(TABLE.labels[0], name=evil), TABLE.labels[1]))
    cases = [replace(case, case_id=evil) for case in a_report.cases]
    methods = [replace(method, title=evil, curves={evil: method.curves["loss"]}) for method in a_report.methods]
    report = replace(a_report, title=evil, table=table, cases=cases, methods=methods, facts={evil: evil})
    checker = _checked(_written(report, tmp_path))
    assert checker.open == [] and "http://x" not in checker.links
    assert checker.text.count(evil) > 5


def test_one_method_without_cases_or_curves_is_a_page_too(a_report: Report, tmp_path: Path) -> None:
    alone = replace(a_report.methods[0], curves={}, scores=[])
    text = _checked(_written(replace(a_report, methods=[alone], cases=[]), tmp_path)).text
    assert "not defined" in text and "Training" not in text and "Cases" in text


def test_a_report_without_methods_is_refused(a_report: Report) -> None:
    with pytest.raises(SettingsError, match="at least one method"):
        replace(a_report, methods=[])


def test_an_array_on_another_grid_is_refused() -> None:
    with pytest.raises(SettingsError, match="P1: plain has the shape"):
        _case("P1", {"plain": np.zeros((6, 12, 13), np.uint8)})


def test_the_chosen_slice_shows_all_classes() -> None:
    truth = np.zeros((9, 8, 8), np.uint8)
    truth[2, :, :] = 1
    truth[5, 2:6, 2:6] = 1
    truth[5, 3:5, 3:5] = 2
    assert choose_view(truth, 0, SPACING, TABLE.values).index == 5


def test_slices_keep_their_proportions_and_stand_upright() -> None:
    volume = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    view = View(axis=2, index=1, spacing_mm=(2.0, 0.5))
    plane = view.cut(volume)
    assert plane[0, 0] == volume[3, 0, 1]
    assert size_mm(view, plane) == (3.0, 8.0)


def _overlay_pixels(svg: str) -> np.ndarray:
    data = re.search(r"base64,([A-Za-z0-9+/=]+)", svg)
    assert data
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))))


def test_the_error_map_tells_missed_from_too_much_and_leaves_unknown_out() -> None:
    truth = np.array([[1, 0, 255, 2]], np.uint8)
    prediction = np.array([[0, 1, 1, 2]], np.uint8)
    pixels = _overlay_pixels(error_overlay(View(axis=0, index=0, spacing_mm=(1, 1)), prediction, truth))
    assert tuple(pixels[0, 0, :3]) == MISSED and tuple(pixels[0, 1, :3]) == EXTRA
    assert [int(alpha) for alpha in pixels[0, :, 3] > 0] == [1, 1, 0, 0]


def test_sure_voxels_are_see_through_and_unsure_ones_bright() -> None:
    view = View(axis=0, index=0, spacing_mm=(1, 1))
    pixels = _overlay_pixels(uncertainty_overlay(view, np.repeat([[0.0, 1.0]], 4, axis=1)))
    assert pixels[0, 0, 3] == 0
    assert pixels[0, -1, 3] > 200 and pixels[0, -1, :3].sum() > 500


def test_contours_lie_on_the_borders_of_the_voxels_in_millimeters() -> None:
    mask = np.zeros((6, 6), np.uint8)
    mask[2:4, 1:3] = 1
    path = contours(View(axis=0, index=0, spacing_mm=(2.0, 1.0)), mask, TABLE, "truth")
    numbers = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", path), float)
    assert (numbers.min(axis=0) == [1.0, 4.0]).all() and (numbers.max(axis=0) == [3.0, 8.0]).all()


def test_a_constant_image_is_drawn() -> None:
    symbol = image_symbol("s", View(axis=0, index=0, spacing_mm=(1, 1)), np.full((4, 4), 7.0))
    assert _overlay_pixels(symbol).shape == (12, 12)


def test_curves_stay_inside_the_chart_and_skip_what_is_not_finite() -> None:
    values = [5.0, float("nan"), 3.0, float("inf"), 1.0, 1.0]
    svg = curve_chart("validation", [(0, Curve(steps=range(6), values=values))])
    points = re.search(r'points="([^"]*)"', svg)
    assert points
    numbers = np.array([pair.split(",") for pair in points[1].split()], float)
    assert len(numbers) == 4
    assert (numbers >= 0).all() and (numbers[:, 0] <= 560).all() and (numbers[:, 1] <= 250).all()
    assert "nan" not in svg and "inf" not in svg


@pytest.mark.parametrize("values", [[], [float("nan")], [2.0], [0.0, 0.0]])
def test_short_curves_are_drawn_too(values: list[float]) -> None:
    svg = curve_chart("loss", [(0, Curve(steps=range(len(values)), values=values))])
    assert svg.startswith("<svg") and "nan" not in svg
