"""Step 2: draw and save; questions are asked in the panel, and nothing that was drawn is lost."""

from __future__ import annotations

from typing import Any

import pytest
from drawing import paint
from standin.install import StandIn


@pytest.fixture
def editor(an_open_module: Any) -> Any:
    """The editor panel with the first case loaded."""
    an_open_module.panel.editor.load("scan_01")
    return an_open_module.panel.editor


def shortcuts(standin: StandIn, editor: Any) -> bool:
    return standin.binding.unwrap(editor.ui.editor)._shortcuts


def test_a_new_case_has_all_structures_and_is_ready_to_draw(editor: Any) -> None:
    segmentation = editor.state.case.segmentationNode.GetSegmentation()

    names = [segmentation.GetNthSegment(index).GetName() for index in range(segmentation.GetNumberOfSegments())]
    assert names == ["jaw", "teeth"]
    assert editor.ui.editor.segmentationNode() is editor.state.case.segmentationNode
    assert editor.ui.editor.sourceVolumeNode() is editor.state.case.volumeNode
    assert editor.ui.saveButton.enabled


def test_what_is_drawn_becomes_a_version(editor: Any, an_open_module: Any) -> None:
    paint(an_open_module, "jaw", "teeth")

    editor.ui.saveButton.click()

    assert "Saved as version 1 of scan_01" in editor.ui.messageLabel.text
    assert editor.ui.versionCombo.itemText(0).startswith("1: ")
    assert an_open_module.panel.cohort.state.row("scan_01").version == 1


def test_an_empty_structure_is_asked_about_in_the_panel(editor: Any, an_open_module: Any, standin: StandIn) -> None:
    paint(an_open_module, "jaw")

    editor.ui.saveButton.click()

    assert "teeth" in editor.ui.questionLabel.text
    assert not editor.ui.questionRow.isHidden()
    assert standin.binding.asked == []
    assert an_open_module.logic.cohort.cohort.annotation("scan_01") is None


def test_a_yes_saves_and_a_no_goes_back_to_drawing(editor: Any, an_open_module: Any) -> None:
    paint(an_open_module, "jaw")
    editor.ui.saveButton.click()
    editor.ui.noButton.click()
    assert editor.ui.questionRow.isHidden()
    assert an_open_module.logic.cohort.cohort.annotation("scan_01") is None

    editor.ui.saveButton.click()
    editor.ui.yesButton.click()

    assert an_open_module.logic.cohort.cohort.annotation("scan_01").number == 1


def test_the_chosen_coverage_is_saved(editor: Any, an_open_module: Any) -> None:
    paint(an_open_module, "jaw", "teeth")
    editor.ui.coverageCombo.currentIndex = 1

    editor.ui.saveButton.click()

    assert an_open_module.logic.cohort.cohort.annotation("scan_01").coverage.axis == 0


def test_an_earlier_version_is_restored(editor: Any, an_open_module: Any) -> None:
    for _ in range(2):
        paint(an_open_module, "jaw", "teeth")
        editor.ui.saveButton.click()
    editor.ui.versionCombo.currentIndex = 1

    editor.ui.restoreButton.click()

    assert [version.number for version in editor.state.versions] == [3, 2, 1]
    assert "Version 1 is the newest again" in editor.ui.messageLabel.text


def test_the_next_case_is_one_that_is_not_annotated(editor: Any, an_open_module: Any) -> None:
    paint(an_open_module, "jaw", "teeth")
    editor.ui.saveButton.click()

    editor.ui.nextButton.click()

    assert editor.state.case.caseId == "scan_02"


def test_shortcuts_are_taken_on_enter_and_given_back_on_exit(standin: StandIn, an_open_module: Any) -> None:
    editor = an_open_module.panel.editor
    assert shortcuts(standin, editor)

    an_open_module.exit()

    assert not shortcuts(standin, editor)
    assert not standin.binding.unwrap(editor.ui.editor)._observes_views


def test_the_editor_node_is_the_modules_own(editor: Any) -> None:
    assert editor.ui.editor.mrmlSegmentEditorNode().GetSingletonTag() == "BARLSegment"


def test_a_deleted_segmentation_empties_the_panel(editor: Any) -> None:
    import slicer

    slicer.mrmlScene.RemoveNode(editor.state.case.segmentationNode)

    assert editor.state.case is None
    assert not editor.ui.saveButton.enabled
    assert editor.ui.editor.segmentationNode() is None


def test_closing_the_scene_while_drawing_leaves_a_usable_panel(editor: Any, an_open_module: Any) -> None:
    import slicer

    paint(an_open_module, "jaw")

    slicer.mrmlScene.Clear(0)
    editor.load("scan_02")

    assert editor.state.case.caseId == "scan_02"


def test_undo_reaches_back_before_a_programmatic_change(editor: Any) -> None:
    assert editor.ui.editor.maximumNumberOfUndoStates == 10


def test_a_finished_case_leaves_the_scene_when_the_next_one_comes(editor: Any, an_open_module: Any) -> None:
    paint(an_open_module, "jaw", "teeth")
    editor.save()

    editor.load("scan_02")

    assert an_open_module.logic.cohort.loadedCases() == ("scan_02",)


def test_unsaved_drawing_stays_hidden_until_its_case_comes_back(editor: Any, an_open_module: Any) -> None:
    paint(an_open_module, "jaw")
    node = editor.state.case.segmentationNode

    editor.load("scan_02")
    assert not node.GetDisplayNode().GetVisibility()

    editor.load("scan_01")
    assert node.GetDisplayNode().GetVisibility()
    assert editor.state.case.segmentationNode is node
