"""The cases to look at: for each method prediction against truth, errors, uncertainty."""

from __future__ import annotations

from html import escape

from barl.evaluation.html_report import pictures
from barl.evaluation.html_report.pictures import View
from barl.evaluation.html_report.records import MethodResult, Report, ReportCase

_AXES = (0, 2)
"""Slices across the head, and from front to back."""


def cases_section(report: Report) -> str:
    """All cases with a legend; empty without cases."""
    if not report.cases:
        return ""
    cards = "".join(_case(report, case, number) for number, case in enumerate(report.cases))
    return (
        '<section><h2>Cases</h2><p class="note">Each slice is the one in which the truth shows most of all classes, '
        f"whatever the predictions look like.</p>{_legend(report)}{cards}</section>"
    )


def _legend(report: Report) -> str:
    classes = "".join(
        f'<li><i style="background:rgb{label.color}"></i>{escape(label.name)}</li>' for label in report.table.labels
    )
    errors = "".join(
        f'<li><i style="background:rgb{color}"></i>{name}</li>'
        for color, name in (
            (pictures.MISSED, "missed"),
            (pictures.EXTRA, "too much"),
            (pictures.CONFUSED, "another class"),
        )
    )
    stops = ", ".join(f"rgb{color}" for color in pictures.HEAT)
    return (
        f'<ul class="key">{classes}<li><i class="fill"></i>area: truth</li>'
        f'<li><i class="rule"></i>line: prediction</li></ul><ul class="key">{errors}'
        f'<li>sure<i class="heat" style="background:linear-gradient(90deg, {stops})"></i>unsure</li></ul>'
    )


def _case(report: Report, case: ReportCase, number: int) -> str:
    views = [pictures.choose_view(case.truth, axis, case.spacing_dhw_mm, report.table.values) for axis in _AXES]
    blocks = "".join(_view(report, case, view, f"case{number}axis{view.axis}") for view in views)
    scores = "".join(_case_dice(method, index, case.case_id) for index, method in enumerate(report.methods))
    return f'<article class="card case"><header><h3>{escape(case.case_id)}</h3>{scores}</header>{blocks}</article>'


def _view(report: Report, case: ReportCase, view: View, symbol: str) -> str:
    """One slice: the scan and the truth in the first column, a row of three tiles a method."""
    image, truth = view.cut(case.image), view.cut(case.truth)
    methods = [method for method in report.methods if method.name in case.predictions]
    outline = pictures.contours(view, truth, report.table, "truth")
    first_column = [
        _figure(pictures.tile(symbol, view, image, outline, f"Truth of {case.case_id}"), "Truth"),
        _figure(pictures.tile(symbol, view, image, "", f"Scan of {case.case_id}"), "Scan"),
    ]
    figures = []
    for row in range(max(len(methods), 2)):
        figures.append(first_column[row] if row < 2 else "<span></span>")
        if row < len(methods):
            figures.extend(_method_row(report, case, methods[row], view, symbol))
    defs = pictures.image_symbol(symbol, view, image)
    return f'<svg width="0" height="0" style="position:absolute" aria-hidden="true">{defs}</svg>' + (
        f'<div class="tiles">{"".join(figures)}</div>'
    )


def _method_row(report: Report, case: ReportCase, method: MethodResult, view: View, symbol: str) -> list[str]:
    image, truth = view.cut(case.image), view.cut(case.truth)
    prediction = view.cut(case.predictions[method.name])
    lines = pictures.contours(view, truth, report.table, "truth")
    lines += pictures.contours(view, prediction, report.table, "prediction")
    title = escape(method.title)
    name = f"{method.title} on {case.case_id}"
    row = [
        _figure(pictures.tile(symbol, view, image, lines, f"Prediction of {name}"), f"<b>{title}</b> prediction"),
        _figure(
            pictures.tile(symbol, view, image, pictures.error_overlay(view, prediction, truth), f"Errors of {name}"),
            f"<b>{title}</b> errors",
        ),
    ]
    if method.name not in case.uncertainty:
        return [*row, "<span></span>"]
    overlay = pictures.uncertainty_overlay(view, view.cut(case.uncertainty[method.name]))
    picture = pictures.tile(symbol, view, image, overlay, f"Uncertainty of {name}")
    return [*row, _figure(picture, f"<b>{title}</b> uncertainty")]


def _case_dice(method: MethodResult, index: int, case_id: str) -> str:
    """Dice of the whole volume, class by class."""
    scores = next((case.scores for case in method.scores if case.case_id == case_id), ())
    parts = [f"{escape(score.name)} {score.dice:.2f}" for score in scores if score.dice is not None]
    dot = f'<i class="method m{index % 6}"></i>'
    return f"<p>{dot}{escape(method.title)}: Dice {', '.join(parts)}</p>" if parts else ""


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"
