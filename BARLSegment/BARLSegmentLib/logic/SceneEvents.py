"""What happens to a scene, told to methods that can be taken off again."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakMethod

import slicer
import vtk

from BARLSegmentLib.logic.SceneTypes import Node, Scene

OnNode = Callable[[Node], None]


class SceneEvents:
    """Observations of one scene; ``stop`` ends them all.

    What is called are methods, of objects that somebody else keeps: an observation keeps none.

    Args:
        scene: a ``vtkMRMLScene``.
        nodeAdded: called with a node that is in the scene now.
        nodeGoing: called with a node that is about to be removed and can still be asked.
        nodeRemoved: called with a node that has been removed.
        closing: called when the scene begins to close; all nodes are still there.
        closed: called when it is empty.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        nodeAdded: OnNode | None = None,
        nodeGoing: OnNode | None = None,
        nodeRemoved: OnNode | None = None,
        closing: Callable[[], None] | None = None,
        closed: Callable[[], None] | None = None,
    ) -> None:
        self._scene = scene
        self._tags: list[int] = []
        events = slicer.vtkMRMLScene
        self._observe(events.NodeAddedEvent, nodeAdded and _ToldOfNode(nodeAdded))
        self._observe(events.NodeAboutToBeRemovedEvent, nodeGoing and _ToldOfNode(nodeGoing))
        self._observe(events.NodeRemovedEvent, nodeRemoved and _ToldOfNode(nodeRemoved))
        self._observe(events.StartCloseEvent, closing and _Told(closing))
        self._observe(events.EndCloseEvent, closed and _Told(closed))

    def stop(self) -> None:
        """Observe no longer; may be called more than once."""
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._tags.clear()

    def _observe(self, event: int, told: _Told | None) -> None:
        if told is not None:
            self._tags.append(self._scene.AddObserver(event, told))


class _Told:
    """What a scene calls: an object that keeps nobody alive.

    A function that kept its logic would form a ring with the scene, which Python may take apart function first: the
    scene's own end would then call what is no function any more, and end the process.
    """

    def __init__(self, method: Callable[..., None]) -> None:
        self._reference = WeakMethod(method)

    def __call__(self, scene: Scene, event: str) -> None:
        method = self._method()
        if method is not None:
            method()

    def _method(self) -> Callable[..., None] | None:
        """None when nobody is there any more, also when this object itself is just being taken apart."""
        reference = getattr(self, "_reference", None)
        return None if reference is None else reference()


class _ToldOfNode(_Told):
    """The same for events that come with a node."""

    CallDataType = vtk.VTK_OBJECT

    def __call__(self, scene: Scene, event: str, node: Node = None) -> None:
        method = self._method()
        if method is not None and node is not None:
            method(node)


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
