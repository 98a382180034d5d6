"""A few numbers that tell images apart: field of view, voxels, gray values. Computed once and kept in the cache."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from barl.atomic import write_json
from barl.cohort import Cohort, Modality
from barl.errors import ImageError, StorageError
from barl.imaging.fingerprints import Fingerprints
from barl.imaging.foreground import find_body
from barl.imaging.volumes import Volume, read_volume

FEATURES = {
    "height_mm": "height of the image in mm",
    "depth_mm": "depth of the image in mm",
    "width_mm": "width of the image in mm",
    "voxel_mm": "voxel size in mm",
    "air_share": "share of air",
    "middle_gray": "middle gray value, of the range from dark to bright",
    "contrast": "spread of gray values, of the range from dark to bright",
    "detail": "change from voxel to voxel, of the spread of gray values",
}
"""What is measured, in words. All are ratios or lengths, so that scanners of different scales compare."""

_FORMAT = 1
_SAMPLE_VOXELS = 500_000
_LOGARITHMIC = ("height_mm", "depth_mm", "width_mm", "voxel_mm", "detail")
_FARTHEST = 4.0


def image_features(cohort: Cohort, case_id: str) -> dict[str, float]:
    """The features of a case's image, from the cache where they are known.

    Raises:
        ImageError: the image cannot be read, or has voxels that are no number.
    """
    cache = cohort.folder / "cache"
    note = cache / ".features" / f"{case_id}.json"
    image = cohort.image_path(case_id)
    content = Fingerprints(cache / ".fingerprints").of(image)
    known = _noted(note, content)
    if known is not None:
        return known
    found = measure(read_volume(image), cohort.modality)
    with suppress(StorageError):  # A read-only folder only costs the next reader time.
        write_json(note, {"format": _FORMAT, "content": content, "features": found})
    return found


def measure(volume: Volume, modality: Modality) -> dict[str, float]:
    """The features of a volume, by the names in `FEATURES`.

    Raises:
        ImageError: some voxels are not finite.
    """
    orientation = volume.geometry.canonical_orientation()
    array = orientation.apply(volume.array)
    spacing = orientation.permute(volume.geometry.spacing_dhw_mm)
    body = find_body(array, spacing, modality)
    sample = array.reshape(-1)[:: max(1, array.size // _SAMPLE_VOXELS)].astype(np.float64)
    if not np.isfinite(sample).all():
        raise ImageError("The image has voxels that are not a finite number. Save it again without them.")
    inside = sample[sample > body.threshold]
    # Quarters, because noisy air above the threshold may well be a tenth.
    low, first, middle, third, high = np.percentile(inside if inside.size else sample, (0.5, 25, 50, 75, 99.5))
    extent, spread = max(float(high - low), 1e-6), max(float(third - first), 1e-6)
    height, depth, width = (size * edge for size, edge in zip(array.shape, spacing, strict=True))
    return {
        "height_mm": height,
        "depth_mm": depth,
        "width_mm": width,
        "voxel_mm": math.prod(spacing) ** (1 / 3),
        "air_share": 1 - inside.size / sample.size,
        "middle_gray": float(middle - low) / extent,
        "contrast": spread / extent,
        "detail": _detail(array, body.threshold) / spread,
    }


def standardized(rows: list[dict[str, float]]) -> npt.NDArray[np.float64]:
    """Features (N, F) on one scale: distance from the cohort's median over its typical distance, at most 4."""
    table = np.array([[_scaled(name, row[name]) for name in FEATURES] for row in rows]).reshape(-1, len(FEATURES))
    if not len(table):
        return table
    away = table - np.median(table, axis=0)
    # 1.4826 makes the median distance that of one standard deviation; a single odd image must not hide itself.
    typical = 1.4826 * np.median(np.abs(away), axis=0)
    typical = np.where(typical > 1e-9, typical, np.maximum(away.std(axis=0), 1e-9))
    result: npt.NDArray[np.float64] = np.clip(np.where(np.abs(away) > 1e-9, away / typical, 0), -_FARTHEST, _FARTHEST)
    return result


def _scaled(name: str, value: float) -> float:
    return math.log(max(value, 1e-6)) if name in _LOGARITHMIC else value


def _detail(array: npt.NDArray[np.generic], threshold: float) -> float:
    """Median change between neighbors in a row, both of them body, in every fourth slice and row."""
    planes = array[::4, ::4].astype(np.float32)
    one, other = planes[..., 1:], planes[..., :-1]
    changes = np.abs(one - other)[(one > threshold) & (other > threshold)]
    return float(np.median(changes)) if changes.size else 0.0


def _noted(note: Path, content: str) -> dict[str, float] | None:
    try:
        value = json.loads(note.read_text(encoding="utf-8"))
        if value["format"] != _FORMAT or value["content"] != content:
            return None
        return {name: float(value["features"][name]) for name in FEATURES}
    except (OSError, ValueError, LookupError, TypeError):
        return None
