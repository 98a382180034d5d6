"""Whether the uncertainty saves a person's time: calibration, finding errors, and what reviewing the regions mends.

    python Testing/Benchmarks/uncertainty.py hippocampus --data DATA/hippocampus --model ROUND/model --labels 8

measures a model that `learning.py` trained on the same study and number of labels. It is calibrated on the first
`--fit-cases` volumes that the training saw without labels; all figures are of the study's held-out cases, which neither
the training nor the calibration has seen. Networks are asked once; what follows is read from the same probabilities.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import studies
import torch

from barl.evaluation.reliability_plot import write_reliability_plot
from barl.evaluation.uncertainty_metrics import ErrorCounts, count_errors, reliability, score_uncertainty
from barl.imaging.preprocess import Prepared, prepare_image, prepare_labels
from barl.imaging.segmentations import read_labels
from barl.imaging.volumes import read_volume
from barl.inference.batch import case_name
from barl.inference.calibration import Calibration
from barl.inference.devices import choose_device
from barl.inference.expected_error import error_by_entropy
from barl.inference.predictor import Prediction, Predictor, placed
from barl.inference.regions import Region, RegionSettings, find_regions
from barl.inference.resampling import collect
from barl.inference.shells import SHELL_MM, surface_shell
from barl.training.calibrating import calibrate
from barl.training.validation import ValidationCase

REVIEWED = 0.1
"""Share of the shell that a person looks at."""

CONFIDENT = 0.05
"""Expected error below which a wrong voxel counts as confidently wrong."""


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """What looking at a tenth of one case's shell finds, as shares of its wrong voxels."""

    by_regions: float
    by_voxels: float
    """The most unsure voxels one by one, which nobody can do: how far the map itself reaches."""

    at_random: float
    otherwise: dict[float, float]
    """By regions with another least error."""

    covered: float
    """Share of the shell that the regions made use of."""

    regions: int
    confident: float
    """Share of the wrong voxels of which the model was sure."""

    islands_mm3: float
    islands_wrong_mm3: float


def main() -> None:
    """Measure and print a table in Markdown."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    study = studies.STUDIES[arguments.study]
    parts = studies.split(study, arguments.data, arguments.labels)
    predictor = Predictor.load(arguments.model, choose_device("cpu"), mirror=arguments.mirror)
    calibration = _calibrated(predictor, parts.unlabeled[: arguments.fit_cases])
    counts: dict[str, list[ErrorCounts]] = {"as trained": [], "calibrated": []}
    reviews = []
    pairs: dict[tuple[int, int], int] = {}
    for image in parts.held_out[: arguments.cases]:
        prepared = prepare_image(read_volume(image), predictor.card.recipe)
        slabs = list(predictor.slabs(prepared.array))
        truth = read_labels(studies.label_file(image), predictor.card.labels).array
        for name, temperatures in (("as trained", None), ("calibrated", calibration)):
            prediction = _placed(predictor, prepared, slabs, temperatures)
            spacing = prediction.geometry.spacing_dhw_mm
            counts[name].append(count_errors(prediction.entropy, prediction.labels, truth, spacing))
        reviews.append(_review(prediction, truth, arguments.least_errors))
        _count_confident(prediction, truth, pairs)
    lines = [
        f"{study.name}, {predictor.card.method}, {arguments.labels} annotated, {len(reviews)} held-out cases, "
        f"calibrated on {arguments.fit_cases} others{', mirrored' if arguments.mirror else ''}; temperatures "
        + (", ".join(f"{t:.2f}" for t in calibration.temperatures) if calibration else "none: too few cases"),
        "",
        *_calibration_table(counts, predictor.card.labels.num_classes),
        "",
        *_review_table(reviews),
        "",
        *_confident_table(pairs, predictor.card.labels.names),
    ]
    print("\n".join(lines))
    if arguments.plot:
        together = _sum(counts["calibrated"])
        num_classes = predictor.card.labels.num_classes
        score = score_uncertainty(together, num_classes)
        write_reliability_plot(arguments.plot, reliability(together, num_classes), score, f"{study.name}, calibrated")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=studies.STUDIES)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    parser.add_argument("--model", type=Path, required=True, help="the model folder of a round")
    parser.add_argument("--labels", type=int, default=8, help="annotated cases of that training")
    parser.add_argument("--fit-cases", type=int, default=10)
    parser.add_argument("--cases", type=int, help="only so many held-out cases")
    parser.add_argument("--mirror", action="store_true", help="ask about mirrored windows, too")
    parser.add_argument("--plot", type=Path, help="write the reliability plot here (SVG)")
    parser.add_argument(
        "--least-errors", type=float, nargs="+", default=[], help="also regions from other probabilities of error on"
    )
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _calibrated(predictor: Predictor, images: Sequence[Path]) -> Calibration | None:
    cases = []
    for image in images:
        volume = read_volume(image)
        prepared = prepare_image(volume, predictor.card.recipe)
        labels = read_labels(studies.label_file(image), predictor.card.labels).array
        label = prepare_labels(labels, volume.geometry, prepared.restore, predictor.card.labels)
        cases.append(ValidationCase(case_id=case_name(image), image=prepared.array, label=label))
    return calibrate(predictor, cases)


def _placed(predictor: Predictor, prepared: Prepared, slabs: Any, calibration: Calibration | None) -> Prediction:
    maps = collect(slabs, prepared.restore.prepared_shape, prepared.restore.crop_shape, calibration)
    return placed(maps, prepared.restore, predictor.card.labels)


def _shell(prediction: Prediction, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raveled masks of the shell, and of the wrong voxels in it."""
    spacing = prediction.geometry.spacing_dhw_mm
    shell = surface_shell(prediction.labels, spacing, SHELL_MM) | surface_shell(truth, spacing, SHELL_MM)
    return shell.reshape(-1), ((prediction.labels != truth) & shell).reshape(-1)


