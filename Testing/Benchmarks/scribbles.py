"""Scribbles of about 1 % of the voxels against complete labels of the same cases (ACDC), by class.

    python Testing/Benchmarks/scribbles.py --data DATA/acdc --cases 40 --seeds 0 1 2 --steps 1000 --out runs/scribbles
    python Testing/Benchmarks/scribbles.py --data DATA/acdc --cases 20 --unlabeled 0 --held-out 20 --method supervised \
        --base 8 --steps 300 --out runs/scribbles

DATA holds `images/`, `labels/` and `scribbles/` (their value 4: not annotated). The last cases are only measured; the
two phases of a heart stand beside each other, so even numbers of cases keep a patient on one side. What is finished is
skipped. Everything is the same for both but the annotations; the images of cases that are neither annotated nor held
out (`--unlabeled`: so many of them) are known to both.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finished_jobs import finish

from barl.atomic import write_json
from barl.cli.train import parse_settings
from barl.cohort import Cohort, Coverage, CoverageKind, Label, LabelTable, Modality, Role, default_color
from barl.evaluation import score_case
from barl.imaging.annotations import import_annotation, load_annotation
from barl.imaging.segmentations import read_labels
from barl.inference.batch import case_name, segment_files
from barl.jobs import JobFolder
from barl.training.job import create

HELD_OUT = 40
NOT_ANNOTATED = 4
NAMES = ("right ventricle", "myocardium", "left ventricle")
TABLE = LabelTable(labels=tuple(Label(value=i + 1, name=name, color=default_color(i)) for i, name in enumerate(NAMES)))
KINDS = ("complete", "scribbles")


def main() -> None:
    """Run what is missing, then print the table."""
    arguments = _arguments()
    images = sorted((arguments.data / "images").iterdir())
    if len(images) < arguments.cases + arguments.held_out:
        raise SystemExit(f"{arguments.data}/images holds {len(images)} cases, too few: unpack all of them.")
    for seed in arguments.seeds:
        for kind in arguments.kinds:
            result = arguments.out / f"{_budget(arguments, kind)}-{seed}.json"
            if not result.is_file():
                print(f"{result.stem} ...", flush=True)
                write_json(result, {"kind": kind, "seed": seed, **_run(images, kind, seed, arguments)})
    print(_table(arguments))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/, labels/ and scribbles/")
    parser.add_argument("--out", type=Path, default=Path("runs/scribbles"))
    parser.add_argument("--cases", type=int, default=40, help="annotated cases")
    parser.add_argument("--unlabeled", type=int, help="cases without annotation; all that are left when not given")
    parser.add_argument("--held-out", type=int, default=HELD_OUT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--method", default="barl")
    parser.add_argument("--base", type=int, default=16, help="filters of the network at full resolution")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as `barl train` takes it")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def _budget(arguments: argparse.Namespace, kind: str) -> str:
    """What a result depends on, but for the seed and the held-out cases."""
    unlabeled = "all" if arguments.unlabeled is None else arguments.unlabeled
    parts = [kind, arguments.cases, unlabeled, arguments.method, arguments.base, arguments.steps, *arguments.set]
    return "-".join(map(str, parts))


def _run(images: Sequence[Path], kind: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    seen, held_out = images[: -arguments.held_out], images[-arguments.held_out :]
    if arguments.unlabeled is not None:
        seen = seen[: arguments.cases + arguments.unlabeled]
    cohort = _cohort(seen, kind, arguments)
    note = arguments.out / f"{_budget(arguments, kind)}-{seed}.round"
    if not note.is_file():
        wish = {"method": arguments.method, "seed": seed, "steps": arguments.steps, "device": arguments.device}
        settings = {"network.base_filters": arguments.base} | parse_settings(arguments.set)
        wish |= {"preset": "quick", "predict": False, "settings": settings}
        note.write_text(create(cohort.folder, wish).name, encoding="utf-8")
    folder = cohort.folder / "rounds" / note.read_text(encoding="utf-8")
    finish(folder)
    segment_files(JobFolder(folder).model, held_out, folder / "held_out", device=arguments.device)
    dice: dict[str, list[float]] = {name: [] for name in NAMES}
    for image in held_out:
        truth = read_labels(image.parent.parent / "labels" / image.name, TABLE)
        guess = read_labels(folder / "held_out" / f"{case_name(image)}.seg.nrrd", TABLE)
        spacing = truth.geometry.spacing_dhw_mm
        for score in score_case(guess.array, truth.array, table=TABLE, spacing_dhw_mm=spacing):
            if score.dice is not None:
                dice[score.name].append(score.dice)
    return {"dice": {name: statistics.mean(values) for name, values in dice.items()}, "known": _known(cohort)}


def _cohort(seen: Sequence[Path], kind: str, arguments: argparse.Namespace) -> Cohort:
    """The first cases annotated in this way, the others not; made once."""
    folder = arguments.out / "cohorts" / f"{kind}-{arguments.cases}-of-{len(seen)}"
    if (folder / "cohort.json").is_file():
        return Cohort.open(folder)
    cohort = Cohort.create(folder, name=f"ACDC {kind}", modality=Modality.MR, labels=TABLE)
    for number, image in enumerate(seen):
        case = cohort.add_case(image, case_id=case_name(image), role=Role.TRAINING)
        if number >= arguments.cases:
            continue
        if kind == "complete":
            label = image.parent.parent / "labels" / image.name
            import_annotation(cohort, case.id, label, coverage=Coverage(), author="benchmark")
        else:
            drawn = image.parent.parent / "scribbles" / image.name
            coverage = Coverage(kind=CoverageKind.SCRIBBLES)
            import_annotation(
                cohort, case.id, drawn, coverage=coverage, author="benchmark", unknown_value=NOT_ANNOTATED
            )
    return cohort


def _known(cohort: Cohort) -> float:
    """Share of the annotated cases' voxels that are known."""
    versions = [cohort.annotation(case.id) for case in cohort.cases]
    return statistics.mean(float((load_annotation(cohort, one) != 255).mean()) for one in versions if one is not None)


def _table(arguments: argparse.Namespace) -> str:
    """All runs of these cases and steps that are done, also those of earlier commands."""
    lines = [
        f"ACDC, {arguments.cases} annotated, {arguments.held_out} held out, {arguments.steps} steps {arguments.method}",
        "",
        f"| annotation | voxels known | seeds | {' | '.join(NAMES)} | mean Dice |",
        "|---" * (4 + len(NAMES)) + "|",
    ]
    for kind in KINDS:
        paths = sorted(arguments.out.glob(f"{_budget(arguments, kind)}-[0-9]*.json"))
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        if runs:
            means = [statistics.mean(run["dice"][name] for run in runs) for name in NAMES]
            cells = " | ".join(f"{value:.3f}" for value in (*means, statistics.mean(means)))
            lines.append(f"| {kind} | {runs[0]['known']:.2%} | {len(runs)} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
