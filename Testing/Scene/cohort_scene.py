"""Small images, drawings and doubles for the tests of cohort, correction, install and batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from barl.atomic import write_json
from barl.cohort import Cohort, Coverage
from barl.imaging import Geometry, save_annotation, write_segmentation, write_volume

SHAPE = (6, 8, 10)
SECOND_CASE = "Pätient_2"

# Oblique by a turn about the third axis, so that nothing fits by chance.
GRID = Geometry(
    size=SHAPE[::-1],
    spacing_mm=(0.5, 0.75, 1.25),
    origin_mm=(-12.5, 30.25, 7.0),
    direction=(0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0),
)


@dataclass
class Clock:
    """Seconds since 1970, set by the test."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


ReadOnly = Callable[[Path], None]
"""What the fixture ``read_only`` gives."""


def imageArray(seed: int = 0) -> npt.NDArray[np.int16]:
    """Values like a CT's."""
    return np.random.default_rng(seed).integers(-1000, 2000, SHAPE).astype(np.int16)


def writeImage(path: Path, array: npt.NDArray[Any], geometry: Geometry = GRID) -> Path:
    """An image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, array, geometry)
    return path


def drawing() -> npt.NDArray[np.uint8]:
    """Jaw, teeth and canal, one block each."""
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 1:4, 1:4] = 1
    array[1:4, 5:7, 1:4] = 2
    array[4, 2, 5:9] = 3
    return array


def annotate(cohort: Cohort, caseId: str, array: npt.NDArray[np.uint8] | None = None, **more: Any) -> None:
    """An annotation version in the cohort."""
    how = {"coverage": Coverage(), "author": "Ärztin"} | more
    save_annotation(cohort, caseId, drawing() if array is None else array, **how)


def predict(cohort: Cohort, caseId: str, array: npt.NDArray[np.uint8] | None = None, uncertainty: float = 0.25) -> Path:
    """A new round with the prediction of one case."""
    path = cohort.new_round() / "predictions" / f"{caseId}.seg.nrrd"
    path.parent.mkdir()
    write_segmentation(path, drawing() if array is None else array, GRID, cohort.labels)
    write_json(path.with_name(f"{caseId}.json"), {"format_version": 1, "mean_uncertainty": uncertainty})
    return path


def segmentNames(node: Any) -> list[str]:
    """The segments of a node, in their order."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(number).GetName() for number in range(segmentation.GetNumberOfSegments())]


def segmentId(node: Any, name: str) -> str:
    """The id of a segment by its name."""
    return str(node.GetSegmentation().GetSegmentIdBySegmentName(name))


def segmentVoxels(node: Any, name: str, volumeNode: Any) -> npt.NDArray[np.bool_]:
    """Where a segment is, on a volume's grid, as Slicer itself resamples it."""
    segment, grid = slicer.vtkOrientedImageData(), gridOf(volumeNode)
    assert node.GetBinaryLabelmapRepresentation(segmentId(node, name), segment)
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(segment, grid, segment)
    width, height, depth = segment.GetDimensions()
    return np.asarray(vtk_to_numpy(segment.GetPointData().GetScalars()).reshape(depth, height, width)) > 0


def paint(node: Any, name: str, mask: npt.NDArray[np.bool_], volumeNode: Any = None, *, labelmap: Any = None) -> None:
    """Give a segment these voxels, as the Segment Editor does; others that are there move to another layer."""
    image = gridOf(volumeNode) if labelmap is None else labelmap
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = mask.ravel()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, node, segmentId(node, name), logic.MODE_REPLACE)


def gridOf(volumeNode: Any) -> Any:
    """An oriented image on a volume's grid, without its parent transform."""
    image, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    image.SetExtent(volumeNode.GetImageData().GetExtent())
    volumeNode.GetIJKToRASMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    return image


def moveBy(scene: Any, *offset: float) -> Any:
    """A linear transform node."""
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    for row, value in enumerate(offset):
        matrix.SetElement(row, 3, value)
    node.SetMatrixTransformToParent(matrix)
    return node
