"""Annotate, train, refine: corrections of proposed regions against whole cases at random, on real data.

    python Testing/Benchmarks/refine.py hippocampus --data DATA/hippocampus --cases 40 --held-out 20 --start-cases 1 \
        --cases-per-round 1 --regions-per-round 20 --method supervised --steps 300 --refine-steps 100 --out runs/refine

DATA holds `images/` and `labels/`. The split is that of `learning.py`: the last cases are only measured. With
`--refine-steps` a training goes on from the weights of the one before, which takes a fraction of the time; without,
each takes `--steps` from fresh weights. What is finished is skipped, and a training that was cut short goes on from its
checkpoint: the same command may be given again at any time, also with more seeds or rounds. It writes `curves.html`,
`curves.csv`, `curves.json` and a picture, and prints every training, and the cost at which each strategy reaches 95 %
of the Dice of everything annotated.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import plots
import studies

from barl.cohort import Cohort, Role
from barl.evaluation.cost_curves import UNITS
from barl.inference.batch import case_name
from barl.simulation import STRATEGIES, SimulationSettings, simulate

_CHARTED = ("voxels_changed", "voxels_reviewed", "slices_touched")


def main() -> None:
    """Run what is missing, then print the tables."""
    arguments = _arguments()
    study = studies.STUDIES[arguments.study]
    studies.provide(study, arguments.data)
    cohort = _cohort(study, arguments)
    settings = SimulationSettings(
        strategies=tuple(arguments.strategies),
        seeds=tuple(arguments.seeds),
        rounds=arguments.rounds,
        start_cases=arguments.start_cases,
        start_slices=arguments.start_slices,
        cases_per_round=arguments.cases_per_round,
        slices_per_round=arguments.slices_per_round,
        regions_per_round=arguments.regions_per_round,
        region_cases=arguments.region_cases,
        margin_mm=arguments.margin_mm,
        elsewhere=arguments.elsewhere,
        steps=arguments.steps,
        refine_steps=arguments.refine_steps,
        method=arguments.method,
        device=arguments.device,
        settings={"network.base_filters": arguments.base},
    )
    truth = {case.id: studies.label_file(cohort.image_path(case.id)) for case in cohort.cases}
    page = simulate(cohort, truth, arguments.out, settings, _Lines())
    curves = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    print("\n".join([*_trainings(curves), "", *_table(curves)]))
    if importlib.util.find_spec("matplotlib"):
        plots.costs(curves, {unit: UNITS[unit] for unit in _CHARTED}, path=page.with_suffix(".svg"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=studies.STUDIES)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument("--out", type=Path, default=Path("runs/refine"))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=["regions", "cases", "all"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--refine-steps", type=int, help="later trainings go on from the weights before")
    parser.add_argument("--start-cases", type=int, default=3)
    parser.add_argument("--start-slices", type=int, help="so many slices of each first case instead of all of it")
    parser.add_argument("--cases-per-round", type=int, default=4)
    parser.add_argument("--slices-per-round", type=int, default=24)
    parser.add_argument("--regions-per-round", type=int, default=60)
    parser.add_argument("--region-cases", type=int, help="regions come from so many cases a round, drawn by chance")
    parser.add_argument("--margin-mm", type=float, default=2.0)
    parser.add_argument("--elsewhere", choices=("unknown", "accepted"), default="unknown")
    parser.add_argument("--method", default="barl")
    parser.add_argument("--base", type=int, default=16, help="filters of the network at full resolution")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cases", type=int, help="only so many of the cases that may be annotated")
    parser.add_argument("--held-out", type=int, help="only so many of the cases that are measured")
    return parser.parse_args()


class _Lines:
    """Prints what is being done, each stage once."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, share: float, said: str) -> None:
        stage = re.sub(r" \d+ %$", "", said)
        if stage != self._last:
            print(f"{share:4.0%} {stage}", flush=True)
        self._last = stage


def _cohort(study: studies.Study, arguments: argparse.Namespace) -> Cohort:
    """Nothing is annotated; the held-out cases are for validation."""
    parts = studies.split(study, arguments.data, 0)
    seen, held_out = parts.unlabeled[: arguments.cases], parts.held_out[: arguments.held_out]
    folder = arguments.out / f"source-{len(seen)}-{len(held_out)}"
    if (folder / "cohort.json").is_file():
        return Cohort.open(folder)
    cohort = Cohort.create(folder, name=study.name, modality=study.modality, labels=studies.table(study))
    for image in seen:
        cohort.add_case(image, case_id=case_name(image))
    for image in held_out:
        cohort.add_case(image, case_id=case_name(image), role=Role.VALIDATION)
    return cohort


def _trainings(curves: dict[str, Any]) -> list[str]:
    """A row a training, in Markdown."""
    lines = [f"| strategy | seed | round | steps | {' | '.join(UNITS.values())} | mean Dice |", "|---" * 10 + "|"]
    for point in curves["points"]:
        numbers = [f"{point[name]}" for name in ("seed", "round", "steps")]
        costs = [f"{point['cost'][unit]:,}" for unit in UNITS]
        lines.append(f"| {' | '.join([point['strategy'], *numbers, *costs])} | {point['dice']:.3f} |")
    return lines


def _table(curves: dict[str, Any]) -> list[str]:
    found = curves["reached"]
    if not found:
        return ["No ceiling: add the strategy all."]
    lines = [
        f"Cost of {found['share']:.0%} of the Dice of everything annotated ({found['target']:.3f})",
        "",
        f"| strategy | {' | '.join(UNITS.values())} |",
        "|---" * (1 + len(UNITS)) + "|",
    ]
    for name, costs in found["cost"].items():
        cells = ["not reached" if costs[unit] is None else f"{costs[unit]:,.0f}" for unit in UNITS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
