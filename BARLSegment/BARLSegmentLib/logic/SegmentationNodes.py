"""Segmentation nodes with the segments of a label table: empty, or from a ``.seg.nrrd`` file.

All segments share one labelmap where they can, as in Slicer's own files: that is what makes 5 classes as fast as one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from barl.cohort import Label, LabelTable
from barl.imaging import Geometry
from barl.imaging.seg_nrrd import Layers, Segment, read_layers
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.logic.VolumeNodes import belongTo, geometryOf, indexToRasOf

BINARY_LABELMAP = "Binary labelmap"
TERMINOLOGY = "TerminologyEntry"
_REFERENCE_GRID = "Reference image geometry"


def addEmptySegmentation(scene: Scene, name: str, table: LabelTable, volumeNode: Node) -> Node:
    """Add a segmentation node with an empty segment for every label, on a volume's grid."""
    node = _newNode(scene, name)
    labelmap = _emptyLabelmap(geometryOf(volumeNode))
    for label in table.labels:
        _addSegment(node.GetSegmentation(), label, labelmap, label.value)
    _lieOn(node, volumeNode)
    belongTo(scene, node, volumeNode)
    return node


def addSegmentationFromFile(scene: Scene, name: str, path: Path, table: LabelTable | None, volumeNode: Node) -> Node:
    """Add a segmentation node from a ``.seg.nrrd`` file, with the names, colors and terminology of a label table.

    Segments come in the table's order; labels that the file does not know become empty segments, and segments that the
    table does not know stay as they are, behind the others. Without a table all is as in the file.

    Raises:
        LabelError: the file cannot be read; no node was added.
    """
    # Not through Slicer's own storage node: a damaged file makes it end the whole process.
    return addSegmentation(scene, name, read_layers(path), table, volumeNode)


def addSegmentation(scene: Scene, name: str, layers: Layers, table: LabelTable | None, volumeNode: Node | None) -> Node:
    """Add a segmentation node from what was read of a file; see :func:`addSegmentationFromFile`.

    Without a volume the file's own grid is the one that is drawn on.
    """
    node = _newNode(scene, name)
    _fill(node, layers)
    if table is not None:
        _followTable(node.GetSegmentation(), table, layers.geometry)
    if volumeNode is None:
        node.GetSegmentation().SetConversionParameter(_REFERENCE_GRID, layers.geometry.slicer_text)
    else:
        _lieOn(node, volumeNode)
        belongTo(scene, node, volumeNode)
    return node


def _lieOn(node: Node, volumeNode: Node) -> None:
    """Let a segmentation be drawn on a volume's grid."""
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)


def _fill(node: Node, layers: Layers) -> None:
    """Give a segmentation node the layers and segments of a file."""
    segmentation = node.GetSegmentation()
    labelmaps = [_labelmap(array, layers.geometry) for array in layers.arrays]
    for segment in layers.segments:
        _addSegment(segmentation, segment, labelmaps[segment.layer], segment.value)


def _labelmap(array: npt.NDArray[Any], geometry: Geometry) -> Any:
    """An oriented image of the drawn part of an array, as Slicer keeps labelmaps."""
    box = _drawnBox(array)
    drawn = np.ascontiguousarray(array[box])
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetImageToWorldMatrix(indexToRasOf(geometry))
    labelmap.SetExtent(*(number for cut in reversed(box) for number in (cut.start, cut.stop - 1)))
    labelmap.AllocateScalars(get_vtk_array_type(drawn.dtype), 1)
    if drawn.size:
        vtk_to_numpy(labelmap.GetPointData().GetScalars())[:] = drawn.ravel()
    return labelmap


def _drawnBox(array: npt.NDArray[Any]) -> tuple[slice, slice, slice]:
    """Smallest box around all that is drawn; of length 0 when nothing is."""
    deep = _span(np.any(array, axis=(1, 2)))
    flat = np.any(array[deep], axis=0)
    return deep, _span(np.any(flat, axis=1)), _span(np.any(flat, axis=0))


def _span(flags: Any) -> slice:
    found = np.flatnonzero(flags)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0)


def _newNode(scene: Scene, name: str) -> Node:
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    node.GetSegmentation().SetSourceRepresentationName(BINARY_LABELMAP)
    return node


def _emptyLabelmap(geometry: Geometry) -> Any:
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetImageToWorldMatrix(indexToRasOf(geometry))
    labelmap.SetExtent(0, -1, 0, -1, 0, -1)  # Slicer's way of writing an empty one; it grows when something is drawn.
    labelmap.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    return labelmap


def _addSegment(segmentation: Any, label: Label | Segment, labelmap: Any, value: int) -> None:
    segment = slicer.vtkSegment()
    segment.SetLabelValue(value)
    segment.AddRepresentation(BINARY_LABELMAP, labelmap)
    _describe(segment, label)
    segmentation.AddSegment(segment, segmentation.GenerateUniqueSegmentID(f"Segment_{label.value}"))


def _describe(segment: Any, label: Label | Segment) -> None:
    segment.SetName(label.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*(part / 255 for part in label.color))
    segment.SetColorAutoGenerated(False)
    if label.terminology:
        segment.SetTag(TERMINOLOGY, label.terminology)


def _followTable(segmentation: Any, table: LabelTable, geometry: Geometry) -> None:
    byName = {_key(segmentation.GetNthSegment(n).GetName()): n for n in range(segmentation.GetNumberOfSegments())}
    ids = list(segmentation.GetSegmentIDs())
    known = {label.name: ids[byName[_key(label.name)]] for label in table.labels if _key(label.name) in byName}
    layer = segmentation.GetLayerDataObject(0, BINARY_LABELMAP) or _emptyLabelmap(geometry)
    for label in table.labels:
        if label.name in known:
            _describe(segmentation.GetSegment(known[label.name]), label)
        else:
            _addSegment(segmentation, label, layer, _freeValue(segmentation, label.value))
            known[label.name] = segmentation.GetSegmentIDs()[-1]
    ordered = [known[label.name] for label in table.labels]
    segmentation.ReorderSegments([*ordered, *(one for one in ids if one not in ordered)])


def _freeValue(segmentation: Any, wanted: int) -> int:
    """The wanted voxel value, or one above all that are taken."""
    taken = {segmentation.GetNthSegment(n).GetLabelValue() for n in range(segmentation.GetNumberOfSegments())}
    return wanted if wanted not in taken else max(taken) + 1


def _key(name: str) -> str:
    return name.strip().casefold()
