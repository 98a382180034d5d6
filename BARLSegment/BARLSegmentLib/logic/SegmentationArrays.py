"""Segmentation nodes as arrays of the label table's values on the image's grid; the nodes are only read.

What counts is a segment's name, not its place, color, voxel value or layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from barl.cohort import UNKNOWN, Coverage, CoverageKind, LabelTable
from barl.cohort.labels import BACKGROUND_NAME
from barl.errors import ImageError, LabelError
from barl.imaging import Geometry, LabelMap
from barl.imaging.annotations import onto_image
from barl.imaging.partial import refuse_tilted
from BARLSegmentLib.logic.Questions import OtherGridQuestion, TransformQuestion
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.SegmentationNodes import BINARY_LABELMAP
from BARLSegmentLib.logic.VolumeNodes import arrayFrom, geometryFrom

Labels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]

_IDENTITY_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Where two segments claim the same voxels."""

    first: str
    second: str
    voxels: int
    slices: tuple[int, int]
    """First and last slice of the image that it reaches, counted from 0."""

    ras_mm: tuple[float, float, float]
    """A voxel in the middle of it, in the image's own RAS millimetres."""

    def __str__(self) -> str:
        right, anterior, superior = self.ras_mm
        return (
            f"{self.first} and {self.second} in {self.voxels} voxels, slices {self.slices[0]} to {self.slices[1]}, for "
            f"example at R {right:.1f}, A {anterior:.1f}, S {superior:.1f} mm"
        )


class OverlappingSegmentsError(LabelError):
    """Segments overlap, so that their voxels have no single value.

    Attributes:
        overlaps: each pair that does, the largest first; a panel can jump there.
    """

    def __init__(self, caseId: str, overlaps: tuple[Overlap, ...]) -> None:
        self.overlaps = overlaps
        super().__init__(
            f"Case {caseId}: segments overlap: {'; '.join(map(str, overlaps))}. Erase one of them there, or switch on "
            "overwriting of other segments in the Segment Editor and paint there again."
        )


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One labelmap of a segmentation; its segments cannot overlap."""

    array: npt.NDArray[Any]
    """(D, H, W) voxel values; a view of the node's own memory."""

    indexToRas: Matrix
    names: Mapping[int, str]
    """Names of the segments that have voxels here, by voxel value."""

    strays: bool
    """Whether there are voxels of no segment, which Slicer does not show."""


def paintedLabels(
    segmentationNode: Node,
    volumeNode: Node | None,
    image: Geometry,
    table: LabelTable,
    *,
    caseId: str,
    coverage: Coverage,
    resample: bool = False,
    harden: bool = False,
) -> Labels:
    """What is painted in a segmentation node, on the image's grid.

    Args:
        segmentationNode: is not changed.
        volumeNode: the image in the scene, whose parent transform tells where a segmentation under another one lies.
        image: the image's grid.
        table: which names mean which value; a segment named Background is painted background.
        caseId: for messages.
        coverage: what the painting tells about; of a partial one no stroke is lost by resampling.
        resample: bring a segmentation of another grid onto the image's.
        harden: save a segmentation under another transform than the image where it is shown.

    Returns:
        (D, H, W) values of the table, 255 where background is painted, 0 where nothing is.

    Raises:
        OtherGridQuestion: another grid, and ``resample`` is False.
        TransformQuestion: under another transform, and ``harden`` is False.
        OverlappingSegmentsError: segments overlap.
        LabelError: a name that is not in the table, no binary labelmap, a transform that is not linear, or slices
            that are tilted against the image's.
    """
    name = segmentationNode.GetName()
    toVolume = _toVolume(segmentationNode, volumeNode, caseId, harden)
    placed: list[Labels] = []
    for layer in _layers(segmentationNode, caseId):
        lookup = _lookup(layer, table, caseId, name)
        if not lookup:
            continue
        part = LabelMap(array=_translated(layer, lookup), geometry=_geometry(layer, toVolume, caseId, name))
        placed.append(_placed(part, image, caseId, name, coverage, resample))
    return _merged(placed, image, table, caseId)


def _layers(node: Node, caseId: str) -> list[_Layer]:
    segmentation = node.GetSegmentation()
    if segmentation is None or segmentation.GetNumberOfSegments() == 0:
        raise LabelError(f"Case {caseId}: the segmentation {node.GetName()} has no segments. Load the case again.")
    if not segmentation.ContainsRepresentation(BINARY_LABELMAP):
        raise LabelError(
            f"Case {caseId}: the segmentation {node.GetName()} holds surfaces only. Create its binary labelmap in the "
            "Segmentations module (Representations), and try again."
        )
    return [
        layer
        for number in range(segmentation.GetNumberOfLayers(BINARY_LABELMAP))
        if (layer := _layer(segmentation, number)) is not None
    ]


def _layer(segmentation: Any, number: int) -> _Layer | None:
    """A layer that holds voxels."""
    labelmap = segmentation.GetLayerDataObject(number, BINARY_LABELMAP)
    scalars = labelmap.GetPointData().GetScalars() if labelmap is not None else None
    if scalars is None or labelmap.IsEmpty() or scalars.GetNumberOfTuples() == 0:
        return None
    segments = [segmentation.GetSegment(one) for one in segmentation.GetSegmentIDsForLayer(number, BINARY_LABELMAP)]
    columnLow, columnHigh, rowLow, rowHigh, sliceLow, sliceHigh = labelmap.GetExtent()
    shape = (sliceHigh - sliceLow + 1, rowHigh - rowLow + 1, columnHigh - columnLow + 1)
    indexToRas = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(indexToRas)
    first = np.eye(4)
    first[:3, 3] = columnLow, rowLow, sliceLow
    array = vtk_to_numpy(scalars).reshape(shape)
    present = _presentValues(array)
    names = {segment.GetLabelValue(): segment.GetName() for segment in segments}
    return _Layer(
        array=array,
        indexToRas=arrayFrom(indexToRas) @ first,
        names={value: names[value] for value in present if value in names},
        strays=any(value not in names for value in present),
    )


