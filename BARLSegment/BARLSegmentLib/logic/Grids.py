"""Whether what was predicted lies voxel on voxel on an image."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk

from BARLSegmentLib.logic.SceneTypes import Node

_TOLERANCE_VOXELS = 0.05
"""Headers keep six digits or so; a real difference is far larger."""


def liesOnGrid(node: Node, imageNode: Node) -> bool:
    """Whether a volume or a segmentation has the grid of an image, parent transforms left aside.

    Args:
        node: a volume, or a segmentation whose reference geometry is compared (that of a file is its image's).
        imageNode: a volume with voxels.
    """
    matrix, size = _grid(node)
    expected, expectedSize = _grid(imageNode)
    if size != expectedSize:
        return False
    corners = np.array([(*corner, 1) for corner in product(*((0, length - 1) for length in size))], float).T
    finest = np.linalg.norm(expected[:3, :3], axis=0).min()
    return bool(np.abs((matrix - expected) @ corners).max() <= _TOLERANCE_VOXELS * finest)


def _grid(node: Node) -> tuple[npt.NDArray[np.float64], tuple[int, int, int]]:
    """The matrix from (column, row, slice) to RAS mm, and the numbers of columns, rows and slices."""
    matrix = vtk.vtkMatrix4x4()
    if node.IsA("vtkMRMLSegmentationNode"):
        image = _referenceImage(node)
        image.GetImageToWorldMatrix(matrix)
    else:
        image = node.GetImageData()
        node.GetIJKToRASMatrix(matrix)
    rows = [[matrix.GetElement(row, column) for column in range(4)] for row in range(4)]
    columns, lines, slices = image.GetDimensions()
    return np.array(rows), (columns, lines, slices)


def _referenceImage(node: Node) -> Any:
    """An image without voxels on the grid that a segmentation is drawn on."""
    text = node.GetSegmentation().GetConversionParameter("Reference image geometry")
    image = slicer.vtkOrientedImageData()
    slicer.vtkSegmentationConverter.DeserializeImageGeometry(text or "", image, False)
    return image
