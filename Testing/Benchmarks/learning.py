"""How well methods learn from few labels: data sets x variants x label counts x seeds, one JSON file a run.

    python Testing/Benchmarks/learning.py hippocampus --data DATA/hippocampus --labels 3 8 --seeds 0 1 2 \
        --variants supervised mean_teacher barl --steps 400 --out runs/learning

writes for each label count a table (Markdown) and two plots (PNG, where matplotlib is installed) of all that is done:
Dice with its spread, and Dice against the processor's seconds, which say more than a clock that other programs hold up.
A run is an ordinary training job. Runs that are done are skipped, one that was cut short goes on from its checkpoint:
the same command may be given again at any time. The last checkpoint is measured, on cases that chose nothing.

The budget of a run is ``--steps``; or ``--passes``, equal arithmetic for all: as many steps as cost what so many steps
of `supervised` cost; or ``--minutes``, and then nothing else may keep the computer busy.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plots
import studies
from finished_jobs import finish

from barl.atomic import write_json
from barl.catalog import card
from barl.evaluation import CaseScores, score_case
from barl.imaging.segmentations import read_labels
from barl.inference.batch import case_name, segment_files
from barl.jobs import JobFolder
from barl.training.job import create


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A method with settings."""

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    cost: float | None = None
    """Arithmetic of a step as a multiple of ``supervised``, where settings make it another than the card says."""


def _barl(cost: float | None = None, /, **settings: Any) -> Variant:
    return Variant(method="barl", settings=settings, cost=cost)


NOTHING = {"dpr_weight": 0.0, "pcbc_weight": 0.0, "region_weight": 0.0, "instance_weight": 0.0}
DPR = NOTHING | {"dpr_weight": 0.3}
PCBC = DPR | {"pcbc_weight": 0.15}
REGIONS = PCBC | {"region_weight": 0.1}

VARIANTS = {
    "supervised": Variant(method="supervised"),
    "supervised_finest_scale": Variant(method="supervised", settings={"supervised_scales": 1}),
    "mean_teacher": Variant(method="mean_teacher"),
    "mean_teacher_10": Variant(method="mean_teacher", settings={"agreement_weight": 10.0}),
    "uncertainty_mean_teacher": Variant(method="uncertainty_mean_teacher"),
    "copy_paste": Variant(method="copy_paste", settings={"views.paste_share": 0.0}),
    "copy_paste_strong": Variant(method="copy_paste", settings={"unlabeled_view": "strong", "views.paste_share": 0.0}),
    "cross_pseudo": Variant(method="cross_pseudo"),
    "cross_pseudo_residual": Variant(method="cross_pseudo", settings={"second_network": "residual"}),
    "dtc": Variant(method="dtc"),
    "semigda": Variant(method="semigda"),
    "semigda_no_first_stage": Variant(method="semigda", settings={"first_stage_share": 0.0}),
    "semigda_frozen": Variant(method="semigda", settings={"frozen_decoder": True}),
    "semigda_means": Variant(method="semigda", settings={"sampled_share": 0.0}),
    "semigda_labels_alone": Variant(
        method="semigda",
        settings={"first_stage_share": 0.0, "sampled_share": 0.0, "alignment_weight": 0.0, "unlabeled_weight": 0.0},
    ),
    "dbisl": Variant(method="dbisl"),
    "dbisl_labels_alone": Variant(method="dbisl", settings={"consistency_weight": 0.0, "pseudo_weight": 0.0}),
    "dbisl_consistency": Variant(method="dbisl", settings={"pseudo_weight": 0.0}),
    "dbisl_one_way": Variant(method="dbisl", settings={"directions": "to_segmentation"}),
    "dual_networks": Variant(method="dual_networks", settings={"views.paste_share": 0.0}),
    "dual_networks_as_released": Variant(
        method="dual_networks", settings={"as_released": True, "views.paste_share": 0.0}
    ),
    "dual_networks_strong": Variant(method="dual_networks", settings={"unlabeled_view": "strong"}),
    "barl": _barl(),
    "barl_labels_alone": _barl(1.0, **NOTHING),
    "barl_dpr": _barl(1.7, **DPR),
    "barl_dpr_pcbc": _barl(1.7, **PCBC),
    "barl_dpr_pcbc_regions": _barl(**REGIONS),
    "barl_dpr_regions": _barl(**DPR | {"region_weight": 0.1}),
    "barl_dpr_instances": _barl(**DPR | {"instance_weight": 0.1}),
    "barl_dpr_instances_apart": _barl(**DPR | {"instance_weight": 0.1, "sibling_weight": 0.25}),
    "barl_dpr_no_threshold": _barl(1.7, **DPR, threshold_start=0.0, threshold_end=0.0),
    "barl_weight_1": _barl(dpr_weight=1.0, pcbc_weight=0.5),
    "barl_no_mixing": _barl(**{"views.paste_share": 0.0}),
    "barl_same": _barl(3.3, second_branch="same"),
    "barl_residual": _barl(4.5, second_branch="residual"),
    "barl_cross": _barl(cross_weight=0.5),
}


