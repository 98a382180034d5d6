"""The page, from top to bottom: headline, scores, curves, cases, what the numbers do not say."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import fmean

from barl import __version__
from barl.atomic import write_text
from barl.evaluation.html_report.cases import cases_section
from barl.evaluation.html_report.charts import curve_chart, dice_chart
from barl.evaluation.html_report.records import MethodResult, Report
from barl.evaluation.html_report.style import CSS
from barl.evaluation.report import OVERALL, ClassSummary, Statistic, summary

_SHOWN = (("dice", "Dice", 3), ("hd95_mm", "95HD (mm)", 2), ("assd_mm", "ASSD (mm)", 2))


def write_html_report(path: Path, report: Report) -> None:
    """Write the page as one file without any link to the outside."""
    body = [_header(report), _headline(report), _scores(report), _curves(report), cases_section(report)]
    body.append(_statements(report))
    write_text(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{CSS}</style></head>\n<body><main>\n"
        + "\n".join(part for part in body if part)
        + f"\n<footer>Written by BARL {escape(__version__)}. For research, not for clinical use.</footer>"
        "\n</main></body></html>\n",
    )


def _header(report: Report) -> str:
    facts = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in report.facts.items())
    return (
        f'<header><p class="over">BARL report</p><h1>{escape(report.title)}</h1>'
        f'<p class="lead">{escape(report.subtitle)}</p>' + (f'<dl class="facts">{facts}</dl>' if facts else "")
    ) + "</header>"


def _headline(report: Report) -> str:
    cards = []
    for index, method in enumerate(report.methods):
        overall = _overall(method)
        number = "not defined" if overall.mean is None else f"{overall.mean:.3f}"
        spread = "" if overall.std is None else f" ± {overall.std:.3f} over {overall.n} cases"
        comparison = _comparison(report.methods[0], method) if index else _baseline(report)
        cards.append(
            f'<div class="card" style="--method:var(--m{index % 6})"><h3>{escape(method.title)}</h3>'
            f'<div class="big">{number}</div><div class="unit">mean Dice of all classes{spread}</div>'
            f'<div class="unit">{method.steps:,} steps in {_duration(method.seconds)}</div>{comparison}</div>'
        )
    return f'<section class="cards" aria-label="Headline">{"".join(cards)}</section>'


def _overall(method: MethodResult) -> Statistic:
    rows = summary(method.scores)
    return rows[-1].metrics["dice"] if rows else Statistic(mean=None, std=None, n=0, undefined=0)


def _baseline(report: Report) -> str:
    return '<div class="chip even">what the others are compared with</div>' if len(report.methods) > 1 else ""


def _comparison(first: MethodResult, other: MethodResult) -> str:
    """By how much a method is ahead of the first one on the cases both have, and on how many of them."""
    ours, theirs = _case_means(other), _case_means(first)
    gains = [ours[case] - theirs[case] for case in ours if case in theirs]
    if not gains:
        return ""
    gain, wins = fmean(gains), sum(g > 0 for g in gains)
    css = "even" if abs(gain) < 0.0005 else "up" if gain > 0 else "down"
    return (
        f'<div class="chip {css}">{gain:+.3f} against {escape(first.title)}, '
        f"ahead on {wins} of {len(gains)} cases</div>"
    )


def _case_means(method: MethodResult) -> dict[str, float]:
    means = {}
    for case in method.scores:
        defined = [score.dice for score in case.scores if score.dice is not None]
        if defined:
            means[case.case_id] = fmean(defined)
    return means


def _scores(report: Report) -> str:
    names = list(report.table.names)
    return (
        '<section><h2>Scores</h2><p class="note">A dot is a case, the bar and the number are the mean. '
        "In the table: mean ± standard deviation over the cases; the best of a class in bold. "
        "Dice: 1 is perfect; 95HD (95 % Hausdorff distance) and ASSD (average symmetric surface distance): "
        f"0 is perfect.</p>{_method_key(report.methods)}"
        f'<div class="card wide">{dice_chart(report.methods, names)}</div>'
        f'<div class="card scroll">{_table(report)}</div></section>'
    )


def _method_key(methods: Sequence[MethodResult]) -> str:
    items = (
        f'<li><i style="background:var(--m{i % 6})"></i>{escape(method.title)}</li>' for i, method in enumerate(methods)
    )
    return f'<ul class="key">{"".join(items)}</ul>'


def _table(report: Report) -> str:
    summaries = [{row.name: row for row in summary(method.scores)} for method in report.methods]
    names = [*report.table.names, OVERALL]
    head = "".join(f"<th>{title}</th>" for _, title, _ in _SHOWN)
    groups = "".join(_group(report, name, [rows.get(name) for rows in summaries]) for name in names)
    head = f'<tr><th>Class</th><th class="left">Method</th>{head}<th>Cases</th></tr>'
    return f"<table><thead>{head}</thead>{groups}</table>"


def _group(report: Report, name: str, rows: Sequence[ClassSummary | None]) -> str:
    """The rows of one class, a method each."""
    best = {metric: _best(metric, rows) for metric, _, _ in _SHOWN}
    lines = []
    for index, (method, row) in enumerate(zip(report.methods, rows, strict=True)):
        first = f'<th rowspan="{len(rows)}" scope="rowgroup">{escape(name)}</th>' if index == 0 else ""
        cells = "".join(_cell(row, metric, digits, index == best[metric]) for metric, _, digits in _SHOWN)
        dot = f'<i class="method m{index % 6}"></i>'
        lines.append(f'<tr>{first}<td class="left">{dot}{escape(method.title)}</td>{cells}<td>{_counts(row)}</td></tr>')
    return f"<tbody>{''.join(lines)}</tbody>"


def _best(metric: str, rows: Sequence[ClassSummary | None]) -> int | None:
    means = {i: row.metrics[metric].mean for i, row in enumerate(rows) if row}
    defined = {i: mean for i, mean in means.items() if mean is not None}
    if len(defined) < 2:
        return None
    return (max if metric == "dice" else min)(defined, key=lambda i: defined[i])


def _cell(row: ClassSummary | None, metric: str, digits: int, best: bool) -> str:
    statistic = row.metrics[metric] if row else None
    if statistic is None or statistic.mean is None:
        return "<td>not defined</td>"
    spread = "" if statistic.std is None else f' <span class="spread">± {statistic.std:.{digits}f}</span>'
    css = ' class="best"' if best else ""
    return f"<td{css}>{statistic.mean:.{digits}f}{spread}</td>"


def _counts(row: ClassSummary | None) -> str:
    if row is None:
        return "0"
    undefined = row.metrics["hd95_mm"].undefined
    return f"{row.metrics['dice'].n}" + (f" ({undefined} without distance)" if undefined else "")


def _curves(report: Report) -> str:
    names = list(dict.fromkeys(name for method in report.methods for name in method.curves))
    charts = []
    for name in names:
        curves = [(i % 6, m.curves[name]) for i, m in enumerate(report.methods) if name in m.curves]
        charts.append(f'<div class="card"><h4>{escape(name)}</h4>{curve_chart(name, curves)}</div>')
    if not charts:
        return ""
    return (
        '<section><h2>Training</h2><p class="note">Over training steps. Losses of different methods have different '
        f"terms, so their heights do not compare. Thick lines are running means.</p>{_method_key(report.methods)}"
        f'<div class="curves">{"".join(charts)}</div></section>'
    )


def _statements(report: Report) -> str:
    own = [_measured(method) for method in report.methods]
    items = "".join(f"<li>{escape(text)}</li>" for text in [*report.statements, *own])
    return f'<section><h2>What these numbers are</h2><div class="card plain"><ul>{items}</ul></div></section>'


def _measured(method: MethodResult) -> str:
    undefined = sum(row.metrics["hd95_mm"].undefined for row in summary(method.scores)[:-1])
    text = f"{method.title}: {method.steps:,} steps in {_duration(method.seconds)}, {len(method.scores)} cases scored."
    if undefined:
        text += f" {undefined} times a class has no distance, because the prediction or the truth holds none of it."
    return text


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
