"""What the slice views show: looked at before a case is shown, and put back afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from BARLSegmentLib.logic.SceneTypes import Node, Scene, nodesOf


@dataclass(frozen=True, kw_only=True)
class ShownLayers:
    """The layers of one slice view, by node id."""

    view: str
    background: str | None
    foreground: str | None
    label: str | None
    foregroundOpacity: float
    labelOpacity: float


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
        )
        for node in nodesOf(scene, "vtkMRMLSliceCompositeNode")
    )


def showVolume(scene: Scene, volumeNode: Node) -> None:
    """Put a volume behind everything in every slice view, and nothing before it."""
    for node in nodesOf(scene, "vtkMRMLSliceCompositeNode"):
        node.SetBackgroundVolumeID(volumeNode.GetID())
        node.SetForegroundVolumeID(None)
        node.SetLabelVolumeID(None)


def showAgain(scene: Scene, layers: tuple[ShownLayers, ...]) -> None:
    """Put back what was shown; views and volumes that are gone by now are left out."""

    def present(nodeId: str | None) -> str | None:
        return nodeId if nodeId and scene.GetNodeByID(nodeId) is not None else None

    for shown in layers:
        node = scene.GetNodeByID(shown.view)
        if node is None:
            continue
        node.SetBackgroundVolumeID(present(shown.background))
        node.SetForegroundVolumeID(present(shown.foreground))
        node.SetLabelVolumeID(present(shown.label))
        node.SetForegroundOpacity(shown.foregroundOpacity)
        node.SetLabelOpacity(shown.labelOpacity)
