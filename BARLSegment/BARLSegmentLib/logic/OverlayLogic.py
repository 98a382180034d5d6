"""An uncertainty map over the slice views, and the views as they were when it goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from barl.errors import InputError, SettingsError
from BARLSegmentLib.logic.MapKind import MAP_ATTRIBUTE, SEGMENTATION_ROLE
from BARLSegmentLib.logic.SceneEvents import SceneEvents
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.logic.UncertaintyColors import uncertaintyColors

_COMPOSITE = "vtkMRMLSliceCompositeNode"
_LEGEND = "vtkMRMLColorLegendDisplayNode"
_LEGEND_SIZE = (0.06, 0.3)
"""Share of the view's width and height; letters grow with it. Slicer's 0.15 and 0.5 cover a fifth of a small view."""
_LEGEND_LETTERS = 8


@dataclass(frozen=True, kw_only=True)
class OverlaySettings:
    """What may be adjusted."""

    threshold: float = 0.2
    """Voxels below it are transparent, 0 to 1. With six classes 0.2 is where the second guess has about one chance in
    ten, so what is sure stays as gray as it was."""

    opacity: float = 0.5
    """Of the map over the image, 0 to 1: half lets edges shine through."""

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("opacity", self.opacity)):
            if not 0.0 <= value <= 1.0:
                raise SettingsError(f"The {name} of the overlay must be from 0 to 1, got {value}.")


@dataclass(frozen=True)
class _Layer:
    """What a slice view showed in front before."""

    volumeId: str | None
    opacity: float


class OverlayLogic:
    """Shows one map in all slice views of a scene; colors always mean 0 to 1.

    It changes the display node of the map (range, colors, threshold, legend) and the foreground of the slice views;
    the segments that the map tells about are outlines while it is shown. Nothing else changes. A view whose foreground
    the user has chosen anew in the meantime keeps the user's choice.

    Args:
        scene: a ``vtkMRMLScene``.
        settings: threshold and opacity to begin with.
    """

    def __init__(self, scene: Scene, settings: OverlaySettings | None = None) -> None:
        self._scene = scene
        self._settings = settings or OverlaySettings()
        self._map: Node = None
        self._shown = False
        self._before: dict[str, _Layer] = {}
        self._filled: Node = None
        self._events = SceneEvents(
            scene, nodeAdded=self._onNodeAdded, nodeGoing=self._onNodeGoing, closing=self._forget
        )

    @property
    def settings(self) -> OverlaySettings:
        """Threshold and opacity as they are."""
        return self._settings

    @property
    def mapNode(self) -> Node:
        """The map that is or was shown last; None when there is none, or it was removed."""
        return self._map

    @property
    def isShown(self) -> bool:
        """Whether the map is over the slice views."""
        return self._shown

    def show(self, mapNode: Node) -> None:
        """Put a map over the slice views, in the place of another one.

        Args:
            mapNode: a ``vtkMRMLScalarVolumeNode`` of this scene with values from 0 to 1; its display node changes.

        Raises:
            InputError: there is no map.
        """
        if mapNode is None or mapNode.GetScene() is not self._scene:
            raise InputError(
                "There is no uncertainty map to show: this prediction has none, or it was removed from the scene. "
                "Predict the case again, or choose another case."
            )
        if mapNode is not self._map:
            self.hide()
            self._map = mapNode
            self._prepare(mapNode)
        self._shown = True
        for view in self._views():
            self._cover(view)
        self._outlineSegments()
        self._setLegend(True)

    def hide(self) -> None:
        """Bring back what the slice views showed before."""
        if not self._shown:
            return
        self._shown = False
        self._setLegend(False)
        for view in self._views():
            self._uncover(view)
        self._before.clear()
        self._fillSegments()

    def toggle(self) -> bool:
        """Hide the map, or show it again; returns whether it is shown now.

        Raises:
            InputError: there is no map to show.
        """
        if self._shown:
            self.hide()
        else:
            self.show(self._map)
        return self._shown

    def setThreshold(self, threshold: float) -> None:
        """Make all below it transparent.

        Raises:
            SettingsError: it is not from 0 to 1.
        """
        self._settings = replace(self._settings, threshold=threshold)
        if self._map is not None:
            self._map.GetDisplayNode().SetLowerThreshold(threshold)

    def setOpacity(self, opacity: float) -> None:
        """Set how strongly the map covers the image.

        Raises:
            SettingsError: it is not from 0 to 1.
        """
        self._settings = replace(self._settings, opacity=opacity)
        for view in self._views():
            if self._covers(view):
                view.SetForegroundOpacity(opacity)

    def cleanup(self) -> None:
        """Bring the views back and watch the scene no longer; called when the module goes."""
        self.hide()
        self._events.stop()

    def _prepare(self, mapNode: Node) -> None:
        if mapNode.GetDisplayNode() is None:
            mapNode.CreateDefaultDisplayNodes()
        display = mapNode.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, 1.0)
        display.SetAndObserveColorNodeID(uncertaintyColors(self._scene).GetID())
        display.SetInterpolate(False)  # Each voxel shows its own value, and a slice is cut in fewer steps.
        display.AutoThresholdOff()
        display.SetLowerThreshold(self._settings.threshold)
        display.SetUpperThreshold(1.0)
        display.ApplyThresholdOn()

    def _setLegend(self, visible: bool) -> None:
        legend = self._legend() or (self._addLegend() if visible else None)
        if legend is not None:
            legend.SetVisibility(visible)
            # Views look whether the volume of a legend is shown only when the legend says that it has changed.
            legend.Modified()

    def _legend(self) -> Node:
        count = self._map.GetNumberOfDisplayNodes()
        nodes = [self._map.GetNthDisplayNode(index) for index in range(count)]
        return next((node for node in nodes if node is not None and node.IsA(_LEGEND)), None)

    def _addLegend(self) -> Node:
        legend = self._scene.AddNewNodeByClass(_LEGEND)
        if legend is None:  # An application without the Colors module has no legends.
            return None
        legend.SetTitleText((self._map.GetAttribute(MAP_ATTRIBUTE) or "uncertainty").capitalize())
        legend.SetLabelFormat("%.1f")
        legend.SetNumberOfLabels(6)
        legend.SetSize(*_LEGEND_SIZE)
        legend.GetTitleTextProperty().SetFontSize(_LEGEND_LETTERS)
        legend.GetLabelTextProperty().SetFontSize(_LEGEND_LETTERS)
        legend.SetMaxNumberOfColors(256)
        legend.SetAndObservePrimaryDisplayNode(self._map.GetDisplayNode())
        self._map.AddAndObserveDisplayNodeID(legend.GetID())
        return legend

    def _outlineSegments(self) -> None:
        """Filled ones would hide the map, and are drawn more slowly."""
        segmentation = self._map.GetNodeReference(SEGMENTATION_ROLE)
        display = None if segmentation is None else segmentation.GetDisplayNode()
        if display is not None and display.GetVisibility2DFill():
            display.SetVisibility2DFill(False)
            self._filled = display

    def _fillSegments(self) -> None:
        if self._filled is not None and self._filled.GetScene() is self._scene:
            self._filled.SetVisibility2DFill(True)
        self._filled = None

    def _views(self) -> Iterator[Node]:
        for index in range(self._scene.GetNumberOfNodesByClass(_COMPOSITE)):
            yield self._scene.GetNthNodeByClass(index, _COMPOSITE)

    def _covers(self, view: Node) -> bool:
        return self._shown and self._map is not None and view.GetForegroundVolumeID() == self._map.GetID()

    def _cover(self, view: Node) -> None:
        if self._covers(view):
            return
        self._before[view.GetID()] = _Layer(view.GetForegroundVolumeID(), view.GetForegroundOpacity())
        changed = view.StartModify()
        view.SetForegroundVolumeID(self._map.GetID())
        view.SetForegroundOpacity(self._settings.opacity)
        view.EndModify(changed)

    def _uncover(self, view: Node) -> None:
        before = self._before.get(view.GetID())
        if before is None or view.GetForegroundVolumeID() != self._map.GetID():
            return
        volumeId = before.volumeId if before.volumeId and self._scene.GetNodeByID(before.volumeId) else None
        changed = view.StartModify()
        view.SetForegroundVolumeID(volumeId)
        view.SetForegroundOpacity(before.opacity)
        view.EndModify(changed)

    def _onNodeAdded(self, node: Node) -> None:
        """A layout with more views has been chosen: they show the map too."""
        if self._shown and node.IsA(_COMPOSITE):
            self._cover(node)
            self._setLegend(True)

    def _onNodeGoing(self, node: Node) -> None:
        if node is self._map:
            self.hide()
            legend = self._legend()
            if legend is not None:  # A scene leaves it behind.
                self._scene.RemoveNode(legend)
            self._map = None

    def _forget(self) -> None:
        """The scene closes: its volumes go, but the slice views stay, with the opacity they had before."""
        self.hide()
        self._map = None
