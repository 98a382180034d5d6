"""All loops of a simulation, one after the other; what is finished is skipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from barl.atomic import write_json
from barl.cohort import Cohort, Role, propose_validation
from barl.errors import InputError
from barl.evaluation.cost_curves import Point, write_curves
from barl.records import read_fields
from barl.simulation.settings import SimulationSettings
from barl.simulation.study import Study

OnProgress = Callable[[float, str], None]


def simulate(
    cohort: Cohort,
    truth: Mapping[str, Path],
    output: Path,
    settings: SimulationSettings,
    on_progress: OnProgress = lambda share, message: None,
) -> Path:
    """Run what is not finished yet, and write the curves after every training.

    Args:
        cohort: images, label table and roles; validation cases are what is measured. It is not changed.
        truth: complete label files by case.
        output: what belongs to the simulation; the same call goes on where it was cut short.
        settings: what is compared.
        on_progress: share done, 0 to 1, and what is being done.

    Returns:
        The page with the curves.

    Raises:
        InputError: too few cases with true labels, or the output folder holds a simulation with other settings.
        JobFailedError: a training failed.
        StorageError: the output folder cannot be written.
    """
    measured = measured_cases(cohort, truth)
    spare = [case.id for case in cohort.cases if case.role is Role.TRAINING and case.id in truth]
    spare = [case_id for case_id in spare if case_id not in measured]
    if len(spare) <= settings.start_cases:
        raise InputError(
            f"{len(spare)} training cases have true labels, and {settings.start_cases} of them are annotated at the "
            "beginning: nothing is left to correct. Give the truth of more cases, or begin with fewer."
        )
    _refuse_another(output, cohort, measured, settings)
    study = Study(cohort, truth, output, settings, measured, spare)
    loops = [(strategy, seed) for seed in settings.seeds for strategy in settings.strategies]
    total = sum(settings.rounds_of(strategy) + 1 for strategy, _ in loops)
    points: list[Point] = []
    for strategy, seed in loops:
        for point in study.loop(strategy, seed, lambda message: on_progress(len(points) / total, message)):
            points.append(point)
            page = write_curves(output, points, _facts(cohort, measured, settings))
    on_progress(1.0, "done")
    return page


def measured_cases(cohort: Cohort, truth: Mapping[str, Path]) -> tuple[str, ...]:
    """The validation cases that have true labels; where there are none, a fifth of the training cases.

    Raises:
        InputError: there are too few cases with true labels.
    """
    chosen = tuple(case.id for case in cohort.cases if case.role is Role.VALIDATION and case.id in truth)
    chosen = chosen or propose_validation(
        case.id for case in cohort.cases if case.role is Role.TRAINING and case.id in truth
    )
    if not chosen:
        raise InputError(
            "No case can be measured: a simulation needs validation cases with true labels, or true labels of at least "
            "four training cases."
        )
    return chosen


def _refuse_another(output: Path, cohort: Cohort, measured: Sequence[str], settings: SimulationSettings) -> None:
    """One folder, one simulation; seeds, strategies and rounds may be added."""
    path = output / "simulation.json"
    fixed = {key: value for key, value in asdict(settings).items() if key not in ("strategies", "seeds", "rounds")}
    asked = {"cohort": str(cohort.folder), "measured": sorted(measured), **fixed}
    if path.is_file():
        before = read_fields(path, InputError, "Choose another folder for the simulation.").values
        other = [name for name in asked if before.get(name) != asked[name]]
        if other:
            name = other[0]
            raise InputError(
                f"{output} holds a simulation with {name} {before.get(name)!r}, not {asked[name]!r}. Choose another "
                "folder, or ask for the same."
            )
    write_json(path, asked)


def _a_round(settings: SimulationSettings) -> str:
    if settings.refine_steps is None:
        return f"{settings.steps} steps of {settings.method}"
    return f"{settings.refine_steps} steps of {settings.method} on from the weights before; at first {settings.steps}"


def _first(settings: SimulationSettings) -> str:
    if settings.start_slices is None:
        return f"{settings.start_cases} cases"
    return f"{settings.start_slices} slices in each of {settings.start_cases} cases"


def _facts(cohort: Cohort, measured: Sequence[str], settings: SimulationSettings) -> dict[str, str]:
    return {
        "Cohort": f"{cohort.name}, {len(cohort.cases)} cases",
        "Measured": f"{len(measured)} cases, never trained on",
        "Annotated first": _first(settings),
        "A round": _a_round(settings),
        "Outside of corrected regions": settings.elsewhere,
    }
