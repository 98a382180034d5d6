"""A small parameterNodeWrapper on real nodes: the types and widgets that the modules use.

As in Slicer a widget is found by its dynamic property ``SlicerParameterName``, and only the exact widget types of
the facts are connected.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from standin.binding import Binding
from standin.facts import NotInSlicer

NAME_PROPERTY = "SlicerParameterName"


class Default:
    """The default value, inside ``Annotated``."""

    def __init__(self, value: Any) -> None:
        self.value = value


class WithinRange:
    """Refuses numbers outside the two bounds."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: Any) -> None:
        """Raise when the value is outside."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not within {self.minimum} and {self.maximum}")


class Choice:
    """Refuses what is not in the list."""

    def __init__(self, choices: list[Any]) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        """Raise when the value is not in the list."""
        if value not in self.choices:
            raise ValueError(f"{value!r} is not one of {self.choices}")


class ParameterNodeModule(ModuleType):
    """``slicer.parameterNodeWrapper``."""

    def __init__(self, binding: Binding) -> None:
        super().__init__("slicer.parameterNodeWrapper")
        self._binding = binding
        self._own = {"Default": Default, "WithinRange": WithinRange, "Choice": Choice}
        self._own["parameterNodeWrapper"] = self._wrapper

    def __getattr__(self, name: str) -> Any:
        if name in self._own:
            return self._own[name]
        if name in self._binding.facts.parameterNodes["exported"]:
            raise NotImplementedError(f"slicer.parameterNodeWrapper.{name}: Slicer has it, the stand-in has not")
        raise NotInSlicer(f"slicer.parameterNodeWrapper has no {name}")

    def _wrapper(self, declared: type) -> type:
        reserved = set(self._binding.facts.parameterNodes["reserved"])
        hints = typing.get_type_hints(declared, include_extras=True)
        if reserved & set(hints):
            raise ValueError(f"reserved names of a parameter node: {sorted(reserved & set(hints))}")
        content: dict[str, Any] = {"_binding": self._binding, "_parameters": {}}
        for name, hint in hints.items():
            parameter = Parameter(name, hint, getattr(declared, name, None))
            content["_parameters"][name] = parameter
            content[name] = property(parameter.read, parameter.write)
        own = {name: value for name, value in vars(declared).items() if callable(value)}
        return type(declared.__name__, (ParameterNode,), {**own, **content})


class Parameter:
    """One named and typed value, kept as text in the node, or as a reference to another node."""

    def __init__(self, name: str, hint: Any, default: Any) -> None:
        self.name = name
        self.kind = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
        extras = getattr(hint, "__metadata__", ())
        self.validators = [each for each in extras if hasattr(each, "validate")]
        given = [each.value for each in extras if isinstance(each, Default)]
        self.default = given[0] if given else default if default is not None else self._plain_default()

    @property
    def is_node(self) -> bool:
        """Whether it refers to a node."""
        return isinstance(self.kind, type) and self.kind.__name__.startswith("vtkMRML")

    def read(self, owner: ParameterNode) -> Any:
        """The value in the node."""
        node = owner.parameterNode
        if self.is_node:
            return node.GetNodeReference(self.name)
        if not node.HasParameter(self.name):
            return self.default
        text = node.GetParameter(self.name)
        if self.kind is bool:
            return text == "True"
        if isinstance(self.kind, type) and issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return self.kind(text)

    def write(self, owner: ParameterNode, value: Any) -> None:
        """Keep a value in the node."""
        if self.is_node:
            owner.parameterNode.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        allowed = (int, float) if self.kind is float else self.kind
        if not isinstance(value, allowed):
            raise TypeError(f"{self.name} takes {self.kind.__name__}, {value!r} came")
        for each in self.validators:
            each.validate(value)
        owner.parameterNode.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))

    def _plain_default(self) -> Any:
        if self.is_node:
            return None
        if isinstance(self.kind, type) and issubclass(self.kind, enum.Enum):
            return next(iter(self.kind))
        return self.kind()


class ParameterNode:
    """What a decorated class becomes."""

    _binding: Binding
    _parameters: dict[str, Parameter]

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._links: dict[int, list[Callable[[], None]]] = {}
        for parameter in self._parameters.values():
            if not parameter.is_node and not parameterNode.HasParameter(parameter.name):
                parameter.write(self, parameter.default)

    @property
    def allParameters(self) -> dict[str, Any]:
        """Name to parameter."""
        return dict(self._parameters)

    def connectGui(self, gui: Any) -> int:
        """Keep widgets and node equal; returns the tag for disconnectGui."""
        tag = max(self._links, default=0) + 1
        self._links[tag] = undo = []
        updates = [self._connected(widget, undo) for widget in _named_widgets(gui)]

        def update(*_: Any) -> None:
            for each in updates:
                each()

        update()
        # As in 5.10 the observer outlives disconnectGui; it must do no harm then.
        observer = self.parameterNode.AddObserver("ModifiedEvent", lambda *_: update() if tag in self._links else None)
        if self._binding.facts.version >= "5.12":
            undo.append(lambda: self.parameterNode.RemoveObserver(observer))
        return tag

    def disconnectGui(self, guiTag: int) -> None:
        """Let widgets and node go their own ways."""
        for each in self._links.pop(guiTag):
            each()

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        """Observe the node."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        """No longer observe the node."""
        self.parameterNode.RemoveObserver(tag)

    def _connected(self, widget: Any, undo: list[Callable[[], None]]) -> Callable[[], None]:
        name = widget.property(NAME_PROPERTY)
        if name not in self._parameters:
            raise ValueError(f"{NAME_PROPERTY} {name!r}: the parameter node has {sorted(self._parameters)}")
        parameter = self._parameters[name]
        signal, read, write = _connector(self._binding, widget, parameter)

        def changed(*_: Any) -> None:
            parameter.write(self, read())

        if signal is not None:
            getattr(widget, signal).connect(changed)
            undo.append(lambda: getattr(widget, signal).disconnect(changed))

        def update() -> None:
            if read() != parameter.read(self):
                write(parameter.read(self))

        return update


def _named_widgets(gui: Any) -> list[Any]:
    widgets = gui.findChildren("QWidget") if hasattr(gui, "isWidgetType") else list(vars(gui).values())
    return [each for each in widgets if each.property(NAME_PROPERTY)]


def _connector(binding: Binding, widget: Any, parameter: Parameter) -> tuple[str | None, Any, Any]:
    """Signal, reader and writer for one widget; exact types only."""
    kind = widget.className()
    known = [each for each in binding.facts.parameterNodes["connectors"] if kind in _short(each["widgets"])]
    if not known:
        raise RuntimeError(f"no connector for {kind} and {parameter.kind}")
    if kind in ("ctkSliderWidget", "qMRMLSliderWidget") and not parameter.validators:
        raise RuntimeError(f"{kind} needs a bounded value: {parameter.name}")
    if kind == "qMRMLNodeComboBox":
        return known[0]["signal"], widget.currentNode, widget.setCurrentNode
    if kind == "QComboBox":
        return _combo(known[0]["signal"], widget, parameter)
    if kind in ("ctkPathLineEdit", "ctkDirectoryButton"):
        name = "currentPath" if kind == "ctkPathLineEdit" else "directory"
        return known[0]["signal"], lambda: Path(getattr(widget, name)), lambda value: setattr(widget, name, str(value))
    name = {"QCheckBox": "checked", "QPushButton": "checked", "QLineEdit": "text", "QLabel": "text"}.get(kind, "value")
    if kind in ("ctkSliderWidget", "qMRMLSliderWidget"):
        widget.minimum, widget.maximum = parameter.validators[0].minimum, parameter.validators[0].maximum
    return known[0]["signal"], lambda: getattr(widget, name), lambda value: setattr(widget, name, value)


def _combo(signal: str, widget: Any, parameter: Parameter) -> tuple[str, Any, Any]:
    values = list(parameter.kind) if issubclass(parameter.kind, enum.Enum) else parameter.validators[0].choices
    widget.clear()
    for value in values:
        label = value.label() if hasattr(value, "label") else getattr(value, "name", str(value))
        widget.addItem(label)
    return (
        signal,
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
    )


def _short(names: list[str]) -> list[str]:
    return [name.split(".")[-1] for name in names]
