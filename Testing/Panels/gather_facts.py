"""Make api_facts.json, the facts about Slicer that the stand-in application checks against.

    python Testing/Panels/gather_facts.py FOLDER

FOLDER holds ``widgets.json``, ``qt.json``, ``python.json`` and ``cmake.json``: what Slicer 5.10 and 5.12, their CTK and
their Qt 5.15 show to Python and to CMake, derived from their sources. They are large; this script keeps the classes
named below and their bases, and writes them one a line, so that a change of the facts can be read as a difference. Run
it again after adding a class here.

How a member is written: ``p`` property, ``p=`` property that may be set, ``s`` signal, ``m`` method, ``t`` static
method, ``e`` enum, ``v`` enum value; then the accepted numbers of arguments where they are known (``m0,1``);
then ``+5.12`` for what 5.10 lacks and ``-5.10`` for what 5.12 lacks.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("api_facts.json")

SLICER_CLASSES = [
    "ctkCheckBox",
    "ctkCollapsibleButton",
    "ctkCollapsibleGroupBox",
    "ctkColorPickerButton",
    "ctkComboBox",
    "ctkDICOMDatabase",
    "ctkDICOMIndexer",
    "ctkDirectoryButton",
    "ctkMessageBox",
    "ctkPathLineEdit",
    "ctkRangeWidget",
    "ctkSearchBox",
    "ctkSliderWidget",
    "qMRMLCheckableNodeComboBox",
    "qMRMLNodeComboBox",
    "qMRMLPlotView",
    "qMRMLPlotWidget",
    "qMRMLSegmentEditorWidget",
    "qMRMLSliceWidget",
    "qMRMLWidget",
    "qSlicerApplication",
    "qSlicerIOManager",
    "qSlicerLayoutManager",
    "qSlicerModuleManager",
    "qSlicerScriptedLoadableModule",
    "qSlicerScriptedLoadableModuleWidget",
    "qSlicerWidget",
]

QT_CLASSES = [
    "Qt",
    "QAbstractButton",
    "QAbstractItemModel",
    "QAbstractItemView",
    "QAbstractScrollArea",
    "QAbstractSlider",
    "QAbstractSpinBox",
    "QAction",
    "QActionGroup",
    "QApplication",
    "QBoxLayout",
    "QBrush",
    "QButtonGroup",
    "QCheckBox",
    "QClipboard",
    "QColor",
    "QComboBox",
    "QCoreApplication",
    "QCursor",
    "QDesktopServices",
    "QDialog",
    "QDialogButtonBox",
    "QDir",
    "QDoubleSpinBox",
    "QEvent",
    "QFileDialog",
    "QFont",
    "QFontDatabase",
    "QFontMetrics",
    "QFormLayout",
    "QFrame",
    "QGridLayout",
    "QGroupBox",
    "QGuiApplication",
    "QHBoxLayout",
    "QHeaderView",
    "QIcon",
    "QImage",
    "QItemSelectionModel",
    "QKeySequence",
    "QLabel",
    "QLayout",
    "QLayoutItem",
    "QLineEdit",
    "QListView",
    "QListWidget",
    "QListWidgetItem",
    "QLocale",
    "QMargins",
    "QMenu",
    "QMessageBox",
    "QModelIndex",
    "QObject",
    "QPaintDevice",
    "QPainter",
    "QPalette",
    "QPen",
    "QPixmap",
    "QPlainTextEdit",
    "QPoint",
    "QProcess",
    "QProgressBar",
    "QPushButton",
    "QRadioButton",
    "QRect",
    "QScreen",
    "QScrollArea",
    "QSettings",
    "QShortcut",
    "QSignalBlocker",
    "QSize",
    "QSizePolicy",
    "QSlider",
    "QSpacerItem",
    "QSpinBox",
    "QSplitter",
    "QStackedWidget",
    "QStandardPaths",
    "QStyle",
    "QTabBar",
    "QTabWidget",
    "QTableView",
    "QTableWidget",
    "QTableWidgetItem",
    "QTextBrowser",
    "QTextEdit",
    "QTimer",
    "QToolButton",
    "QToolTip",
    "QTreeView",
    "QTreeWidget",
    "QTreeWidgetItem",
    "QUiLoader",
    "QUrl",
    "QVBoxLayout",
    "QWidget",
]

PYTHON_MODULES = [
    "slicer.util",
    "slicer.ScriptedLoadableModule",
    "slicer.i18n",
    "slicer.testing",
    "slicer.packaging",
    "slicer.parameterNodeWrapper",
    "SampleData",
    "PyTorchUtils",
]

CMAKE_MACROS = ["slicerMacroBuildScriptedModule", "slicer_add_python_unittest", "slicer_add_python_test"]

VTK_BASES = {"QVTKOpenGLNativeWidget": ["QOpenGLWidget"]}
"""VTK's widget is in neither file; Python sees of it what its Qt base shows."""

