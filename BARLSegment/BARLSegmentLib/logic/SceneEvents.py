"""What happens to a scene, told to methods that can be taken off again."""

from __future__ import annotations

from collections.abc import Callable

import slicer
import vtk

from BARLSegmentLib.logic.SceneTypes import Node, Scene

OnNode = Callable[[Node], None]


class SceneEvents:
    """Observations of one scene; ``stop`` ends them all.

    Args:
        scene: a ``vtkMRMLScene``.
        nodeAdded: called with a node that is in the scene now.
        nodeGoing: called with a node that is about to be removed and can still be asked.
        closing: called when the scene begins to close; all nodes are still there.
        closed: called when it is empty.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        nodeAdded: OnNode | None = None,
        nodeGoing: OnNode | None = None,
        closing: Callable[[], None] | None = None,
        closed: Callable[[], None] | None = None,
    ) -> None:
        self._scene = scene
        self._tags: list[int] = []
        self._observeNodes(slicer.vtkMRMLScene.NodeAddedEvent, nodeAdded)
        self._observeNodes(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, nodeGoing)
        self._observe(slicer.vtkMRMLScene.StartCloseEvent, closing)
        self._observe(slicer.vtkMRMLScene.EndCloseEvent, closed)

    def stop(self) -> None:
        """Observe no longer; may be called more than once."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags.clear()

    def _observeNodes(self, event: int, callback: OnNode | None) -> None:
        if callback is None:
            return

        @vtk.calldata_type(vtk.VTK_OBJECT)  # type: ignore[untyped-decorator, unused-ignore]
        def tell(_scene: Scene, _event: str, node: Node) -> None:
            callback(node)

        self._tags.append(self._scene.AddObserver(event, tell))

    def _observe(self, event: int, callback: Callable[[], None] | None) -> None:
        if callback is not None:
            self._tags.append(self._scene.AddObserver(event, lambda _scene, _event: callback()))


def removeWithParts(scene: Scene, node: Node) -> None:
    """Remove a node with its display and storage nodes, which a scene leaves behind; what is gone already is no error.

    Args:
        scene: where the node is.
        node: a displayable or storable node, or None.
    """
    if node is None or node.GetScene() is not scene:
        return
    parts = []
    for kind in ("Display", "Storage"):
        count = getattr(node, f"GetNumberOf{kind}Nodes", lambda: 0)()
        parts += [getattr(node, f"GetNth{kind}Node")(index) for index in range(count)]
    scene.RemoveNode(node)
    for part in parts:
        if part is not None and part.GetScene() is scene:
            scene.RemoveNode(part)
