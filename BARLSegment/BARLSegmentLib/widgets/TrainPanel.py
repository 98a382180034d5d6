"""Step 3: train in the background, and see how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from barl import presets
from barl.catalog import CARDS
from barl.jobs import State, Status
from BARLSegmentLib.Examination import Examination, Findings
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
from BARLSegmentLib.logic.MonitorLogic import Change, MonitorEvent, MonitorLogic
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.logic.TrainLogic import TrainLogic, TrainWish
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLSegmentLib.widgets.TrainWords import deviceWords, eventWords, presetWords, statusWords

TICK_MS = 500
"""Often enough for a bar that moves, and a tick takes a few milliseconds."""


PRESETS = tuple(presets.PRESETS.values())

_MOST_EVENTS = 200
_MAY_RESUME = (State.STOPPED, State.INTERRUPTED, State.FAILED)
_DEFAULT_METHOD = "barl"


@dataclass
class TrainState:
    """What the panel shows."""

    folder: Path | None = None
    """The round that is shown, running or not."""

    status: Status | None = None
    findings: Findings | None = None
    """What the examination of the computer found."""

    @property
    def isActive(self) -> bool:
        """Whether a process is at work, as far as the files say."""
        return self.status is not None and self.status.state.is_active


class TrainPanel:
    """Drives a ``TrainLogic`` and shows a ``MonitorLogic``; the training outlives the panel.

    Args:
        train: starts and stops.
        monitor: follows the job by its files.
        cohort: what is trained.
        examination: tells the device, by a process of its own.
        scene: where the curves are.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(
        self,
        train: TrainLogic,
        monitor: MonitorLogic,
        cohort: CohortLogic,
        examination: Examination,
        scene: Scene,
        loadUi: Callable[[str], Any],
    ) -> None:
        self.train, self.monitor, self.cohort, self._scene = train, monitor, cohort, scene
        self.examination = examination
        self.state = TrainState()
        self.settings: dict[str, Any] = {}
        """Settings of the method by name, taken from BARL Trainer or set in the Python console."""
        self._taken = TrainWish()
        """What was handed over, for what has no field here: device, seed, weights to start from."""
        self.widget = loadUi("TrainPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.timer = qt.QTimer(self.widget)
        self.timer.setInterval(TICK_MS)
        self.deviceTimer = qt.QTimer(self.widget)
        self.deviceTimer.setInterval(TICK_MS)
        self.resumeTimer = qt.QTimer(self.widget)
        self.resumeTimer.setInterval(TICK_MS)
        self._connections = Connections()
        self._fillChoices()
        self._connect()
        self._show()

    def cleanup(self) -> None:
        """Undo all connections and stop looking; the training goes on."""
        self.timer.stop()
        self.deviceTimer.stop()
        self.resumeTimer.stop()
        self.examination.stop()
        self._connections.undoAll()

    def examine(self) -> None:
        """Find out where a training would run, once; the answer comes in seconds."""
        if self.state.findings is None and not self.examination.isRunning:
            self.examination.start()
            self.deviceTimer.start()
        self._showDevice()

    def enter(self) -> None:
        """Find a training that goes on, started here or anywhere else, and follow it."""
        if not self.cohort.isOpen or self.monitor.folder is not None:
            return
        jobs = self.train.jobs(self.cohort.cohort)
        folder = self.train.activeJob(self.cohort.cohort) or (jobs[-1].folder if jobs else None)
        if folder is not None:
            self.follow(folder)

    def follow(self, folder: Path) -> None:
        """Show a round from its first event on."""
        with self.message.telling():
            self.ui.eventList.clear()
            self.state = TrainState(folder=folder, findings=self.state.findings)
            self.monitor.attach(folder)
            self.tick()
            self.timer.start()

    def start(self, fromRound: int | None = None) -> None:
        """Begin a training, or say why not."""
        self.resumeTimer.stop()
        with self.message.telling():
            wish = replace(
                self._taken,
                method=CARDS[self.ui.methodCombo.currentIndex].name,
                minutes=self.ui.minutesSpin.value,
                preset=PRESETS[self.ui.presetCombo.currentIndex].name,
                fromRound=fromRound if fromRound is not None else self._taken.fromRound,
                settings=self.settings,
            )
            folder = self.train.start(self.cohort.cohort, wish)
            self.follow(folder)

    def take(self, wish: TrainWish) -> None:
        """Fill the fields with what was put together elsewhere; Train starts it."""
        self._taken, self.settings = wish, dict(wish.settings)
        index = [card.name for card in CARDS].index(wish.method)
        self.ui.methodCombo.currentIndex = index
        self.ui.minutesSpin.value = wish.minutes
        preset = presets.PRESETS[wish.preset] if wish.preset else presets.preset_for(wish.minutes)
        self.ui.presetCombo.currentIndex = PRESETS.index(preset)
        self._onMethod(index)

    def stop(self) -> None:
        """Ask the training to save its state and stop."""
        with self.message.telling():
            if self.state.folder is not None:
                self.train.stop(self.state.folder)
                self.tick()

    def resume(self) -> None:
        """Go on from the last checkpoint, as soon as the process from before has ended."""
        self.resumeTimer.stop()
        folder = self.state.folder
        if folder is None:
            return
        with self.message.telling():
            if self.train.isEnding(folder):
                self.message.info(_("The training is just ending. It goes on in a moment."))
                self.resumeTimer.start()
                return
            self.train.resume(folder)
            self.follow(folder)

    def tick(self) -> None:
        """Look what is new; a long history comes in parts, so that the window never waits."""
        if self.monitor.tick():
            qt.QTimer.singleShot(0, self.tick)

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.trainButton, "clicked(bool)", lambda _checked: self._onTrainButton())
        connect(ui.resumeButton, "clicked(bool)", lambda _checked: self.resume())
        connect(ui.methodCombo, "currentIndexChanged(int)", self._onMethod)
        connect(ui.presetCombo, "activated(int)", self._onPreset)
        connect(ui.minutesSpin, "valueChanged(double)", lambda _minutes: self._showDevice())
        connect(self.timer, "timeout()", self.tick)
        connect(self.resumeTimer, "timeout()", self.resume)
        connect(self.deviceTimer, "timeout()", self._onDeviceTimer)
        self._connections.observers(self.cohort.events, self._onCohortEvent)
        self._connections.observers(self.monitor.observers, self._onMonitorEvent)

    def _fillChoices(self) -> None:
        for card in CARDS:
            self.ui.methodCombo.addItem(card.title)
        self.ui.methodCombo.currentIndex = [card.name for card in CARDS].index(_DEFAULT_METHOD)
        for preset in PRESETS:
            self.ui.presetCombo.addItem(presetWords(preset.name))
        self._onMethod(self.ui.methodCombo.currentIndex)
        self._onPreset(0)

    def _onMethod(self, index: int) -> None:
        card = CARDS[index]
        if card.name != self._taken.method and _takenWords(self._taken):  # Another method has settings of its own.
            self._taken = TrainWish(method=card.name)
            self.settings = {}
        self.ui.methodText.setText(f"{card.sentence} {card.when_to_choose} {_takenWords(self._taken)}".strip())
        self.ui.methodCombo.setToolTip(card.reference)

    def _onPreset(self, index: int) -> None:
        self.ui.minutesSpin.value = PRESETS[index].minutes

    def _onDeviceTimer(self) -> None:
        findings = self.examination.read()
        if findings is not None:
            self.state.findings = findings
            self.deviceTimer.stop()
            self._showDevice()

    def _showDevice(self) -> None:
        self.ui.deviceLabel.setText(deviceWords(self.state.findings, self.ui.minutesSpin.value))

    def _onTrainButton(self) -> None:
        self.stop() if self.state.isActive else self.start()

    def _onCohortEvent(self, event: CohortEvent) -> None:
        if event.kind == "closed":
            self._letGo()
            self.message.clear()
        if event.kind == "opened":
            self.enter()
        if event.kind in ("opened", "closed"):
            self._show()

    def _onMonitorEvent(self, event: MonitorEvent) -> None:
        if event.change is Change.EVENT and event.event is not None:
            self._addEvent(eventWords(event.event))
        elif event.change is Change.PROBLEM:
            self._onProblem(event.message)
        elif event.change is Change.CURVES:
            self._showCurves()
        else:
            self.state.status = event.status
            if event.change is Change.ENDED:
                self.timer.stop()
            self._show()

    def _onProblem(self, words: str) -> None:
        """A drive may come back; a round that was deleted does not."""
        folder = self.state.folder
        isDeleted = (
            folder is not None and not folder.exists() and self.cohort.isOpen and self.cohort.cohort.folder.is_dir()
        )
        if folder is not None and isDeleted:
            self._letGo()
            self._show()
            words = _("Round {n} was deleted. Train begins a new one.").format(n=int(folder.name))
        self.message.error(words) if words else self.message.clear()

    def _letGo(self) -> None:
        """Show no training any more."""
        self.timer.stop()
        self.resumeTimer.stop()
        self.monitor.detach()
        self.state = TrainState(findings=self.state.findings)

    def _addEvent(self, words: str) -> None:
        if not words:
            return
        self.ui.eventList.addItem(words)
        if self.ui.eventList.count > _MOST_EVENTS:
            self.ui.eventList.takeItem(0)
        self.ui.eventList.scrollToBottom()

    def _show(self) -> None:
        status, active = self.state.status, self.state.isActive
        self.ui.trainButton.text = _("&Stop") if active else _("T&rain")
        self.ui.trainButton.enabled = self.cohort.isOpen
        for widget in (self.ui.methodCombo, self.ui.minutesSpin, self.ui.presetCombo):
            widget.enabled = not active
        for widget in (self.ui.methodText, self.ui.deviceLabel):  # What would be is of no interest while it is.
            widget.visible = not active
        self.ui.statusLabel.visible = self.ui.eventList.visible = status is not None
        self.ui.progressBar.visible = active
        self.ui.resumeButton.visible = status is not None and status.state in _MAY_RESUME
        if status is not None:
            self.ui.statusLabel.setText(statusWords(status))
            self.ui.progressBar.value = round(status.percent or 0)
            self._showCurves()

    def _showCurves(self) -> None:
        """The charts are made when there is something to draw; a removed one comes back."""
        self.monitor.showCurves()
        for view, chart in ((self.ui.lossView, self.monitor.losses), (self.ui.scoreView, self.monitor.scores)):
            node, chartNode = self._plotViewNode(view.objectName), chart.chartNode
            if chartNode is not None and node.GetPlotChartNodeID() != chartNode.GetID():
                node.SetPlotChartNodeID(chartNode.GetID())
                view.setMRMLScene(self._scene)
                view.setMRMLPlotViewNode(node)
            table = chart.tableNode
            view.visible = table is not None and table.GetNumberOfRows() > 1  # One point is no curve.
            view.fitToContent()

    def _plotViewNode(self, name: str) -> Node:
        tag = f"BARLSegment{name}"
        found = self._scene.GetSingletonNode(tag, "vtkMRMLPlotViewNode")
        if found is not None:
            return found
        node = self._scene.CreateNodeByClass("vtkMRMLPlotViewNode")
        node.UnRegister(None)
        node.SetSingletonTag(tag)
        node.SetSaveWithScene(False)
        return self._scene.AddNode(node)


def _takenWords(wish: TrainWish) -> str:
    """What was handed over beside the fields of the panel, so that nothing is at work unseen; empty when nothing is."""
    parts = [f"{key} = {value}" for key, value in wish.settings.items()]
    parts += [_("weights of round {n}").format(n=wish.fromRound)] if wish.fromRound is not None else []
    parts += [_("device {name}").format(name=wish.device)] if wish.device != "auto" else []
    parts += [_("seed {n}").format(n=wish.seed)] if wish.seed else []
    return _("From BARL Trainer: {parts}.").format(parts=", ".join(parts)) if parts else ""
