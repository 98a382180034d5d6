"""A box around a region, as an outline in the slice views and as a wire frame in 3-D."""

from __future__ import annotations

import slicer
import vtk

from BARLSegmentLib.logic.Regions import Region
from BARLSegmentLib.logic.SceneEvents import removeWithParts
from BARLSegmentLib.logic.SceneTypes import Node, Scene

COLOR = (0.2, 0.9, 1.0)
"""Cyan: in neither the uncertainty colors nor, as a rule, in a label table."""

_MARGIN_MM = 1.0
"""The outline must not lie on the voxels it is about."""

_LINE_PIXELS = 2


class RegionMarker:
    """One model node that is moved from region to region; it is not saved, listed, picked or undone.

    Args:
        scene: a ``vtkMRMLScene``; the node is added when a region is shown for the first time.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._node: Node | None = None
        self._isVisible = True

    @property
    def node(self) -> Node | None:
        """The model node; None before the first region, and when the user or a closing scene has removed it."""
        return self._node if self._node is not None and self._node.GetScene() is not None else None

    def show(self, region: Region, transformId: str | None = None) -> None:
        """Put the box around a region.

        Args:
            region: in the space of the image.
            transformId: the image's parent transform, which the box follows.
        """
        node = self._node = self.node or self._addNode()
        node.SetAndObserveTransformNodeID(transformId)
        box = vtk.vtkCubeSource()
        box.SetBounds(*(side for low, high in region.boundsRasMm for side in (low - _MARGIN_MM, high + _MARGIN_MM)))
        box.Update()
        node.SetAndObservePolyData(box.GetOutput())

    def setVisible(self, isVisible: bool) -> None:
        """Hide the box, also from region to region, or bring it back."""
        self._isVisible = isVisible
        if self.node is not None:
            self.node.SetDisplayVisibility(isVisible)

    def remove(self) -> None:
        """Take the box away."""
        removeWithParts(self._scene, self.node)
        self._node = None

    def _addNode(self) -> Node:
        node = self._scene.CreateNodeByClass("vtkMRMLModelNode")
        node.UnRegister(None)  # Creating counts one owner more than the scene and Python do.
        node.SetName("Region to review")
        display = self._scene.CreateNodeByClass("vtkMRMLModelDisplayNode")
        display.UnRegister(None)
        for one in (node, display):
            one.SetSaveWithScene(False)
            one.SetHideFromEditors(True)
            one.SetUndoEnabled(False)
        node.SetSelectable(False)
        display.SetColor(*COLOR)
        display.SetRepresentation(slicer.vtkMRMLDisplayNode.WireframeRepresentation)
        display.SetLighting(False)
        display.SetVisibility2D(True)
        display.SetSliceIntersectionThickness(_LINE_PIXELS)
        self._scene.AddNode(display)
        self._scene.AddNode(node)
        node.SetAndObserveDisplayNodeID(display.GetID())
        node.SetDisplayVisibility(self._isVisible)
        return node
