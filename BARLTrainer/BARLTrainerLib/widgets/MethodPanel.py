"""A method, its settings with their explanations, and a training with them."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from barl.catalog import MethodCard, card
from barl.cohort import Cohort
from barl.errors import InputError
from barl.setting_cards import SECTIONS, SettingCard, Value, method_cards, section_cards
from BARLSegmentLib.logic.ChildPython import ChildPython
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.TrainLogic import TrainLogic, TrainWish
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLTrainerLib.logic.OpenCohort import OpenCohort
from BARLTrainerLib.logic.WishCheck import Verdict, WishCheck
from BARLTrainerLib.widgets.SettingsTable import SettingsTable
from BARLTrainerLib.widgets.WishForm import WishForm

_POLL_MS = 200
_GROUPS = ("", *SECTIONS)

HandOver = Callable[[TrainWish, "Cohort | None"], None]
"""Takes a wish to where the clinician trains."""


@dataclass
class MethodState:
    """What was chosen, and what is going on."""

    changes: dict[str, Value] = field(default_factory=dict)
    """Settings that differ from their defaults."""

    check: WishCheck | None = None
    wish: TrainWish | None = None
    """Being checked by the engine; the training begins when it agrees."""


class MethodPanel:
    """Shows the catalog, and starts a training through a ``TrainLogic``.

    Args:
        train: starts.
        cohort: what is trained.
        python: asks the engine whether the settings are allowed.
        handOver: takes the wish to BARL Segment.
        loadUi: gives the widget of a .ui file.

    Attributes:
        started: told the folder of a round that was started here.
    """

    def __init__(
        self,
        train: TrainLogic,
        cohort: OpenCohort,
        python: ChildPython,
        handOver: HandOver,
        loadUi: Callable[[str], Any],
    ) -> None:
        self.train, self.cohort, self._python, self._handOver = train, cohort, python, handOver
        self.state = MethodState()
        self.started: Observers[Path] = Observers()
        self.widget = loadUi("MethodPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.form = WishForm(self.ui)
        self.table = SettingsTable(self.ui.settingTable, self._onSetting, self.message.error)
        self.timer = qt.QTimer(self.widget)
        self.timer.setInterval(_POLL_MS)
        self._connections = Connections()
        groups = (_("the method"), _("the optimizer and the batch"), _("the networks"), _("the views (augmentation)"))
        for words in groups:
            self.ui.groupCombo.addItem(words)
        self._connect()
        self._showMethod()

    def cleanup(self) -> None:
        """Undo all connections; a question to the engine is dropped."""
        self._dropCheck()
        self.table.cleanup()
        self._connections.undoAll()

    def refresh(self) -> None:
        """See which rounds there are to begin with."""
        self.form.showRounds(self.cohort.cohort)
        self._showChoices()

    def start(self) -> None:
        """Ask the engine whether it accepts the settings; the training begins when it does."""
        with self.message.telling():
            if self.cohort.cohort is None:
                raise InputError(_("Choose the folder of a cohort above, and press Show."))
            self.state.wish = self.form.read(self.state.changes)
            self.state.check = WishCheck(self.state.wish, self.cohort.cohort, self._python)
            self.timer.start()
            self.message.info(_("Checking the settings..."))
        self._showChoices()

    def poll(self) -> None:
        """See whether the engine has answered."""
        check, wish, cohort = self.state.check, self.state.wish, self.cohort.cohort
        if check is None or wish is None or cohort is None:
            return
        with self.message.telling(keep=True):
            try:
                verdict = check.look()
            except Exception:
                self._dropCheck()
                raise
            if verdict is None:
                return
            self._dropCheck()
            self._begin(verdict, wish, cohort)
        self._showChoices()

    def hand(self) -> None:
        """Take the settings to BARL Segment."""
        with self.message.telling():
            self._handOver(self.form.read(self.state.changes), self.cohort.cohort)
            self.message.good(_("BARL Segment trains with these settings now."))

    def _begin(self, verdict: Verdict, wish: TrainWish, cohort: Cohort) -> None:
        if not verdict.isGood:
            raise InputError(verdict.problem)
        folder = self.train.start(cohort, wish)
        self.message.good(_("Round {n} has begun; see Rounds.").format(n=int(folder.name)))
        self.started.notify(folder)

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.methodCombo, "currentIndexChanged(int)", lambda _index: self._onMethod())
        connect(ui.groupCombo, "currentIndexChanged(int)", lambda _index: self._showGroup())
        connect(ui.settingTable, "itemSelectionChanged()", self._showExplanation)
        connect(ui.resetButton, "clicked(bool)", lambda _checked: self._onReset())
        connect(ui.trainButton, "clicked(bool)", lambda _checked: self.start())
        connect(ui.handButton, "clicked(bool)", lambda _checked: self.hand())
        connect(self.timer, "timeout()", self.poll)
        self._connections.observers(self.cohort.changed, lambda _cohort: self.refresh())

    def _onMethod(self) -> None:
        """Another method has settings of its own; those that all share stay changed."""
        self.state.changes = {key: value for key, value in self.state.changes.items() if "." in key}
        self._showMethod()

    def _onSetting(self, key: str, value: Value) -> None:
        self.message.clear()
        default = next(each.default for each in self._cards() if each.key == key)
        self.state.changes.pop(key, None)
        if value != default:
            self.state.changes[key] = value
        self._showChanges()

    def _onReset(self) -> None:
        self.state.changes = {}
        self.message.clear()
        self._showGroup()

    def _dropCheck(self) -> None:
        self.timer.stop()
        if self.state.check is not None:
            self.state.check.stop()
        self.state.check = self.state.wish = None

    def _cards(self) -> tuple[SettingCard, ...]:
        group = _GROUPS[max(0, self.ui.groupCombo.currentIndex)]
        return section_cards(group) if group else method_cards(self.form.method)

    def _showMethod(self) -> None:
        self.ui.methodText.setText(_cardWords(card(self.form.method)))
        self._showGroup()

    def _showGroup(self) -> None:
        cards = self._cards()
        self.table.show(cards, self.state.changes)
        if cards:
            self.ui.settingTable.setCurrentCell(0, 0)
        self._showExplanation()
        self._showChanges()

    def _showExplanation(self) -> None:
        chosen = self.table.selected()
        if chosen is None:
            self.ui.settingText.setText(_("This method has no settings of its own."))
            return
        self.ui.settingText.setText(f"<b>{html.escape(chosen.key)}</b>: {html.escape(chosen.explanation)}")

    def _showChanges(self) -> None:
        changes = [f"{key} = {str(value).lower()}" for key, value in self.state.changes.items()]
        self.ui.changedText.visible = bool(changes)
        self.ui.changedText.setText(_("Changed: {settings}").format(settings=", ".join(changes)))
        self._showChoices()

    def _showChoices(self) -> None:
        self.ui.resetButton.enabled = bool(self.state.changes)
        self.ui.trainButton.enabled = self.state.check is None


def _cardWords(shown: MethodCard) -> str:
    lines = (
        shown.sentence,
        _("When: {text}").format(text=shown.when_to_choose),
        _("Cost of a step: {n} times that of supervised training.").format(n=shown.cost),
        _("Reference: {text}").format(text=shown.reference),
    )
    return "<br>".join(html.escape(line) for line in lines)
