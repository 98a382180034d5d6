"""Curves of several rounds in one chart: a table and a plot series for each, for every round has steps of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from BARLSegmentLib.logic.SceneEvents import SceneEvents
from BARLSegmentLib.logic.SceneTypes import Node, Scene

_STEP, _VALUE = "step", "value"
_COLORS = (
    (0.12, 0.47, 0.71),
    (1.00, 0.50, 0.05),
    (0.17, 0.63, 0.17),
    (0.84, 0.15, 0.16),
    (0.58, 0.40, 0.74),
    (0.55, 0.34, 0.29),
    (0.89, 0.47, 0.76),
    (0.50, 0.50, 0.50),
    (0.74, 0.74, 0.13),
    (0.09, 0.75, 0.81),
)
_LINES = ("LineStyleSolid", "LineStyleDash", "LineStyleDot")


@dataclass(frozen=True, kw_only=True)
class RoundCurve:
    """One line of the chart."""

    number: int
    """Of the round: it decides the color, so that a round keeps its color whichever others are shown."""

    name: str
    points: Sequence[tuple[float, float]]
    """(step, value)."""


class RoundCurves:
    """One chart node with as many tables and series as there are curves; none of them is saved with the scene.

    Args:
        scene: a ``vtkMRMLScene``.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chart: Node | None = None
        self._lines: list[tuple[Node, Node]] = []
        self._events = SceneEvents(scene, closed=self._onSceneClosed)

    @property
    def chartNode(self) -> Node | None:
        """The chart; None before ``draw``, and when it was removed."""
        return self._chart if self._chart is not None and self._chart.GetScene() is not None else None

    def draw(self, title: str, yTitle: str, curves: Sequence[RoundCurve], *, marksPoints: bool) -> Node:
        """Show just these curves; returns the chart node.

        Args:
            title: of the chart.
            yTitle: of the vertical axis.
            curves: what to draw.
            marksPoints: whether each value gets a mark: for few values far apart.
        """
        if self.chartNode is None:
            self.remove()
            self._chart = self._newNode("vtkMRMLPlotChartNode", title)
        chart = self._chart
        assert chart is not None
        chart.SetTitle(title)
        chart.SetXAxisTitle(_STEP)
        chart.SetYAxisTitle(yTitle)
        while len(self._lines) > len(curves):
            self._removeLine()
        while len(self._lines) < len(curves):
            self._addLine(chart)
        for (table, series), curve in zip(self._lines, curves, strict=True):
            _fill(table, curve.points)
            _style(series, curve, marksPoints)
        return chart

    def remove(self) -> None:
        """Take the nodes away."""
        while self._lines:
            self._removeLine()
        if self.chartNode is not None:
            self._scene.RemoveNode(self._chart)
        self._chart = None

    def cleanup(self) -> None:
        """Take the nodes away for good; called when the module goes."""
        self._events.stop()
        self.remove()

    def _addLine(self, chart: Node) -> None:
        table = self._newNode("vtkMRMLTableNode", "Round")
        for name in (_STEP, _VALUE):
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            table.AddColumn(column)
        series = self._newNode("vtkMRMLPlotSeriesNode", "Round")
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetXColumnName(_STEP)
        series.SetYColumnName(_VALUE)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
        self._lines.append((table, series))

    def _removeLine(self) -> None:
        for node in reversed(self._lines.pop()):
            if node.GetScene() is not None:
                self._scene.RemoveNode(node)

    def _newNode(self, className: str, name: str) -> Node:
        node = self._scene.CreateNodeByClass(className)
        node.UnRegister(None)  # Creating counts one owner more than the scene and Python do.
        node.SetName(name)
        node.SetSaveWithScene(False)
        node.SetUndoEnabled(False)
        return self._scene.AddNode(node)

    def _onSceneClosed(self) -> None:
        self._chart = None
        self._lines.clear()


def _fill(node: Node, points: Sequence[tuple[float, float]]) -> None:
    changing = node.StartModify()
    values = np.array(points, np.float64).reshape(-1, 2)
    for index, name in enumerate((_STEP, _VALUE)):
        column = node.GetTable().GetColumnByName(name)
        column.DeepCopy(numpy_to_vtk(np.ascontiguousarray(values[:, index])))
        column.SetName(name)  # A deep copy takes over that there is none.
    node.GetTable().Modified()
    node.EndModify(changing)


def _style(series: Node, curve: RoundCurve, marksPoints: bool) -> None:
    kind = slicer.vtkMRMLPlotSeriesNode
    line = _LINES[curve.number // len(_COLORS) % len(_LINES)]
    series.SetName(curve.name)
    series.SetColor(*_COLORS[curve.number % len(_COLORS)])
    series.SetLineStyle(getattr(kind, line))
    series.SetMarkerStyle(kind.MarkerStyleCircle if marksPoints else kind.MarkerStyleNone)
