"""The fields that say what a training is to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _

from barl.catalog import CARDS
from barl.cohort import Cohort
from barl.jobs import JobFolder
from BARLSegmentLib.logic.TrainLogic import PRESETS, TrainWish

_DEFAULT_METHOD = "barl"
_DEVICES = ("auto", "cpu", "cuda", "cuda:1")


class WishForm:
    """Fills and reads the upper half of the method panel.

    Args:
        ui: the panel's widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._rounds: list[int] = []
        for card in CARDS:
            ui.methodCombo.addItem(card.title)
        ui.methodCombo.currentIndex = [card.name for card in CARDS].index(_DEFAULT_METHOD)
        words = (_("What fits the time"), _("A first look"), _("Standard"), _("Thorough, over night"))
        for text in words:
            ui.presetCombo.addItem(text)
        for device in _DEVICES:
            ui.deviceCombo.addItem(device)
        self.showRounds(None)

    @property
    def method(self) -> str:
        """The name of the chosen method."""
        return CARDS[max(0, self._ui.methodCombo.currentIndex)].name

    def showRounds(self, cohort: Cohort | None) -> None:
        """Offer the rounds of a cohort that have a model to begin with."""
        folders = list(reversed(cohort.rounds())) if cohort is not None else []
        rounds = [int(path.name) for path in folders if (JobFolder(path).model / "model.json").is_file()]
        combo = self._ui.fromCombo
        if rounds == self._rounds and combo.count:
            return
        former = self._fromRound()
        self._rounds = rounds
        combo.clear()
        combo.addItem(_("Fresh networks"))
        for number in rounds:
            combo.addItem(_("Networks of round {n}").format(n=number))
        combo.currentIndex = 1 + rounds.index(former) if former in rounds else 0

    def read(self, settings: Mapping[str, Any]) -> TrainWish:
        """The wish as it stands in the fields.

        Raises:
            SettingsError: a field holds what is not allowed.
        """
        ui = self._ui
        return TrainWish(
            method=self.method,
            minutes=ui.minutesSpin.value,
            preset=("", *PRESETS)[max(0, ui.presetCombo.currentIndex)],
            fromRound=self._fromRound(),
            device=ui.deviceCombo.currentText.strip() or "auto",
            seed=ui.seedSpin.value,
            settings=dict(settings),
        )

    def _fromRound(self) -> int | None:
        index = self._ui.fromCombo.currentIndex
        return self._rounds[index - 1] if 1 <= index <= len(self._rounds) else None
