"""Step 1: a person makes a cohort, opens it, checks it, and is told in words what is wrong."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest
from standin.install import StandIn
from work_here import WorkHere


@pytest.fixture
def panel(segment: Any) -> Any:
    """The cohort panel, whose long work is done in this process."""
    segment.panel.cohort.form.startWork = segment.panel.cohort.check.startWork = WorkHere
    return segment.panel.cohort


def press_create(panel: Any) -> None:
    """Press the button, and let the timer come as often as it takes."""
    panel.ui.createButton.click()
    while panel.form.isMaking:
        panel.form.poll()


def press_check(panel: Any) -> None:
    """The same with the check."""
    panel.ui.auditButton.click()
    while panel.check.isRunning:
        panel.check.poll()


@pytest.fixture
def an_open_panel(panel: Any, images: Path, tmp_path: Path) -> Any:
    """With a cohort of three cases that was made through the form."""
    panel.ui.folderPath.currentPath = str(tmp_path / "Kohorte ä")
    panel.ui.nameEdit.text = "Jaws"
    panel.ui.imagesPath.currentPath = str(images)
    press_create(panel)
    return panel


def cells(table: Any, column: int) -> list[str]:
    return [table.item(row, column).text() for row in range(table.rowCount)]


def test_the_module_loads_and_says_what_to_do(segment: Any) -> None:
    assert segment.panel.ui.nextLabel.text == "Next: open a cohort, or make a new one."
    assert not segment.panel.ui.cohortStep.collapsed


def test_the_module_says_what_it_is(standin: StandIn, segment: Any) -> None:
    about = standin.slicer.modules.BARLSegmentInstance.parent

    assert about.title == "BARL Segment"
    assert "Not for clinical use" in about.helpText
    assert "Gao, Wang and Yu" in about.acknowledgementText
    assert not about.icon.isNull()


def test_a_cohort_is_made_of_a_folder_and_shown(an_open_panel: Any) -> None:
    assert cells(an_open_panel.ui.caseTable, 0) == ["scan_01", "scan_02", "scan_03"]
    assert set(cells(an_open_panel.ui.caseTable, 1)) == {"not yet drawn"}
    assert "Cases: 3" in an_open_panel.ui.messageLabel.text
    assert an_open_panel.ui.newSection.collapsed


def test_a_cohort_is_made_of_the_checked_volumes_in_the_scene(panel: Any, segment: Any, tmp_path: Path) -> None:
    import qt

    sys.modules["BARLSegment"].loadSampleScans()
    panel.ui.folderPath.currentPath = str(tmp_path / "cohort")
    panel.ui.sourceCombo.currentIndex = 1
    panel.ui.volumeList.item(0).setCheckState(qt.Qt.Unchecked)

    press_create(panel)

    assert cells(panel.ui.caseTable, 0) == ["scan_02", "scan_03", "scan_04", "scan_05", "scan_06"]


def test_without_a_folder_the_panel_says_what_is_missing(panel: Any) -> None:
    press_create(panel)

    assert "Choose a folder for the cohort" in panel.ui.messageLabel.text
    assert not panel.ui.messageLabel.isHidden()


def test_a_folder_without_a_cohort_is_told_and_nothing_is_open(panel: Any, tmp_path: Path) -> None:
    panel.ui.folderPath.currentPath = str(tmp_path)
    panel.ui.openButton.click()

    assert "cohort" in panel.ui.messageLabel.text
    assert not panel.logic.isOpen
    assert panel.ui.caseTable.isHidden()


def test_what_looks_like_markup_is_shown_as_it_is(panel: Any, qt: Any) -> None:
    panel.message.error("Anna's <b>scan</b> & more")

    assert panel.ui.messageLabel.text == "Anna's <b>scan</b> & more"
    assert panel.ui.messageLabel.textFormat == qt.Qt.PlainText


def test_two_structures_of_one_name_are_refused_in_words(panel: Any, images: Path, tmp_path: Path) -> None:
    panel.ui.folderPath.currentPath = str(tmp_path / "cohort")
    panel.ui.imagesPath.currentPath = str(images)
    panel.ui.labelTable.item(1, 1).setText("Jaw")

    press_create(panel)

    assert "jaw" in panel.ui.messageLabel.text.lower()
    assert not (tmp_path / "cohort" / "cohort.json").exists()


def test_presets_fill_the_label_table_and_structures_can_be_added(panel: Any) -> None:
    panel.ui.presetCombo.currentIndex = 3

    panel.ui.addLabelButton.click()

    assert cells(panel.ui.labelTable, 1) == ["gray matter", "white matter", "cerebrospinal fluid", "structure 4"]
    assert panel.ui.modalityCombo.currentText == "MR"


def test_the_check_lists_what_it_found_and_shows_the_case(an_open_panel: Any, segment: Any) -> None:
    press_check(an_open_panel)

    assert an_open_panel.ui.findingList.count > 0
    assert "mended" in an_open_panel.ui.messageLabel.text or "Ready" in an_open_panel.ui.messageLabel.text


def test_a_case_is_loaded_by_its_line(an_open_panel: Any, segment: Any) -> None:
    an_open_panel.selectCase("scan_02")

    an_open_panel.ui.loadButton.click()

    assert segment.panel.editor.state.case.caseId == "scan_02"
    assert not segment.panel.ui.editorStep.collapsed
    assert segment.panel.ui.cohortStep.collapsed


def test_a_case_is_given_another_use(an_open_panel: Any) -> None:
    an_open_panel.selectCase("scan_03")

    an_open_panel.ui.roleCombo.activated.emit(1)

    assert an_open_panel.logic.cohort.case("scan_03").role.value == "validation"


def test_an_image_that_vanished_is_told_in_its_line(an_open_panel: Any, images: Path) -> None:
    (images / "scan_02.nrrd").unlink()

    an_open_panel.refresh()
    an_open_panel.selectCase("scan_02")

    assert not an_open_panel.ui.loadButton.enabled
    assert "missing" in an_open_panel.ui.caseTable.item(1, 0).toolTip()


def test_cleanup_leaves_no_connection(standin: StandIn, segment: Any, an_open_panel: Any) -> None:
    segment.cleanup()

    of_the_module = 1  # registers the sample data when Slicer has started
    assert len(standin.binding.connections) == of_the_module


def test_reload_reads_all_files_again_and_keeps_nothing_of_the_old(standin: StandIn, segment: Any) -> None:
    import BARLSegmentLib.widgets.CohortPanel as old

    segment.onReload()
    import BARLSegmentLib.widgets.CohortPanel as new

    assert new is not old
    assert segment.panel is None
    assert standin.slicer.modules.BARLSegmentWidget.panel is not None


def test_coming_back_connects_the_same_parameters_and_what_they_call_stays_alive(
    standin: StandIn, segment: Any, an_open_panel: Any
) -> None:
    instance = standin.slicer.modules.BARLSegmentInstance
    for _ in range(3):
        segment.exit()
        segment.enter()
    assert instance.parameterNodes == [segment._parameterNode()]

    again = standin.application.reload("BARLSegment")
    gc.collect()  # What nobody keeps would go now; Slicer 5.10 would call it nevertheless.
    standin.slicer.mrmlScene.Clear(0)

    assert instance.parameterNodes[1:] == [again._parameterNode()]


def test_the_scene_is_closed_and_the_cohort_stays_open(segment: Any, an_open_panel: Any) -> None:
    import slicer

    slicer.mrmlScene.Clear(0)

    assert an_open_panel.logic.isOpen
    assert cells(an_open_panel.ui.caseTable, 0) == ["scan_01", "scan_02", "scan_03"]
