"""Wrapped objects that keep the conventions of PythonQt and show only what Slicer shows.

A wrapper holds its *body*, an object of PySide6 or of one of our own bodies for the classes of CTK and Slicer. Every
attribute goes through the facts first: what Slicer does not have raises, whatever the body could do.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from standin.facts import BadCall, Facts, Member, NotInSlicer
from standin.signals import Connections, Signal

_QT_MODULES = (QtWidgets, QtGui, QtCore, QtUiTools)
_OWN = ("_body", "_binding", "_kind")
_MODAL = {
    "QDialog": ("exec",),
    "QMessageBox": ("information", "question", "warning", "critical", "about"),
    "QFileDialog": ("getExistingDirectory", "getOpenFileName", "getOpenFileNames", "getSaveFileName"),
    "QInputDialog": ("getText", "getInt", "getItem"),
    "QMenu": ("exec",),
}


class EnumValue(int):
    """An int, as in PythonQt, that remembers which enum of PySide6 it came from."""

    qt: enum.Enum

    def __new__(cls, value: enum.Enum) -> EnumValue:
        made = super().__new__(cls, value.value)
        made.qt = value
        return made

    def __or__(self, other: int) -> Any:
        return self._combined(other, lambda one, two: one | two)

    def __and__(self, other: int) -> Any:
        return self._combined(other, lambda one, two: one & two)

    def __invert__(self) -> Any:
        return EnumValue(~self.qt) if isinstance(self.qt, enum.Flag) else ~int(self)

    def _combined(self, other: int, operation: Callable[[Any, Any], Any]) -> Any:
        if isinstance(other, EnumValue) and isinstance(self.qt, enum.Flag):
            return EnumValue(operation(self.qt, other.qt))
        return operation(int(self), int(other))


class EnumType:
    """A named enum of a class: its values are attributes."""

    def __init__(self, owner: WrappedType, name: str) -> None:
        self._owner = owner
        self._name = name

    def __getattr__(self, value: str) -> Any:
        return getattr(self._owner, value)


class Binding:
    """Makes classes, wraps and unwraps, and remembers what went wrong in callbacks."""

    def __init__(self, facts: Facts, bodies: dict[str, type]) -> None:
        self.facts = facts
        self.bodies = bodies
        self.problems: list[BaseException] = []
        """Exceptions of callbacks: PythonQt only prints them, a test must see them."""
        self.answers: deque[Any] = deque()
        """What the person answers to the next modal dialogs; a dialog without an answer fails the test."""
        self.asked: list[str] = []
        """The modal dialogs that appeared."""
        self.connections = Connections(self)
        self._types: dict[str, WrappedType] = {}
        self._alive: WeakValueDictionary[int, Wrapper] = WeakValueDictionary()

    def type(self, name: str) -> WrappedType:
        """The class that Python sees under a name.

        Raises:
            NotInSlicer: there is no such class, or the facts do not carry it.
        """
        if self.facts.namespace(name) is None:
            raise NotInSlicer(self.facts.missing(name))
        if name not in self._types:
            self._types[name] = WrappedType(name, (Wrapper,), {"_kind": name, "_binding": self})
        return self._types[name]

    def body(self, name: str) -> Any:
        """The class that does the work."""
        if name in self.bodies:
            return self.bodies[name]
        for module in _QT_MODULES:
            if hasattr(module, name):
                return getattr(module, name)
        raise NotImplementedError(f"Slicer has {name}, but the stand-in has no body for it")

    def wrap(self, value: Any) -> Any:
        """What Python code of a module gets for a value of a body."""
        if isinstance(value, enum.Enum):
            return EnumValue(value)
        if isinstance(value, (list, tuple)):
            return tuple(self.wrap(each) for each in value)
        if isinstance(value, shiboken6.Object):
            return self._wrapped(value)
        return value

    def unwrap(self, value: Any) -> Any:
        """What a body gets for a value of a module."""
        if isinstance(value, Wrapper):
            return value._living()
        if isinstance(value, EnumValue):
            return value.qt
        if isinstance(value, (list, tuple)):
            return [self.unwrap(each) for each in value]
        if callable(value) and not isinstance(value, type):
            return self.connections.guarded(value)
        return value

    def adopt(self, wrapper: Wrapper, body: Any) -> None:
        """From now on that body is seen through that wrapper."""
        object.__setattr__(wrapper, "_body", body)
        self._alive[pointer(body)] = wrapper

    def ask(self, what: str) -> Any:
        """The next answer of the person in front of the screen."""
        self.asked.append(what)
        if not self.answers:
            raise AssertionError(f"{what}: a dialog stops the person, and the test gave no answer")
        return self.answers.popleft()

    def _wrapped(self, body: Any) -> Any:
        known = self._alive.get(pointer(body))
        if known is not None and known._body is body:
            return known
        name = next((kind.__name__ for kind in type(body).__mro__ if self._is_body_of(kind)), None)
        if name is None:
            return body
        wrapper = Wrapper.__new__(self.type(name))
        self.adopt(wrapper, body)
        return wrapper

    def _is_body_of(self, kind: type) -> bool:
        return self.facts.namespace(kind.__name__) is not None and self.body(kind.__name__) is kind


class WrappedType(type):
    """The type of all wrapped classes: enums, static functions and members of the class."""

    def __new__(mcs, name: str, bases: tuple[type, ...], content: dict[str, Any]) -> WrappedType:
        made = super().__new__(mcs, name, bases, content)
        if "_kind" not in content and hasattr(made, "_kind"):
            _refuse_overrides(made, content)
        return made

    def __getattr__(cls, name: str) -> Any:
        if name in _OWN or name.startswith("__"):
            raise AttributeError(name)
        binding, kind = cls._binding, cls._kind
        plain = name.removesuffix("_")
        if (kind, plain) == ("QTimer", "singleShot"):
            return Call(binding, kind, binding.body(kind), plain, _ANY_STATIC)
        member = binding.facts.member(kind, plain)
        if member is None:
            raise NotInSlicer(binding.facts.why_absent(kind, name))
        if member.kind == "p":
            return None
        if member.kind == "e":
            return EnumType(cls, plain)
        if member.kind == "v":
            return binding.wrap(_enum_value(binding.body(kind), kind, plain))
        if member.kind == "t":
            return Call(binding, kind, binding.body(kind), plain, member)
        return lambda self, *args, **kwargs: getattr(self, name)(*args, **kwargs)


class Wrapper(metaclass=WrappedType):
    """An object as PythonQt shows it. Wrapped classes do not inherit from each other."""

    _kind: str
    _binding: Binding
    _body: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        binding, kind = self._binding, self._kind
        if kwargs:
            raise BadCall(f"{kind}() takes no keywords, {sorted(kwargs)} came: set the properties afterwards")
        counts = binding.facts.constructors(kind)
        if counts is None:
            raise BadCall(f"{kind} cannot be made from Python")
        if len(args) not in counts:
            raise BadCall(f"{kind}() takes {counts} arguments, {len(args)} came")
        try:
            body = binding.body(kind)(*[binding.unwrap(each) for each in args])
        except TypeError as error:
            raise BadCall(f"{kind}{args}: {error}") from error
        binding.adopt(self, body)

    def __getattr__(self, name: str) -> Any:
        if name in _OWN or name.startswith("__"):
            raise AttributeError(name)
        body, binding, kind = self._living(), self._binding, self._kind
        plain = "objectName" if name == "name" and self._is_object() else name.removesuffix("_")
        member = None if (kind, plain) == ("QTimer", "singleShot") else binding.facts.member(kind, plain)
        if member is not None:
            return self._shown(plain, member)
        if self._is_object() and plain in ObjectCalls.NAMES:
            return getattr(ObjectCalls(self), plain)
        if self._is_object():
            if plain.encode() in [bytes(each) for each in body.dynamicPropertyNames()]:
                return binding.wrap(body.property(plain))
            for child in body.children():
                if child.objectName() == plain:
                    return binding.wrap(child)
        raise NotInSlicer(binding.facts.why_absent(kind, name))

    def __setattr__(self, name: str, value: Any) -> None:
        binding, kind = self._binding, self._kind
        plain = "objectName" if name == "name" and self._is_object() else name
        member = binding.facts.member(kind, plain)
        if member is not None and member.kind == "p" and (kind, plain) != ("QTimer", "singleShot"):
            if not member.settable:
                raise NotInSlicer(f"{kind}.{plain} is not writable")
            self._set_property(plain, value)
        elif member is not None:
            raise NotInSlicer(f"{kind}.{name} is a {_WORDS[member.kind]}, only properties can be assigned")
        elif type(self) is not binding.type(kind):
            object.__setattr__(self, name, value)
        elif plain.encode() in [bytes(each) for each in self._dynamic()]:
            self._body.setProperty(plain, binding.unwrap(value))
        else:
            raise NotInSlicer(f"{binding.facts.why_absent(kind, name)}; no new attributes on C++ objects")

    def __repr__(self) -> str:
        return f"{self._kind} (stand-in)"

    def className(self) -> str:
        """The name of the C++ class."""
        return self._kind

    def inherits(self, name: str) -> bool:
        """Whether the C++ class is that class or derives from it; ``isinstance`` does not tell."""
        return self._binding.facts.inherits(self._kind, name)

    def delete(self) -> None:
        """Delete the C++ object now."""
        shiboken6.delete(self._living())

    def _living(self) -> Any:
        if not shiboken6.isValid(self._body):
            raise ValueError(f"the C++ object of {self._kind} was deleted")
        return self._body

    def _is_object(self) -> bool:
        return self._binding.facts.inherits(self._kind, "QObject")

    def _dynamic(self) -> list[Any]:
        return self._living().dynamicPropertyNames() if self._is_object() else []

    def _shown(self, name: str, member: Member) -> Any:
        binding, body = self._binding, self._body
        if member.kind == "p":
            return binding.wrap(_read_property(body, self._kind, name))
        if member.kind == "s":
            return Signal(binding, self, name)
        if member.kind in "ev":
            return getattr(binding.type(self._kind), name)
        return Call(binding, self._kind, body, name, member)

    def _set_property(self, name: str, value: Any) -> None:
        body = self._living()
        if body.metaObject().indexOfProperty(name) < 0:
            raise NotImplementedError(f"{self._kind}.{name}: Slicer has it, the stand-in has not")
        if not body.setProperty(name, self._binding.unwrap(value)):
            raise NotInSlicer(f"{self._kind}.{name} does not accept {type(value).__name__}: {value!r}")


class Call:
    """A slot, an invokable or a wrapped method: positional arguments only, in a number the facts know."""

    def __init__(self, binding: Binding, kind: str, body: Any, name: str, member: Member) -> None:
        self._binding, self._kind, self._body, self._name, self._member = binding, kind, body, name, member

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        what = f"{self._kind}.{self._name}"
        if kwargs:
            raise BadCall(f"{what}() takes no keywords, {sorted(kwargs)} came")
        if self._member.counts and len(args) not in self._member.counts:
            raise BadCall(f"{what}() takes {self._member.counts} arguments, {len(args)} came")
        if any(self._name in _MODAL[each] for each in _MODAL if self._binding.facts.inherits(self._kind, each)):
            return self._binding.ask(f"{what}{args}")
        function = getattr(self._body, self._name, None)
        if function is None:
            raise NotImplementedError(f"{what}: Slicer has it, the stand-in has not")
        try:
            return self._binding.wrap(function(*[self._binding.unwrap(each) for each in args]))
        except TypeError as error:
            raise BadCall(f"{what}{args}: {error}") from error


class ObjectCalls:
    """What PythonQt adds to every QObject."""

    NAMES = frozenset(
        [
            "connect",
            "disconnect",
            "metaObject",
            "parent",
            "setParent",
            "children",
            "findChild",
            "findChildren",
            "setProperty",
            "property",
            "tr",
        ]
    )

    def __init__(self, wrapper: Wrapper) -> None:
        self._wrapper = wrapper
        self._binding = wrapper._binding
        self._body = wrapper._body

    def connect(self, signal: str, receiver: Any, slot: str | None = None) -> bool:
        """``connect('clicked(bool)', function)`` or ``connect('clicked(bool)', receiver, 'slot(bool)')``."""
        signature = self._binding.connections.signature(self._wrapper, signal)
        target = receiver if slot is None else self._binding.connections.slot(receiver, slot)
        self._binding.connections.add(self._wrapper, signature, target)
        return True

    def disconnect(self, signal: str, receiver: Any = None, slot: str | None = None) -> bool:
        """The reverse; without a receiver, everything connected to the signal."""
        signature = self._binding.connections.signature(self._wrapper, signal)
        target = receiver if slot is None else self._binding.connections.slot(receiver, slot)
        return self._binding.connections.remove(self._wrapper, signature, target)

    def parent(self) -> Any:
        """The parent object or None."""
        return self._binding.wrap(self._body.parent())

    def setParent(self, parent: Any) -> None:
        """A new parent, or None."""
        self._body.setParent(self._binding.unwrap(parent))

    def children(self) -> tuple[Any, ...]:
        """The direct children."""
        return self._binding.wrap(self._body.children())

    def findChild(self, kind: Any, name: str = "") -> Any:
        """The first descendant of a class (given as class, object or name), or None."""
        return next(iter(self.findChildren(kind, name)), None)

    def findChildren(self, kind: Any, name: str = "") -> tuple[Any, ...]:
        """All descendants of a class."""
        wanted = kind if isinstance(kind, str) else kind._kind
        found = [self._binding.wrap(each) for each in self._body.findChildren(QtCore.QObject)]
        shown = [each for each in found if isinstance(each, Wrapper) and each.inherits(wanted)]
        return tuple(each for each in shown if not name or each.objectName == name)

    def property(self, name: str) -> Any:
        """A property, dynamic ones too; None when there is none."""
        return self._binding.wrap(self._body.property(name))

    def setProperty(self, name: str, value: Any) -> bool:
        """Set a property; a new name makes a dynamic one."""
        return self._body.setProperty(name, self._binding.unwrap(value))

    def metaObject(self) -> Any:
        """Qt's description of the class."""
        return self._body.metaObject()

    def tr(self, text: str) -> str:
        """The text; Slicer's own translation is ``slicer.i18n.tr``."""
        return text


_WORDS = {"s": "signal", "m": "method", "t": "static method", "e": "enum", "v": "enum value"}
_ANY_STATIC = Member(kind="t", settable=False, counts=(), since="5.10", until="")


def pointer(body: Any) -> int:
    """The address of the C++ object."""
    return shiboken6.getCppPointer(body)[0]


def _read_property(body: Any, kind: str, name: str) -> Any:
    if body.metaObject().indexOfProperty(name) < 0:
        raise NotImplementedError(f"{kind}.{name}: Slicer has it, the stand-in has not")
    return body.property(name)


def _enum_value(body: Any, kind: str, name: str) -> Any:
    try:
        return getattr(body, name)
    except AttributeError:
        raise NotImplementedError(f"{kind}.{name}: Slicer has it, the stand-in has not") from None


def _refuse_overrides(made: WrappedType, content: dict[str, Any]) -> None:
    for name, value in content.items():
        member = made._binding.facts.member(made._kind, name)
        if callable(value) and member is not None:
            raise NotImplementedError(
                f"{made.__name__}.{name} overrides {made._kind}.{name}: without effect in classes of CTK and Slicer, "
                "and the stand-in does not show it for those of Qt"
            )
