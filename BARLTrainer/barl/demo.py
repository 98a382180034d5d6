"""``barl demo``: the whole way on synthetic scans, from a few labels to a page that compares two methods.

Both methods train for the same number of steps on the same annotations and are measured on the volumes nobody
annotated. Their trainings are ordinary jobs, as the Slicer module starts them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from barl.catalog import card
from barl.cohort import Cohort, prediction_path
from barl.errors import CohortError, JobFailedError
from barl.evaluation import CaseScores, score_case, write_csv
from barl.evaluation.html_report import Curve, MethodResult, Report, ReportCase, write_html_report
from barl.imaging.audit import audit
from barl.imaging.segmentations import read_labels
from barl.imaging.volumes import read_volume
from barl.inference.results import ResultPaths
from barl.jobs import EventReader, State, Status, launch, request_stop, wait
from barl.phantom import Phantom, make_cohort
from barl.training.job import create

OnProgress = Callable[[float, str], None]

_CASES = 12
_ANNOTATED = 3
_BARL_SHARE = 0.7
"""Of the minutes; the same number of steps takes ``supervised`` less than half of that time."""
_NETWORK = {"network.base_filters": 8}
"""Half the usual width, a quarter of the arithmetic: three minutes on two cores then hold hundreds of steps."""

_POLL_SECONDS = 0.25
_PICTURED = 3


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One finished round."""

    method: str
    folder: Path
    steps: int
    seconds: float
    curve: Curve


def run(
    folder: Path, *, minutes: float = 3.0, seed: int = 0, on_progress: OnProgress = lambda share, message: None
) -> Path:
    """Make the cohort, train twice, predict, measure, and write the page.

    Args:
        folder: where everything goes; a number is added where something is there already.
        minutes: time for both trainings together.
        seed: of the phantom and of the trainings.
        on_progress: share done, 0 to 1, and what is being done.

    Returns:
        Path of ``report.html``.

    Raises:
        JobFailedError: a training failed.
        StorageError: the folder cannot be written.
    """
    start = time.perf_counter()
    folder = _free(folder)
    phantom = make_cohort(
        folder,
        cases=_CASES,
        annotated=_ANNOTATED,
        seed=seed,
        progress=lambda done, total: on_progress(0.05 * done / total, f"making scan {done} of {total}"),
    )
    _refuse_errors(phantom.cohort)
    ours = _train(
        phantom.cohort,
        {"method": "barl", "minutes": minutes * _BARL_SHARE, "preset": "quick", "seed": seed, "settings": _NETWORK},
        lambda share, message: on_progress(0.06 + 0.66 * share, message),
    )
    plain = _train(
        phantom.cohort,
        {"method": "supervised", "steps": ours.steps, "preset": "quick", "seed": seed, "settings": _NETWORK},
        lambda share, message: on_progress(0.72 + 0.22 * share, message),
    )
    on_progress(0.95, "measuring")
    hidden = [case.id for case in phantom.cohort.cases if phantom.cohort.annotation(case.id) is None]
    results = [_measured(trained, phantom, hidden, folder) for trained in (plain, ours)]
    report = _report(phantom, [plain, ours], results, hidden, seed, time.perf_counter() - start)
    write_html_report(folder / "report.html", report)
    on_progress(1.0, "done")
    return folder / "report.html"


def _free(folder: Path) -> Path:
    """The folder itself if it is new or empty, else the first with a number that is."""
    for number in range(1, 1000):
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        if not candidate.exists() or (candidate.is_dir() and not any(candidate.iterdir())):
            return candidate
    raise CohortError(f"{folder} and its numbered neighbors are taken: give another folder.")


def _refuse_errors(cohort: Cohort) -> None:
    errors = [finding.message for finding in audit(cohort) if finding.severity == "error"]
    if errors:
        raise CohortError(f"The demo's own cohort has errors, which is a fault of this program: {errors}")