_KINDS = {
    "property": "p",
    "signal": "s",
    "slot": "m",
    "invokable": "m",
    "decorator": "m",
    "static": "t",
    "enum": "e",
    "enum_value": "v",
}


def main() -> None:
    """Read the folder named on the command line, write the file beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    widgets, qt, python, cmake = (
        json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("widgets", "qt", "python", "cmake")
    )
    classes = gathered_classes(widgets, qt)
    write(
        {
            "classes": classes,
            "not_carried": sorted(_public_names(widgets, qt) - set(classes)),
            "python": {name: python_module(python["modules"][name]) for name in PYTHON_MODULES},
            "parameter_nodes": parameter_nodes(python["parameterNodeWrapper"]),
            "registration": python["SampleData_registration"],
            "called_by_cpp": {name: sorted(calls) for name, calls in python["called_by_cpp"]["classes"].items()},
            "cmake": {
                "macros": {name: _keywords(cmake["macros"][name]) for name in CMAKE_MACROS},
                "order": cmake["toplevel_cmakelists_order"],
                "metadata": sorted(cmake["extension_metadata_variables"]),
                "catalog": cmake["catalog_entry"]["schemas"]["v1.0.2"],
                "categories": cmake["catalog_entry"]["accepted_categories"],
                "options": sorted(cmake["application_command_line_options"]),
            },
        }
    )


def gathered_classes(widgets: dict[str, Any], qt: dict[str, Any]) -> dict[str, Any]:
    """The wanted classes and all their bases, in a form that is looked up quickly."""
    wanted, gathered = [*SLICER_CLASSES, *QT_CLASSES], {}
    qt = qt | {name: {"bases": bases} for name, bases in VTK_BASES.items()}
    while wanted:
        name = wanted.pop()
        if name in gathered or (name not in widgets and name not in qt):
            continue
        gathered[name] = slicer_class(widgets[name]) if name in widgets else qt_class(qt[name])
        wanted += gathered[name]["bases"]
    return gathered


def slicer_class(facts: dict[str, Any]) -> dict[str, Any]:
    """A class of Slicer or CTK; its members hold those of its Slicer and CTK bases."""
    python = facts["python"]
    varying = facts.get("signature_since", {})
    absent = dict.fromkeys(facts.get("cxx_only", []), "C++ only")
    absent |= dict.fromkeys(facts.get("cxx_getter_of_property", []), "the getter of a property; read the property")
    absent |= dict.fromkeys(facts.get("not_public_slots", []), "a slot that is not public")
    return {
        "namespace": python["namespace"],
        "bases": facts["bases"],
        "constructors": _counts(python.get("constructors", [])) if python["constructible"] else None,
        "signals": [signal for signal in facts["signals"] if varying.get(signal) != "5.12"],
        "members": {name: _member(fact) for name, fact in sorted(facts["members"].items())},
        "absent": dict(sorted(absent.items())),
    }


def qt_class(facts: dict[str, Any]) -> dict[str, Any]:
    """A class of Qt; its members are its own, and its bases are to be followed."""
    members: dict[str, str] = dict.fromkeys(facts.get("methods", []), "m")
    members |= dict.fromkeys(facts.get("static", []), "t")
    signatures = [*facts.get("slots", []), *facts.get("invokables", [])]
    for name in {_name(signature) for signature in signatures}:
        members[name] = "m" + _joined(_count(each) for each in signatures if _name(each) == name)
    for name in {_name(signature) for signature in facts.get("signals", [])}:
        members[name] = "s" + _joined(_count(each) for each in facts["signals"] if _name(each) == name)
    for enum, values in facts.get("enums", {}).items():
        members |= dict.fromkeys(values, "v") | {enum: "e"}
    members |= {name: "p=" if fact["settable"] else "p" for name, fact in facts.get("properties", {}).items()}
    return {
        "namespace": "qt",
        "bases": facts["bases"],
        "constructors": _counts(facts["constructors"]) if facts.get("constructors") else None,
        "signals": facts.get("signals", []),
        "members": dict(sorted(members.items())),
        "absent": {},
    }


def python_module(facts: dict[str, Any]) -> dict[str, Any]:
    """Functions, classes and constants of a Python module, private ones left out."""
    return {
        "functions": {
            name: _function(fact) for name, fact in facts.get("functions", {}).items() if not name.startswith("_")
        },
        "classes": {
            name: {
                "methods": {method: _function(fact) for method, fact in kind.get("methods", {}).items()},
                "attributes": kind.get("instance_attributes", []),
            }
            for name, kind in facts.get("classes", {}).items()
            if not name.startswith("_")
        },
        "constants": [name for name in facts.get("constants", {}) if not name.startswith("_")],
        "since": facts.get("since", "5.10"),
    }


def parameter_nodes(facts: dict[str, Any]) -> dict[str, Any]:
    """What a parameter node class has, and which widget shows which type."""
    decorated = facts["decorated_class_members"]
    connectors = [
        {"widgets": fact["widgets_exact_type"], "types": fact["datatypes"], "signal": fact["signal"]}
        for fact in facts["connectors"]
    ]
    return {
        "attributes": decorated["attributes"],
        "methods": {name: _function(fact) for name, fact in decorated["methods"].items()},
        "reserved": facts["reserved_names"],
        "connectors": connectors,
        "exported": facts["exported_names"],
    }


def write(facts: dict[str, Any]) -> None:
    """One class, module or topic a line."""
    sections = []
    for section, content in facts.items():
        if isinstance(content, list):
            sections.append(f'"{section}": {_compact(content)}')
            continue
        lines = ",\n".join(f'"{name}": {_compact(content[name])}' for name in sorted(content))
        sections.append(f'"{section}": {{\n{lines}\n}}')
    TARGET.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


def _public_names(widgets: dict[str, Any], qt: dict[str, Any]) -> set[str]:
    names = {name for name, facts in widgets.items() if isinstance(facts, dict) and "python" in facts}
    return names | (set(qt) - {"_meta"})


def _member(fact: dict[str, Any]) -> str:
    text = _KINDS[fact["kind"]]
    if fact["kind"] == "property":
        text += "=" if fact["settable"] else ""
    elif "argc" in fact:
        text += _joined(fact["argc"])
    if fact["since"] != "5.10":
        text += f"+{fact['since']}"
    return text + (f"-{fact['until']}" if "until" in fact else "")


def _function(fact: dict[str, Any]) -> dict[str, Any]:
    earlier = fact.get("in_5.10", {})
    function: dict[str, Any] = {"args": [_argument(each) for each in fact.get("args", [])]}
    if fact.get("since", "5.10") != "5.10":
        function["since"] = fact["since"]
    if fact.get("kind") == "property":
        function["property"] = True
    if "args" in earlier:
        function["args_in_5.10"] = [_argument(each) for each in earlier["args"]]
    return function


def _argument(fact: dict[str, Any]) -> str:
    """``name``, ``name=`` when it may be left out, ``*name``, ``**name``, ``/name`` for keyword only."""
    stars = {"vararg": "*", "kwarg": "**", "kwonly": "/"}.get(fact.get("kind", ""), "")
    return stars + fact["name"] + ("=" if "default" in fact else "")


def _keywords(fact: dict[str, Any]) -> dict[str, list[str]]:
    return {key: fact[key] for key in ("positional", "options", "one_value", "multi_value")}


def _name(signature: str) -> str:
    return signature.split("(", 1)[0]


def _count(signature: str) -> int:
    inside = signature[signature.index("(") + 1 : signature.rindex(")")].strip()
    return len(_split(inside)) if inside else 0


def _counts(constructors: Iterable[str]) -> list[int]:
    """Numbers of arguments that any of the argument lists accepts."""
    accepted: set[int] = set()
    for signature in constructors:
        arguments = _split(signature[signature.index("(") + 1 : signature.rindex(")")])
        optional = sum("=" in argument for argument in arguments)
        accepted |= set(range(len(arguments) - optional, len(arguments) + 1))
    return sorted(accepted)


def _split(arguments: str) -> list[str]:
    """Split at commas that are in no brackets."""
    flat = re.sub(r"<[^<>]*>|\([^()]*\)", "", arguments)
    return [part for part in flat.split(",") if part.strip()]


def _joined(counts: Iterable[int]) -> str:
    return ",".join(str(count) for count in sorted(set(counts)))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    main()
