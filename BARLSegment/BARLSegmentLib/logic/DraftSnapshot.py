"""A copy of a segmentation node's voxels and names, made in steps so short that the window never waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from barl.errors import ImageError
from BARLSegmentLib.logic.DraftFile import NRRD_TYPES, DraftContent, DraftSegment, Extent
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.SegmentationNodes import BINARY_LABELMAP, TERMINOLOGY
from BARLSegmentLib.logic.SteppedWriting import STEP_BYTES
from BARLSegmentLib.logic.VolumeNodes import arrayFrom, geometryFrom


class UnfitError(Exception):
    """Only Slicer itself can write this segmentation."""


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One labelmap as it was when copying began."""

    labelmap: Any
    extent: Extent


class DraftSnapshot:
    """Copies in steps; when somebody draws meanwhile, it begins anew.

    Args:
        node: a segmentation node; is not changed.

    Raises:
        UnfitError: it has no binary labelmaps, nothing is drawn, the labelmaps lie on different grids, or hold what is
            no whole number.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._content: DraftContent | None = None
        self._begin()

    @property
    def content(self) -> DraftContent | None:
        """The copy; None before it is whole."""
        return self._content

    def step(self) -> bool:
        """Copy some more; returns whether the copy is whole.

        Raises:
            UnfitError: it has changed into something that only Slicer can write.
        """
        if self._content is None:
            if self._stamp != _stamp(self._node):
                self._begin()
            if next(self._copying, None) is None:
                self._content = self._described()
        return self._content is not None

    def _begin(self) -> None:
        segmentation = self._node.GetSegmentation()
        self._stamp = _stamp(self._node)
        self._numbers, self._layers = _drawnLayers(segmentation)
        self._extent = _around(self._layers)
        self._grid = arrayFrom(_matrix(self._layers[0].labelmap))
        kinds = {vtk_to_numpy(layer.labelmap.GetPointData().GetScalars()).dtype for layer in self._layers}
        isOther = any(not np.allclose(arrayFrom(_matrix(one.labelmap)), self._grid) for one in self._layers)
        if isOther or any(kind.str[1:] not in NRRD_TYPES for kind in kinds):
            raise UnfitError
        self._copy = np.zeros((len(self._layers), *_shape(self._extent)), np.result_type(*kinds))
        self._copying = self._copyAll()

    def _copyAll(self) -> Iterator[bool]:
        for target, layer in zip(self._copy, self._layers, strict=True):
            depth, height, width = _shape(layer.extent)
            first = [layer.extent[axis] - self._extent[axis] for axis in (4, 2, 0)]
            planes = max(1, STEP_BYTES // (height * width * target.itemsize))
            for begin in range(0, depth, planes):
                # Asked for in each step: what is drawn meanwhile may move to other memory.
                source = vtk_to_numpy(layer.labelmap.GetPointData().GetScalars()).reshape(depth, height, width)
                end = min(depth, begin + planes)
                target[
                    first[0] + begin : first[0] + end,
                    first[1] : first[1] + height,
                    first[2] : first[2] + width,
                ] = source[begin:end]
                yield True

    def _described(self) -> DraftContent:
        segmentation = self._node.GetSegmentation()
        shift = np.eye(4)
        shift[:3, 3] = self._extent[::2]
        try:
            geometry = geometryFrom(self._grid @ shift, _shape(self._extent))
        except ImageError as error:
            raise UnfitError from error
        return DraftContent(
            layers=self._copy,
            geometry=geometry,
            extent=self._extent,
            segments=tuple(_segments(segmentation, self._numbers)),
            conversion=segmentation.SerializeAllConversionParameters(),
        )


def _stamp(node: Node) -> tuple[Any, ...]:
    """What tells whether voxels or segments have changed."""
    segmentation = node.GetSegmentation()
    layers = range(segmentation.GetNumberOfLayers(BINARY_LABELMAP))
    times = [segmentation.GetLayerDataObject(number, BINARY_LABELMAP).GetMTime() for number in layers]
    return segmentation.GetMTime(), *times


def _drawnLayers(segmentation: Any) -> tuple[dict[int, int], list[_Layer]]:
    """The layers that hold voxels; and for each number of Slicer's the one in the file."""
    numbers: dict[int, int] = {}
    layers: list[_Layer] = []
    for number in range(segmentation.GetNumberOfLayers(BINARY_LABELMAP)):
        labelmap = segmentation.GetLayerDataObject(number, BINARY_LABELMAP)
        scalars = labelmap.GetPointData().GetScalars()
        isDrawn = scalars is not None and not labelmap.IsEmpty() and scalars.GetNumberOfTuples() > 0
        numbers[number] = len(layers) if isDrawn else 0
        if isDrawn:
            layers.append(_Layer(labelmap=labelmap, extent=labelmap.GetExtent()))
    if not layers:
        raise UnfitError
    return numbers, layers


def _segments(segmentation: Any, numbers: dict[int, int]) -> Iterator[DraftSegment]:
    for identifier in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(identifier)
        terminology = vtk.reference("")
        hasOne = segment.GetTag(TERMINOLOGY, terminology)
        yield DraftSegment(
            identifier=identifier,
            name=" ".join(segment.GetName().splitlines()),
            color=segment.GetColor(),
            value=segment.GetLabelValue(),
            layer=numbers.get(segmentation.GetLayerIndex(identifier, BINARY_LABELMAP), 0),
            tags={TERMINOLOGY: str(terminology)} if hasOne else {},
        )


def _around(layers: list[_Layer]) -> Extent:
    """The smallest extent that holds all."""
    extents = np.array([layer.extent for layer in layers])
    low, high = extents[:, ::2].min(axis=0).tolist(), extents[:, 1::2].max(axis=0).tolist()
    return low[0], high[0], low[1], high[1], low[2], high[2]


def _shape(extent: Extent) -> tuple[int, int, int]:
    return extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1


def _matrix(labelmap: Any) -> Any:
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return matrix
