"""Bodies for the widgets of Slicer that show MRML nodes: real nodes below, simple pictures on top."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import slicer_core
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

_EFFECTS = ["Threshold", "Paint", "Draw", "Erase", "Level tracing", "Grow from seeds", "Fill between slices", "Margin"]
_EFFECTS += ["Hollow", "Smoothing", "Scissors", "Islands", "Logical operators", "Mask volume"]
_NO_EFFECT = "No editing"


class _SceneWidget(QtWidgets.QWidget):
    """Knows its scene and follows what happens in it."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._tags: list[tuple[Any, int]] = []
        self.destroyed.connect(functools.partial(_remove_observers, self._tags))

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        _remove_observers(self._tags)
        self._scene = scene
        if scene is not None:
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent):
                self._tags.append((scene, scene.AddObserver(event, lambda *_: self._follow())))
        self._follow()
        self.mrmlSceneChanged.emit(scene)

    def _follow(self) -> None:
        """What is shown after the scene changed."""


def _remove_observers(tags: list[tuple[Any, int]], *_: Any) -> None:
    while tags:
        observed, tag = tags.pop()
        observed.RemoveObserver(tag)


class qMRMLWidget(_SceneWidget):
    """A widget that hands its scene to the widgets in it, by the connections of the .ui file."""


class qMRMLNodeComboBox(_SceneWidget):
    """A list of the nodes of some classes."""

    currentNodeChanged = Signal(object)
    currentNodeChangedBool = Signal(bool)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)
    OVERLOADS: ClassVar = {"currentNodeChanged(bool)": "currentNodeChangedBool"}

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox(self)
        self._types: list[str] = []
        self._none, self._none_text, self._hidden = False, "None", False
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self.setFocusProxy(self._combo)
        self._combo.currentIndexChanged.connect(lambda _: self._announce())

    def currentNode(self) -> Any:
        identifier = self._combo.currentData()
        return self._scene.GetNodeByID(identifier) if self._scene is not None and identifier else None

    def setCurrentNode(self, node: Any) -> None:
        identifier = node if isinstance(node, str) else node.GetID() if node is not None else None
        self._combo.setCurrentIndex(max(self._combo.findData(identifier), 0 if self._none else -1))

    def setCurrentNodeID(self, identifier: str) -> None:
        self.setCurrentNode(identifier)

    def nodeCount(self) -> int:
        return self._combo.count() - (1 if self._none else 0)

    def nodeFromIndex(self, index: int) -> Any:
        return self._scene.GetNodeByID(self._combo.itemData(index + (1 if self._none else 0)))

    def _follow(self) -> None:
        wanted = self._combo.currentData()
        nodes = [] if self._scene is None else [each for kind in self._types for each in self._of(kind)]
        blocked = self._combo.blockSignals(True)
        self._combo.clear()
        if self._none:
            self._combo.addItem(self._none_text, None)
        for node in nodes:
            self._combo.addItem(node.GetName(), node.GetID())
        self._combo.setCurrentIndex(max(self._combo.findData(wanted), 0 if self._combo.count() else -1))
        self._combo.blockSignals(blocked)
        if self._combo.currentData() != wanted:
            self._announce()

    def _of(self, kind: str) -> list[Any]:
        nodes = [
            self._scene.GetNthNodeByClass(index, kind) for index in range(self._scene.GetNumberOfNodesByClass(kind))
        ]
        return [each for each in nodes if self._hidden or not each.GetHideFromEditors()]

    def _announce(self) -> None:
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self.currentNodeChangedBool.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _set_types(self, types: list[str]) -> None:
        self._types = list(types)
        self._follow()

    def _set_none(self, enabled: bool) -> None:
        self._none = enabled
        self._follow()

    def _set_none_text(self, text: str) -> None:
        self._none_text = text
        self._follow()

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)
    noneEnabled = Property(bool, lambda self: self._none, _set_none)
    noneDisplay = Property(str, lambda self: self._none_text, _set_none_text)
    showHidden = Property(bool, lambda self: self._hidden, lambda self, value: setattr(self, "_hidden", value))
    addEnabled = Property(bool, lambda self: False, lambda self, value: None)
    removeEnabled = Property(bool, lambda self: False, lambda self, value: None)
    renameEnabled = Property(bool, lambda self: False, lambda self, value: None)
    editEnabled = Property(bool, lambda self: False, lambda self, value: None)
    selectNodeUponCreation = Property(bool, lambda self: True, lambda self, value: None)
    showChildNodeTypes = Property(bool, lambda self: True, lambda self, value: None)
    currentNodeID = Property(str, lambda self: self._combo.currentData() or "", setCurrentNodeID)


