"""Dice against what annotating has cost, of several ways to spend a person's time: JSON, CSV and one page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

from barl import __version__
from barl.atomic import write_json, write_text
from barl.errors import InputError
from barl.evaluation.annotator import Cost
from barl.evaluation.html_report.charts import curve_chart
from barl.evaluation.html_report.records import Curve
from barl.evaluation.html_report.style import CSS
from barl.records import format_stamp, read_fields

FORMAT_VERSION = 1
ENOUGH = 0.95
"""Share of the Dice with everything annotated that counts as reached."""

EVERYTHING = "all"
"""The strategy that is compared with: everything annotated at once."""

UNITS = {
    "slices_touched": "slices touched",
    "voxels_changed": "voxels changed",
    "voxels_reviewed": "voxels reviewed",
    "regions_visited": "regions visited",
    "cases_opened": "cases opened",
}
_CHARTED = ("slices_touched", "voxels_changed", "voxels_reviewed")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One training of a loop."""

    strategy: str
    seed: int
    round: int
    """0 is the training before the first correction."""

    cost: Cost
    """Of all that was annotated so far, the first cases included."""

    dice: float
    """Mean over the measured cases of each one's mean over its classes."""

    dice_by_class: Mapping[str, float]
    steps: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Point:
        """The point that :meth:`to_json` gave."""
        return cls(**{**value, "cost": Cost(**value["cost"])})

    @classmethod
    def read(cls, path: Path) -> Point:
        """The point of a file.

        Raises:
            InputError: it is damaged.
        """
        advice = "Delete this file: its round is then measured again."
        values = read_fields(path, InputError, advice).values
        try:
            return cls.from_json(values)
        except (LookupError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}). {advice}") from error


def cost_to_reach(points: Sequence[Point], dice: float, unit: str) -> float | None:
    """Cost at which the line through a loop's points first reaches a Dice; None where it does not."""
    before: Point | None = None
    for point in sorted(points, key=lambda one: one.round):
        cost = float(getattr(point.cost, unit))
        if point.dice >= dice:
            if before is None:
                return cost
            start = float(getattr(before.cost, unit))
            return start + (cost - start) * (dice - before.dice) / (point.dice - before.dice)
        before = point
    return None


def reached(points: Sequence[Point]) -> dict[str, Any]:
    """For each strategy and unit the mean cost over the seeds at 95 % of the Dice of everything annotated.

    Returns:
        ``target`` (mean over the seeds; empty without the strategy ``all``) and ``cost`` by strategy and unit, None
        where not every seed gets there.
    """
    ceilings = {one.seed: one.dice for one in points if one.strategy == EVERYTHING and one.round > 0}
    if not ceilings:
        return {}
    costs = {
        name: {unit: _mean_cost([loop for loop in loops if loop[0].seed in ceilings], ceilings, unit) for unit in UNITS}
        for name, loops in _loops(points).items()
    }
    return {"target": ENOUGH * fmean(ceilings.values()), "share": ENOUGH, "cost": costs}


def _mean_cost(loops: Sequence[Sequence[Point]], ceilings: Mapping[int, float], unit: str) -> float | None:
    costs = [cost_to_reach(loop, ENOUGH * ceilings[loop[0].seed], unit) for loop in loops]
    known = [cost for cost in costs if cost is not None]
    return fmean(known) if known and len(known) == len(costs) else None