def _regions(prediction: Prediction, settings: RegionSettings) -> list[Region]:
    p = prediction
    return find_regions(p.labels, p.rival, p.entropy, p.disagreement, p.geometry, p.table, settings)


def _in_order(regions: Sequence[Region], shell: np.ndarray, budget: int) -> np.ndarray:
    """The voxels of the shell that are looked at, region after region."""
    voxels = np.concatenate([region.voxels for region in regions]) if regions else np.zeros(0, np.int64)
    return voxels[shell[voxels]][:budget]


def _review(prediction: Prediction, truth: np.ndarray, least_errors: Sequence[float]) -> Reviewed:
    shell, wrong = _shell(prediction, truth)
    total, budget = max(1, int(wrong.sum())), int(REVIEWED * shell.sum())
    regions = _regions(prediction, RegionSettings())
    looked_at = _in_order(regions, shell, budget)
    others = {least: _regions(prediction, RegionSettings(least_error=least)) for least in least_errors}
    inside = np.flatnonzero(shell)
    unsure = inside[np.argsort(-prediction.entropy.reshape(-1)[inside].astype(int), kind="stable")][:budget]
    chance = np.random.default_rng(0).permutation(inside)[:budget]
    error = error_by_entropy(prediction.table.num_classes)[prediction.entropy.reshape(-1)]
    islands = [region.voxels for region in regions if "anatomy" in region.reason]
    voxel_mm3 = prediction.geometry.voxel_volume_ml * 1000
    mistaken = (prediction.labels != truth).reshape(-1)
    return Reviewed(
        by_regions=wrong[looked_at].sum() / total,
        by_voxels=wrong[unsure].sum() / total,
        at_random=wrong[chance].sum() / total,
        otherwise={least: wrong[_in_order(some, shell, budget)].sum() / total for least, some in others.items()},
        covered=len(looked_at) / max(1, int(shell.sum())),
        regions=len(regions),
        confident=(wrong & (error < CONFIDENT)).sum() / total,
        islands_mm3=sum(len(voxels) for voxels in islands) * voxel_mm3,
        islands_wrong_mm3=sum(int(mistaken[voxels].sum()) for voxels in islands) * voxel_mm3,
    )


def _count_confident(prediction: Prediction, truth: np.ndarray, pairs: dict[tuple[int, int], int]) -> None:
    """Confidently wrong voxels by what they are called and what they are."""
    _, wrong = _shell(prediction, truth)
    error = error_by_entropy(prediction.table.num_classes)[prediction.entropy.reshape(-1)]
    chosen = wrong & (error < CONFIDENT)
    both = prediction.labels.reshape(-1)[chosen].astype(int) * 256 + truth.reshape(-1)[chosen]
    for pair, count in zip(*np.unique(both, return_counts=True), strict=True):
        called, meant = divmod(int(pair), 256)
        pairs[called, meant] = pairs.get((called, meant), 0) + int(count)


def _sum(counts: Sequence[ErrorCounts]) -> ErrorCounts:
    return sum(counts[1:], start=counts[0])


def _calibration_table(counts: dict[str, list[ErrorCounts]], num_classes: int) -> list[str]:
    lines = [
        f"| within {SHELL_MM:g} mm of a surface | calibration error | Brier | ROC area (lowest) | precision-recall |",
        "|---|---|---|---|---|",
    ]
    for name, some in counts.items():
        score = score_uncertainty(_sum(some), num_classes)
        lowest = min(one.auroc or 1.0 for one in (score_uncertainty(case, num_classes) for case in some))
        lines.append(
            f"| {name} | {score.ece:.3f} | {score.brier:.3f} | {score.auroc:.3f} ({lowest:.3f}) | {score.auprc:.3f} |"
        )
    return lines


def _review_table(reviews: Sequence[Reviewed]) -> list[str]:
    def mean(name: str) -> float:
        return fmean(getattr(one, name) for one in reviews)

    return [
        f"| looking at {REVIEWED:.0%} of the shell finds, of its wrong voxels | mean over cases | lowest case |",
        "|---|---|---|",
        *(
            f"| {words} | {mean(name):.1%} | {min(getattr(one, name) for one in reviews):.1%} |"
            for name, words in (
                ("by_regions", "regions in their order"),
                ("by_voxels", "the most unsure voxels one by one (a bound)"),
                ("at_random", "voxels at random"),
            )
        ),
        *(
            f"| regions from an error of {least:g} on | {fmean(one.otherwise[least] for one in reviews):.1%} | "
            f"{min(one.otherwise[least] for one in reviews):.1%} |"
            for least in reviews[0].otherwise
        ),
        "",
        f"{mean('regions'):.1f} regions a case, {mean('covered'):.1%} of the shell; "
        f"{mean('confident'):.1%} of the wrong voxels have an expected error below {CONFIDENT:.0%}. Islands and holes: "
        f"{sum(one.islands_mm3 for one in reviews):,.0f} mm³ in all, of which "
        f"{sum(one.islands_wrong_mm3 for one in reviews):,.0f} mm³ are wrong.",
    ]


def _confident_table(pairs: dict[tuple[int, int], int], names: Sequence[str]) -> list[str]:
    word = ("background", *names)
    total = max(1, sum(pairs.values()))
    rows = sorted(pairs.items(), key=lambda item: -item[1])
    return [
        "| confidently wrong | share |",
        "|---|---|",
        *(f"| called {word[a]}, is {word[b]} | {count / total:.0%} |" for (a, b), count in rows),
    ]


if __name__ == "__main__":
    main()
