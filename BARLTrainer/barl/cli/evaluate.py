"""``barl evaluate``: how close predictions are to references, per class and case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from barl import errors
from barl.atomic import refuse_unwritable
from barl.cli.output import JsonFlag, Output, table
from barl.cli.progress import reporting
from barl.cli.uncertainty import Measured, measure, uncertainty_table
from barl.errors import InputError, SettingsError

if TYPE_CHECKING:
    from barl.cli.pairs import Matched
    from barl.evaluation.report import CaseScores, ClassSummary

_SHOWN = {"dice": "Dice", "jaccard": "Jaccard", "hd95_mm": "95HD mm", "assd_mm": "ASSD mm"}
_SHOWN_VOXELS = {"hd95_voxels": "95HD voxels", "assd_voxels": "ASSD voxels"}
_UNDEFINED = "-"
_SOME_FAILED = 2
_WRITES = {"--csv": ".csv", "--plot": ".svg"}


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="A segmentation, or a folder of them (also a round).")],
    references: Annotated[Path, typer.Argument(help="A label file, a folder of them, or a cohort.")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every number to this file, too.")] = None,
    labels: Annotated[str, typer.Option(help="Values and names, e.g. '1=jaw,2=teeth'; else from the files.")] = "",
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also whether the uncertainty maps tell where the errors are.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="With --uncertainty: write the reliability plot here (SVG).")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Score predictions: Dice, Jaccard and surface distances in mm and voxels. Undefined is never zero."""
    from barl.cli.pairs import match
    from barl.evaluation.report import summary, write_csv

    out = Output(as_json)
    if plot is not None and not uncertainty:
        raise SettingsError("--plot draws how reliable the uncertainty is: give --uncertainty, too.")
    targets = [(option, path) for option, path in (("--csv", csv), ("--plot", plot)) if path is not None]
    for option, path in targets:
        _refuse_target(option, path)
    matched = match(predictions, references, labels)
    for _, path in targets:  # Minutes of scoring must not end at a path that cannot be written.
        refuse_unwritable(path.parent)
    rows, failed = _score(matched, out)
    if not rows:
        raise getattr(errors, failed[0]["type"])("\n".join(failure["message"] for failure in failed))
    if csv is not None:
        write_csv(csv, rows)
    summaries = summary(rows)
    measured = measure(matched, [row.case_id for row in rows], out) if uncertainty else None
    if measured is not None and plot is not None:
        _plot(plot, measured)
    unmeasured = [] if measured is None else measured.failed
    record = {"cases": rows, "summary": summaries, "failed": failed + unmeasured, "csv": csv}
    record |= {"unmatched": matched.unmatched, "missing": matched.missing}
    if measured is not None:
        record |= {"uncertainty": measured.to_json(), "plot": plot}
    lines = [f"[red]Not scored:[/] {escape(failure['message'])}" for failure in failed]
    lines += [f"[red]Uncertainty not measured:[/] {escape(failure['message'])}" for failure in unmeasured]
    lines += _partly_known(rows)
    lines += [f"[yellow]No reference for[/] {escape(str(path))}" for path in matched.unmatched]
    if matched.missing:
        named = ", ".join(escape(name) for name in matched.missing)
        lines.append(f"[yellow]No prediction for[/] {named}: the means are without them.")
    tables = [_case_table(rows), _summary_table(summaries)]
    tables += [] if measured is None else [uncertainty_table(measured)]
    out.result(record, *tables, *lines)
    if failed or unmeasured:
        raise typer.Exit(_SOME_FAILED)


def _refuse_target(option: str, path: Path) -> None:
    """A table of scores must not replace a label file."""
    suffix = _WRITES[option]
    if path.is_dir():
        raise SettingsError(f"{option} needs the name of a file to write, and {path} is a folder.")
    if path.exists() and path.suffix.lower() != suffix:
        raise SettingsError(
            f"{option} would replace {path}, which is no {suffix} file. Give the name of a {suffix} file, or a new one."
        )


def _plot(path: Path, measured: Measured) -> None:
    from barl.evaluation.reliability_plot import write_reliability_plot

    write_reliability_plot(path, measured.bins, measured.all, f"Reliability, {len(measured.cases)} cases")


def _score(matched: Matched, out: Output) -> tuple[list[CaseScores], list[dict[str, str]]]:
    """Every case that can be compared; one that cannot does not keep the others out."""
    from barl.cli.pairs import load
    from barl.evaluation.metrics import score_case
    from barl.evaluation.report import CaseScores

    rows: list[CaseScores] = []
    failed: list[dict[str, str]] = []
    with reporting(out) as report:
        for index, pair in enumerate(matched.pairs):
            report(index / len(matched.pairs), pair.case)
            try:
                prediction, reference = load(pair, matched)
            except InputError as error:
                failed.append({"case": pair.case, "type": type(error).__name__, "message": str(error)})
                continue
            spacing = prediction.geometry.spacing_dhw_mm
            scores = score_case(prediction.array, reference, table=matched.table, spacing_dhw_mm=spacing)
            rows.append(CaseScores(case_id=pair.case, scores=scores))
    return rows, failed


def _partly_known(rows: list[CaseScores]) -> list[str]:
    """Of references that are annotated in part: how much of them counts."""
    lines = []
    for row in rows:
        known, voxels = row.scores[0].known_voxels, row.scores[0].voxels
        if known < voxels:
            share = f"{known:,} of {voxels:,} voxels ({known / voxels:.2%})"
            lines.append(f"{escape(row.case_id)}: the reference knows {share}; only these count.")
    return lines


def _case_table(rows: list[CaseScores]) -> Table:
    shown = table("Cases", "case", "class", *(_SHOWN | _SHOWN_VOXELS).values(), "ml", "reference ml", "note")
    for row in rows:
        for score in row.scores:
            numbers = [_number(getattr(score, name)) for name in _SHOWN | _SHOWN_VOXELS]
            volumes = (_number(score.prediction_ml), _number(score.reference_ml))
            shown.add_row(escape(row.case_id), escape(score.name), *numbers, *volumes, score.note)
    return shown


def _summary_table(summaries: list[ClassSummary]) -> Table:
    shown = table(
        "Mean ± standard deviation (cases where it is undefined)", "class", *(_SHOWN | _SHOWN_VOXELS).values()
    )
    for one in summaries:
        cells = []
        for name in _SHOWN | _SHOWN_VOXELS:
            statistic = one.metrics[name]
            spread = f" ± {statistic.std:.3f}" if statistic.std is not None else ""
            missing = f" ({statistic.undefined})" if statistic.undefined else ""
            cells.append(f"{_number(statistic.mean)}{spread}{missing}")
        shown.add_row(escape(one.name), *cells)
    return shown


def _number(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{value:.3f}"
