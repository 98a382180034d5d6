"""Step 3: a training is begun, shown, stopped and found again; its process here is a double that writes files."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import pytest
from drawing import paint
from standin.install import StandIn

from barl.jobs import EventWriter, State, Status, write_status


class FilesOnly:
    """Stands for the training process: it writes what a process would."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.ended = False

    def launch(self, folder: Path) -> int:
        self.folder = folder
        write_status(folder, Status(state=State.RUNNING, percent=10, stage="training", step=5).by_this_process())
        EventWriter(folder).write("started")
        return 1

    def end(self, folder: Path, graceSeconds: float) -> None:
        self.ended = True
        self.becomes(State.STOPPED)

    def becomes(self, state: State, **values: Any) -> None:
        assert self.folder is not None
        write_status(self.folder, Status(state=state, **values).by_this_process())

    def writes(self, kind: Any, **values: Any) -> None:
        assert self.folder is not None
        EventWriter(self.folder).write(kind, **values)


@pytest.fixture
def process(an_open_module: Any) -> FilesOnly:
    """Takes the place of the real process; one case is annotated."""
    from BARLSegmentLib.logic.TrainLogic import TrainLogic

    an_open_module.panel.editor.load("scan_01")
    paint(an_open_module, "jaw", "teeth")
    an_open_module.panel.editor.save()
    double = FilesOnly()
    an_open_module.panel.train.train = TrainLogic(double)
    return double


@pytest.fixture
def train(an_open_module: Any, process: FilesOnly) -> Any:
    """The panel with a training that runs."""
    panel = an_open_module.panel.train
    panel.ui.trainButton.click()
    return panel


def test_without_an_annotation_the_panel_says_what_to_do(an_open_module: Any) -> None:
    an_open_module.panel.train.ui.trainButton.click()

    assert "Annotate two to five cases" in an_open_module.panel.train.ui.messageLabel.text


def test_a_running_training_can_be_stopped_with_the_same_button(train: Any, process: FilesOnly) -> None:
    assert train.ui.trainButton.text == "&Stop"
    assert not train.ui.methodCombo.enabled

    train.ui.trainButton.click()
    train.tick()

    assert process.ended
    assert "Stopped" in train.ui.statusLabel.text
    assert not train.ui.resumeButton.isHidden()


def test_go_on_waits_for_a_process_that_is_just_ending(train: Any, process: FilesOnly) -> None:
    from barl.jobs.processes import Process
    from barl.jobs.status import write_launched

    train.ui.trainButton.click()
    train.tick()
    write_launched(process.folder, Process.current())

    train.ui.resumeButton.click()
    assert "just ending" in train.ui.messageLabel.text
    assert not train.state.isActive
    write_launched(process.folder, Process(1, -1.0))
    train.resumeTimer.timeout.emit()

    assert train.state.isActive
    assert not train.resumeTimer.active


def test_the_preset_proposes_a_time_and_reaches_the_engine(an_open_module: Any, process: FilesOnly) -> None:
    from barl.jobs import read_spec

    ui = an_open_module.panel.train.ui
    ui.presetCombo.currentIndex = 2
    ui.presetCombo.activated.emit(2)
    assert ui.minutesSpin.value == 480.0
    ui.minutesSpin.value = 30.0

    ui.trainButton.click()

    payload = read_spec(process.folder).payload
    assert (payload["preset"], payload["minutes"]) == ("thorough", 30.0)


def test_the_presets_are_those_of_the_engine(segment: Any) -> None:
    from barl.presets import PRESETS as engines
    from BARLSegmentLib.widgets.TrainPanel import PRESETS

    assert {preset.name: preset.minutes for preset in PRESETS} == {n: preset.minutes for n, preset in engines.items()}


