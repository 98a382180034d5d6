"""Names for what VTK's Python bindings give, which carry no types."""

from __future__ import annotations

from typing import Any

Scene = Any
"""A ``vtkMRMLScene``."""

Node = Any
"""A ``vtkMRMLNode`` of the kind that the argument's name says."""
