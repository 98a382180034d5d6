"""``barl demo``: a synthetic study from a few labels to a report."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from barl.cli.output import JsonFlag, Output
from barl.cli.progress import reporting


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demo is made.")] = Path("barl-demo"),
    minutes: Annotated[float, typer.Option(min=0.2, help="Time for training both methods.")] = 3.0,
    seed: Annotated[int, typer.Option(min=0, help="Start of all random numbers.")] = 0,
    open_report: Annotated[bool, typer.Option("--open", help="Show the report in the browser.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a synthetic cohort, train supervised and barl on it, predict, and write one page about it."""
    from barl.demo import run

    out = Output(as_json)
    with reporting(out) as report:
        made = run(folder, minutes=minutes, seed=seed, on_progress=report)
    out.result({"report": made}, f"Report: {escape(str(made))}")
    if open_report:
        webbrowser.open(Path(made).resolve().as_uri())
