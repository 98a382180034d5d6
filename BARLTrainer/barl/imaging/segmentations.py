"""Label maps and Slicer segmentations, to and from arrays of the label table's values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.cohort.labels import BACKGROUND, BACKGROUND_NAME, UNKNOWN, LabelTable, default_color
from barl.errors import ImageError, LabelError
from barl.imaging.geometry import Geometry
from barl.imaging.seg_nrrd import Layers, Segment, is_segmentation, read_layers, read_segments, write_layer
from barl.imaging.volumes import read_voxels

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]

_MOST_UNNAMED = 128
_MOST_LABELS = 254


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """Labels on the grid of their file, which need not be the image's."""

    array: Labels
    """(D, H, W) values of the label table, 0 for background."""

    geometry: Geometry


def read_labels(
    path: Path, table: LabelTable, *, painted_background: int = BACKGROUND, unknown_value: int | None = None
) -> LabelMap:
    """Read labels: a segmentation by the names of its segments, any other image by its values.

    Args:
        path: a ``.seg.nrrd`` (case and spaces around names do not matter), or a label map in any image format.
        table: which names and values are allowed.
        painted_background: what voxels of a segment named Background become; 255 tells them from unpainted ones.
        unknown_value: the value that means *not annotated* in a label map; these voxels become 255.

    Raises:
        LabelError: unreadable, a name or value outside the table, values that are not whole numbers, or two
            segments that overlap.
    """
    path = Path(path)
    if is_segmentation(path):
        return _by_names(path, table, painted_background)
    return _by_values(path, table, unknown_value)


def read_label_names(path: Path) -> list[tuple[int, str, tuple[int, int, int]]]:
    """Propose (value, name, color) for a label table from a first file; Background, 0 and 255 are left out.

    Raises:
        LabelError: the file cannot be read, or its values are not whole numbers from 0 to 255.
    """
    path = Path(path)
    if not is_segmentation(path):
        found = sorted(_count(_read_integers(path)[0]))
        if found[0] < BACKGROUND or found[-1] > UNKNOWN:
            raise _no_label_map(path, f"{len(found)} different values from {found[0]} to {found[-1]}")
        values = [value for value in found if value not in (BACKGROUND, UNKNOWN)]
        if len(values) > _MOST_UNNAMED:
            raise LabelError(
                f"{path} holds {len(values)} different values, more than the {_MOST_UNNAMED} that are taken for "
                "structures without a list of them. It is probably an image: give the label map itself. If it is one, "
                "name the structures yourself, such as '1=jaw,2=teeth'."
            )
        return [(value, f"Label {value}", default_color(index)) for index, value in enumerate(values)]
    segments = [segment for segment in read_segments(path) if not _is_background(segment)]
    own_values = len({segment.value for segment in segments}) == len(segments)
    return [
        (segment.value if own_values else index + 1, segment.name, segment.color)
        for index, segment in enumerate(segments)
    ]


