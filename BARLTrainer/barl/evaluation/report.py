"""Scores of many cases as a table and as means."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from barl.atomic import write_text
from barl.evaluation.metrics import ClassScore

COLUMNS: dict[str, str] = {
    "case": "case",
    "value": "value",
    "name": "class",
    "dice": "Dice",
    "jaccard": "Jaccard",
    "hd95_mm": "95HD (mm)",
    "assd_mm": "ASSD (mm)",
    "asd_mm": "ASD prediction to reference (mm)",
    "hd95_voxels": "95HD (voxels)",
    "assd_voxels": "ASSD (voxels)",
    "asd_voxels": "ASD prediction to reference (voxels)",
    "reference_ml": "reference (ml)",
    "prediction_ml": "prediction (ml)",
    "known_voxels": "known voxels",
    "voxels": "voxels",
    "note": "note",
}
"""Header of the CSV file by attribute."""

METRICS = ("dice", "jaccard", "hd95_mm", "assd_mm", "asd_mm", "hd95_voxels", "assd_voxels", "asd_voxels")
"""Attributes of a `ClassScore` that are averaged."""

OVERALL = "all classes"


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """The scores of one case, a class each."""

    case_id: str
    scores: Sequence[ClassScore]


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One metric over the cases."""

    mean: float | None
    """Over the cases where it is defined; None when there are none."""

    std: float | None
    """Of the sample (n - 1); None below two cases."""

    n: int
    """Cases where it is defined."""

    undefined: int
    """Values left out because they are not defined."""


@dataclass(frozen=True, kw_only=True)
class ClassSummary:
    """One class over all cases, or all classes together (``value`` None)."""

    value: int | None
    name: str
    metrics: dict[str, Statistic]
    """By the names in `METRICS`."""


def write_csv(path: Path, rows: Sequence[CaseScores]) -> None:
    """Write a line a case and class; undefined values are empty fields, with the reason in the last column."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS.values())
    for row in rows:
        for score in row.scores:
            writer.writerow([row.case_id, *(_cell(getattr(score, name)) for name in list(COLUMNS)[1:])])
    write_text(path, buffer.getvalue())


def _cell(value: float | int | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def summary(rows: Sequence[CaseScores]) -> list[ClassSummary]:
    """Mean, standard deviation and number of undefined values: per class, and at the end over all classes.

    Over all classes, the mean of each case over its defined classes comes first, then the mean over the cases;
    ``undefined`` counts the pairs of case and class that are missing from it.
    """
    classes = {(score.value, score.name): None for row in rows for score in row.scores}
    result = [_summarize(rows, value, name) for value, name in classes]
    return [*result, _summarize(rows, None, OVERALL)] if result else []


def _summarize(rows: Sequence[CaseScores], value: int | None, name: str) -> ClassSummary:
    metrics = {}
    for metric in METRICS:
        per_case = [[getattr(score, metric) for score in row.scores if value in (None, score.value)] for row in rows]
        defined = [[number for number in numbers if number is not None] for numbers in per_case]
        means = [fmean(numbers) for numbers in defined if numbers]
        metrics[metric] = Statistic(
            mean=fmean(means) if means else None,
            std=stdev(means) if len(means) > 1 else None,
            n=len(means),
            undefined=sum(map(len, per_case)) - sum(map(len, defined)),
        )
    return ClassSummary(value=value, name=name, metrics=metrics)
