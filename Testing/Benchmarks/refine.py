"""Annotate, train, refine: corrections of proposed regions against whole cases at random, on real data.

    python Testing/Benchmarks/refine.py hippocampus --data DATA/hippocampus --seeds 0 1 2 --steps 400 --out runs/refine

DATA holds `images/` and `labels/`. The split is that of `learning.py`: the last cases are only measured. Every training
takes the same number of steps from fresh weights. What is finished is skipped: the same command may be given again,
also with more seeds or rounds. It writes `curves.html`, `curves.csv`, `curves.json`, and prints the cost at which each
strategy reaches 95 % of the Dice of everything annotated.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import studies

from barl.cohort import Cohort, Role
from barl.evaluation.cost_curves import UNITS
from barl.inference.batch import case_name
from barl.simulation import STRATEGIES, SimulationSettings, simulate


def main() -> None:
    """Run what is missing, then print the table."""
    arguments = _arguments()
    study = studies.STUDIES[arguments.study]
    studies.provide(study, arguments.data)
    cohort = _cohort(study, arguments.data, arguments.out / "source", arguments.cases)
    settings = SimulationSettings(
        strategies=tuple(arguments.strategies),
        seeds=tuple(arguments.seeds),
        rounds=arguments.rounds,
        start_cases=arguments.start_cases,
        cases_per_round=arguments.cases_per_round,
        slices_per_round=arguments.slices_per_round,
        regions_per_round=arguments.regions_per_round,
        margin_mm=arguments.margin_mm,
        elsewhere=arguments.elsewhere,
        steps=arguments.steps,
        method=arguments.method,
        device=arguments.device,
        settings={"network.base_filters": arguments.base},
    )
    truth = {case.id: studies.label_file(cohort.image_path(case.id)) for case in cohort.cases}
    page = simulate(cohort, truth, arguments.out, settings, _Lines())
    print(_table(json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=studies.STUDIES)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument("--out", type=Path, default=Path("runs/refine"))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=["regions", "cases", "all"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--start-cases", type=int, default=3)
    parser.add_argument("--cases-per-round", type=int, default=4)
    parser.add_argument("--slices-per-round", type=int, default=24)
    parser.add_argument("--regions-per-round", type=int, default=60)
    parser.add_argument("--margin-mm", type=float, default=2.0)
    parser.add_argument("--elsewhere", choices=("unknown", "accepted"), default="unknown")
    parser.add_argument("--method", default="barl")
    parser.add_argument("--base", type=int, default=16, help="filters of the network at full resolution")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cases", type=int, help="only so many of the cases that may be annotated, to try things out")
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


def _cohort(study: studies.Study, data: Path, folder: Path, most: int | None) -> Cohort:
    """Nothing is annotated; the held-out cases are for validation."""
    if (folder / "cohort.json").is_file():
        return Cohort.open(folder)
    parts = studies.split(study, data, 0)
    held_out = parts.held_out if most is None else parts.held_out[:most]
    cohort = Cohort.create(folder, name=study.name, modality=study.modality, labels=studies.table(study))
    for image in parts.unlabeled[:most]:
        cohort.add_case(image, case_id=case_name(image))
    for image in held_out:
        cohort.add_case(image, case_id=case_name(image), role=Role.VALIDATION)
    return cohort


def _table(curves: dict) -> str:
    found = curves["reached"]
    if not found:
        return "No ceiling: add the strategy all."
    lines = [
        f"Cost of {found['share']:.0%} of the Dice of everything annotated ({found['target']:.3f})",
        "",
        f"| strategy | {' | '.join(UNITS.values())} |",
        "|---" * (1 + len(UNITS)) + "|",
    ]
    for name, costs in found["cost"].items():
        cells = ["not reached" if costs[unit] is None else f"{costs[unit]:,.0f}" for unit in UNITS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