def _lookup(layer: _Layer, table: LabelTable, caseId: str, name: str) -> dict[int, int]:
    """What each voxel value of a segment becomes."""
    values = {_key(label.name): label.value for label in table.labels} | {_key(BACKGROUND_NAME): UNKNOWN}
    unknown = [segment for segment in layer.names.values() if _key(segment) not in values]
    if unknown:
        raise LabelError(
            f"Case {caseId}: the segmentation {name} has drawn segments that are not in the label table: "
            f"{', '.join(unknown)}. The table has {', '.join(table.names)}. Rename the segments to these names, or "
            "remove them."
        )
    return {value: values[_key(segment)] for value, segment in layer.names.items()}


def _presentValues(array: npt.NDArray[Any]) -> list[int]:
    """The positive values that occur; bytes are counted in bins, which needs no sorting."""
    if array.dtype == np.uint8:
        bins = sum((np.bincount(plane.ravel(), minlength=256) for plane in array), np.zeros(256, np.intp))
        found = np.flatnonzero(bins)
    else:
        found = np.unique(np.concatenate([np.unique(plane) for plane in array]))
    return [int(value) for value in found if value > 0]


def _translated(layer: _Layer, lookup: Mapping[int, int]) -> Labels:
    array = layer.array
    if array.dtype == np.uint8 and not layer.strays and all(value == new for value, new in lookup.items()):
        return array
    whole: Labels = np.zeros(max(256, max(lookup) + 1), np.uint8)
    whole[list(lookup)] = list(lookup.values())
    if array.dtype == np.uint8:  # Bytes are translated ten times faster than NumPy looks up.
        planes = [np.frombuffer(plane.tobytes().translate(whole.tobytes()), np.uint8) for plane in array]
        return np.stack(planes).reshape(array.shape)
    return np.stack([whole[np.where((plane >= 0) & (plane < len(whole)), plane, 0)] for plane in array])


def _toVolume(segmentationNode: Node, volumeNode: Node | None, caseId: str, harden: bool) -> Matrix:
    """From a segmentation's coordinates to the image's, both without their parent transforms."""
    source = segmentationNode.GetParentTransformNode()
    target = volumeNode.GetParentTransformNode() if volumeNode is not None else None
    if source is target:
        return np.eye(4)
    matrix = vtk.vtkMatrix4x4()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(source, target, matrix):
        raise LabelError(
            f"Case {caseId}: the segmentation {segmentationNode.GetName()} is under a transform that bends. Harden it "
            "(right-click the transform in the Data module), or take it out of the transform, and try again."
        )
    toVolume = arrayFrom(matrix)
    if not harden and np.abs(toVolume - np.eye(4)).max() > _IDENTITY_TOLERANCE:
        raise TransformQuestion(caseId, segmentationNode.GetName())
    return toVolume


def _geometry(layer: _Layer, toVolume: Matrix, caseId: str, name: str) -> Geometry:
    depth, height, width = layer.array.shape
    try:
        return geometryFrom(toVolume @ layer.indexToRas, (depth, height, width))
    except ImageError as error:
        raise LabelError(f"Case {caseId}: the segmentation {name}: {error}") from error


def _placed(part: LabelMap, image: Geometry, caseId: str, name: str, coverage: Coverage, resample: bool) -> Labels:
    what = f"Case {caseId}: the segmentation {name}"
    if coverage.kind is CoverageKind.SLICES:
        refuse_tilted(part.geometry, image, what)
    if not resample and image.placement_of(part.geometry) is None:
        raise OtherGridQuestion(caseId, name, part.geometry.difference_from(image))
    partial = coverage.kind is not CoverageKind.COMPLETE
    return onto_image(part, image, outside=0, resample=resample, what=what, keep_strokes=partial)


def _merged(placed: Sequence[Labels], image: Geometry, table: LabelTable, caseId: str) -> Labels:
    if not placed:
        return np.zeros(image.shape, np.uint8)
    overlaps = [overlap for one, other in combinations(placed, 2) for overlap in _overlaps(one, other, image, table)]
    if overlaps:
        raise OverlappingSegmentsError(caseId, tuple(sorted(overlaps, key=lambda one: -one.voxels)))
    merged = placed[0]
    for array in placed[1:]:
        merged = np.where(array != 0, array, merged)
    return merged


def _overlaps(one: Labels, other: Labels, image: Geometry, table: LabelTable) -> list[Overlap]:
    both = np.flatnonzero((one != 0) & (other != 0) & (one != other))
    names = {label.value: label.name for label in table.labels} | {UNKNOWN: BACKGROUND_NAME}
    pairs = one.ravel()[both].astype(np.intp) * 256 + other.ravel()[both]
    found = []
    for pair in np.unique(pairs).tolist():
        here = np.stack(np.unravel_index(both[pairs == pair], one.shape), axis=1)
        found.append(
            Overlap(
                first=names[pair // 256],
                second=names[pair % 256],
                voxels=len(here),
                slices=(int(here[:, 0].min()), int(here[:, 0].max())),
                ras_mm=image.index_to_ras(here[len(here) // 2].tolist()),
            )
        )
    return found


def _key(name: str) -> str:
    return name.strip().casefold()
