"""A study through widgets alone, with a real training process on the CPU.

    LOGNAME=anna BARL_PICTURES=docs/images/tutorial python -m pytest Testing/Panels/test_journey.py

also writes the pictures of docs/tutorial.md.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from person import Person
from standin.install import StandIn
from tutorial_pictures import Camera, useTheme

from barl.cohort import CaseState, Role

ROOT = Path(__file__).parents[2]
PICTURES = os.environ.get("BARL_PICTURES")
FIRST_MINUTES = 0.7 if PICTURES else 0.4
SECOND_MINUTES = 0.3
"""Half a minute of a tiny network: enough for unsure places, too little for good predictions."""
ENOUGH_STEPS = 80
"""Of the second round, on a computer on which so many take longer than that."""


@pytest.fixture
def person(standin: StandIn, segment: Any) -> Iterator[Person]:
    """With a camera, when pictures are wanted."""
    useTheme(dark=bool(os.environ.get("BARL_DARK")))
    camera = Camera(standin, segment.parent, Path(PICTURES).absolute() if PICTURES else None)
    yield Person(standin, segment, camera)
    camera.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Path]:
    """Where the study lies; in pictures under a name that fits into the fields."""
    if not PICTURES:
        yield tmp_path
        return
    folder = Path(tempfile.gettempdir()) / "dental"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(900)
def test_a_study_from_six_scans_to_a_segmented_folder(person: Person, standin: StandIn, desk: Path) -> None:
    makes_a_cohort(person, desk)
    annotates_two_to_learn_from_and_one_to_measure(person)
    checks_the_cohort(person)
    trains_and_goes_on_annotating(person)
    reviews_accepts_and_corrects(person)
    begins_the_next_round_and_closes_in_the_middle(person)
    lets_it_go_on_to_its_end(person)
    compares_both_rounds(person, standin)
    segments_a_folder(person, desk)


def makes_a_cohort(person: Person, desk: Path) -> None:
    """Of six scans that are in the scene."""
    panel, cohort = person.panel, person.panel.cohort.ui
    person.camera.take("01-start")
    cohort.sampleButton.click()
    cohort.folderPath.currentPath = str(desk / "jaws")
    cohort.nameEdit.text = "Jaws"
    person.camera.take("02-new-cohort")
    cohort.createButton.click()
    person.waits_for(lambda: not panel.cohort.form.isMaking, "the cohort")
    assert cohort.caseTable.rowCount == 6, person.says()
    person.camera.take("03-cases")


def annotates_two_to_learn_from_and_one_to_measure(person: Person) -> None:
    """The last one is never learned from."""
    panel, ui = person.panel, person.panel.ui
    panel.editor.ui.nextButton.click()
    person.opens(ui.editorStep)
    person.camera.fit()
    person.camera.take("04-empty-case")
    person.annotates("scan_01")
    person.annotates("scan_02")
    person.camera.take("05-drawn")
    assert ui.nextLabel.text.startswith("Next: train")
    person.gives_role("scan_06", Role.VALIDATION)
    person.annotates("scan_06")


def checks_the_cohort(person: Person) -> None:
    """Nothing is to be mended."""
    check = person.panel.cohort.check
    person.opens(person.panel.ui.cohortStep)
    person.panel.cohort.ui.auditButton.click()
    person.waits_for(lambda: not check.isRunning, "the check")
    person.camera.take("06-checked")


def trains_and_goes_on_annotating(person: Person) -> None:
    """The window lives, curves move, and what is saved meanwhile is learned from."""
    panel, train = person.panel, person.panel.train
    person.opens(panel.ui.trainStep)
    train.ui.methodCombo.currentIndex = 0
    train.ui.minutesSpin.value = FIRST_MINUTES
    train.settings = {"network.base_filters": 4, "training.labeled_patches": 1}
    person.waits_for(lambda: train.state.findings is not None, "what the computer has")
    person.camera.take("07-before-training")
    train.ui.trainButton.click()
    person.waits_for_steps()
    person.sees_curves_move()
    person.camera.take("08-training")
    person.opens(panel.ui.editorStep)
    panel.editor.ui.nextButton.click()
    person.draws("scan_03", everySlice=4)
    person.saves()
    assert "The training runs" in panel.ui.nextLabel.text or not train.state.isActive
    person.camera.take("09-annotating-meanwhile")
    person.trains_to_the_end()
    person.opens(panel.ui.trainStep)
    person.camera.take("10-trained")


def reviews_accepts_and_corrects(person: Person) -> None:
    """The map, regions, one case accepted, another corrected; then no box is left in the views."""
    panel, review, editor = person.panel, person.panel.review, person.panel.editor
    person.opens(panel.ui.reviewStep)
    person.loads_a_prediction(CaseState.PREDICTED)
    person.camera.fit()
    person.camera.take("11-unsure")
    person.walks_through_regions()
    person.camera.take("12-region")
    review.ui.overlayCheck.checked = False
    person.camera.take("13-prediction")
    review.ui.acceptCaseButton.click()
    assert "Accepted" in review.ui.messageLabel.text, person.says()
    person.camera.take("14-accepted")
    corrected = person.loads_a_prediction(CaseState.PREDICTED)
    review.ui.correctButton.click()
    editor.ui.editor.setActiveEffectByName("Paint")
    person.draws(corrected)
    person.saves()
    assert corrected in editor.ui.messageLabel.text, person.says()
    person.camera.fit()
    person.camera.take("15-corrected")
    editor.ui.editor.setActiveEffectByName("")
    assert review.review.markerNode is None


def begins_the_next_round_and_closes_in_the_middle(person: Person) -> None:
    """The training outlives the window, is found again, and is stopped there."""
    person.opens(person.panel.ui.reviewStep)
    first = person.panel.train.ui.minutesSpin.value
    person.panel.train.ui.minutesSpin.value = max(SECOND_MINUTES, ENOUGH_STEPS * first / person.steps_learned())
    person.panel.review.ui.roundButton.click()
    person.waits_for_steps()
    person.comes_back()
    train = person.panel.train
    assert person.logic.cohort.isOpen
    assert person.panel.cohort.ui.caseTable.rowCount == 6
    assert train.state.isActive, train.ui.statusLabel.text
    train.ui.trainButton.click()
    person.waits_for(lambda: not train.state.isActive, "the stop")
    assert train.state.status.state.value == "stopped", train.ui.statusLabel.text


def lets_it_go_on_to_its_end(person: Person) -> None:
    """Its predictions come into the tables, and are shown in the place of the first round's."""
    panel = person.panel
    person.opens(panel.ui.trainStep)
    panel.train.ui.resumeButton.click()
    person.waits_for(lambda: panel.train.state.isActive, "the training to go on")
    person.trains_to_the_end()
    assert panel.train.state.folder == person.logic.cohort.cohort.rounds()[-1]
    person.opens(panel.ui.reviewStep)
    person.loads_a_prediction(CaseState.PARTLY_ANNOTATED)
    assert panel.review.state.shown.roundNumber == int(panel.train.state.folder.name)
    person.camera.take("16-second-round")


def compares_both_rounds(person: Person, standin: StandIn) -> None:
    """BARL Trainer shows the Dice of both, and says of how few cases."""
    rounds = person.compares_rounds(standin, ROOT / "BARLTrainer" / "BARLTrainer.py")
    table = rounds.ui.figureTable
    titles = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount)]
    assert len(titles) == 3, titles  # A round that was given too little time has no figures.
    means = [float(table.item(1, column).text()) for column in (1, 2)]
    assert all(0.0 <= mean < 1.0 for mean in means), means
    assert "too few" in table.item(0, 2).text()
    person.camera.take("17-rounds")
    person.camera.turn_to(standin.application.widget("BARLSegment").parent)


def segments_a_folder(person: Person, desk: Path) -> None:
    """With the newest round's model."""
    panel, batch = person.panel, person.panel.batch
    person.opens(panel.ui.batchStep)
    batch.ui.inputPath.currentPath = str(desk / "jaws" / "images")
    batch.ui.outputPath.currentPath = str(desk / "segmented")
    batch.ui.runButton.click()
    person.waits_for(lambda: not batch.state.isBusy, "the batch")
    assert (desk / "segmented" / "volumes.csv").is_file(), person.says()
    person.camera.take("18-everything")
