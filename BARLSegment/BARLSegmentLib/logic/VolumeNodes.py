"""Volumes between BARL's arrays and volume nodes. Slicer counts in RAS, BARL's grids in LPS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from barl.errors import ImageError
from barl.imaging import Geometry, Volume
from BARLSegmentLib.logic.SceneTypes import Node, Scene

_SHOWN_PERCENTILES = (0.1, 99.9)
"""As Slicer chooses them."""

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def addVolumeNode(scene: Scene, volume: Volume, name: str, *, shown: tuple[float, float] | None = None) -> Node:
    """Add a scalar volume node that shows a volume, with a display node of its own.

    Args:
        scene: where it goes.
        volume: its array is taken over without copying: do not write into it afterwards.
        name: what it is called, with a number behind if there is such a node.
        shown: values that are black and white; by default what Slicer would choose.
    """
    depth, height, width = volume.array.shape
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, depth)
    # VTK's array keeps a reference to NumPy's for as long as it lives.
    image.GetPointData().SetScalars(numpy_to_vtk(volume.array.ravel(), deep=False))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    node.SetIJKToRASMatrix(indexToRasOf(volume.geometry))
    node.SetAndObserveImageData(image)
    display = scene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*(shown or _usualGrays(volume.array)))
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    node.SetAndObserveDisplayNodeID(display.GetID())
    return node


def _usualGrays(array: npt.NDArray[Any]) -> tuple[float, float]:
    """Two percentiles, found in a 64th of the voxels: Slicer's own look at all of them takes as long as reading."""
    low, high = np.percentile(array[::4, ::4, ::4], _SHOWN_PERCENTILES)
    return float(low), float(max(high, low + 1))


def belongTo(scene: Scene, node: Node, volumeNode: Node) -> None:
    """Put a node where an image is: under its parent transform, and into its study of the subject hierarchy."""
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    hierarchy = scene.GetSubjectHierarchyNode()
    if hierarchy is not None:
        ours, its = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(volumeNode)
        if ours and its:  # 0: nobody keeps a hierarchy in this scene.
            hierarchy.SetItemParent(ours, hierarchy.GetItemParent(its))


def volumeOf(node: Node) -> Volume:
    """Copy the voxels and the grid of a scalar volume node, without regard to its parent transform.

    Raises:
        ImageError: it has no voxels, or several values a voxel, or its axes are sheared.
    """
    geometry = refuseNoVolume(node)
    image = node.GetImageData()
    scalars = image.GetPointData().GetScalars()
    array = vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])
    isShared = array.dtype in (np.int16, np.float32)
    return Volume(array=array.copy() if isShared else compact(array), geometry=geometry)


def refuseNoVolume(node: Node) -> Geometry:
    """The grid of a node that is a volume; no voxel is looked at.

    Raises:
        ImageError: it has no voxels, or several values a voxel, or its axes are sheared.
    """
    image = node.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    if scalars is None or min(image.GetDimensions()) < 1:
        raise ImageError(f"The volume {node.GetName()} has no voxels. Load it again.")
    if scalars.GetNumberOfComponents() != 1:
        raise ImageError(
            f"The volume {node.GetName()} has several values a voxel; one is needed. Convert it in the module Vector "
            "to Scalar Volume, or leave it out."
        )
    return geometryOf(node)


def geometryOf(node: Node) -> Geometry:
    """The grid of a volume node, without regard to its parent transform.

    Raises:
        ImageError: its axes are sheared.
    """
    ijkToRas = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijkToRas)
    width, height, depth = node.GetImageData().GetDimensions()
    try:
        return geometryFrom(arrayFrom(ijkToRas), (depth, height, width))
    except ImageError as error:
        raise ImageError(f"The volume {node.GetName()}: {error}") from error


def geometryFrom(indexToRas: npt.NDArray[np.float64], shape: tuple[int, int, int]) -> Geometry:
    """A grid from the 4 x 4 matrix (column, row, slice) -> RAS mm and an array's shape (D, H, W).

    Raises:
        ImageError: the axes are sheared.
    """
    return Geometry.from_index_to_lps(_RAS_FROM_LPS @ indexToRas, shape)


def indexToRasOf(geometry: Geometry) -> Any:
    """A grid's ``vtkMatrix4x4`` (column, row, slice) -> RAS mm."""
    return matrixFrom(_RAS_FROM_LPS @ geometry.index_to_lps)


def fileOf(node: Node) -> Path | None:
    """The file that holds a volume node's voxels as they are now; None when it has changed since, or has none."""
    storage = node.GetStorageNode()
    if storage is None or not storage.GetFileName() or node.GetModifiedSinceRead():
        return None
    path = Path(storage.GetFullNameFromFileName() or storage.GetFileName())
    return path if path.is_file() else None


def matrixFrom(array: npt.NDArray[np.float64]) -> Any:
    """A ``vtkMatrix4x4`` from an array."""
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy([float(value) for value in array.ravel()])
    return matrix


def arrayFrom(matrix: Any) -> npt.NDArray[np.float64]:
    """An array from a ``vtkMatrix4x4``."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def compact(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As files give it: int16 where all voxels fit, else float32; an array of these comes back as it is."""
    if array.dtype == np.int16 or array.dtype == np.float32:
        return array
    limits = np.iinfo(np.int16)
    if array.dtype.kind in "iu" and limits.min <= array.min() and array.max() <= limits.max:
        return array.astype(np.int16)
    return array.astype(np.float32)