class qMRMLSegmentEditorWidget(_SceneWidget):
    """The segment editor: real editor node and segmentation, real undo; effects are buttons that do nothing."""

    segmentationNodeChanged = Signal(object)
    sourceVolumeNodeChanged = Signal(object)
    currentSegmentIDChanged = Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._shortcuts = False
        self._observes_views = False
        self._read_only = False
        self._shown = {"segmentation": True, "source": True}
        self._history = slicer_core.vtkSegmentationHistory()
        self._table = QtWidgets.QTableWidget(0, 2, self)
        self._table.setHorizontalHeaderLabels(["", "Name"])
        self._table.verticalHeader().hide()
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.setColumnWidth(0, 28)
        self._table.setMinimumHeight(110)
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.itemSelectionChanged.connect(self._select)
        self._buttons = QtWidgets.QButtonGroup(self)
        self._undo = QtWidgets.QPushButton("Undo", self)
        self._redo = QtWidgets.QPushButton("Redo", self)
        self._undo.clicked.connect(self.undo)
        self._redo.clicked.connect(self.redo)
        self._arrange()

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self._node = node
        self._follow()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not None and self._node is None:
            raise AssertionError("setMRMLSegmentEditorNode comes before setMRMLScene")
        super().setMRMLScene(scene)

    def setSegmentationNode(self, node: Any) -> None:
        if self._node is None:
            raise AssertionError("setMRMLSegmentEditorNode comes before setSegmentationNode")
        self._node.SetAndObserveSegmentationNode(node)
        self._history.RemoveAllStates()
        self._history.SetSegmentation(node.GetSegmentation() if node is not None else None)
        self._follow()
        self.segmentationNodeChanged.emit(node)

    def segmentationNode(self) -> Any:
        return self._node.GetSegmentationNode() if self._node is not None else None

    def setSourceVolumeNode(self, node: Any) -> None:
        if node is not None and self.segmentationNode() is None:
            raise AssertionError("setSegmentationNode comes before setSourceVolumeNode")
        self._node.SetAndObserveSourceVolumeNode(node)
        self.sourceVolumeNodeChanged.emit(node)

    def sourceVolumeNode(self) -> Any:
        return self._node.GetSourceVolumeNode() if self._node is not None else None

    def currentSegmentID(self) -> str:
        return (self._node.GetSelectedSegmentID() or "") if self._node is not None else ""

    def setCurrentSegmentID(self, identifier: str) -> None:
        self._node.SetSelectedSegmentID(identifier)
        self.currentSegmentIDChanged.emit(identifier)

    def activeEffect(self) -> Any:
        return None

    def setActiveEffect(self, effect: Any) -> None:
        if effect is not None:
            raise NotImplementedError("the stand-in has no effects: setActiveEffectByName")
        self.setActiveEffectByName("")

    def setActiveEffectByName(self, name: str) -> None:
        if self._node is not None:
            self._node.SetActiveEffectName(name)
        for button in self._buttons.buttons():
            button.setChecked(button.text() == (name or _NO_EFFECT))

    def availableEffectNames(self) -> list[str]:
        return list(_EFFECTS)

    def saveStateForUndo(self) -> None:
        self._history.SaveState()

    def undo(self) -> None:
        self._history.RestorePreviousState()
        self._follow()

    def redo(self) -> None:
        self._history.RestoreNextState()
        self._follow()

    def installKeyboardShortcuts(self, _parent: Any = None) -> None:
        self._shortcuts = True

    def uninstallKeyboardShortcuts(self) -> None:
        self._shortcuts = False

    def setupViewObservations(self) -> None:
        self._observes_views = True

    def removeViewObservations(self) -> None:
        self._observes_views = False

    def updateWidgetFromMRML(self) -> None:
        self._follow()

    def rotateSliceViewsToSegmentation(self) -> None:
        """There are no slice views to rotate."""

    def _arrange(self) -> None:
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        grid = QtWidgets.QGridLayout()
        grid.setSpacing(2)
        for index, name in enumerate([_NO_EFFECT, *_EFFECTS]):
            button = QtWidgets.QToolButton(self)
            button.setText(name)
            button.setCheckable(True)
            button.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Fixed)
            button.clicked.connect(
                lambda _=False, name=name: self.setActiveEffectByName(name if name in _EFFECTS else "")
            )
            self._buttons.addButton(button)
            grid.addWidget(button, index // 3, index % 3)
        layout.addLayout(grid)
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self._undo)
        row.addWidget(self._redo)
        layout.addLayout(row)

    def _follow(self) -> None:
        node = self.segmentationNode()
        segmentation = node.GetSegmentation() if node is not None else None
        count = segmentation.GetNumberOfSegments() if segmentation is not None else 0
        blocked = self._table.blockSignals(True)
        self._table.setRowCount(count)
        for row in range(count):
            segment = segmentation.GetNthSegment(row)
            swatch = QtWidgets.QTableWidgetItem()
            swatch.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            self._table.setItem(row, 0, swatch)
            self._table.setItem(row, 1, QtWidgets.QTableWidgetItem(segment.GetName()))
        self._table.blockSignals(blocked)
        self._undo.setEnabled(self._history.IsRestorePreviousStateAvailable())
        self._redo.setEnabled(self._history.IsRestoreNextStateAvailable())

    def _select(self) -> None:
        node, rows = self.segmentationNode(), self._table.selectionModel().selectedRows()
        if node is not None and rows:
            self.setCurrentSegmentID(node.GetSegmentation().GetNthSegmentID(rows[0].row()))

    def _set_read_only(self, value: bool) -> None:
        self._read_only = value
        self.setEnabled(not value)

    maximumNumberOfUndoStates = Property(
        int,
        lambda self: self._history.GetMaximumNumberOfStates(),
        lambda self, value: self._history.SetMaximumNumberOfStates(value),
    )
    segmentationNodeSelectorVisible = Property(
        bool,
        lambda self: self._shown["segmentation"],
        lambda self, value: self._shown.update(segmentation=value),
    )
    sourceVolumeNodeSelectorVisible = Property(
        bool, lambda self: self._shown["source"], lambda self, value: self._shown.update(source=value)
    )
    switchToSegmentationsButtonVisible = Property(bool, lambda self: False, lambda self, value: None)
    addRemoveSegmentButtonsVisible = Property(bool, lambda self: False, lambda self, value: None)
    show3DButtonVisible = Property(bool, lambda self: False, lambda self, value: None)
    readOnly = Property(bool, lambda self: self._read_only, _set_read_only)


