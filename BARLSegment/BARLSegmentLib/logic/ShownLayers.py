"""What the slice views show: looked at before a case is shown, and put back afterwards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import vtk

from BARLSegmentLib.logic.SceneTypes import Node, Scene, nodesOf
from BARLSegmentLib.logic.VolumeNodes import arrayFrom, matrixFrom

_COMPOSITE = "vtkMRMLSliceCompositeNode"


@dataclass(frozen=True, kw_only=True)
class ShownPlace:
    """Which part of the world a slice view shows."""

    sliceToRas: tuple[float, ...]
    """The 4 x 4 matrix, row by row: orientation and center, in mm."""

    mmPerPixel: tuple[float, float]
    """Across and up; the size of the window may change meanwhile."""

    thickness: float
    originXyz: tuple[float, ...]
    """How far the view is shifted against its center."""


@dataclass(frozen=True, kw_only=True)
class ShownLayers:
    """The layers of one slice view, by node id, and what it is turned to."""

    view: str
    background: str | None
    foreground: str | None
    label: str | None
    foregroundOpacity: float
    labelOpacity: float
    place: ShownPlace | None
    """None for layers that no slice view has opened."""


def shownLayers(scene: Scene) -> tuple[ShownLayers, ...]:
    """What every slice view shows now."""
    return tuple(
        ShownLayers(
            view=node.GetID(),
            background=node.GetBackgroundVolumeID(),
            foreground=node.GetForegroundVolumeID(),
            label=node.GetLabelVolumeID(),
            foregroundOpacity=node.GetForegroundOpacity(),
            labelOpacity=node.GetLabelOpacity(),
            place=_placeOf(_sliceNode(scene, node)),
        )
        for node in nodesOf(scene, _COMPOSITE)
    )


def showVolume(scene: Scene, volumeNode: Node) -> None:
    """Put a volume behind everything in every slice view, and nothing before it.

    A view that has shown something else is turned to the middle of the volume and shows all of it: Slicer's views stay
    where they are, which may be far away.
    """
    for node in nodesOf(scene, _COMPOSITE):
        isNew = node.GetBackgroundVolumeID() != volumeNode.GetID()
        node.SetBackgroundVolumeID(volumeNode.GetID())
        node.SetForegroundVolumeID(None)
        node.SetLabelVolumeID(None)
        sliceNode = _sliceNode(scene, node)
        if isNew and sliceNode is not None:
            _fit(sliceNode, volumeNode)


def viewsThatShow(scene: Scene, nodeIds: Collection[str]) -> frozenset[str]:
    """The views (ids of their layers) that show one of these volumes behind everything, one that is gone, or none."""
    return frozenset(
        node.GetID()
        for node in nodesOf(scene, _COMPOSITE)
        if _present(scene, shown := node.GetBackgroundVolumeID()) is None or shown in nodeIds
    )


def showAgain(scene: Scene, layers: Collection[ShownLayers]) -> None:
    """Put back what was shown; views and volumes that are gone by now are left out."""
    for shown in layers:
        node = scene.GetNodeByID(shown.view)
        if node is None:
            continue
        node.SetBackgroundVolumeID(_present(scene, shown.background))
        node.SetForegroundVolumeID(_present(scene, shown.foreground))
        node.SetLabelVolumeID(_present(scene, shown.label))
        node.SetForegroundOpacity(shown.foregroundOpacity)
        node.SetLabelOpacity(shown.labelOpacity)
        sliceNode = _sliceNode(scene, node)
        if shown.place is not None and sliceNode is not None:
            _turn(sliceNode, shown.place)


def _present(scene: Scene, nodeId: str | None) -> str | None:
    return nodeId if nodeId and scene.GetNodeByID(nodeId) is not None else None


def _sliceNode(scene: Scene, composite: Node) -> Node | None:
    """The view that shows these layers; the two know each other by name."""
    name = composite.GetLayoutName()
    return next((one for one in nodesOf(scene, "vtkMRMLSliceNode") if name and one.GetLayoutName() == name), None)


def _placeOf(sliceNode: Node | None) -> ShownPlace | None:
    if sliceNode is None:
        return None
    fieldOfView, pixels = sliceNode.GetFieldOfView(), sliceNode.GetDimensions()
    return ShownPlace(
        sliceToRas=tuple(arrayFrom(sliceNode.GetSliceToRAS()).ravel().tolist()),
        mmPerPixel=(fieldOfView[0] / max(1, pixels[0]), fieldOfView[1] / max(1, pixels[1])),
        thickness=fieldOfView[2],
        originXyz=tuple(sliceNode.GetXYZOrigin()),
    )


def _turn(sliceNode: Node, place: ShownPlace) -> None:
    changing = sliceNode.StartModify()
    sliceNode.GetSliceToRAS().DeepCopy(matrixFrom(np.reshape(place.sliceToRas, (4, 4))))
    width, height, _ = sliceNode.GetDimensions()
    across, up = place.mmPerPixel
    sliceNode.SetFieldOfView(across * max(1, width), up * max(1, height), place.thickness)
    sliceNode.SetXYZOrigin(*place.originXyz)
    sliceNode.UpdateMatrices()
    sliceNode.EndModify(changing)


def _fit(sliceNode: Node, volumeNode: Node) -> None:
    """As *Fit to window* does, without the application's slice logics."""
    bounds = [0.0] * 6
    volumeNode.GetRASBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    axes = np.abs(arrayFrom(sliceNode.GetSliceToRAS())[:3, :2])
    across, up = axes.T @ (high - low)
    width, height, _ = (max(1, pixels) for pixels in sliceNode.GetDimensions())
    mmPerPixel = max(across / width, up / height)
    if not np.isfinite(mmPerPixel) or mmPerPixel <= 0:  # A volume without voxels.
        return
    changing = sliceNode.StartModify()
    sliceNode.SetXYZOrigin(0.0, 0.0, 0.0)
    sliceNode.SetFieldOfView(mmPerPixel * width, mmPerPixel * height, sliceNode.GetFieldOfView()[2])
    sliceNode.JumpSliceByCentering(*_middleVoxel(volumeNode))
    sliceNode.EndModify(changing)


def _middleVoxel(volumeNode: Node) -> list[float]:
    """Its center in world mm: between two voxels, a brush would not know which of them is meant."""
    toRas = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(toRas)
    index = [(length - 1) // 2 for length in volumeNode.GetImageData().GetDimensions()]
    place = (arrayFrom(toRas) @ [*index, 1.0])[:3].tolist()
    world = [0.0] * 3
    volumeNode.TransformPointToWorld(place, world)
    return world
