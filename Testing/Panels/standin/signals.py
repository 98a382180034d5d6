"""connect, disconnect and emit as PythonQt has them; every signature is looked up in the facts."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import shiboken6
from PySide6 import QtCore

from standin.facts import BadCall, NotInSlicer, normalized

if TYPE_CHECKING:
    from standin.binding import Binding, Wrapper


class Signal:
    """``object.signal``: the first overload, own class before bases; there is no ``object.signal[type]``."""

    def __init__(self, binding: Binding, sender: Wrapper, name: str) -> None:
        self._binding, self._sender, self._name = binding, sender, name
        self._signature = next(each for each in binding.facts.signals(sender._kind) if each.split("(")[0] == name)

    def connect(self, receiver: Callable[..., Any]) -> bool:
        """Call that function from now on."""
        self._binding.connections.add(self._sender, self._signature, receiver)
        return True

    def disconnect(self, receiver: Callable[..., Any] | None = None) -> bool:
        """No longer call that function, or any."""
        return self._binding.connections.remove(self._sender, self._signature, receiver)

    def emit(self, *args: Any) -> None:
        """Send the signal."""
        wanted = self._signature.count(",") + 1 if not self._signature.endswith("()") else 0
        if len(args) != wanted:
            raise BadCall(f"{self._sender._kind}.{self._signature} takes {wanted} arguments, {len(args)} came")
        body = self._sender._living()
        source = source_of(body, self._signature)
        sent = getattr(body, self._name) if isinstance(source, str) else source
        sent.emit(*[self._binding.unwrap(each) for each in args])

    def __call__(self, *args: Any) -> None:
        self.emit(*args)


class Connections:
    """All connections made through the binding, so that a test can count what was left behind."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._made: dict[int, list[tuple[str, Any, QtCore.QMetaObject.Connection]]] = {}

    def __len__(self) -> int:
        return sum(len(made) for made in self._made.values())

    def signature(self, sender: Wrapper, signal: str) -> str:
        """The signal as the facts write it.

        Raises:
            NotInSlicer: the class has no such signal. The real binding prints and returns False.
        """
        wanted = normalized(signal)
        for candidate in self._binding.facts.signals(sender._kind):
            if normalized(candidate) == wanted:
                return candidate
        raise NotInSlicer(f"signal {signal} does not exist on {sender._kind}")

    def slot(self, receiver: Wrapper, slot: str) -> Callable[..., Any]:
        """The slot of an object as a callable."""
        name = normalized(slot).split("(")[0]
        if not self._binding.facts.slots(receiver._kind, name):
            raise NotInSlicer(f"slot {slot} does not exist on {receiver._kind}")
        count = normalized(slot).count(",") + 1 if not slot.endswith("()") else 0
        return _SlotCall(receiver, name, count)

    def add(self, sender: Wrapper, signature: str, receiver: Callable[..., Any]) -> None:
        """Connect, and remember it."""
        if not callable(receiver):
            raise BadCall(f"connect({signature}) needs something to call, {receiver!r} came")
        body = sender._living()
        source = source_of(body, signature)
        called = self.guarded(receiver)
        by_name = isinstance(source, str)
        connection = QtCore.QObject.connect(body, source, called) if by_name else source.connect(called)
        made = self._made.setdefault(self._key(body), [])
        made.append((signature, receiver, connection))

    def remove(self, sender: Wrapper, signature: str, receiver: Callable[..., Any] | None) -> bool:
        """Disconnect one receiver, or all of them; False when there was none."""
        made = self._made.get(self._key(sender._living()), [])
        found = [each for each in made if each[0] == signature and (receiver is None or each[1] == receiver)]
        for each in found:
            made.remove(each)
            QtCore.QObject.disconnect(each[2])
        return bool(found)

    def removeAll(self) -> None:
        """Disconnect everything: the application outlives a test, and must not call its functions."""
        for made in self._made.values():
            for _signature, _receiver, connection in made:
                QtCore.QObject.disconnect(connection)
            made.clear()

    def guarded(self, receiver: Callable[..., Any]) -> Callable[..., Any]:
        """Called with as many arguments as it declares; its exceptions are kept for the test."""
        limit = positional_count(receiver)

        def received(*args: Any) -> Any:
            try:
                return receiver(*[self._binding.wrap(each) for each in args][:limit])
            except Exception as error:  # noqa: BLE001  (PythonQt goes on as well)
                traceback.print_exc()
                self._binding.problems.append(error)
            return None

        return received

    def _key(self, body: QtCore.QObject) -> int:
        key = shiboken6.getCppPointer(body)[0]
        if key not in self._made:
            self._made[key] = []
            body.destroyed.connect(functools.partial(self._forget, key))
        return key

    def _forget(self, key: int, *_: Any) -> None:
        self._made.pop(key, None)


class _SlotCall:
    """A slot of a wrapped object; equal to another one of the same object and name."""

    def __init__(self, receiver: Wrapper, name: str, count: int) -> None:
        self._receiver, self._name, self._count = receiver, name, count

    def __call__(self, *args: Any) -> None:
        getattr(self._receiver, self._name)(*args[: self._count])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SlotCall) and (self._receiver, self._name) == (other._receiver, other._name)

    def __hash__(self) -> int:
        return hash((id(self._receiver), self._name))


def source_of(body: QtCore.QObject, signature: str) -> Any:
    """Where a body sends that signal: a signature for Qt, or a bound signal of one of our own bodies."""
    if body.metaObject().indexOfSignal(signature) >= 0:
        return QtCore.SIGNAL(signature)
    other = getattr(type(body), "OVERLOADS", {}).get(signature, signature.split("(")[0])
    bound = getattr(body, other, None)
    if bound is None or not hasattr(bound, "connect") or _is_qt_signal(body, other):
        raise NotImplementedError(f"{signature}: Slicer has it, the stand-in has not")
    return bound


def positional_count(receiver: Callable[..., Any]) -> int | None:
    """How many signal arguments a plain function or bound method gets; None means all."""
    if not inspect.isfunction(receiver) and not inspect.ismethod(receiver):
        return None
    parameters = inspect.signature(receiver).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    return sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)


def _is_qt_signal(body: QtCore.QObject, name: str) -> bool:
    """Whether the name belongs to Qt itself: then another overload of it is meant, which Qt 6 no longer has."""
    own = [kind for kind in type(body).__mro__ if not kind.__module__.startswith(("PySide6", "shiboken6"))]
    return not any(name in vars(kind) for kind in own)