def main() -> None:
    """Run what is missing, then write the tables."""
    arguments = _arguments()
    study = studies.STUDIES[arguments.study]
    studies.provide(study, arguments.data)
    for labels in arguments.labels:
        parts = studies.split(study, arguments.data, labels)
        for seed in arguments.seeds:
            for variant in arguments.variants:
                result = _result_file(arguments, labels, variant, seed)
                if not result.is_file():
                    print(f"{result.stem} ...", flush=True)
                    record = _run(study, parts, VARIANTS[variant], seed, arguments, result)
                    write_json(result, {"variant": variant, "labels": labels, "seed": seed, **record})
        write_table(study, labels, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=studies.STUDIES)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument("--labels", type=int, nargs="+", default=[8])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["supervised", "barl"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--base", type=int, help="filters of the networks at full resolution, to save time")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--steps", type=int)
    budget.add_argument("--passes", type=int, help="steps of `supervised` whose arithmetic each run may spend")
    budget.add_argument("--minutes", type=float)
    return parser.parse_args()


def _budget(arguments: argparse.Namespace) -> str:
    """Of a run, as part of file names."""
    base = f"-base{arguments.base}" if arguments.base else ""
    if arguments.minutes:
        return f"{arguments.minutes:g}min{base}"
    return f"{arguments.steps}steps{base}" if arguments.steps else f"{arguments.passes}passes{base}"


def _steps(arguments: argparse.Namespace, variant: Variant) -> int | None:
    """Steps of a run, None where time decides."""
    if arguments.passes:
        return round(arguments.passes / (variant.cost or card(variant.method).cost))
    steps: int | None = arguments.steps
    return steps


def _result_file(arguments: argparse.Namespace, labels: int, variant: str, seed: int) -> Path:
    out: Path = arguments.out
    return out / f"{arguments.study}-{labels}-{variant}-{seed}-{_budget(arguments)}.json"


def _run(
    study: studies.Study,
    parts: studies.Split,
    variant: Variant,
    seed: int,
    arguments: argparse.Namespace,
    result: Path,
) -> dict[str, Any]:
    cohort = studies.make_cohort(study, parts, arguments.out / "cohorts" / f"{study.name}-{len(parts.annotated)}")
    note = result.with_suffix(".round")
    if not note.is_file():
        options = {
            "method": variant.method,
            "settings": variant.settings | ({"network.base_filters": arguments.base} if arguments.base else {}),
            "seed": seed,
            "preset": arguments.preset,
            "steps": _steps(arguments, variant),
            "minutes": arguments.minutes,
            "device": arguments.device,
            "predict": False,
        }
        note.write_text(create(cohort.folder, options).name, encoding="utf-8")
    folder = cohort.folder / "rounds" / note.read_text(encoding="utf-8")
    taken = finish(folder)
    return _measure(study, parts, folder, arguments.device) | _facts(folder) | taken


