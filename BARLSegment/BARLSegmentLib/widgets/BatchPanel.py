"""Segment everything: volumes of a folder or of the scene, one model, one table of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from barl.errors import ImageError, InputError
from barl.imaging import find_volumes
from barl.jobs import JobFolder
from BARLSegmentLib.logic.BatchFiles import modelFolderOf
from BARLSegmentLib.logic.BatchLogic import Batch, BatchLogic, Item
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
from BARLSegmentLib.logic.SceneTypes import Scene
from BARLSegmentLib.logic.VolumesTable import TABLE_FILE
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLSegmentLib.widgets.VolumeChecklist import VolumeChecklist

_POLL_MS = 500
_STEP_MS = 10
_FOLDER, _SCENE = range(2)


@dataclass
class Preparation:
    """Volumes on the way into a batch: one that has no file of its own is written first."""

    waiting: Iterator[Item | None]
    total: int
    model: Path
    output: Path
    items: list[Item] = field(default_factory=list)


@dataclass
class BatchState:
    """What the panel works on."""

    models: tuple[Path, ...] = ()
    preparation: Preparation | None = None
    batch: Batch | None = None
    loading: Iterator[Any] | None = None
    """Results on their way into the scene."""

    @property
    def isBusy(self) -> bool:
        """Whether something goes on."""
        return any(each is not None for each in (self.preparation, self.batch, self.loading))


class BatchPanel:
    """Drives a ``BatchLogic``.

    Args:
        batch: segments.
        cohort: its rounds are the models to choose from.
        scene: where loaded volumes are.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(self, batch: BatchLogic, cohort: CohortLogic, scene: Scene, loadUi: Callable[[str], Any]) -> None:
        self.batch, self.cohort = batch, cohort
        self.state = BatchState()
        self.widget = loadUi("BatchPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.volumes = VolumeChecklist(scene, self.ui.volumeList)
        self.timer = qt.QTimer(self.widget)
        self.timer.setInterval(_POLL_MS)
        self._connections = Connections()
        self.ui.sourceCombo.addItem(_("A folder of images"))
        self.ui.sourceCombo.addItem(_("Volumes in the scene"))
        connect = self._connections.signal
        connect(self.ui.runButton, "clicked(bool)", lambda _checked: self._onRunButton())
        connect(self.ui.sourceCombo, "currentIndexChanged(int)", lambda _index: self._show())
        connect(self.ui.modelCombo, "currentIndexChanged(int)", lambda _index: self._show())
        connect(self.timer, "timeout()", self.poll)
        self._connections.observers(cohort.events, self._onCohortEvent)
        self.refresh()

    def cleanup(self) -> None:
        """Undo all connections; a running batch goes on."""
        self.timer.stop()
        self._connections.undoAll()

    def refresh(self) -> None:
        """List the rounds that have a model, the newest first, and the volumes of the scene."""
        rounds = reversed(self.cohort.cohort.rounds()) if self.cohort.isOpen else ()
        self.state.models = tuple(path for path in rounds if (JobFolder(path).model / "model.json").is_file())
        self.ui.modelCombo.clear()
        for path in self.state.models:
            self.ui.modelCombo.addItem(_("Round {n}").format(n=int(path.name)))
        self.ui.modelCombo.addItem(_("A model in another folder"))
        self.volumes.refresh()
        self._show()

    def run(self) -> None:
        """Begin, or say why not."""
        with self.message.telling():
            model, volumes = modelFolderOf(self._model()), self._volumes()
            if not self.ui.outputPath.currentPath.strip():
                raise InputError(_("Choose a folder for the results."))
            output = Path(self.ui.outputPath.currentPath.strip())
            self.state.preparation = Preparation(
                waiting=self.batch.eachItem(volumes, output), total=len(volumes), model=model, output=output
            )
            for path in (self.ui.inputPath, self.ui.modelPath, self.ui.outputPath):
                path.addCurrentPathToHistory()
            self.timer.start(0)
        self._show()

    def poll(self) -> None:
        """Prepare one more volume, look how far it is, or bring one more result into the scene."""
        if self.state.preparation is not None:
            self._prepare(self.state.preparation)
        elif self.state.batch is not None:
            self._look(self.state.batch)
        elif self.state.loading is not None:
            self._load(self.state.loading)
        self._show()

    def _prepare(self, preparation: Preparation) -> None:
        # Should it fail, there is none any more, and nothing to look after.
        self.state.preparation = None
        self.timer.stop()
        with self.message.telling(keep=True):
            for item in preparation.waiting:
                if item is not None:
                    preparation.items.append(item)
                self._tellPrepared(preparation)
                self.state.preparation = preparation
                self.timer.start(_STEP_MS)
                return
            self.state.batch = self.batch.startItems(tuple(preparation.items), preparation.model, preparation.output)
            self.timer.start(_POLL_MS)

    def _tellPrepared(self, preparation: Preparation) -> None:
        done, total = len(preparation.items), preparation.total
        self.ui.progressBar.value = 0
        self.message.info(_("Preparing {done} of {total} volumes").format(done=done, total=total))

    def _look(self, batch: Batch) -> None:
        over = True
        with self.message.telling():
            progress = batch.poll()
            over = progress.isOver
            self.ui.progressBar.value = round(100 * progress.share)
            self._tell(batch, progress.done, progress.total, over)
            if over and any(item.node is not None for item in batch.items):
                self.state.loading = self.batch.eachResult(batch)
        if over:
            self.state.batch = None
            self.timer.stop()
            if self.state.loading is not None:
                self.timer.start(_STEP_MS)

    def _load(self, results: Iterator[Any]) -> None:
        # Should it fail, nothing more comes.
        self.state.loading = None
        with self.message.telling(keep=True):
            for _result in results:
                self.state.loading = results
                return
        self.timer.stop()

    def _tell(self, batch: Batch, done: int, total: int, over: bool) -> None:
        if not over:
            self.message.info(_("{done} of {total} volumes").format(done=done, total=total))
            return
        failed = sum(row.state == "failed" for row in batch.table())
        words = _("Segmented volumes: {n}. The sizes of the structures in ml are in {table}.").format(
            n=done - failed, table=batch.output / TABLE_FILE
        )
        if failed:
            self.message.error(words + " " + _("Failed: {n}; the table says why.").format(n=failed))
        else:
            self.message.good(words)

    def _onRunButton(self) -> None:
        if not self.state.isBusy:
            self.run()
            return
        with self.message.telling():
            if self.state.batch is not None:
                self.state.batch.stop()
            elif self.state.loading is not None:
                self.state.loading = None
                self.timer.stop()
            else:
                self.state.preparation = None
                self.timer.stop()
                self.message.info(_("Stopped before anything was segmented."))
        self._show()

    def _onCohortEvent(self, event: CohortEvent) -> None:
        if event.kind in ("opened", "closed"):
            self.refresh()

    def _show(self) -> None:
        busy, fromFolder = self.state.isBusy, self.ui.sourceCombo.currentIndex == _FOLDER
        for widget in (self.ui.inputLabel, self.ui.inputPath):
            widget.visible = fromFolder
        for widget in (self.ui.volumesLabel, self.ui.volumeList):
            widget.visible = not fromFolder
        for widget in (self.ui.modelPathLabel, self.ui.modelPath):
            widget.visible = self._isOtherModel()
        for widget in (self.ui.sourceCombo, self.ui.modelCombo, self.ui.inputPath, self.ui.volumeList):
            widget.enabled = not busy
        self.ui.progressBar.visible = busy
        self.ui.runButton.text = _("S&top") if busy else _("&Segment all volumes")

    def _isOtherModel(self) -> bool:
        return self.ui.modelCombo.currentIndex >= len(self.state.models)

    def _model(self) -> Path:
        if self._isOtherModel():
            return self._folder(self.ui.modelPath, _("Choose the model's folder, or train first: step 3 makes one."))
        return self.state.models[self.ui.modelCombo.currentIndex]

    def _volumes(self) -> list[Any]:
        if self.ui.sourceCombo.currentIndex == _SCENE:
            nodes = self.volumes.checked()
            if not nodes:
                raise ImageError(_("Check at least one volume of the scene."))
            return nodes
        images = find_volumes(self._folder(self.ui.inputPath, _("Choose the folder with the images.")))
        if not images:
            raise ImageError(_("This folder holds no volume that can be read."))
        return list(images)

    def _folder(self, path: Any, otherwise: str) -> Path:
        text = path.currentPath.strip()
        if not text or not Path(text).is_dir():
            raise InputError(otherwise)
        return Path(text)