class qMRMLPlotView(_SceneWidget):
    """Draws the lines of the chart that the plot view node names."""

    dataSelected = Signal(object, object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: Any = None
        self.setMinimumHeight(140)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._view = node
        self.update()

    def fitToContent(self) -> None:
        self.update()

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.Antialiasing)
        painter.fillRect(self.rect(), QtCore.Qt.white)
        chart = self._view.GetPlotChartNode() if self._view is not None else None
        if chart is None:
            return
        painter.setPen(QtCore.Qt.black)
        painter.drawText(
            self.rect().adjusted(0, 2, 0, 0), QtCore.Qt.AlignHCenter | QtCore.Qt.AlignTop, chart.GetTitle()
        )
        series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
        lines = [(each, _points(each)) for each in series]
        every = [point for _, points in lines for point in points]
        if every:
            self._draw(painter, lines, every)

    def _draw(self, painter: QtGui.QPainter, lines: list[Any], every: list[tuple[float, float]]) -> None:
        area = QtCore.QRectF(self.rect()).adjusted(44, 22, -12, -22)
        painter.drawRect(area)
        (left, right), (low, high) = ((min(each), max(each)) for each in zip(*every, strict=True))
        text = QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter
        painter.drawText(QtCore.QRectF(0, area.top() - 2, 40, 16), text, f"{high:.2g}")
        painter.drawText(QtCore.QRectF(0, area.bottom() - 14, 40, 16), text, f"{low:.2g}")
        right, margin = max(right, left + 1e-9), 0.05 * (high - low) + 1e-9  # No line lies on the frame.
        low, high = low - margin, high + margin
        painter.drawText(QtCore.QRectF(area.right() - 60, area.bottom() + 3, 60, 16), text, f"{right:.4g}")
        painter.drawText(QtCore.QRectF(area.left() - 30, area.bottom() + 3, 60, 16), text, f"{left:.4g}")
        ends = [points[-1][1] for _, points in lines if points]
        # Losses fall and scores rise: the names are where the lines do not end.
        legend = (
            area.bottom() - 19 - 15 * (len(lines) - 1) if sum(ends) / len(ends) > (low + high) / 2 else area.top() + 4
        )
        for index, (series, points) in enumerate(lines):
            color = QtGui.QColor.fromRgbF(*series.GetColor())
            painter.setPen(QtGui.QPen(color, 2))
            placed = [
                QtCore.QPointF(
                    area.left() + (x - left) / (right - left) * area.width(),
                    area.bottom() - (y - low) / (high - low) * area.height(),
                )
                for x, y in points
            ]
            painter.drawPolyline(placed) if len(placed) > 1 else None
            box = QtCore.QRectF(area.right() - 130, legend + 15 * index, 124, 14)
            painter.drawText(box, text, series.GetName())


def _points(series: Any) -> list[tuple[float, float]]:
    node = series.GetTableNode()
    if node is None:
        return []
    table = node.GetTable()
    y = table.GetColumnByName(series.GetYColumnName())
    x = table.GetColumnByName(series.GetXColumnName()) if series.GetXColumnName() else None
    rows = range(y.GetNumberOfTuples()) if y is not None else range(0)
    pairs = [
        (x.GetVariantValue(row).ToDouble() if x else float(row), y.GetVariantValue(row).ToDouble()) for row in rows
    ]
    return [pair for pair in pairs if pair[1] == pair[1]]


BODIES: dict[str, type] = {
    body.__name__: body for body in (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentEditorWidget, qMRMLPlotView)
}
