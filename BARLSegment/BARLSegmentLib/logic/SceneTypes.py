"""Scenes and nodes: names for what VTK's Python bindings give without types, and the nodes of a class."""

from __future__ import annotations

from typing import Any

Scene = Any
"""A ``vtkMRMLScene``."""

Node = Any
"""A ``vtkMRMLNode`` of the kind that the argument's name says."""


def nodesOf(scene: Scene, className: str) -> list[Node]:
    """All nodes of a class or derived from it; ``slicer.util.getNodesByClass`` knows the application's scene only."""
    return [scene.GetNthNodeByClass(number, className) for number in range(scene.GetNumberOfNodesByClass(className))]
