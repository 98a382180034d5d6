"""The colors of an uncertainty map: one table in the scene, so that a color means the same in every case."""

from __future__ import annotations

import numpy as np

from BARLSegmentLib.logic.SceneTypes import Node, Scene

TAG = "BARLUncertainty"
"""Singleton tag: a saved scene that is loaded again brings no second table."""

_COUNT = 256

_STOPS = ((0.0, (1.00, 0.93, 0.45)), (0.35, (1.00, 0.62, 0.10)), (0.7, (0.90, 0.13, 0.20)), (1.0, (0.80, 0.00, 0.65)))
"""Position 0 to 1 and color: from sure to unsure. Bone is white, air black and labels are pale, so no color is."""


def uncertaintyColors(scene: Scene) -> Node:
    """The color node of the scene, made when it is not there yet.

    Args:
        scene: a ``vtkMRMLScene``; gets a ``vtkMRMLColorTableNode``.
    """
    known = scene.GetSingletonNode(TAG, "vtkMRMLColorTableNode")
    if known is not None:
        return known
    node = scene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.UnRegister(None)  # Creating counts one owner more than the scene and Python do.
    node.SetName("Uncertainty")
    node.SetSingletonTag(TAG)
    node.SetAttribute("Category", "BARL")
    node.SetTypeToUser()
    node.SetNumberOfColors(_COUNT)
    for index, (red, green, blue) in enumerate(_ramp()):
        node.SetColor(index, f"{index / (_COUNT - 1):.2f}", red, green, blue, 1.0)
    return scene.AddNode(node)


def _ramp() -> list[tuple[float, float, float]]:
    places = np.linspace(0.0, 1.0, _COUNT)
    at = [stop[0] for stop in _STOPS]
    parts = [np.interp(places, at, [stop[1][part] for stop in _STOPS]) for part in range(3)]
    return [(float(red), float(green), float(blue)) for red, green, blue in zip(*parts, strict=True)]