def test_predictions_of_a_running_training_come_into_the_tables(
    train: Any, process: FilesOnly, an_open_module: Any
) -> None:
    predictions = process.folder / "predictions"
    predictions.mkdir()
    (predictions / "scan_02.seg.nrrd").touch()
    (predictions / "scan_02.json").write_text('{"format_version": 1, "mean_uncertainty": 0.25}')
    process.writes("prediction", case="scan_02", state="done")

    train.tick()
    while an_open_module.panel.refreshing.isBusy:
        an_open_module.panel.refreshing.step()

    assert an_open_module.panel.cohort.ui.caseTable.item(1, 3).text() == "0.25"
    assert an_open_module.panel.review.ui.predictionTable.item(0, 0).text() == "scan_02"


def test_progress_and_remaining_time_are_shown(train: Any, process: FilesOnly) -> None:
    process.becomes(State.RUNNING, percent=42.0, stage="training", step=50, remaining_s=300.0)

    train.tick()

    assert train.ui.progressBar.value == 42
    assert "About 5 minutes left" in train.ui.statusLabel.text


def test_events_come_in_plain_words(train: Any, process: FilesOnly) -> None:
    process.writes("warning", message="The disk is nearly full.")
    process.writes("metric", step=3, dice=0.5, dice_by_class={"jaw": 0.5})

    train.tick()

    words = [train.ui.eventList.item(row).text() for row in range(train.ui.eventList.count)]
    assert words == [
        "The training has begun.",
        "Note: The disk is nearly full.",
        "Step 3: Dice 0.50 on the validation cases.",
    ]


def test_curves_are_drawn_into_a_view_of_the_panel(train: Any, process: FilesOnly) -> None:
    assert train.ui.lossView.isHidden()
    for step in range(3):
        process.writes("metric", step=step, loss=1.0 - 0.1 * step)
    process.becomes(State.FINISHED, percent=100.0)

    train.tick()

    assert not train.ui.lossView.isHidden()
    assert train.monitor.losses.tableNode.GetNumberOfRows() == 3


def test_a_failed_training_says_why(train: Any, process: FilesOnly) -> None:
    process.becomes(State.FAILED, error="Too few minutes. Choose at least 3.")

    train.tick()

    assert "Choose at least 3" in train.ui.statusLabel.text


def test_a_second_training_is_refused_while_one_runs(train: Any) -> None:
    train.start()

    assert "being trained already" in train.ui.messageLabel.text


def test_a_training_is_found_again_after_a_restart(standin: StandIn, train: Any, process: FilesOnly) -> None:
    process.becomes(State.RUNNING, percent=77.0, stage="training")

    again = standin.application.reload("BARLSegment")

    assert again.panel.train.state.isActive
    assert again.panel.train.ui.progressBar.value == 77


def test_closing_the_scene_during_a_training_keeps_watching(train: Any, process: FilesOnly) -> None:
    import slicer

    process.writes("metric", step=1, loss=1.0)
    train.tick()

    slicer.mrmlScene.Clear(0)
    process.becomes(State.RUNNING, percent=55.0, stage="training")
    train.tick()

    assert train.ui.progressBar.value == 55


def test_the_window_says_what_to_do_meanwhile(train: Any, an_open_module: Any) -> None:
    assert "Go on annotating meanwhile" in an_open_module.panel.ui.nextLabel.text


def test_nothing_grows_over_a_thousand_ticks(standin: StandIn, train: Any, process: FilesOnly) -> None:
    import slicer

    def counts() -> tuple[int, int]:
        return len(standin.binding.connections), slicer.mrmlScene.GetNumberOfNodes()

    process.writes("metric", step=1, loss=1.0)
    train.tick()
    before = counts()
    gc.collect()
    objects = len(gc.get_objects())

    for _ in range(1000):
        train.tick()

    gc.collect()
    assert counts() == before
    assert len(gc.get_objects()) < objects + 500


def test_a_tick_of_the_panel_does_not_keep_the_window_waiting(train: Any, process: FilesOnly) -> None:
    longest = 0.0
    for step in range(40):
        process.writes("metric", step=step, loss=1.0 / (step + 1))
        begun = time.thread_time()
        train.tick()
        longest = max(longest, time.thread_time() - begun)

    assert longest < 0.25


def test_leaving_the_module_does_not_end_the_training(train: Any, an_open_module: Any, process: FilesOnly) -> None:
    an_open_module.cleanup()

    assert not process.ended
