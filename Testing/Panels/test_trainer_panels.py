"""BARLTrainer: rounds with honest scores, disk use and deletion; diagnostics and installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standin.install import StandIn

from barl.cohort import Cohort, Role
from barl.jobs import EventWriter, JobSpec, State, Status, write_spec, write_status

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trainer(standin: StandIn) -> Iterator[Any]:
    """The module BARLTrainer."""
    standin.application.load(ROOT / "BARLTrainer" / "BARLTrainer.py")
    yield standin.application.widget("BARLTrainer").panel


@pytest.fixture
def rounds(trainer: Any, a_cohort_folder: Path) -> Any:
    """The rounds panel with two rounds, of which one was measured on one case."""
    cohort = Cohort.open(a_cohort_folder)
    for dice in (None, 0.8):
        folder = cohort.new_round()
        write_spec(folder, JobSpec(kind="train", payload={"method": "barl"}))
        write_status(folder, Status(state=State.FINISHED))
        if dice is not None:
            EventWriter(folder).write("metric", step=10, dice=dice, dice_by_class={"jaw": 0.9, "teeth": 0.7})
    cohort.set_role("scan_03", Role.VALIDATION)
    trainer.rounds.open(str(a_cohort_folder))
    return trainer.rounds


def test_rounds_are_listed_with_how_far_their_score_can_be_trusted(rounds: Any) -> None:
    table = rounds.ui.roundTable

    assert [table.item(row, 0).text() for row in range(2)] == ["2", "1"]
    assert table.item(0, 3).text() == "0.80 (1 case, too few to say)"
    assert table.item(1, 3).text() == "not measured"


def test_scores_of_each_structure_are_shown(rounds: Any) -> None:
    rounds.ui.roundTable.setCurrentCell(0, 0)

    assert rounds.ui.classLabel.text == "Dice by structure: jaw 0.90, teeth 0.70"


def test_a_round_is_deleted_only_after_a_yes(rounds: Any, a_cohort_folder: Path) -> None:
    rounds.ui.roundTable.setCurrentCell(1, 0)
    rounds.ui.deleteButton.click()
    rounds.ui.noButton.click()
    assert (a_cohort_folder / "rounds" / "0001").is_dir()

    rounds.ui.deleteButton.click()
    rounds.ui.yesButton.click()

    assert not (a_cohort_folder / "rounds" / "0001").exists()
    assert rounds.ui.roundTable.rowCount == 1


def test_a_round_that_is_being_trained_is_not_deleted(rounds: Any, a_cohort_folder: Path) -> None:
    folder = a_cohort_folder / "rounds" / "0002"
    write_status(folder, Status(state=State.RUNNING).by_this_process())
    rounds.ui.roundTable.setCurrentCell(0, 0)
    rounds.ui.deleteButton.click()
    rounds.ui.yesButton.click()

    assert folder.is_dir()
    assert "being trained" in rounds.ui.messageLabel.text


def test_methods_are_explained(trainer: Any) -> None:
    combo = trainer.methods.ui.methodCombo
    combo.currentIndex = combo.count - 1

    assert "BARL" in combo.currentText
    assert "reconstructed from the abstract" in trainer.methods.ui.methodText.text


def test_diagnostics_come_from_a_process_of_their_own_and_can_be_copied(standin: StandIn, trainer: Any) -> None:
    from PySide6 import QtWidgets

    panel = trainer.diagnostics
    panel.ui.checkButton.click()
    for _ in range(600):
        if panel.state.findings is not None:
            break
        standin.application.process(0.1)
        panel.poll()

    panel.ui.copyButton.click()

    assert "python: 3." in QtWidgets.QApplication.clipboard().text()
    assert panel.ui.factTable.rowCount > 5


def test_what_is_missing_is_told_before_it_is_installed(trainer: Any) -> None:
    from BARLSegmentLib.logic.InstallLogic import InstallLogic

    trainer.diagnostics.install = InstallLogic(versionOf=lambda name: None)

    trainer.diagnostics.ui.installButton.click()

    assert "are downloaded" in trainer.diagnostics.ui.questionLabel.text
    trainer.diagnostics.ui.noButton.click()
    assert trainer.diagnostics.ui.questionRow.isHidden()


def test_a_folder_without_wheels_is_told(trainer: Any, tmp_path: Path) -> None:
    from BARLSegmentLib.logic.InstallLogic import InstallLogic

    trainer.diagnostics.install = InstallLogic(versionOf=lambda name: None)
    trainer.diagnostics.ui.wheelPath.currentPath = str(tmp_path)

    trainer.diagnostics.ui.installButton.click()

    assert not trainer.diagnostics.ui.messageLabel.isHidden()