def write_curves(folder: Path, points: Sequence[Point], facts: Mapping[str, str]) -> Path:
    """Write ``curves.json``, ``curves.csv`` and ``curves.html``; returns the page.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    ordered = sorted(points, key=lambda one: (one.strategy, one.seed, one.round))
    record = format_stamp(FORMAT_VERSION) | {"facts": dict(facts), "reached": reached(ordered)}
    write_json(folder / "curves.json", record | {"points": [one.to_json() for one in ordered]})
    write_text(folder / "curves.csv", _csv(ordered))
    write_text(folder / "curves.html", _page(ordered, facts))
    return folder / "curves.html"


def _csv(points: Sequence[Point]) -> str:
    classes = sorted({name for point in points for name in point.dice_by_class})
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    units = [one.name for one in fields(Cost)]
    writer.writerow(["strategy", "seed", "round", "steps", *units, "mean Dice", *(f"Dice {name}" for name in classes)])
    for point in points:
        costs = [getattr(point.cost, unit) for unit in units]
        of_class = [point.dice_by_class.get(name) for name in classes]
        # A class that no measured case holds has no Dice, which is not 0.
        dice = ["" if value is None else f"{value:.6f}" for value in (point.dice, *of_class)]
        writer.writerow([point.strategy, point.seed, point.round, point.steps, *costs, *dice])
    return buffer.getvalue()


def _loops(points: Sequence[Point]) -> dict[str, list[list[Point]]]:
    """By strategy, a list of points for each seed."""
    loops: dict[str, dict[int, list[Point]]] = {}
    for point in points:
        loops.setdefault(point.strategy, {}).setdefault(point.seed, []).append(point)
    return {name: [sorted(loop, key=lambda one: one.round) for loop in seeds.values()] for name, seeds in loops.items()}


def _page(points: Sequence[Point], facts: Mapping[str, str]) -> str:
    loops = _loops(points)
    shown = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items())
    key = "".join(f'<li><i style="background:var(--m{i % 6})"></i>{escape(name)}</li>' for i, name in enumerate(loops))
    charts = "".join(_chart(unit, loops) for unit in _CHARTED)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Dice against cost</title><style>{CSS}</style></head>\n<body><main>"
        f'<header><p class="over">BARL simulation</p><h1>Dice against cost</h1><dl class="facts">{shown}</dl></header>'
        '<section><h2>Curves</h2><p class="note">A dot is a training; cost grows to the right. The annotator is '
        f'simulated and never errs.</p><ul class="key">{key}</ul><div class="curves">{charts}</div></section>'
        f'<section><h2>Trainings</h2><div class="card scroll">{_table(points)}</div></section>{_reached(points)}'
        f"<footer>Written by BARL {escape(__version__)}. For research, not for clinical use.</footer>"
        "</main></body></html>\n"
    )


def _chart(unit: str, loops: Mapping[str, Sequence[Sequence[Point]]]) -> str:
    curves = [
        (index % 6, Curve(steps=[getattr(one.cost, unit) for one in loop], values=[one.dice for one in loop]))
        for index, name in enumerate(loops)
        for loop in loops[name]
    ]
    chart = curve_chart("mean Dice", curves, over=UNITS[unit])
    return f'<div class="card"><h4>mean Dice over {UNITS[unit]}</h4>{chart}</div>'


def _table(points: Sequence[Point]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in ("seed", "round", *UNITS.values(), "mean Dice"))
    rows = []
    for point in points:
        numbers = [point.seed, point.round, *(getattr(point.cost, unit) for unit in UNITS)]
        cells = "".join(f"<td>{number:,}</td>" for number in numbers)
        rows.append(f"<tr><td>{escape(point.strategy)}</td>{cells}<td>{point.dice:.3f}</td></tr>")
    return f"<table><thead><tr><th>strategy</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _reached(points: Sequence[Point]) -> str:
    found = reached(points)
    if not found:
        return ""
    rows = []
    for name, costs in found["cost"].items():
        cells = "".join(f"<td>{'not reached' if cost is None else f'{cost:,.0f}'}</td>" for cost in costs.values())
        rows.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    head = "".join(f"<th>{escape(text)}</th>" for text in UNITS.values())
    return (
        f"<section><h2>Cost of {ENOUGH:.0%} of the Dice of everything annotated ({found['target']:.3f})</h2>"
        '<p class="note">Between two trainings on a straight line; mean over the seeds.</p><div class="card scroll">'
        f"<table><thead><tr><th>strategy</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )
