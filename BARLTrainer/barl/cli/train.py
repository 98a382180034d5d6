"""``barl train``: a training that goes on by itself, and a bar that watches it."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any

import typer

from barl.catalog import card
from barl.cli.cohort import CohortFolder
from barl.cli.output import JsonFlag, Output
from barl.cli.progress import reporting
from barl.cli.watch import conclude, launch_and_watch
from barl.cohort import Cohort, Role
from barl.errors import CohortError, InputError, SettingsError
from barl.jobs import JobFolder, State, read_status


class Preset(str, Enum):
    """How thorough a training is."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


def train(
    cohort: CohortFolder,
    method: Annotated[str, typer.Option(help="See barl methods.")] = "barl",
    preset: Annotated[
        Preset | None, typer.Option(case_sensitive=False, help="How thorough; else what fits the minutes.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time budget for the training.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps instead of a time budget.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Start of all random numbers.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    from_round: Annotated[int | None, typer.Option(min=1, help="Start from the weights of this round.")] = None,
    memory_gib: Annotated[float | None, typer.Option(help="Use at most this much memory of the device.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A method's setting, or training.learning_rate=0.01."),
    ] = None,
    no_predict: Annotated[bool, typer.Option("--no-predict", help="Do not predict the cohort at the end.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; watch with barl jobs show.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Train on a cohort and predict its cases. The training goes on when this window is closed."""
    _refuse_empty_budget(minutes, steps, memory_gib)
    options: dict[str, Any] = {
        "method": card(method).name,
        "preset": preset.value if preset else None,
        "minutes": minutes,
        "steps": steps,
        "seed": seed,
        "device": device,
        "precision": precision,
        "from_round": from_round,
        "memory_gib": memory_gib,
        "settings": parse_settings(settings or []),
        "predict": not no_predict,
    }
    out, opened = Output(as_json), Cohort.open(cohort)
    _refuse_nothing_annotated(opened)  # before torch, which takes seconds, and before there is a round
    _tell_of_others(opened, out)
    from barl.training.job import check, create
    from barl.training.preparation import refuse_before_round

    opened, wish = check(cohort, options)
    with reporting(out) as report:
        refuse_before_round(opened, wish, lambda done, total: report(done / total, f"checking case {done} of {total}"))
    job = JobFolder(create(cohort, options))
    conclude(job, launch_and_watch(job, out, detach=detach), out)


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """``key=value`` pairs; a value is a number, true, false, null, or else text.

    Raises:
        SettingsError: a pair has no key, or a key comes twice.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not key or not equals:
            raise SettingsError(f"--set takes key=value, got {pair!r}.")
        if key in settings:
            raise SettingsError(f"--set {key} is given twice: leave one out.")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def _refuse_nothing_annotated(cohort: Cohort) -> None:
    if any(cohort.annotation(case.id) for case in cohort.cases if case.role is Role.TRAINING):
        return
    others = [case.id for case in cohort.cases if case.role is not Role.TRAINING and cohort.annotation(case.id)]
    elsewhere = ""
    if others:
        elsewhere = f" {len(others)} annotated are for validation or excluded, which barl cohort role changes."
    raise CohortError(
        f"Cohort {cohort.name} has no annotated training case, so there is nothing to learn from.{elsewhere} Annotate "
        "two to five cases, or some of their slices, in Slicer; or import label files with barl cohort annotate."
    )


def _tell_of_others(cohort: Cohort, out: Output) -> None:
    """On a computer with several graphics cards two trainings at once are fine; on others both take twice as long."""
    for folder in cohort.rounds():
        try:
            if read_status(folder).state in (State.RUNNING, State.STOPPING):
                out.note(
                    f"[yellow]Round {folder.name} of this cohort is being trained, too:[/] both share this computer."
                )
        except InputError:  # What is no job, or a damaged one, is none that runs as far as anyone can tell.
            continue


def _refuse_empty_budget(minutes: float | None, steps: int | None, memory_gib: float | None) -> None:
    for name, value in (("minutes", minutes), ("steps", steps), ("memory-gib", memory_gib)):
        if value is not None and not 0 < value < float("inf"):
            raise SettingsError(f"--{name} must be a number above 0, got {value}.")
