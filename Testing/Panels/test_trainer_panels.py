"""BARLTrainer as a person works with it: rounds side by side, a wish, disk use, the computer and its installation."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standin.install import StandIn
from trainer_study import FilesOnly, aModel, aRound

from barl.cohort import Cohort
from barl.jobs import EventWriter, State, Status, read_spec, read_status, write_status

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trainer(standin: StandIn) -> Iterator[Any]:
    """The module BARLTrainer."""
    standin.application.load(ROOT / "BARLTrainer" / "BARLTrainer.py")
    yield standin.application.widget("BARLTrainer").panel


@pytest.fixture
def a_study(a_cohort_folder: Path) -> Cohort:
    """A cohort with three rounds: 1 measured on one case, 2 on four cases, 3 stopped before it was measured."""
    cohort = Cohort.open(a_cohort_folder)
    aRound(cohort, "supervised", dice=0.5, cases=1)
    aRound(cohort, "barl", dice=0.8, cases=4)
    write_status(aRound(cohort, "barl"), Status(state=State.STOPPED))
    return cohort


@pytest.fixture
def process(trainer: Any) -> FilesOnly:
    """Takes the place of the training process."""
    double = FilesOnly()
    trainer.rounds.rounds._train._processes = double
    return double


@pytest.fixture
def rounds(trainer: Any, a_study: Cohort) -> Any:
    """The rounds panel with that study."""
    trainer.open(str(a_study.folder))
    return trainer.rounds


@pytest.fixture
def disk(trainer: Any, rounds: Any) -> Any:
    """The opened section of disk use."""
    trainer.ui.diskStep.collapsed = False
    return trainer.disk


@pytest.fixture
def waits(standin: StandIn) -> Callable[[Callable[[], bool]], None]:
    """Lets the application live until something is so."""

    def wait(condition: Callable[[], bool]) -> None:
        for _ in range(2400):
            if condition():
                return
            standin.application.process(0.1)
        raise AssertionError("waited in vain")

    return wait


def choose(panel: Any, *lines: int) -> None:
    """Select lines of the table of rounds, as with Ctrl and the mouse."""
    table = panel.ui.roundTable
    table.clearSelection()
    for line in lines:
        for column in range(table.columnCount):
            table.item(line, column).setSelected(True)


def texts(table: Any) -> list[list[str]]:
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def test_without_a_folder_the_column_says_what_to_do(trainer: Any) -> None:
    trainer.ui.openButton.click()

    assert "Choose the folder of a cohort first" in trainer.ui.messageLabel.text
    assert "Choose the folder of a cohort above" in trainer.rounds.ui.hintLabel.text


def test_the_cohort_of_barl_segment_is_shown_at_once(
    standin: StandIn, trainer: Any, segment: Any, a_study: Cohort
) -> None:
    segment.panel.cohort.open(str(a_study.folder))
    standin.application.widget("BARLTrainer").enter()

    assert trainer.rounds.ui.roundTable.rowCount == 3


def test_rounds_are_listed_with_how_far_their_score_can_be_trusted(rounds: Any) -> None:
    assert texts(rounds.ui.roundTable) == [
        ["3", "BARL", "stopped", "not measured"],
        ["2", "BARL", "finished", "0.80 (4 cases)"],
        ["1", "Supervised", "finished", "0.50 (1 case: too few to say)"],
    ]


def test_figures_of_chosen_rounds_stand_side_by_side(rounds: Any) -> None:
    choose(rounds, 1, 2)

    assert texts(rounds.ui.figureTable) == [
        ["measured on", "1 case: too few to say", "4 cases"],
        ["mean", "0.500", "0.800"],
        ["jaw", "0.600", "0.900"],
        ["teeth", "0.400", "0.700"],
    ]
    assert rounds.ui.figureTable.horizontalHeaderItem(2).text() == "Round 2"


def test_curves_of_chosen_rounds_are_in_one_chart(rounds: Any) -> None:
    choose(rounds, 1, 2)
    chart = rounds.comparison._curves.chartNode

    assert [chart.GetNthPlotSeriesNode(n).GetName() for n in range(2)] == ["Round 1", "Round 2"]
    assert chart.GetNthPlotSeriesNode(0).GetColor() != chart.GetNthPlotSeriesNode(1).GetColor()
    table = chart.GetNthPlotSeriesNode(1).GetTableNode().GetTable()
    assert [table.GetValue(row, 1).ToDouble() for row in range(2)] == pytest.approx([0.4, 0.8])
    assert not rounds.ui.plotView.isHidden()

    choose(rounds, 1)
    assert chart.GetNumberOfPlotSeriesNodes() == 1


def test_a_chart_shows_one_structure_or_the_loss(rounds: Any) -> None:
    choose(rounds, 1, 2)
    combo = rounds.ui.quantityCombo
    names = [combo.itemText(index) for index in range(combo.count)]
    assert names == ["Dice, mean of all structures", "Dice of jaw", "Dice of teeth", "Loss"]

    combo.currentIndex = 2
    series = rounds.comparison._curves.chartNode.GetNthPlotSeriesNode(1)
    assert series.GetTableNode().GetTable().GetValue(1, 1).ToDouble() == pytest.approx(0.7)

    combo.currentIndex = 3
    assert rounds.comparison._curves.chartNode.GetYAxisTitle() == "loss"


def test_closing_the_scene_brings_the_curves_back_when_they_are_looked_at(rounds: Any) -> None:
    import slicer

    choose(rounds, 1)
    slicer.mrmlScene.Clear(0)
    rounds.refresh()

    assert rounds.comparison._curves.chartNode.GetNumberOfPlotSeriesNodes() == 1


def test_looking_again_leaves_nothing_behind(standin: StandIn, rounds: Any) -> None:
    import slicer

    def counts() -> tuple[int, int]:
        return len(standin.binding.connections), slicer.mrmlScene.GetNumberOfNodes()

    choose(rounds, 1, 2)
    before = counts()
    for _ in range(100):
        rounds.look()
    choose(rounds, 0)
    choose(rounds, 1, 2)

    assert counts() == before


def test_a_stopped_round_goes_on(rounds: Any, process: FilesOnly) -> None:
    choose(rounds, 1)
    assert not rounds.ui.resumeButton.enabled
    choose(rounds, 0)
    rounds.ui.resumeButton.click()

    assert process.launched == [rounds.selected()[0].folder]
    assert "goes on" in rounds.ui.messageLabel.text
    assert rounds.ui.roundTable.item(0, 2).text().startswith("running")
    assert rounds.timer.active


def test_a_running_round_is_followed_and_can_be_stopped(rounds: Any, process: FilesOnly) -> None:
    choose(rounds, 0)
    rounds.ui.resumeButton.click()
    folder = rounds.selected()[0].folder
    EventWriter(folder).write("metric", step=7, dice=0.66, dice_by_class={"jaw": 0.66}, validation_cases=5)
    rounds.look()
    assert rounds.ui.roundTable.item(0, 3).text() == "0.66 (5 cases)"

    rounds.ui.stopButton.click()
    rounds.look()

    assert process.ended == [folder]
    assert rounds.ui.roundTable.item(0, 2).text() == "stopped"
    assert not rounds.timer.active


def test_no_round_goes_on_beside_another_one(rounds: Any, process: FilesOnly) -> None:
    write_status(rounds.state.shown[2].folder, Status(state=State.RUNNING).by_this_process())
    choose(rounds, 0)
    rounds.ui.resumeButton.click()

    assert "Round 1 of this cohort is being trained" in rounds.ui.messageLabel.text
    assert process.launched == []


def test_a_damaged_round_does_not_hide_the_others(trainer: Any, a_study: Cohort) -> None:
    (a_study.rounds()[1] / "job.json").write_text("{", encoding="utf-8")

    trainer.open(str(a_study.folder))

    assert [line[2] for line in texts(trainer.rounds.ui.roundTable)] == ["stopped", "damaged", "finished"]


def test_the_model_of_a_round_is_exported_whole(
    rounds: Any, a_study: Cohort, tmp_path: Path, waits: Callable[[Callable[[], bool]], None]
) -> None:
    source = aModel(a_study.rounds()[1])
    rounds.refresh()
    choose(rounds, 1)
    rounds.ui.exportPath.currentPath = str(tmp_path / "for others")
    rounds.ui.modelButton.click()
    waits(lambda: rounds.state.copying is None)

    target = tmp_path / "for others" / "Jaws-round-0002"
    assert sorted(path.name for path in target.iterdir()) == ["model.json", "weights.pt"]
    assert (target / "weights.pt").read_bytes() == (source / "weights.pt").read_bytes()
    assert str(target) in rounds.ui.messageLabel.text.replace("&amp;", "&")


def test_an_export_without_a_folder_says_what_is_missing(rounds: Any, a_study: Cohort) -> None:
    aModel(a_study.rounds()[1])
    rounds.refresh()
    choose(rounds, 1)
    rounds.ui.modelButton.click()

    assert "Choose the folder to export to" in rounds.ui.messageLabel.text


def test_the_figures_are_written_as_a_table(rounds: Any, tmp_path: Path) -> None:
    rounds.ui.exportPath.currentPath = str(tmp_path)
    rounds.ui.tableButton.click()

    lines = (tmp_path / "rounds.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("round,method,preset,minutes,state,step,structure,dice,validation_cases")
    assert "1,supervised,,5,finished,20,jaw,0.600000,1,yes" in lines
    assert "2,barl,,5,finished,20,mean,0.800000,4,no" in lines


def test_methods_are_explained(trainer: Any) -> None:
    combo = trainer.methods.ui.methodCombo
    combo.currentIndex = combo.count - 1

    assert "BARL" in combo.currentText
    assert "reconstructed from the abstract" in trainer.methods.ui.methodText.text


def test_a_setting_is_shown_with_its_explanation_and_changed_in_place(trainer: Any) -> None:
    panel = trainer.methods
    panel.ui.groupCombo.currentIndex = 1
    table = panel.ui.settingTable
    assert [table.item(0, column).text() for column in range(3)] == ["learning_rate", "0.1", "0.1"]
    assert "First learning rate of SGD" in panel.ui.settingText.text

    table.item(0, 1).setText("0.05")

    assert panel.state.changes == {"training.learning_rate": 0.05}
    assert panel.ui.changedText.text == "Changed: training.learning_rate = 0.05"
    assert table.item(0, 1).font().bold()

    table.item(0, 1).setText("0.1")
    assert panel.state.changes == {}


def test_a_setting_of_the_wrong_kind_is_not_taken(trainer: Any) -> None:
    panel = trainer.methods
    panel.ui.groupCombo.currentIndex = 2
    panel.ui.settingTable.item(0, 1).setText("many")

    assert "base_filters must be a whole number, got 'many'" in panel.ui.messageLabel.text.replace("&#x27;", "'")
    assert panel.ui.settingTable.item(0, 1).text() == "16"
    assert panel.state.changes == {}


def test_words_and_switches_are_chosen_from_a_list(trainer: Any) -> None:
    panel = trainer.methods
    panel.ui.groupCombo.currentIndex = 2
    combo = panel.ui.settingTable.cellWidget(1, 1)
    assert [combo.itemText(index) for index in range(combo.count)] == ["instance", "batch"]

    combo.currentIndex = 1
    combo.activated.emit(1)

    assert panel.state.changes == {"network.normalization": "batch"}


def test_another_method_forgets_the_settings_of_the_one_before(trainer: Any) -> None:
    panel = trainer.methods
    panel._onSetting("dpr_weight", 2.0)
    panel.ui.groupCombo.currentIndex = 2
    panel._onSetting("network.base_filters", 8)

    panel.ui.methodCombo.currentIndex = 0

    assert panel.state.changes == {"network.base_filters": 8}


class Engine:
    """Stands for the process that asks the engine: it answers when the test says so."""

    def __init__(self) -> None:
        self.verdict: Any = None

    def __call__(self, wish: Any, cohort: Any, python: Any) -> Engine:
        return self

    def look(self) -> Any:
        return self.verdict

    def stop(self) -> None:
        """Nothing runs."""


def test_a_training_starts_with_the_chosen_settings_once_the_engine_agrees(
    trainer: Any, rounds: Any, process: FilesOnly, drawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from BARLTrainerLib.widgets import MethodPanel

    engine = Engine()
    monkeypatch.setattr(MethodPanel, "WishCheck", engine)
    panel = trainer.methods
    panel.ui.methodCombo.currentIndex = 0
    panel.ui.presetCombo.currentIndex = 1
    panel.ui.minutesSpin.value = 7.0
    panel.ui.groupCombo.currentIndex = 2
    panel.ui.settingTable.item(0, 1).setText("8")
    panel.ui.trainButton.click()
    panel.poll()
    assert not panel.ui.trainButton.enabled
    assert process.launched == []

    engine.verdict = MethodPanel.Verdict()
    panel.poll()

    (folder,) = process.launched
    payload = read_spec(folder).payload
    assert (payload["method"], payload["preset"], payload["minutes"]) == ("supervised", "quick", 7.0)
    assert payload["settings"] == {"network.base_filters": 8}
    assert rounds.ui.roundTable.item(0, 0).text() == "4"
    assert "Round 4 has begun" in panel.ui.messageLabel.text


def test_what_the_engine_refuses_is_told_and_makes_no_round(
    trainer: Any, rounds: Any, process: FilesOnly, waits: Callable[[Callable[[], bool]], None]
) -> None:
    pytest.importorskip("torch")
    panel = trainer.methods
    panel.ui.groupCombo.currentIndex = 1
    panel.ui.settingTable.item(0, 1).setText("7")
    panel.ui.trainButton.click()
    waits(lambda: panel.state.check is None)

    assert "learning_rate must be above 0 and at most 1, got 7" in panel.ui.messageLabel.text
    assert process.launched == []


def test_without_a_cohort_a_training_cannot_start(trainer: Any) -> None:
    trainer.methods.ui.trainButton.click()

    assert "Choose the folder of a cohort" in trainer.methods.ui.messageLabel.text


def test_a_wish_is_handed_to_barl_segment(trainer: Any, rounds: Any, segment: Any, a_study: Cohort) -> None:
    panel = trainer.methods
    panel.ui.methodCombo.currentIndex = 1
    panel.ui.presetCombo.currentIndex = 3
    panel.ui.minutesSpin.value = 33.0
    panel._onSetting("momentum", 0.9)
    panel.ui.handButton.click()

    train = segment.panel.train
    assert segment.logic.cohort.cohort.folder == a_study.folder
    assert train.ui.methodCombo.currentText == "Mean teacher"
    assert train.ui.minutesSpin.value == 33.0
    assert "momentum = 0.9" in train.ui.methodText.text

    train.ui.methodCombo.currentIndex = 0
    assert train.settings == {}


def test_what_was_handed_over_is_what_barl_segment_starts(
    trainer: Any, rounds: Any, segment: Any, a_study: Cohort, drawn: None
) -> None:
    from BARLSegmentLib.logic.TrainLogic import TrainLogic

    panel, double = trainer.methods, FilesOnly()
    segment.panel.train.train = TrainLogic(double)
    panel.ui.presetCombo.currentIndex = 3
    panel.ui.deviceCombo.currentText = "cpu"
    panel.ui.seedSpin.value = 4
    panel._onSetting("dpr_weight", 0.5)
    panel.ui.handButton.click()
    segment.panel.train.ui.trainButton.click()

    payload = read_spec(double.launched[0]).payload
    assert (payload["method"], payload["preset"], payload["device"], payload["seed"]) == ("barl", "thorough", "cpu", 4)
    assert payload["settings"] == {"dpr_weight": 0.5}
    words = "From BARL Trainer: dpr_weight = 0.5, device cpu, seed 4."
    assert words in segment.panel.train.ui.methodText.text


def test_disk_use_is_shown_part_by_part(disk: Any, rounds: Any, a_study: Cohort) -> None:
    finished = a_study.rounds()[0]
    (finished / "checkpoints").mkdir()
    (finished / "checkpoints" / "newest.pt").write_bytes(b"0" * 3_000_000)
    disk.ui.againButton.click()
    while disk.state.use.look():
        pass
    disk.count()

    lines = texts(disk.ui.partTable)
    assert [line[0].strip() for line in lines] == ["Round 3", "Round 2", "Round 1", "of which checkpoints"]
    assert lines[3][1] == "3 MB"
    assert "3 MB in all" in disk.ui.totalLabel.text


def line(panel: Any, begin: str) -> int:
    return next(number for number, each in enumerate(texts(panel.ui.partTable)) if each[0].strip() == begin)


def test_a_round_is_deleted_only_after_a_yes(disk: Any, rounds: Any, a_study: Cohort) -> None:
    folder = a_study.rounds()[0]
    disk.ui.partTable.setCurrentCell(line(disk, "Round 1"), 0)
    disk.ui.deleteButton.click()
    assert "Delete round 1 with its model and predictions" in disk.ui.questionLabel.text
    disk.ui.noButton.click()
    assert folder.is_dir()

    disk.ui.deleteButton.click()
    disk.ui.yesButton.click()

    assert not folder.exists()
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    assert rounds.ui.roundTable.rowCount == 2


def test_a_round_that_is_being_trained_is_not_deleted(disk: Any, rounds: Any, a_study: Cohort) -> None:
    folder = a_study.rounds()[2]
    write_status(folder, Status(state=State.RUNNING).by_this_process())
    disk.ui.partTable.setCurrentCell(line(disk, "Round 3"), 0)
    disk.ui.deleteButton.click()
    disk.ui.yesButton.click()

    assert folder.is_dir()
    assert "being trained" in disk.ui.messageLabel.text


def test_who_would_be_left_without_a_beginning_is_named_before_deleting(
    disk: Any, rounds: Any, a_study: Cohort
) -> None:
    spec = a_study.rounds()[2] / "job.json"
    record = json.loads(spec.read_text(encoding="utf-8"))
    record["payload"]["from_round"] = 1
    spec.write_text(json.dumps(record), encoding="utf-8")
    disk.ui.partTable.setCurrentCell(line(disk, "Round 1"), 0)
    disk.ui.deleteButton.click()

    assert "these could not go on: 3." in disk.ui.questionLabel.text


def test_what_was_drawn_cannot_be_deleted(disk: Any, rounds: Any, drawn: None) -> None:
    disk.ui.againButton.click()
    disk.ui.partTable.setCurrentCell(line(disk, "Annotations"), 0)

    assert not disk.ui.deleteButton.enabled
    assert disk.ui.folderButton.enabled


def test_folders_are_opened_in_the_systems_own_window(
    disk: Any, rounds: Any, a_study: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6 import QtGui

    opened: list[str] = []
    monkeypatch.setattr(QtGui.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    choose(rounds, 1)
    rounds.ui.folderButton.click()
    disk.ui.partTable.setCurrentCell(0, 0)
    disk.ui.folderButton.click()

    assert opened == [str(a_study.rounds()[1]), str(a_study.rounds()[2])]


@pytest.fixture
def drawn(a_study: Cohort) -> None:
    """One case of the study is annotated."""
    from barl.cohort import Coverage

    a_study.add_annotation("scan_01", lambda path: path.write_bytes(b"voxels"), coverage=Coverage(), author="anna")


def test_diagnostics_come_from_a_process_of_their_own_and_can_be_copied(
    trainer: Any, waits: Callable[[Callable[[], bool]], None]
) -> None:
    from PySide6 import QtWidgets

    panel = trainer.diagnostics
    trainer.ui.diagnosticsStep.collapsed = False
    assert panel.examination.isRunning
    waits(lambda: panel.state.findings is not None)
    panel.ui.copyButton.click()

    assert "python: 3." in QtWidgets.QApplication.clipboard().text()
    assert "memory free (GiB): " in QtWidgets.QApplication.clipboard().text()
    assert panel.ui.factTable.rowCount > 5


def test_what_is_missing_is_told_before_it_is_installed(trainer: Any) -> None:
    from BARLSegmentLib.logic.InstallLogic import InstallLogic

    trainer.diagnostics.install = InstallLogic(versionOf=lambda name: None)

    trainer.diagnostics.ui.installButton.click()

    assert "are downloaded" in trainer.diagnostics.ui.questionLabel.text
    trainer.diagnostics.ui.noButton.click()
    assert trainer.diagnostics.ui.questionRow.isHidden()


def test_a_package_that_is_there_and_cannot_be_imported_is_to_be_installed_anew(
    trainer: Any, waits: Callable[[Callable[[], bool]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from BARLSegmentLib.logic import InstallLogic as logic
    from BARLSegmentLib.logic.Requirements import Requirement

    lost = Requirement(name="lost", module="no_such_module_of_barl", downloadMb=5)
    monkeypatch.setattr(logic, "ALL", (lost,))
    panel = trainer.diagnostics
    panel.install = logic.InstallLogic(versionOf=lambda name: "1.0")
    panel.ui.installButton.click()
    assert "Trying what is installed" in panel.ui.installLabel.text
    waits(lambda: panel.state.installation is None)

    assert "BARL needs lost" in panel.ui.questionLabel.text
    assert panel.state.plan.repair == ("lost",)


def test_a_folder_without_wheels_is_told(trainer: Any, tmp_path: Path) -> None:
    from BARLSegmentLib.logic.InstallLogic import InstallLogic

    trainer.diagnostics.install = InstallLogic(versionOf=lambda name: None)
    trainer.diagnostics.ui.wheelPath.currentPath = str(tmp_path)

    trainer.diagnostics.ui.installButton.click()

    assert not trainer.diagnostics.ui.messageLabel.isHidden()


def test_torch_comes_by_a_second_slicer_without_a_window(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    standin.application.load(ROOT / "BARLTrainer" / "BARLTrainer.py")
    module = sys.modules["BARLTrainer"]
    assert module._slicerWithTorchUtils() is None

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    program, *options = module._slicerWithTorchUtils()

    assert Path(program).is_absolute()
    assert options == ["--no-splash", "--no-main-window", "--ignore-slicerrc"]
    known = json.loads((ROOT / "Testing/Panels/api_facts.json").read_text(encoding="utf-8"))
    assert known["classes"]["qSlicerApplication"]["members"]["launcherExecutableFilePath"] == "p"


class SlowPip:
    """Stands for an installation: its one command is a real process that prints and takes its time."""

    def __init__(self, code: str) -> None:
        self.code = code

    def checking(self) -> Any:
        yield from ()
        return ()

    def plan(self, packages: Any, *, wheelFolder: Path | None = None) -> Any:
        from BARLSegmentLib.logic.InstallLogic import InstallPlan
        from BARLSegmentLib.logic.Requirements import OTHERS

        return InstallPlan(torch=False, others=OTHERS[:1], downloadMb=40.0)

    def installing(self, plan: Any) -> Any:
        from barl.errors import JobFailedError
        from BARLSegmentLib.logic.ChildPython import Command, Task

        done = yield Command(arguments=("-u", "-c", self.code), timeoutSeconds=60.0, task=Task.INSTALL)
        if done.code:
            raise JobFailedError(f"pip could not install scipy. {done.output}")
        return ()


def test_an_installation_goes_on_while_the_window_lives(
    trainer: Any, waits: Callable[[Callable[[], bool]], None]
) -> None:
    panel = trainer.diagnostics
    panel.install = SlowPip("import time; print('Collecting scipy'); time.sleep(1)")
    panel.ui.installButton.click()
    panel.ui.yesButton.click()

    assert panel.state.installation is not None
    assert not panel.ui.installBox.isHidden()
    assert not panel.ui.installButton.enabled
    waits(lambda: "Collecting scipy" in panel.ui.installLabel.text)
    assert "You can go on working" in panel.ui.installLabel.text
    waits(lambda: panel.state.installation is None)
    assert "Everything is installed" in panel.ui.messageLabel.text
    assert panel.ui.installBox.isHidden()


def test_an_installation_that_fails_says_why_and_can_be_tried_again(
    trainer: Any, waits: Callable[[Callable[[], bool]], None]
) -> None:
    panel = trainer.diagnostics
    panel.install = SlowPip("print('no space left'); raise SystemExit(3)")
    panel.ui.installButton.click()
    panel.ui.yesButton.click()
    waits(lambda: panel.state.installation is None)

    assert "no space left" in panel.ui.messageLabel.text
    assert panel.ui.installButton.enabled


def test_an_installation_can_be_stopped(trainer: Any, waits: Callable[[Callable[[], bool]], None]) -> None:
    panel = trainer.diagnostics
    panel.install = SlowPip("import time; print('begun'); time.sleep(600)")
    panel.ui.installButton.click()
    panel.ui.yesButton.click()
    waits(lambda: "begun" in panel.ui.installLabel.text)
    process = panel.state.installation._process._process

    panel.ui.stopButton.click()

    assert process.poll() is not None
    assert panel.ui.installBox.isHidden()


def test_a_newly_made_round_counts_with_its_state(trainer: Any, rounds: Any, a_study: Cohort) -> None:
    folder = aRound(a_study, "supervised")
    rounds.refresh()

    assert rounds.ui.roundTable.rowCount == 4
    assert read_status(folder).state is State.FINISHED
