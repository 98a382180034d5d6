"""Both modules as Slicer finds them: loaded, entered, left, reloaded, closed; sample data registered."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from standin import ui_files
from standin.facts import Facts
from standin.install import StandIn, installed

ROOT = Path(__file__).parents[2]
UI_FILES = sorted(ROOT.glob("BARL*/Resources/UI/*.ui"))


@pytest.mark.parametrize("version", ["5.10", "5.12"])
@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_every_ui_file_holds_only_what_slicer_has(path: Path, version: str) -> None:
    ui_files.check(Facts(version), path)


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_every_button_and_field_has_a_key_of_its_own(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    keys: list[str] = []
    for widget in root.iter("widget"):
        text = "".join(each.findtext("string", "") for each in widget.findall("property") if each.get("name") == "text")
        if widget.get("class") == "QPushButton":
            assert "&" in text, f"{widget.get('name')} cannot be pressed with Alt"
        keys += [text[text.index("&") + 1].lower()] if "&" in text else []

    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_every_button_says_what_it_does(path: Path) -> None:
    for widget in ElementTree.parse(path).getroot().iter("widget"):
        if widget.get("class") == "QPushButton":
            assert any(each.get("name") == "toolTip" for each in widget.findall("property")), widget.get("name")


@pytest.mark.parametrize("module", ["BARLSegment", "BARLTrainer"])
@pytest.mark.parametrize("version", ["5.10", "5.12"])
def test_a_module_is_loaded_entered_left_and_cleaned_up(module: str, version: str) -> None:
    with installed(version) as standin:
        standin.application.load(ROOT / module / f"{module}.py")
        widget = standin.application.widget(module)

        widget.enter()
        if hasattr(widget, "exit"):
            widget.exit()
        widget.enter()
        widget.cleanup()

        assert standin.binding.problems == []


def test_the_modules_file_alone_imports_neither_the_engine_nor_the_panels(standin: StandIn) -> None:
    before = set(sys.modules)

    standin.application.load(ROOT / "BARLSegment" / "BARLSegment.py")
    standin.application.load(ROOT / "BARLTrainer" / "BARLTrainer.py")

    loaded = {
        name for name in set(sys.modules) - before if name.startswith(("BARLSegmentLib.", "BARLTrainerLib", "barl"))
    }
    assert loaded <= {"BARLSegmentLib.Reloading"}


def test_one_folder_among_the_module_paths_is_enough(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if "BARL" not in each])
    monkeypatch.setattr(sys, "meta_path", [each for each in sys.meta_path if "editable" not in repr(each).lower()])

    standin.application.load(ROOT / "BARLSegment" / "BARLSegment.py")

    assert str(ROOT / "BARLTrainer") in sys.path or any("barl" in name for name in sys.modules)


def test_sample_scans_are_registered_when_slicer_has_started(standin: StandIn, segment: Any) -> None:
    import SampleData

    standin.binding.unwrap(standin.slicer.app).startupCompleted.emit()

    source = SampleData.registered[0]
    assert (source.category, source.sampleName) == ("BARL", "BARLScans")
    assert Path(source.thumbnailFileName).is_file()


def test_sample_scans_come_into_the_scene_without_a_download(standin: StandIn, segment: Any) -> None:
    import SampleData
    import slicer

    standin.binding.unwrap(standin.slicer.app).startupCompleted.emit()
    nodes = SampleData.registered[0].customDownloader(SampleData.registered[0])

    assert [node.GetName() for node in nodes] == [f"scan_{number:02d}" for number in range(1, 7)]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 6


def test_who_opens_the_module_is_offered_the_sample_scans(segment: Any) -> None:
    ui = segment.panel.cohort.ui

    ui.sampleButton.click()

    assert ui.volumeList.count == 6
    assert not ui.newSection.collapsed
    assert "Sample scans in the scene: 6" in ui.messageLabel.text


def test_sample_scans_without_packages_say_how_to_come_by_them(segment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "edt" else find(name, *rest))

    segment.panel.cohort.ui.sampleButton.click()

    assert "a folder with wheels" in segment.panel.cohort.ui.messageLabel.text


def test_missing_packages_are_told_before_they_are_missed(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    standin.application.load(ROOT / "BARLSegment" / "BARLSegment.py")
    import BARLSegmentLib.widgets.SegmentPanel as shown
    from BARLSegmentLib.logic.Requirements import TORCH

    monkeypatch.setattr(shown, "unfit", lambda *_: (TORCH,))
    segment = standin.application.widget("BARLSegment")
    assert not segment.panel.ui.setupRow.isHidden()
    assert "torch" in segment.panel.ui.setupLabel.text

    monkeypatch.setattr(shown, "unfit", lambda *_: ())
    segment.enter()

    assert segment.panel.ui.setupRow.isHidden()


def test_the_scripts_that_run_in_slicer_can_be_read() -> None:
    for path in ROOT.glob("BARL*/Testing/Python/*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