def _measure(study: studies.Study, parts: studies.Split, folder: Path, device: str) -> dict[str, Any]:
    output = folder / "held_out"
    start = time.perf_counter()
    outcomes = segment_files(JobFolder(folder).model, parts.held_out, output, device=device)
    seconds = time.perf_counter() - start
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise SystemExit(f"{failed[0].case} could not be predicted: {failed[0].message}")
    table = studies.table(study)
    rows = [_score(image, output, table) for image in parts.held_out]
    return {
        "dice": {name: [_of(row, name) for row in rows] for name in study.labels},
        "predict_seconds": round(seconds, 1),
    }


def _score(image: Path, output: Path, table: Any) -> CaseScores:
    truth = read_labels(studies.label_file(image), table)
    guess = read_labels(output / f"{case_name(image)}.seg.nrrd", table)
    scores = score_case(guess.array, truth.array, table=table, spacing_dhw_mm=truth.geometry.spacing_dhw_mm)
    return CaseScores(case_id=case_name(image), scores=scores)


def _of(row: CaseScores, name: str) -> float | None:
    return next(score.dice for score in row.scores if score.name == name)


def _facts(folder: Path) -> dict[str, Any]:
    card = json.loads((folder / "model" / "model.json").read_text(encoding="utf-8"))
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return {
        "steps": card["training"]["steps"],
        "seconds": card["training"]["seconds"],
        "device": card["training"]["device"],
        "patch": plan["patch_size_voxels"],
        "precision": plan["precision"],
    }


def write_table(study: studies.Study, labels: int, arguments: argparse.Namespace) -> None:
    """All runs of one budget that are done, also those of earlier commands."""
    stem = f"{study.name}-{labels}-{_budget(arguments)}"
    found = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(arguments.out.glob(f"{study.name}-{labels}-*-{_budget(arguments)}.json"))
    ]
    by_variant = {name: [run for run in found if run["variant"] == name] for name in VARIANTS}
    done = {name: runs for name, runs in by_variant.items() if runs}
    lines = [
        f"{study.name}, {labels} annotated, {study.held_out} held out, {_budget(arguments)}, preset {arguments.preset}",
        "",
        f"| variant | seeds | steps | processor minutes | memory, MiB | {' | '.join(study.labels)} | mean Dice |",
        "|---" * (6 + len(study.labels)) + "|",
        *(_row(name, study, runs) for name, runs in done.items()),
    ]
    text = "\n".join(lines) + "\n"
    (arguments.out / f"{stem}.md").write_text(text, encoding="utf-8")
    print(text)
    if importlib.util.find_spec("matplotlib"):
        plots.means(
            {name: [_mean_dice(study, run) for run in runs] for name, runs in done.items()},
            title=lines[0],
            path=arguments.out / f"{stem}.png",
        )
        plots.times(
            {
                name: [
                    (run["processor_seconds"], _mean_dice(study, run)) for run in runs if run.get("processor_seconds")
                ]
                for name, runs in done.items()
            },
            title=lines[0],
            path=arguments.out / f"{stem}-seconds.png",
        )


def _mean_dice(study: studies.Study, run: dict[str, Any]) -> float:
    return statistics.mean(statistics.mean(_numbers(run["dice"][name])) for name in study.labels)


def _row(variant: str, study: studies.Study, runs: Sequence[dict[str, Any]]) -> str:
    by_class = [[statistics.mean(_numbers(run["dice"][name])) for run in runs] for name in study.labels]
    means = [statistics.mean(values) for values in zip(*by_class, strict=True)]
    steps = "/".join(str(run["steps"]) for run in runs)
    minutes = _largest([run.get("processor_seconds") for run in runs], "{:.1f}", 60)
    memory = _largest([run.get("memory_mib") for run in runs], "{:,.0f}")
    cells = " | ".join(_spread(values) for values in (*by_class, means))
    return f"| {variant} | {len(runs)} | {steps} | {minutes} | {memory} | {cells} |"


def _largest(values: Sequence[float | None], form: str, unit: float = 1.0) -> str:
    known = _numbers(values)
    return form.format(max(known) / unit) if known else ""


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{deviation}"


if __name__ == "__main__":
    main()
