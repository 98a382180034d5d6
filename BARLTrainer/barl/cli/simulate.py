"""``barl simulate``: ways to spend a person's time, compared with an annotator that knows the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from barl.cli.cohort import CohortFolder
from barl.cli.output import JsonFlag, Output
from barl.cli.progress import reporting
from barl.cli.train import parse_settings
from barl.cohort import Cohort
from barl.errors import SettingsError


def simulate(
    cohort: CohortFolder,
    truth: Annotated[Path, typer.Option(help="A folder with complete label files, named like the cases.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where cohorts, trainings and curves go.")],
    strategies: Annotated[str, typer.Option(help="Some of regions,slices,cases,all.")] = "regions,slices,cases,all",
    seeds: Annotated[str, typer.Option(help="Such as 0,1,2; each is a loop of its own.")] = "0",
    rounds: Annotated[int, typer.Option(min=1, help="Corrections after the first training.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Steps of every training, or of the first one.")] = 200,
    refine_steps: Annotated[
        int | None, typer.Option(min=1, help="Later trainings go on from the weights before, for so many steps.")
    ] = None,
    start_cases: Annotated[int, typer.Option(min=1, help="Cases annotated at the beginning.")] = 2,
    start_slices: Annotated[
        int | None, typer.Option(min=1, help="So many slices of each of them; the whole case when not given.")
    ] = None,
    cases: Annotated[int, typer.Option(min=1, help="A round's cases, for cases and slices.")] = 2,
    slices: Annotated[int, typer.Option(min=1, help="A round's slices.")] = 8,
    axis: Annotated[int, typer.Option(min=0, max=2, help="Of slices: 0 slice, 1 row, 2 column.")] = 0,
    regions: Annotated[int, typer.Option(min=1, help="A round's regions.")] = 20,
    region_cases: Annotated[
        int | None, typer.Option(min=1, help="From so many cases a round, by chance; from all when not given.")
    ] = None,
    margin_mm: Annotated[float, typer.Option(min=0, help="What is looked at around a region.")] = 2.0,
    elsewhere: Annotated[str, typer.Option(help="Outside of corrected regions: unknown or accepted.")] = "unknown",
    method: Annotated[str, typer.Option(help="See barl methods.")] = "barl",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As barl train takes them.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Annotate, train, refine with a simulated annotator; write Dice against cost. The same call goes on."""
    from barl.cli.matching import label_files_by_case
    from barl.simulation import SimulationSettings, simulate
    from barl.training.job import check

    out = Output(as_json)
    opened = Cohort.open(cohort)
    wish: dict[str, Any] = {"method": method, "device": device, "precision": precision}
    wish["settings"] = parse_settings(settings or [])
    check(cohort, wish | {"steps": steps})
    asked = SimulationSettings(
        strategies=tuple(name.strip() for name in strategies.split(",") if name.strip()),
        seeds=_numbers(seeds),
        rounds=rounds,
        steps=steps,
        refine_steps=refine_steps,
        start_cases=start_cases,
        start_slices=start_slices,
        cases_per_round=cases,
        slices_per_round=slices,
        slice_axis=axis,
        regions_per_round=regions,
        region_cases=region_cases,
        margin_mm=margin_mm,
        elsewhere=elsewhere,  # type: ignore[arg-type]
        **wish,
    )
    files, _ = label_files_by_case(truth, [case.id for case in opened.cases])
    with reporting(out) as report:
        page = simulate(opened, dict(files), output.absolute(), asked, report)
    record = {"page": page, "curves": page.with_suffix(".json"), "csv": page.with_suffix(".csv")}
    out.result(record, f"Curves: {escape(str(page))}")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"--seeds takes whole numbers such as 0,1,2, got {text!r}.") from None
