"""The volumes of the scene in a list, with a check mark each."""

from __future__ import annotations

from typing import Any

import qt

from BARLSegmentLib.logic.SceneTypes import Node, Scene, nodesOf


class VolumeChecklist:
    """Fills a ``QListWidget``; new volumes come checked.

    Args:
        scene: where the volumes are.
        widget: the list.
    """

    def __init__(self, scene: Scene, widget: Any) -> None:
        self._scene, self._widget = scene, widget

    def refresh(self) -> None:
        """Show the volumes that there are now; what was unchecked stays unchecked."""
        unchecked = {item.data(qt.Qt.UserRole) for item in self._items() if item.checkState() == qt.Qt.Unchecked}
        self._widget.clear()
        for node in self._volumes():
            item = qt.QListWidgetItem(node.GetName())
            item.setData(qt.Qt.UserRole, node.GetID())
            item.setCheckState(qt.Qt.Unchecked if node.GetID() in unchecked else qt.Qt.Checked)
            self._widget.addItem(item)

    def checked(self) -> list[Node]:
        """The volumes with a mark, as far as they are still in the scene."""
        ids = [item.data(qt.Qt.UserRole) for item in self._items() if item.checkState() == qt.Qt.Checked]
        nodes = [self._scene.GetNodeByID(each) for each in ids]
        return [node for node in nodes if node is not None]

    def _volumes(self) -> list[Node]:
        nodes = nodesOf(self._scene, "vtkMRMLScalarVolumeNode")
        return [node for node in nodes if not node.IsA("vtkMRMLLabelMapVolumeNode") and not node.GetHideFromEditors()]

    def _items(self) -> list[Any]:
        return [self._widget.item(row) for row in range(self._widget.count)]
