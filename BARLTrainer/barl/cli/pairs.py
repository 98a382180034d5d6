"""Predictions and the references they are compared with: found, read, and put on one grid or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from barl.cli.labels import labels_of_file, parse_labels
from barl.cli.matching import label_files
from barl.cohort import AnnotationVersion, Cohort, Label, LabelTable, Role
from barl.cohort.layout import SEGMENTATION_SUFFIX, image_suffix, label_names
from barl.errors import InputError, LabelError
from barl.imaging.annotations import load_annotation
from barl.imaging.segmentations import LabelMap, Labels, read_labels
from barl.imaging.volumes import read_geometry


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One case: its prediction, and either a label file or a cohort's annotation."""

    case: str
    prediction: Path
    reference: Path
    annotation: AnnotationVersion | None = None


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What there is to compare."""

    pairs: tuple[Pair, ...]
    table: LabelTable
    cohort: Cohort | None
    unmatched: tuple[Path, ...]
    """Predictions without a reference."""

    missing: tuple[str, ...] = ()
    """References without a prediction; of a cohort its annotated validation cases."""

    unusable: Mapping[Path, str] = field(default_factory=dict)
    """What is wrong with files that were looked at for labels already."""


def match(predictions: Path, references: Path, labels: str) -> Matched:
    """Pair predictions and references by name, and find the label table.

    Raises:
        InputError: a path does not exist, nothing belongs together, or two files could be one case's.
    """
    found = _prediction_files(predictions)
    if (references / "cohort.json").is_file():
        cohort = Cohort.open(references)
        pairs, table = _with_annotations(found, cohort), cohort.labels
        expected = _annotated_for_validation(cohort)
    elif references.is_file():
        cohort = None
        _refuse_one_reference_for_many(found, references)
        pairs = [Pair(case=_name(found[0]), prediction=found[0], reference=references)]
        expected = []
    else:
        cohort = None
        expected = label_files(references)
        pairs = _with_files(found, expected)
    if not pairs:
        raise InputError(
            f"No prediction in {predictions} has a reference of the same name in {references}. Rename them."
        )
    _refuse_two_predictions_of_one(pairs)
    unusable: dict[Path, str] = {}
    if cohort is None:
        table, unusable = (parse_labels(labels), unusable) if labels else _table_of(pairs)
    paired = {pair.prediction for pair in pairs}
    unmatched = tuple(path for path in found if path not in paired)
    compared = {pair.reference for pair in pairs}
    missing = tuple(_name(path) if cohort is None else path.parent.name for path in expected if path not in compared)
    return Matched(
        pairs=tuple(pairs), table=table, cohort=cohort, unmatched=unmatched, missing=missing, unusable=unusable
    )


def load(pair: Pair, matched: Matched) -> tuple[LabelMap, Labels]:
    """Prediction and reference of one case on one grid.

    Raises:
        LabelError: a file cannot be read, or the grids differ.
    """
    for path in (pair.prediction, pair.reference):
        if path in matched.unusable:
            raise LabelError(matched.unusable[path])
    prediction = read_labels(pair.prediction, matched.table)
    if matched.cohort is not None and pair.annotation is not None:
        reference = load_annotation(matched.cohort, pair.annotation)
        grid = read_geometry(matched.cohort.image_path(pair.case))
    else:
        label_map = read_labels(pair.reference, matched.table, unknown_value=255)
        reference, grid = label_map.array, label_map.geometry
    difference = prediction.geometry.difference_from(grid)
    if difference:
        raise LabelError(
            f"Case {pair.case}: the prediction does not lie on the reference's grid ({difference}). "
            "Resample the one onto the other, or leave the case out."
        )
    return prediction, reference


def _prediction_files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path.")
    if path.is_file():
        return [path]
    inside_round = path / "predictions"
    found = label_files(inside_round if (path / "job.json").is_file() and inside_round.is_dir() else path)
    if not found:
        raise InputError(f"{path} holds no segmentation: give a file, or a folder with label files.")
    return found


def _with_annotations(predictions: Iterable[Path], cohort: Cohort) -> list[Pair]:
    by_name = {case.id.casefold(): case.id for case in cohort.cases}
    pairs = []
    for path in predictions:
        case_id = next((by_name[name] for name in label_names(path) if name in by_name), None)
        newest = cohort.annotation(case_id) if case_id else None
        if case_id and newest:
            pairs.append(Pair(case=case_id, prediction=path, reference=newest.path, annotation=newest))
    return pairs


def _annotated_for_validation(cohort: Cohort) -> list[Path]:
    """Newest annotations of the cases that a training is measured by."""
    newest = [cohort.annotation(case.id) for case in cohort.cases if case.role is Role.VALIDATION]
    return [version.path for version in newest if version is not None]


def _with_files(predictions: Iterable[Path], references: Iterable[Path]) -> list[Pair]:
    by_name: dict[str, list[Path]] = {}
    for path in references:
        for name in set(label_names(path)):
            by_name.setdefault(name, []).append(path)
    pairs = []
    for path in predictions:
        fitting = next((by_name[name] for name in label_names(path) if name in by_name), [])
        if len(fitting) > 1:
            raise InputError(
                f"{fitting[0].name} and {fitting[1].name} could both be the reference of {path.name}. Leave one in "
                f"{fitting[0].parent}."
            )
        if fitting:
            pairs.append(Pair(case=_name(path), prediction=path, reference=fitting[0]))
    return pairs


def _refuse_one_reference_for_many(predictions: Sequence[Path], reference: Path) -> None:
    if len(predictions) > 1:
        raise InputError(
            f"{reference} is one reference, and there are {len(predictions)} predictions in {predictions[0].parent}. "
            "Give the one prediction that belongs to it, or a folder of references."
        )


def _refuse_two_predictions_of_one(pairs: Iterable[Pair]) -> None:
    """The case would count twice in every mean."""
    seen: dict[Path, Path] = {}
    for pair in pairs:
        other = seen.setdefault(pair.reference, pair.prediction)
        if other != pair.prediction:
            raise InputError(
                f"{other.name} and {pair.prediction.name} would both be compared with {pair.reference}. Leave one in "
                f"{other.parent}."
            )


def _name(path: Path) -> str:
    return path.name.removesuffix(image_suffix(path))


def _table_of(pairs: Iterable[Pair]) -> tuple[LabelTable, dict[Path, str]]:
    """Every label that occurs, names and colors from the first file that has them; and what is wrong with files.

    Raises:
        LabelError: no file can be read, or none holds a label.
    """
    labels: dict[int, Label] = {}
    unusable: dict[Path, str] = {}
    for path in [path for pair in pairs for path in (pair.prediction, pair.reference)]:
        named = path.name.lower().endswith(SEGMENTATION_SUFFIX)
        try:
            found = labels_of_file(path)
        except LabelError as error:
            unusable[path] = str(error)
            continue
        for label in found:
            if label.value not in labels or (named and labels[label.value].name == f"Label {label.value}"):
                labels[label.value] = label
    if not labels:
        nothing = "Neither prediction nor reference holds a label. Name those to score with --labels."
        raise LabelError("\n".join(unusable.values()) or nothing)
    return LabelTable(tuple(labels[value] for value in sorted(labels))), unusable
