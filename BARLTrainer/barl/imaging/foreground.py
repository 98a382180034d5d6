"""What in an image is body, and the normalization of its intensities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.cohort import Modality

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Box = tuple[slice, slice, slice]

_SAMPLE_VOXELS = 2_000_000
_BLOCK = 4
_MARGIN_MM = 5.0

# Scanners pad the outside of their field with values far below air; air is -1000 HU.
_LOWEST_CT_HU = -1024.0

# Body starts this far up from the darkest to the brightest half percent: -750 HU when bone is the brightest,
# and dim tissue at the rim of a receive coil in MR.
_BODY_FRACTION = {Modality.CT: 0.10, Modality.CBCT: 0.10, Modality.MR: 0.05}

_PERCENTILES = (0.5, 99.5)

# A crop out of the middle of the body has some dark blocks, too.
_LEAST_AIR = 0.05
_BRIGHTEST_ZSCORE = 10.0


@dataclass(frozen=True, kw_only=True)
class Intensities:
    """What is needed to normalize one image."""

    low: float
    """Values below become this one."""

    high: float
    """Values above become this one."""

    mean: float
    std: float


@dataclass(frozen=True, kw_only=True)
class Body:
    """Where in an image the body is."""

    threshold: float
    """Voxels above are taken for body; minus infinity when the image shows no air to speak of."""

    box: Box


def find_body(array: Array, spacing_mm: tuple[float, float, float], modality: Modality) -> Body:
    """Tell body from air: by a low threshold, so that rather air is kept than body lost.

    It lies between the image's own extremes, so that any scale and offset will do (raw values, HU, z-scored before).
    Means of 4 x 4 x 4 voxels are compared, so that noise in air does not count as body. The box around the body has a
    margin of 5 mm and at least four voxels. An image without air is body throughout.
    """
    blocks = _block_means(array)
    floor = _LOWEST_CT_HU if modality is Modality.CT else -np.inf
    dark, bright = (float(value) for value in np.percentile(np.maximum(blocks, floor), _PERCENTILES))
    threshold = dark + _BODY_FRACTION[modality] * (bright - dark)
    body = blocks > threshold
    if body.mean() > 1 - _LEAST_AIR or not body.any():
        return Body(
            threshold=-np.inf, box=(slice(0, array.shape[0]), slice(0, array.shape[1]), slice(0, array.shape[2]))
        )
    deep, rows, columns = (_extent(body, axis, array.shape[axis], spacing_mm[axis]) for axis in range(3))
    return Body(threshold=threshold, box=(deep, rows, columns))


def zscore(array: Array, threshold: float) -> Intensities:
    """Mean 0 and standard deviation 1 over the voxels above the threshold; used for MR.

    Above ten standard deviations values are clipped: that is flow or an artifact, and float16 stays exact enough.
    """
    body = _body_sample(array, threshold)
    mean, std = float(body.mean()), _positive(float(body.std()))
    return Intensities(low=mean - _BRIGHTEST_ZSCORE * std, high=mean + _BRIGHTEST_ZSCORE * std, mean=mean, std=std)


def percentile_clip(array: Array, threshold: float) -> Intensities:
    """Clip to the 0.5 and 99.5 percentile of the voxels above the threshold, then scale; used for CT and CBCT."""
    body = _body_sample(array, threshold)
    low, high = (float(value) for value in np.percentile(body, _PERCENTILES))
    clipped = np.clip(body, low, high)
    return Intensities(low=low, high=high, mean=float(clipped.mean()), std=_positive(float(clipped.std())))


def normalized(array: Floats, intensities: Intensities) -> npt.NDArray[np.float16]:
    """Normalize plane by plane; the array is left alone."""
    result: npt.NDArray[np.float16] = np.empty(array.shape, np.float16)
    for index, plane in enumerate(array):
        clipped = np.clip(plane, intensities.low, intensities.high)
        result[index] = (clipped - intensities.mean) / intensities.std
    return result


def _sample(array: Array) -> Floats:
    """About two million voxels, evenly spread and always the same ones."""
    step = max(1, math.ceil(array.size / _SAMPLE_VOXELS))
    while step > 1 and math.gcd(step, array.shape[2]) > 1:
        step += 1  # A step that shares a factor with the row length would see some columns only.
    planes = (array[index].ravel() for index in range(array.shape[0]))
    offset, parts = 0, []
    for plane in planes:
        parts.append(plane[offset::step])
        offset = (offset - plane.size) % step
    return np.concatenate(parts).astype(np.float32)


def _body_sample(array: Array, threshold: float) -> npt.NDArray[np.float64]:
    sample = _sample(array)
    body = sample[sample > threshold]
    return (body if body.size else sample).astype(np.float64)


def _positive(std: float) -> float:
    return std if std > 0 else 1.0


def _block_means(array: Array) -> Floats:
    """Means of blocks of 4 x 4 x 4 voxels; the last ones of an axis may be thinner."""
    rows, columns = (np.arange(0, length, _BLOCK) for length in array.shape[1:])
    means = []
    for start in range(0, array.shape[0], _BLOCK):
        plane = array[start : start + _BLOCK].mean(axis=0, dtype=np.float32)
        sums = np.add.reduceat(np.add.reduceat(plane, rows, axis=0), columns, axis=1)
        means.append(sums / np.outer(_lengths(rows, array.shape[1]), _lengths(columns, array.shape[2])))
    return np.stack(means).astype(np.float32)


def _lengths(starts: npt.NDArray[np.intp], end: int) -> npt.NDArray[np.intp]:
    return np.diff(starts, append=end)


def _extent(body: npt.NDArray[np.bool_], axis: int, length: int, spacing_mm: float) -> slice:
    others = tuple(other for other in range(3) if other != axis)
    blocks = np.flatnonzero(body.any(axis=others))
    margin = max(_BLOCK, math.ceil(_MARGIN_MM / spacing_mm))
    return slice(max(0, int(blocks[0]) * _BLOCK - margin), min(length, (int(blocks[-1]) + 1) * _BLOCK + margin))
