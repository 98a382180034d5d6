"""Numbers over training steps: a table node, a plot series for each column, and a chart."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from BARLSegmentLib.logic.SceneTypes import Node, Scene

MOST_ROWS = 2000
"""More than a plot has pixels; beyond it every second row is left out, so that an update takes as long after a night as
after a minute."""

_COLORS = ((0.12, 0.47, 0.71), (1.0, 0.5, 0.05), (0.17, 0.63, 0.17), (0.84, 0.15, 0.16), (0.58, 0.4, 0.74))
_STEP = "step"


class CurveChart:
    """Curves that grow; the nodes are changed by ``update`` only.

    The nodes are not saved with the scene: they can be made again from the job folder at any time.

    Args:
        scene: a ``vtkMRMLScene``; gets its nodes with ``show``.
        title: of chart and table.
        yTitle: of the vertical axis.
        marksPoints: whether each value gets a mark: for few values far apart.
    """

    def __init__(self, scene: Scene, title: str, yTitle: str, *, marksPoints: bool = False) -> None:
        self._scene = scene
        self._title = title
        self._yTitle = yTitle
        self._marksPoints = marksPoints
        self._steps: list[float] = []
        self._columns: dict[str, list[float]] = {}
        self._stride, self._skipped = 1, 0
        self._changed = False
        self._table: Node | None = None
        self._chart: Node | None = None
        self._series: dict[str, Node] = {}

    @property
    def tableNode(self) -> Node | None:
        """The table; None before ``show``, and when it was removed."""
        return _present(self._table)

    @property
    def chartNode(self) -> Node | None:
        """The chart; None before ``show``, and when it was removed."""
        return _present(self._chart)

    def add(self, step: float, values: Mapping[str, float]) -> None:
        """Add one row; a column that a row lacks has a gap there."""
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        for name in values:
            self._columns.setdefault(name, [math.nan] * len(self._steps))
        self._steps.append(step)
        for name, column in self._columns.items():
            column.append(values.get(name, math.nan))
        if len(self._steps) > MOST_ROWS:
            self._thinOut()
        self._changed = True

    def rewind(self, step: float) -> None:
        """Forget the rows after a step: a resumed job takes these steps again."""
        rows = bisect_right(self._steps, step)
        for column in (self._steps, *self._columns.values()):
            del column[rows:]
        self._changed = True

    def clear(self) -> None:
        """Forget all rows."""
        self._steps.clear()
        self._columns.clear()
        self._stride, self._skipped = 1, 0
        self._changed = True

    def show(self) -> Node:
        """Make the nodes where they are missing, with what is known; returns the chart node."""
        if self.tableNode is None or self.chartNode is None:
            self.remove()
            self._table = self._newNode("vtkMRMLTableNode", self._title)
            self._chart = self._newNode("vtkMRMLPlotChartNode", self._title)
            self._chart.SetTitle(self._title)
            self._chart.SetXAxisTitle(_STEP)
            self._chart.SetYAxisTitle(self._yTitle)
            self._changed = True
        self.update()
        return self._chart

    def update(self) -> bool:
        """Write new rows into the nodes, if they are there; returns whether there was anything to write."""
        table = self.tableNode
        if not self._changed or table is None or self.chartNode is None:
            return False
        self._changed = False
        changing = table.StartModify()
        for name in [*self._series]:
            if name not in self._columns:
                self._dropColumn(name)
        self._fill(_STEP, self._steps)
        for name, values in self._columns.items():
            self._fill(name, values)
        table.GetTable().Modified()
        table.EndModify(changing)
        for name in self._columns:
            if _present(self._series.get(name)) is None:
                self._addSeries(name)
        return True

    def remove(self) -> None:
        """Take the nodes away; the rows are kept."""
        for node in (self._chart, *self._series.values(), self._table):
            if _present(node) is not None:
                self._scene.RemoveNode(node)
        self._table = self._chart = None
        self._series.clear()

    def _thinOut(self) -> None:
        self._stride *= 2
        for column in (self._steps, *self._columns.values()):
            del column[::2]

    def _fill(self, name: str, values: list[float]) -> None:
        assert self._table is not None
        table = self._table.GetTable()
        column = table.GetColumnByName(name)
        if column is None:
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            column.SetNumberOfValues(len(values))
            table.AddColumn(column)
        column.DeepCopy(numpy_to_vtk(np.array(values, np.float64)))
        column.SetName(name)  # A deep copy takes over that there is none.

    def _dropColumn(self, name: str) -> None:
        assert self._table is not None
        self._table.GetTable().RemoveColumnByName(name)
        series = self._series.pop(name)
        if _present(series) is not None:
            self._scene.RemoveNode(series)

    def _addSeries(self, name: str) -> None:
        assert self._table is not None
        assert self._chart is not None
        series = self._newNode("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(self._table.GetID())
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetXColumnName(_STEP)
        series.SetYColumnName(name)
        kind = slicer.vtkMRMLPlotSeriesNode
        series.SetMarkerStyle(kind.MarkerStyleCircle if self._marksPoints else kind.MarkerStyleNone)
        series.SetColor(*_COLORS[len(self._series) % len(_COLORS)])
        self._series[name] = series
        self._chart.AddAndObservePlotSeriesNodeID(series.GetID())

    def _newNode(self, className: str, name: str) -> Node:
        node = self._scene.CreateNodeByClass(className)
        node.UnRegister(None)  # Creating counts one owner more than the scene and Python do.
        node.SetName(self._scene.GenerateUniqueName(name))
        node.SetSaveWithScene(False)
        node.SetUndoEnabled(False)
        return self._scene.AddNode(node)


def _present(node: Node | None) -> Node | None:
    return node if node is not None and node.GetScene() is not None else None