def _train(cohort: Cohort, options: dict[str, object], on_progress: OnProgress) -> Trained:
    """Run a job to its end; Ctrl-C stops it too."""
    folder = create(cohort.folder, dict(options))
    method = str(options["method"])

    def show(status: Status) -> None:
        stage = status.stage if status.stage != "training" else f"training {method}"
        left = "" if status.remaining_s is None else f", {status.remaining_s:.0f} s left"
        on_progress((status.percent or 0.0) / 100, f"{stage}{left}")

    launch(folder)
    try:
        status = wait(folder, poll_seconds=_POLL_SECONDS, on_look=show)
    except KeyboardInterrupt:
        request_stop(folder)
        raise
    if status.state is not State.FINISHED:
        raise JobFailedError(
            f"Training {method} ended as {status.state.value}: {status.error or 'see the log'} ({folder})"
        )
    metrics = [event for event in EventReader(folder).read_new() if event["kind"] == "metric" and "loss" in event]
    return Trained(
        method=method,
        folder=folder,
        steps=status.total_steps or 0,
        seconds=float(metrics[-1]["seconds"]) if metrics else 0.0,
        curve=Curve(steps=[m["step"] for m in metrics], values=[m["supervised"] for m in metrics]),
    )


def _measured(trained: Trained, phantom: Phantom, hidden: Sequence[str], folder: Path) -> MethodResult:
    table = phantom.cohort.labels
    scores = []
    for case_id in hidden:
        truth = read_labels(phantom.truth[case_id], table)
        guess = read_labels(prediction_path(trained.folder, case_id), table)
        classes = score_case(guess.array, truth.array, table=table, spacing_dhw_mm=truth.geometry.spacing_dhw_mm)
        scores.append(CaseScores(case_id=case_id, scores=classes))
    write_csv(folder / f"{trained.method}.csv", scores)
    return MethodResult(
        name=trained.method,
        title=card(trained.method).title,
        scores=scores,
        steps=trained.steps,
        seconds=trained.seconds,
        curves={"loss on annotated patches": trained.curve},
    )


def _report(
    phantom: Phantom,
    trained: Sequence[Trained],
    results: Sequence[MethodResult],
    hidden: Sequence[str],
    seed: int,
    seconds: float,
) -> Report:
    cohort = phantom.cohort
    plan = json.loads((trained[-1].folder / "plan.json").read_text(encoding="utf-8"))
    patch = " x ".join(str(p) for p in plan["patch_size_voxels"])
    return Report(
        title="BARL demo",
        subtitle=f"{_CASES} synthetic CBCT scans, {_ANNOTATED} of them annotated: what two methods make of the other "
        f"{len(hidden)}",
        table=cohort.labels,
        methods=results,
        cases=[_picture(case_id, phantom, trained) for case_id in _best_middle_worst(results[-1].scores)],
        facts={
            "Scans": f"{_CASES}, {_ANNOTATED} annotated",
            "Structures": ", ".join(cohort.labels.names),
            "Patch": f"{patch} voxels",
            "Seed": str(seed),
            "Whole demo": f"{seconds / 60:.1f} min",
        },
        statements=(
            "The scans are synthetic. Nothing here says how well a method does on patients.",
            "Both methods saw the same annotations and took the same number of steps; a step of BARL looks "
            "at unlabeled patches as well and takes two to three times as long.",
            "The loss is that on annotated patches. BARL's is a sum over four scales of its decoder, so the two "
            "curves are not on one scale.",
            f"The pictured scans are the best, the middle and the worst by BARL's mean Dice of the {len(hidden)}.",
            "One seed: differences of a few points may be chance.",
        ),
    )


def _best_middle_worst(scores: Sequence[CaseScores]) -> list[str]:
    ranked = sorted(scores, key=lambda case: -float(np.mean([score.dice or 0.0 for score in case.scores])))
    places = np.linspace(0, len(ranked) - 1, min(_PICTURED, len(ranked))).round().astype(int)
    return [ranked[place].case_id for place in places]


def _picture(case_id: str, phantom: Phantom, trained: Sequence[Trained]) -> ReportCase:
    table = phantom.cohort.labels
    image = read_volume(phantom.cohort.image_path(case_id))
    results = {t.method: ResultPaths(t.folder / "predictions", case_id) for t in trained}
    return ReportCase(
        case_id=case_id,
        image=image.array,
        truth=read_labels(phantom.truth[case_id], table).array,
        predictions={name: read_labels(paths.segmentation, table).array for name, paths in results.items()},
        uncertainty={name: read_volume(paths.uncertainty).array for name, paths in results.items()},
        spacing_dhw_mm=image.geometry.spacing_dhw_mm,
    )
