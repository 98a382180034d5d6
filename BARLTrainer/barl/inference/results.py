"""What a prediction leaves in a folder: ``<case>.seg.nrrd``, two maps, and ``<case>.json`` last.

A case whose json is there is finished; without it whatever else lies there is from a run that was cut short.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from barl.atomic import storage_errors, write_json
from barl.cohort.annotations import hash_file
from barl.imaging.segmentations import write_segmentation
from barl.imaging.volumes import write_volume
from barl.inference.expected_error import LEVELS
from barl.inference.model_folder import ModelCard
from barl.inference.predictor import Prediction
from barl.inference.regions import Mask, find_regions
from barl.inference.shells import doubt_by_label

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ResultPaths:
    """The files of one case."""

    folder: Path
    case: str

    @property
    def segmentation(self) -> Path:
        """Labels with the cohort's names and colors."""
        return self.folder / f"{self.case}.seg.nrrd"

    @property
    def uncertainty(self) -> Path:
        """Entropy of the branches' mean, float 0 to 1."""
        return self.folder / f"{self.case}.uncertainty.nrrd"

    @property
    def disagreement(self) -> Path:
        """Disagreement of the branches, float 0 to 1."""
        return self.folder / f"{self.case}.disagreement.nrrd"

    @property
    def record(self) -> Path:
        """Volumes, scores and where it came from."""
        return self.folder / f"{self.case}.json"

    @property
    def unfinished(self) -> Path:
        """There while the others are being written: what a killed run leaves may be replaced."""
        return self.folder / f".{self.case}.unfinished"


def fingerprint(image: Path) -> dict[str, Any]:
    """Size and time of an image, which tell whether it has changed; a DICOM folder counts its files."""
    files = sorted(p for p in image.iterdir() if p.is_file()) if image.is_dir() else [image]
    stats = [file.stat() for file in files]
    return {"bytes": sum(s.st_size for s in stats), "changed": max((s.st_mtime for s in stats), default=0.0)}


def is_finished(paths: ResultPaths, image: Path, card: ModelCard, *, mirrored: bool = False) -> bool:
    """Whether this model has already predicted this very image in this way."""
    try:
        record = json.loads(paths.record.read_text(encoding="utf-8"))
        same = record["model_sha256"] == card.weights_sha256 and record["image_fingerprint"] == fingerprint(image)
        same = same and record["mirrored"] == mirrored and record["calibration"] == _calibration(card)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(same) and all(p.is_file() for p in (paths.segmentation, paths.uncertainty, paths.disagreement))


def files_in_the_way(paths: ResultPaths) -> list[Path]:
    """Files that a prediction would replace and that no prediction left there, or that were changed since."""
    there = [p for p in (paths.segmentation, paths.uncertainty, paths.disagreement, paths.record) if p.exists()]
    if paths.unfinished.exists():
        return []
    try:
        record = json.loads(paths.record.read_text(encoding="utf-8"))
        if "model_sha256" not in record:
            return there
        written = record.get("segmentation_sha256")
        as_written = written is None or not paths.segmentation.exists() or hash_file(paths.segmentation) == written
    except (OSError, ValueError, TypeError):
        return there
    return [] if as_written else [paths.segmentation]


def write_prediction(
    paths: ResultPaths,
    prediction: Prediction,
    image: Path,
    card: ModelCard,
    seconds: float,
    *,
    mirrored: bool = False,
    known: Mask | None = None,
) -> dict[str, Any]:
    """Write all files of a case, each whole or not at all; returns the record.

    Args:
        paths: where.
        prediction: of the case.
        image: what was predicted.
        card: the model's.
        seconds: how long it took.
        mirrored: whether mirrored windows were asked about, too.
        known: (D, H, W) where a person has annotated already: no region is proposed there.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    with storage_errors(paths.record):
        if not paths.folder.exists():
            paths.folder.mkdir(parents=True, exist_ok=True)
        paths.unfinished.touch()
        paths.record.unlink(missing_ok=True)
    write_segmentation(paths.segmentation, prediction.labels, prediction.geometry, prediction.table)
    write_volume(paths.uncertainty, as_float(prediction.entropy), prediction.geometry)
    write_volume(paths.disagreement, as_float(prediction.disagreement), prediction.geometry)
    record = {
        "format_version": FORMAT_VERSION,
        "case": paths.case,
        "image": image.name,
        "image_fingerprint": fingerprint(image),
        "method": card.method,
        "model_sha256": card.weights_sha256,
        "segmentation_sha256": hash_file(paths.segmentation),
        "volumes_ml": {name: round(volume, 4) for name, volume in prediction.volumes_ml().items()},
        "mean_uncertainty": round(prediction.mean_entropy(), 4),
        "doubt": _doubt(prediction),
        "calibration": _calibration(card),
        "mirrored": mirrored,
        "seconds": round(seconds, 2),
        "regions": _regions(prediction, known),
    }
    write_json(paths.record, record)
    with storage_errors(paths.record):
        paths.unfinished.unlink(missing_ok=True)
    return record


def _doubt(prediction: Prediction) -> dict[str, float | None]:
    """By name, how unsure the upper tenth around each label is; None where it is not predicted."""
    values = prediction.table.values
    doubt = doubt_by_label(prediction.labels, prediction.entropy, values, prediction.geometry.spacing_dhw_mm)
    return {
        label.name: None if share is None else round(share, 4)
        for label, share in zip(prediction.table.labels, doubt, strict=True)
    }


def _regions(prediction: Prediction, known: Mask | None) -> list[dict[str, Any]]:
    found = find_regions(
        prediction.labels,
        prediction.rival,
        prediction.entropy,
        prediction.disagreement,
        prediction.geometry,
        prediction.table,
        known=known,
    )
    return [region.to_json() for region in found]


def _calibration(card: ModelCard) -> dict[str, Any] | None:
    return None if card.calibration is None else card.calibration.to_json()


def as_float(levels: np.ndarray) -> np.ndarray:
    """A map as float32 from 0 to 1."""
    return levels.astype(np.float32) / np.float32(LEVELS)