def write_segmentation(
    path: Path, array: Labels, geometry: Geometry, table: LabelTable, *, background_painted: bool = False
) -> None:
    """Write a ``.seg.nrrd`` with the table's names, colors and terminology; whole or not at all.

    Args:
        path: where to, ending in ``.seg.nrrd``.
        array: (D, H, W) values of the table.
        geometry: the grid of the array.
        table: every label becomes a segment, also where no voxel has it.
        background_painted: voxels of value 255 become a segment named Background.

    Raises:
        LabelError: a value outside the table, or an array of another shape than the grid.
        StorageError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    if not path.name.lower().endswith(".seg.nrrd"):
        raise LabelError(f"Cannot write {path}: the name of a segmentation must end in .seg.nrrd.")
    if array.shape != geometry.shape:
        raise LabelError(f"Cannot write {path}: the labels have shape {array.shape}, their grid {geometry.shape}.")
    _refuse_values(path, _count(array), table, {UNKNOWN} if background_painted else set())
    segments = [
        Segment(name=label.name, value=label.value, color=label.color, terminology=label.terminology)
        for label in table.labels
    ]
    if background_painted:
        segments.append(Segment(name=BACKGROUND_NAME, value=UNKNOWN, color=(60, 60, 60)))
    write_layer(path, array.astype(np.uint8, copy=False), geometry, segments)


def _by_names(path: Path, table: LabelTable, painted_background: int) -> LabelMap:
    layers = read_layers(path)
    merged = _translate(layers.arrays[0], _lookup(path, layers, 0, table))
    for index, array in enumerate(layers.arrays[1:], start=1):
        drawn = _translate(array, _lookup(path, layers, index, table))
        overlap = (merged != 0) & (drawn != 0) & (merged != drawn)
        if overlap.any():
            raise _overlap_error(path, overlap, merged, drawn, layers.geometry, table)
        np.copyto(merged, drawn, where=drawn != 0)
    if painted_background != UNKNOWN:
        merged[merged == UNKNOWN] = painted_background
    return LabelMap(array=merged, geometry=layers.geometry)


def _lookup(path: Path, layers: Layers, layer: int, table: LabelTable) -> Labels:
    """What each voxel value of a layer becomes; segments that hold no voxel may have any name."""
    present = _count(layers.arrays[layer])
    segments = {segment.value: segment for segment in layers.segments if segment.layer == layer}
    values = {label.name.strip().casefold(): label.value for label in table.labels}
    values[BACKGROUND_NAME.casefold()] = UNKNOWN
    strange = [value for value in present if value not in segments and value != BACKGROUND]
    if strange:
        raise LabelError(f"{path}: voxels of value {_list(strange)} belong to no segment. Save it anew from Slicer.")
    unknown = [segments[value].name for value in present if value and segments[value].name.casefold() not in values]
    if unknown:
        raise LabelError(
            f"{path}: segments named {_list(unknown)} are not in the label table ({_list(list(table.names))}). "
            "Rename or remove them in Slicer, or add them to the table."
        )
    lookup: Labels = np.zeros(max(present, default=0) + 1, np.uint8)
    for value in present:
        lookup[value] = values[segments[value].name.casefold()] if value else BACKGROUND
    return lookup


def _translate(array: Array, lookup: Labels) -> Labels:
    """Look every voxel up, plane by plane: an index array of a whole volume would take eight times its memory."""
    translated: Labels = np.empty(array.shape, np.uint8)
    if array.dtype == np.uint8:  # Bytes are translated ten times faster than NumPy looks up.
        whole = np.pad(lookup, (0, 256 - len(lookup))).tobytes()
        for index, plane in enumerate(array):
            translated[index] = np.frombuffer(plane.tobytes().translate(whole), np.uint8).reshape(plane.shape)
        return translated
    for index, plane in enumerate(array):
        translated[index] = lookup[plane]
    return translated


def _is_background(segment: Segment) -> bool:
    return segment.name.casefold() == BACKGROUND_NAME.casefold()


def _overlap_error(
    path: Path, overlap: Array, one: Labels, other: Labels, geometry: Geometry, table: LabelTable
) -> LabelError:
    names = {label.value: label.name for label in table.labels} | {UNKNOWN: BACKGROUND_NAME}
    pairs = Counter(zip(one[overlap].tolist(), other[overlap].tolist(), strict=True))
    first, second = pairs.most_common(1)[0][0]
    here = np.argwhere(overlap & (one == first) & (other == second))
    right, anterior, superior = geometry.index_to_ras(here[len(here) // 2].tolist())
    return LabelError(
        f"{path}: the segments {names[first]} and {names[second]} overlap in {len(here)} voxels, slices "
        f"{here[:, 0].min()} to {here[:, 0].max()} of the file, for example at R {right:.1f}, A {anterior:.1f}, "
        f"S {superior:.1f} mm. Erase one of them there, or save with overwriting of other segments switched on."
    )


def _by_values(path: Path, table: LabelTable, unknown_value: int | None) -> LabelMap:
    if unknown_value in (BACKGROUND, *table.values):
        raise LabelError(
            f"The value {unknown_value} cannot mean 'not annotated': it is background or in the label table."
        )
    array, geometry = _read_integers(path)
    extra = set() if unknown_value is None else {unknown_value}
    _refuse_values(path, _count(array), table, extra)
    labels = array.astype(np.uint8)
    if unknown_value is not None:
        labels[array == unknown_value] = UNKNOWN
    return LabelMap(array=labels, geometry=geometry)


def _read_integers(path: Path) -> tuple[Array, Geometry]:
    """Read a label map; whole numbers stored as floats are taken as what they are."""
    try:
        array, geometry = read_voxels(path)
    except ImageError as error:
        raise LabelError(str(error)) from error
    if array.dtype.kind == "f":
        for plane in array:
            if not np.array_equal(plane, np.rint(plane)) or np.abs(plane).max() > np.iinfo(np.int32).max:
                raise _no_label_map(path, "values that are not whole numbers")
        array = array.astype(np.int32)
    return array, geometry


def _no_label_map(path: Path, holds: str) -> LabelError:
    return LabelError(
        f"{path} holds {holds}, so it is no label map: allowed are whole numbers from 0 to 254, and 255 for not "
        "annotated. It is probably an image, or labels smoothed by resampling. Give the label map itself, its "
        "structures numbered from 1 to 254."
    )


def _refuse_values(path: Path, counts: Counter[int], table: LabelTable, extra: set[int]) -> None:
    allowed = {BACKGROUND, *table.values} | extra
    strange = sorted(value for value in counts if value not in allowed)
    if strange:
        if len(strange) > _MOST_LABELS:
            raise _no_label_map(path, f"{len(counts)} different values from {min(counts)} to {max(counts)}")
        known = _list([f"{label.value} {label.name}" for label in table.labels])
        found = _list([f"{value} ({counts[value]} voxels)" for value in strange])
        raise LabelError(
            f"{path}: value {found} is not in the label table (0 background, {known}). "
            "Correct the label map, add the value to the table, or tell that it means 'not annotated' (unknown value)."
        )


def _count(array: Array) -> Counter[int]:
    """How many voxels each value has; plane by plane, which needs little memory."""
    counts: Counter[int] = Counter()
    if array.dtype == np.uint8:  # Counting in bins needs no sorting.
        bins = sum((np.bincount(plane.ravel(), minlength=256) for plane in array), np.zeros(256, np.intp))
        return Counter({int(value): int(bins[value]) for value in np.flatnonzero(bins)})
    for plane in array:
        values, numbers = np.unique(plane, return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    return counts


def _list(items: list[Any]) -> str:
    shown = ", ".join(map(str, items[:8]))
    return shown if len(items) <= 8 else f"{shown} and {len(items) - 8} more"
