"""Curves and figures of the chosen rounds, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from BARLSegmentLib.logic.SceneTypes import Node
from BARLTrainerLib.logic.FiguresTable import structures
from BARLTrainerLib.logic.RoundCurves import RoundCurve, RoundCurves
from BARLTrainerLib.logic.RoundRow import RoundRow
from BARLTrainerLib.logic.RoundsLogic import RoundsLogic
from BARLTrainerLib.widgets.FitHeight import fitHeight
from BARLTrainerLib.widgets.RoundWords import casesWords

_VIEW_TAG = "BARLTrainerPlotView"
_ROW_PIXELS = 22
_MOST_LINES = 9
"""Lines of the figures that are shown without a bar to scroll."""


class Comparison:
    """The lower half of the rounds panel.

    Args:
        curves: draws.
        rounds: has read what is drawn.
        ui: the panel's widgets by name.
    """

    def __init__(self, curves: RoundCurves, rounds: RoundsLogic, ui: Any) -> None:
        self._curves, self._rounds, self._ui = curves, rounds, ui
        self._quantities: tuple[str, ...] = ()
        self._figures: list[list[str]] = []
        header = ui.figureTable.verticalHeader()
        header.setDefaultSectionSize(_ROW_PIXELS)
        header.hide()
        self._showQuantities(())

    def cleanup(self) -> None:
        """Take the chart away."""
        self._curves.cleanup()

    def show(self, rows: Sequence[RoundRow]) -> None:
        """Show these rounds, the newest first."""
        oldestFirst = list(reversed(rows))
        self._showQuantities(structures(oldestFirst))
        self._showFigures([row for row in oldestFirst if row.score is not None])
        self._showCurves(oldestFirst)

    def _showQuantities(self, names: Sequence[str]) -> None:
        quantities = ("dice", *(f"dice:{name}" for name in names), "loss")
        if quantities == self._quantities:
            return
        combo = self._ui.quantityCombo
        index = max(0, combo.currentIndex)
        former = self._quantities[index] if self._quantities else "dice"
        self._quantities = quantities
        blocked = combo.blockSignals(True)
        combo.clear()
        combo.addItem(_("Dice, mean of all structures"))
        for name in names:
            combo.addItem(_("Dice of {structure}").format(structure=name))
        combo.addItem(_("Loss"))
        combo.currentIndex = quantities.index(former) if former in quantities else 0
        combo.blockSignals(blocked)

    def _showCurves(self, rows: Sequence[RoundRow]) -> None:
        quantity = self._quantities[max(0, self._ui.quantityCombo.currentIndex)]
        drawn = [
            RoundCurve(number=row.number, name=_("Round {n}").format(n=row.number), points=points)
            for row in rows
            if (points := self._rounds.histories[row.folder].curve(quantity))
        ]
        self._ui.plotView.visible = bool(drawn)
        self._ui.curveLabel.visible = not drawn
        self._ui.curveLabel.setText(_nothingWords(quantity, rows))
        if drawn:
            title = self._ui.quantityCombo.currentText
            isLoss = quantity == "loss"
            self._attach(self._curves.draw(title, _("loss") if isLoss else _("Dice"), drawn, marksPoints=not isLoss))

    def _attach(self, chart: Node) -> None:
        view = self._ui.plotView
        node = _plotViewNode()
        if node.GetPlotChartNodeID() != chart.GetID():
            node.SetPlotChartNodeID(chart.GetID())
            view.setMRMLScene(slicer.mrmlScene)
            view.setMRMLPlotViewNode(node)
        view.fitToContent()

    def _showFigures(self, rows: Sequence[RoundRow]) -> None:
        self._ui.figureTable.visible = bool(rows)
        self._ui.figureLabel.visible = bool(rows)
        self._ui.figureLabel.setText(_("Dice at the last measurement, by structure:"))
        lines = _figureLines(rows)
        if lines == self._figures:
            return
        self._figures = lines
        table = self._ui.figureTable
        table.setColumnCount(len(rows) + 1)
        table.setHorizontalHeaderLabels([_("Structure"), *(_("Round {n}").format(n=row.number) for row in rows)])
        table.setRowCount(len(lines))
        for number, texts in enumerate(lines):
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(number, column, item)
        header = table.horizontalHeader()
        header.highlightSections = False
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setStretchLastSection(True)
        fitHeight(table, len(lines), _MOST_LINES, _ROW_PIXELS)


def _figureLines(rows: Sequence[RoundRow]) -> list[list[str]]:
    """Cases first: they say how far the rest can be trusted."""
    scores = [row.score for row in rows if row.score is not None]
    if not scores:
        return []
    lines = [
        [_("measured on"), *(casesWords(row) for row in rows)],
        [_("mean"), *(f"{score.dice:.3f}" for score in scores)],
    ]
    for name in structures(rows):
        lines.append([name, *(f"{score.byClass[name]:.3f}" if name in score.byClass else "–" for score in scores)])
    return lines


def _nothingWords(quantity: str, rows: Sequence[RoundRow]) -> str:
    if not rows:
        return _("Choose one or more rounds in the table to see their curves.")
    if quantity == "loss":
        return _("No loss is noted yet.")
    return _("Nothing is measured yet: that takes annotated cases that are only for validation.")


def _plotViewNode() -> Node:
    scene = slicer.mrmlScene
    found = scene.GetSingletonNode(_VIEW_TAG, "vtkMRMLPlotViewNode")
    if found is not None:
        return found
    node = scene.CreateNodeByClass("vtkMRMLPlotViewNode")
    node.UnRegister(None)
    node.SetSingletonTag(_VIEW_TAG)
    node.SetSaveWithScene(False)
    return scene.AddNode(node)
