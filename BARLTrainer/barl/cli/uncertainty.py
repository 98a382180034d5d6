"""``barl evaluate --uncertainty``: whether the uncertainty maps beside the predictions can be trusted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from barl.cli.output import Output, table
from barl.cli.progress import reporting
from barl.cohort.layout import image_suffix
from barl.errors import ImageError, InputError

if TYPE_CHECKING:
    import numpy as np

    from barl.cli.pairs import Matched
    from barl.evaluation.uncertainty_metrics import ErrorCounts, ReliabilityBin, UncertaintyScore
    from barl.imaging.segmentations import LabelMap

_COLUMNS = {
    "ece": "calibration error",
    "brier": "Brier",
    "auroc": "ROC area",
    "auprc": "precision-recall area",
}
_ALL = "all cases"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The figures of every case and of all voxels together."""

    cases: dict[str, UncertaintyScore]
    all: UncertaintyScore
    bins: list[ReliabilityBin]
    failed: list[dict[str, str]]
    shell_mm: float

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        cases = [{"case_id": case_id, "score": score} for case_id, score in self.cases.items()]
        return {"shell_mm": self.shell_mm, "cases": cases, "all": self.all, "reliability": self.bins}


def measure(matched: Matched, case_ids: Collection[str], out: Output) -> Measured:
    """Compare the maps with the errors, inside a shell around the surfaces.

    Raises:
        InputError: no case has a map.
    """
    from barl.evaluation.uncertainty_metrics import reliability, score_uncertainty
    from barl.inference.shells import SHELL_MM

    counts: dict[str, ErrorCounts] = {}
    failed: list[dict[str, str]] = []
    pairs = [pair for pair in matched.pairs if pair.case in case_ids]
    with reporting(out) as report:
        for index, pair in enumerate(pairs):
            report(index / len(pairs), pair.case)
            try:
                counts[pair.case] = _counts(pair, matched)
            except InputError as error:
                failed.append({"case": pair.case, "type": type(error).__name__, "message": str(error)})
    if not counts:
        raise InputError("\n".join(failure["message"] for failure in failed))
    num_classes = matched.table.num_classes
    together = sum(list(counts.values())[1:], start=next(iter(counts.values())))
    return Measured(
        cases={case_id: score_uncertainty(one, num_classes) for case_id, one in counts.items()},
        all=score_uncertainty(together, num_classes),
        bins=reliability(together, num_classes),
        failed=failed,
        shell_mm=SHELL_MM,
    )


def _counts(pair: Any, matched: Matched) -> ErrorCounts:
    from barl.cli.pairs import load
    from barl.evaluation.uncertainty_metrics import count_errors

    prediction, reference = load(pair, matched)
    levels = _levels(pair.prediction, prediction, pair.case)
    return count_errors(levels, prediction.array, reference, prediction.geometry.spacing_dhw_mm)


def _levels(segmentation: Path, prediction: LabelMap, case_id: str) -> np.ndarray:
    """The map beside a segmentation, in its steps.

    Raises:
        ImageError: there is none, it lies on another grid, or it does not go from 0 to 1.
    """
    from barl.imaging.volumes import read_volume
    from barl.inference.expected_error import levels_of

    path = uncertainty_file(segmentation)
    if not path.is_file():
        raise ImageError(
            f"Case {case_id}: the prediction has no uncertainty: {path} is missing. Predict the case again with barl "
            "predict, or evaluate without --uncertainty."
        )
    volume = read_volume(path)
    difference = volume.geometry.difference_from(prediction.geometry)
    if difference:
        raise ImageError(
            f"Case {case_id}: {path} does not lie on the prediction's grid ({difference}). Predict the case again."
        )
    low, high = float(volume.array.min()), float(volume.array.max())
    if not (low >= 0 and high <= 1):
        raise ImageError(
            f"Case {case_id}: {path} must hold numbers from 0 to 1, got {low:g} to {high:g}. Predict the case again."
        )
    return levels_of(volume.array.astype("float32"))


def uncertainty_file(segmentation: Path) -> Path:
    """Where the map of a prediction lies."""
    name = segmentation.name.removesuffix(image_suffix(segmentation))
    return segmentation.with_name(f"{name}.uncertainty.nrrd")


def uncertainty_table(measured: Measured) -> Table:
    """A row a case, and one for all voxels together."""
    title = f"Uncertainty within {measured.shell_mm:g} mm of the predicted and the reference surface"
    shown = table(title, "case", *_COLUMNS.values(), "wrong voxels", "voxels")
    for name, score in [*measured.cases.items(), (_ALL, measured.all)]:
        numbers = [_number(getattr(score, column)) for column in _COLUMNS]
        shown.add_row(escape(name), *numbers, f"{score.wrong_voxels:,}", f"{score.shell_voxels:,}")
    return shown


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
