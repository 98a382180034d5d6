"""The stand-in refuses what Slicer 5.10 would refuse: each of these mistakes has been made in some extension."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standin import ui_files
from standin.facts import NotInSlicer
from standin.install import StandIn

REFUSED = (AttributeError, ValueError, TypeError)

MISTAKES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "a property called as in PySide": lambda qt, ctk, slicer: qt.QLineEdit().text(),
    "a getter of PySide that Qt 5 does not have": lambda qt, ctk, slicer: qt.QComboBox().placeholderTextt,
    "a misspelled property, read": lambda qt, ctk, slicer: ctk.ctkCollapsibleButton().colapsed,
    "a misspelled property, written": lambda qt, ctk, slicer: setattr(ctk.ctkPathLineEdit(), "curentPath", "/"),
    "a setter that only C++ has": lambda qt, ctk, slicer: ctk.ctkCollapsibleButton().setCollapsed(True),
    "the getter of a property": lambda qt, ctk, slicer: ctk.ctkCollapsibleButton().isFlat(),
    "a constructor with a text": lambda qt, ctk, slicer: ctk.ctkCollapsibleButton("Cohort"),
    "a constructor with keywords": lambda qt, ctk, slicer: qt.QPushButton(text="Train"),
    "a call with keywords": lambda qt, ctk, slicer: qt.QLabel().setText(text="x"),
    "too many arguments": lambda qt, ctk, slicer: qt.QLabel().setText("one", "two"),
    "a signal that is not there": lambda qt, ctk, slicer: qt.QPushButton().connect("cliked(bool)", print),
    "a signal with other arguments": lambda qt, ctk, slicer: qt.QSlider().connect("valueChanged(double)", print),
    "a chosen overload as in PySide": lambda qt, ctk, slicer: qt.QComboBox().activated[int],
    "a slot name as in PySide": lambda qt, ctk, slicer: qt.QTimer().timeout.connect(print, qt.Qt.QueuedConnection),
    "a read-only property written": lambda qt, ctk, slicer: setattr(qt.QWidget(), "width", 3),
    "a method replaced": lambda qt, ctk, slicer: setattr(qt.QWidget(), "show", print),
    "a new attribute on a C++ object": lambda qt, ctk, slicer: setattr(qt.QWidget(), "barlState", 1),
    "a Signal class": lambda qt, ctk, slicer: qt.Signal,
    "a property class": lambda qt, ctk, slicer: qt.QtCore,
    "a widget of another namespace": lambda qt, ctk, slicer: qt.ctkCollapsibleButton,
    "a widget that does not exist": lambda qt, ctk, slicer: ctk.ctkCollapsableButton,
    "a class that Python cannot make": lambda qt, ctk, slicer: slicer.qSlicerApplication(),
    "a function of 5.12 without a check": lambda qt, ctk, slicer: slicer.util.executePythonModule("pip", []),
    "an argument of 5.12": lambda qt, ctk, slicer: slicer.util.launchConsoleProcess([], blocking=False),
    "a module of 5.12": lambda qt, ctk, slicer: importlib.import_module("slicer.packaging"),
    "a function that slicer.util never had": lambda qt, ctk, slicer: slicer.util.loadNifti("x"),
    "a name of slicer.util asked of slicer": lambda qt, ctk, slicer: slicer.loadVolume,
    "a misspelled parameter": lambda qt, ctk, slicer: slicer.util.setSliceViewerLayers(forground=None),
    "an unknown enum value": lambda qt, ctk, slicer: qt.Qt.AlignCentre,
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_typical_mistake_raises(mistake: Callable[[Any, Any, Any], Any], qt: Any, ctk: Any, slicer: Any) -> None:
    with pytest.raises((*REFUSED, ImportError)):
        mistake(qt, ctk, slicer)


def test_the_error_says_what_to_do_instead(ctk: Any) -> None:
    with pytest.raises(NotInSlicer, match="the getter of a property; read the property"):
        ctk.ctkCollapsibleButton().isFlat()


def test_a_function_of_5_12_can_be_asked_for(slicer: Any) -> None:
    assert not hasattr(slicer.util, "executePythonModule")


def test_5_12_has_what_5_10_lacks(newer_standin: StandIn) -> None:
    assert hasattr(newer_standin.slicer.qMRMLNodeComboBox(), "nodeAddedByUserAction")
    assert newer_standin.slicer.util.executePythonModule


def test_5_10_does_not_have_it(slicer: Any) -> None:
    assert not hasattr(slicer.qMRMLNodeComboBox(), "nodeAddedByUserAction")


def test_wrapped_classes_do_not_inherit_from_each_other(qt: Any) -> None:
    button = qt.QPushButton()

    assert not isinstance(button, qt.QWidget)
    assert button.inherits("QWidget")


def test_an_object_keeps_its_wrapper(qt: Any) -> None:
    parent = qt.QWidget()
    label = qt.QLabel("x", parent)

    assert label.parent() is parent
    assert parent.children()[0] is label


def test_name_is_the_object_name_and_children_are_found_by_it(qt: Any) -> None:
    parent = qt.QWidget()
    label = qt.QLabel(parent)
    label.name = "status"

    assert label.objectName == "status"
    assert parent.status is label


def test_a_callback_gets_as_many_arguments_as_it_declares(qt: Any) -> None:
    button, heard = qt.QPushButton(), []
    button.clicked.connect(lambda: heard.append("none"))
    button.connect("clicked(bool)", lambda *values: heard.append(values))

    button.click()

    assert heard == ["none", (False,)]


def test_what_was_connected_can_be_disconnected(standin: StandIn, qt: Any) -> None:
    button, heard = qt.QPushButton(), []
    button.clicked.connect(heard.append)

    button.clicked.disconnect(heard.append)
    button.click()

    assert heard == []
    assert len(standin.binding.connections) == 0


def test_an_exception_in_a_callback_is_kept_for_the_test(standin: StandIn, qt: Any, capsys: Any) -> None:
    button = qt.QPushButton()
    button.clicked.connect(lambda: 1 / 0)

    button.click()

    assert [type(each) for each in standin.binding.problems] == [ZeroDivisionError]
    standin.binding.problems.clear()


def test_a_deleted_object_is_refused(qt: Any) -> None:
    label = qt.QLabel("x")
    label.delete()

    with pytest.raises(ValueError, match="deleted"):
        _ = label.text


def test_a_dialog_that_nobody_answers_fails(qt: Any) -> None:
    with pytest.raises(AssertionError, match="stops the person"):
        qt.QFileDialog.getExistingDirectory()


def test_a_dialog_gets_the_answer_of_the_test(standin: StandIn, qt: Any) -> None:
    standin.binding.answers.append("/data")

    assert qt.QFileDialog.getExistingDirectory() == "/data"


def test_overriding_a_virtual_method_is_refused(ctk: Any) -> None:
    with pytest.raises(NotImplementedError, match="overrides"):
        type("Mine", (ctk.ctkCollapsibleButton,), {"sizeHint": lambda self: None})


def test_a_subclass_may_have_attributes_of_its_own(qt: Any) -> None:
    kind = type("Mine", (qt.QLabel,), {})
    label = kind("x")
    label.state = 3

    assert (label.state, label.text) == (3, "x")


UI = """<ui version="4.0"><class>Panel</class>
<widget class="QWidget" name="Panel"><layout class="QVBoxLayout" name="column">
<item><widget class="{kind}" name="thing"><property name="{name}"><{value}/></property></widget></item>
</layout></widget>
<customwidgets>{custom}</customwidgets></ui>"""

PATH_WIDGET = "<customwidget><class>ctkPathLineEdit</class><extends>QWidget</extends></customwidget>"


@pytest.mark.parametrize(
    ("kind", "name", "custom"),
    [
        ("QLabel", "txt", ""),
        ("QLabell", "text", ""),
        ("ctkPathLineEdit", "label", ""),
        ("ctkPathLineEdit", "path", PATH_WIDGET),
        ("ctkPathLineEdit", "label", PATH_WIDGET.replace("QWidget", "QLineEdit")),
        ("QWidget", "isActiveWindow", ""),
    ],
    ids=["property", "class", "not declared", "property of CTK", "wrong base", "read-only property"],
)
def test_a_mistake_in_a_ui_file_raises(standin: StandIn, tmp_path: Path, kind: str, name: str, custom: str) -> None:
    path = tmp_path / "Panel.ui"
    path.write_text(UI.format(kind=kind, name=name, value="string", custom=custom), encoding="utf-8")

    with pytest.raises(NotInSlicer):
        ui_files.load(standin.binding, path)


def test_a_right_ui_file_is_loaded(standin: StandIn, slicer: Any, tmp_path: Path) -> None:
    path = tmp_path / "Panel.ui"
    path.write_text(
        UI.format(kind="ctkPathLineEdit", name="label", value="string", custom=PATH_WIDGET), encoding="utf-8"
    )

    panel = slicer.util.loadUI(str(path))
    ui = slicer.util.childWidgetVariables(panel)
    ui.thing.currentPath = "/data"

    assert ui.thing.className() == "ctkPathLineEdit"
    assert ui.thing.currentPath == "/data"


def test_the_segment_editor_wants_its_nodes_in_order(slicer: Any) -> None:
    editor = slicer.qMRMLSegmentEditorWidget()

    with pytest.raises(AssertionError, match="comes before"):
        editor.setMRMLScene(slicer.mrmlScene)


def test_a_parameter_node_keeps_values_in_the_scene(slicer: Any, qt: Any) -> None:
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    @parameterNodeWrapper
    class Shown:
        opacity: float = 0.4
        cohort: str

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    spin = qt.QDoubleSpinBox()
    spin.setProperty("SlicerParameterName", "opacity")
    shown = Shown(node)
    tag = shown.connectGui(_holder(spin))
    spin.value = 0.7

    assert (spin.value, Shown(node).opacity) == (0.7, 0.7)
    shown.disconnectGui(tag)
    spin.value = 0.1
    assert Shown(node).opacity == 0.7


def _holder(widget: Any) -> Any:
    return type("Holder", (), {"__init__": lambda self: setattr(self, "spin", widget)})()


def test_the_facts_hold_no_path_of_the_place_they_were_made_in() -> None:
    text = (Path(__file__).parent / "api_facts.json").read_text(encoding="utf-8")

    assert str(Path.home()) not in text
    assert str(Path(__file__).parents[2]) not in text
