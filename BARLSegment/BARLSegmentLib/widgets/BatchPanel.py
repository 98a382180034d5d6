"""Segment everything: a folder of volumes, one model, one table of results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from barl.errors import ImageError, InputError
from barl.imaging import find_volumes
from barl.jobs import JobFolder
from BARLSegmentLib.logic.BatchLogic import Batch, BatchLogic
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
from BARLSegmentLib.logic.VolumesTable import TABLE_FILE
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine

_POLL_MS = 500


@dataclass
class BatchState:
    """What the panel works on."""

    models: tuple[Path, ...] = ()
    batch: Batch | None = None


class BatchPanel:
    """Drives a ``BatchLogic``.

    Args:
        batch: segments.
        cohort: its rounds are the models to choose from.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(self, batch: BatchLogic, cohort: CohortLogic, loadUi: Callable[[str], Any]) -> None:
        self.batch, self.cohort = batch, cohort
        self.state = BatchState()
        self.widget = loadUi("BatchPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.timer = qt.QTimer(self.widget)
        self.timer.setInterval(_POLL_MS)
        self._connections = Connections()
        self._connections.signal(self.ui.runButton, "clicked(bool)", lambda _checked: self._onRunButton())
        self._connections.signal(self.timer, "timeout()", self.poll)
        self._connections.observers(cohort.events, self._onCohortEvent)
        self.refresh()

    def cleanup(self) -> None:
        """Undo all connections; a running batch goes on."""
        self.timer.stop()
        self._connections.undoAll()

    def refresh(self) -> None:
        """List the rounds that have a model, the newest first."""
        rounds = reversed(self.cohort.cohort.rounds()) if self.cohort.isOpen else ()
        self.state.models = tuple(path for path in rounds if (JobFolder(path).model / "model.json").is_file())
        self.ui.modelCombo.clear()
        for path in self.state.models:
            self.ui.modelCombo.addItem(_("Round {n}").format(n=int(path.name)))
        self._show()

    def run(self) -> None:
        """Begin, or say why not."""
        with self.message.telling():
            images = find_volumes(self._folder(self.ui.inputPath, _("Choose the folder with the images.")))
            if not images:
                raise ImageError(_("This folder holds no volume that can be read."))
            if not self.ui.outputPath.currentPath.strip():
                raise InputError(_("Choose a folder for the results."))
            model = self.state.models[self.ui.modelCombo.currentIndex]
            self.state.batch = self.batch.start(images, model, Path(self.ui.outputPath.currentPath.strip()))
            for path in (self.ui.inputPath, self.ui.outputPath):
                path.addCurrentPathToHistory()
            self.timer.start()
        self._show()

    def poll(self) -> None:
        """Look how far it is."""
        batch = self.state.batch
        if batch is None:
            return
        over = True
        with self.message.telling():
            progress = batch.poll()
            over = progress.isOver
            self.ui.progressBar.value = round(100 * progress.share)
            self._tell(batch, progress.done, progress.total, over)
        if over:
            self.timer.stop()
            self.state.batch = None
        self._show()

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
        if self.state.batch is None:
            self.run()
            return
        with self.message.telling():
            self.state.batch.stop()

    def _onCohortEvent(self, event: CohortEvent) -> None:
        if event.kind in ("opened", "closed"):
            self.refresh()

    def _show(self) -> None:
        runs = self.state.batch is not None
        self.ui.progressBar.visible = runs
        self.ui.runButton.enabled = runs or bool(self.state.models)
        self.ui.runButton.text = _("S&top") if runs else _("&Segment all volumes")
        self.ui.runButton.setToolTip(
            _("Segment every volume of the folder; finished ones are skipped.")
            if self.state.models
            else _("Train first: no round of this cohort has a model yet.")
        )

    def _folder(self, path: Any, otherwise: str) -> Path:
        text = path.currentPath.strip()
        if not text or not Path(text).is_dir():
            raise InputError(otherwise)
        return Path(text)
