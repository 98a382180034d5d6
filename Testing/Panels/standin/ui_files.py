"""Check a .ui file against the facts, then load it with the bodies.

Designer writes what its plugins offer; a person edits it by hand. Both can name a property that Slicer's widgets do not
have, and then Slicer only prints a line. Here it raises.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from standin.binding import Binding
from standin.facts import Facts, NotInSlicer, normalized

_LAYOUT_ONLY = {"leftMargin", "topMargin", "rightMargin", "bottomMargin", "horizontalSpacing", "verticalSpacing"}
_DESIGNER_ONLY = {"Line": "QFrame"}
_DESIGNER_PROPERTIES = {("QLabel", "buddy")}
"""Written by Designer, and set by the loader through methods."""


class UiLoader(QtUiTools.QUiLoader):
    """Makes our own bodies for the classes that Qt does not have."""

    def __init__(self, binding: Binding) -> None:
        super().__init__()
        self._binding = binding

    def createWidget(self, className: str, parent: Any = None, name: str = "") -> Any:
        """A widget of a .ui file."""
        if className in self._binding.bodies:
            widget = self._binding.bodies[className](parent)
            widget.setObjectName(name)
            return widget
        return super().createWidget(className, parent, name)


def load(binding: Binding, path: Path) -> Any:
    """The widget of a .ui file, wrapped.

    Raises:
        NotInSlicer: the file uses a class, property, signal or slot that Slicer does not have.
        RuntimeError: the file is not there, as ``slicer.util.loadUI`` says.
    """
    if not path.is_file():
        raise RuntimeError(f"Could not load UI file: {path}")
    check(binding.facts, path)
    loader = UiLoader(binding)
    tree = ElementTree.parse(path).getroot()
    flags = _take_flags(binding, tree)
    buffer = QtCore.QBuffer()
    buffer.setData(ElementTree.tostring(tree))
    buffer.open(QtCore.QIODevice.ReadOnly)
    widget = loader.load(buffer)
    if widget is None:
        raise RuntimeError(f"Could not load {path}: {loader.errorString()}")
    for name, attribute, value in flags:
        widget.findChild(QtCore.QObject, name).setProperty(attribute, value)
    _undo_designer_margins(widget)
    return binding.wrap(widget)


def check(facts: Facts, path: Path) -> None:
    """Compare everything the file names with the facts."""
    root = ElementTree.parse(path).getroot()
    custom = {each.findtext("class", ""): each.findtext("extends", "") for each in root.iter("customwidget")}
    for name, extends in custom.items():
        if facts.namespace(name) is None or not facts.inherits(name, extends):
            raise NotInSlicer(f"{path.name}: {name} is no {extends} of Slicer {facts.version}")
    kinds = {}
    for element in root.iter():
        if element.tag in ("widget", "layout", "action"):
            kinds[element.get("name", "")] = _check_element(facts, path, element, custom)
    for connection in root.iter("connection"):
        _check_connection(facts, path, connection, kinds)


def _take_flags(binding: Binding, root: ElementTree.Element) -> list[tuple[str, str, int]]:
    """Flags of our own bodies, which the loader cannot read: taken out of the file, to be set afterwards."""
    taken = []
    for element in [each for each in root.iter("widget") if each.get("class") in binding.bodies]:
        body = binding.bodies[element.get("class", "")]
        for each in [each for each in element.findall("property") if each.find("set") is not None]:
            element.remove(each)
            names = [name.split("::")[-1] for name in each.findtext("set", "").split("|")]
            taken.append((element.get("name", ""), each.get("name", ""), sum(getattr(body, name) for name in names)))
    return taken


def _check_element(facts: Facts, path: Path, element: ElementTree.Element, custom: dict[str, str]) -> str:
    kind = element.get("class", "QAction")
    kind = _DESIGNER_ONLY.get(kind, kind)
    if facts.namespace(kind) is None:
        raise NotInSlicer(f"{path.name}: {facts.missing(kind)}")
    if facts.namespace(kind) != "qt" and kind not in custom:
        raise NotInSlicer(f"{path.name}: {kind} is not declared under customwidgets")
    for each in element.findall("property"):
        name = each.get("name", "")
        if element.tag == "layout" and name in _LAYOUT_ONLY:
            continue
        member = facts.member(kind, name)
        free = (kind, name) in _DESIGNER_PROPERTIES or (each.get("stdset") == "0" and member is None)
        if not free and (member is None or member.kind != "p" or not member.settable):
            raise NotInSlicer(f"{path.name}: {element.get('name')}: {facts.why_absent(kind, name)}")
    return kind


def _check_connection(facts: Facts, path: Path, connection: ElementTree.Element, kinds: dict[str, str]) -> None:
    sender, receiver = (kinds[connection.findtext(each, "")] for each in ("sender", "receiver"))
    signal, slot = connection.findtext("signal", ""), connection.findtext("slot", "")
    if normalized(signal) not in {normalized(each) for each in facts.signals(sender)}:
        raise NotInSlicer(f"{path.name}: {sender} has no signal {signal}")
    if not facts.slots(receiver, slot.split("(")[0]):
        raise NotInSlicer(f"{path.name}: {receiver} has no slot {slot}")


def _undo_designer_margins(widget: QtWidgets.QWidget) -> None:
    """The header of a collapsible button is kept free by its margins, which loading a layout leaves alone."""
    for button in widget.findChildren(QtWidgets.QAbstractButton):
        if type(button).__name__ == "ctkCollapsibleButton":
            button.updateGeometry()
