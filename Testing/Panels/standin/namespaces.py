"""The modules behind the names qt, ctk, slicer and slicer.util: what is not in the facts is not in them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from standin.binding import Binding
from standin.facts import NotInSlicer, check_arguments


class ClassNamespace(ModuleType):
    """``qt`` or ``ctk``: the wrapped classes of one namespace."""

    def __init__(self, name: str, binding: Binding) -> None:
        super().__init__(name)
        self._binding = binding

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        facts = self._binding.facts
        if facts.namespace(name) != self.__name__:
            raise NotInSlicer(f"{self.__name__}.{name}: {facts.missing(name)}")
        return self._binding.type(name)


class SlicerNamespace(ModuleType):
    """``slicer``: nodes and logics of slicer-core, wrapped widgets, and what the application sets."""

    def __init__(self, binding: Binding, core: ModuleType, path: Any) -> None:
        super().__init__("slicer")
        self.__path__ = path
        self._binding = binding
        self._core = core

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name.startswith("vtk") and hasattr(self._core, name):
            return getattr(self._core, name)
        if self._binding.facts.namespace(name) == "slicer":
            return self._binding.type(name)
        raise NotInSlicer(f"slicer.{name}: {self._binding.facts.missing(name)}")


class FunctionModule(ModuleType):
    """A Python module of Slicer: names and arguments are those of the facts.

    What a function does comes from our own ``bodies``, else from slicer-core's module of the same name.
    """

    def __init__(self, name: str, binding: Binding, bodies: dict[str, Any], core: ModuleType | None = None) -> None:
        super().__init__(name)
        self._binding = binding
        self._facts = binding.facts.module(name)
        self._bodies = bodies
        self._core = core

    @property
    def __all__(self) -> list[str]:
        """What ``from module import *`` gives."""
        return [name for name in self._bodies if self._known(name)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if not self._known(name):
            raise NotInSlicer(f"{self.__name__} of Slicer {self._binding.facts.version} has no {name}")
        body = self._bodies.get(name, getattr(self._core, name, None))
        if body is None:
            raise NotImplementedError(f"{self.__name__}.{name}: Slicer has it, the stand-in has not")
        return self._checked(name, body) if name in self._facts["functions"] else body

    def _known(self, name: str) -> bool:
        version = self._binding.facts.version
        if name in self._facts["functions"]:
            return self._facts["functions"][name].get("since", "5.10") <= version
        return self._facts["since"] <= version and (name in self._facts["classes"] or name in self._facts["constants"])

    def _checked(self, name: str, body: Callable[..., Any]) -> Callable[..., Any]:
        facts = self._facts["functions"][name]
        early = self._binding.facts.version == "5.10"
        accepted = facts.get("args_in_5.10", facts["args"]) if early else facts["args"]

        def called(*args: Any, **kwargs: Any) -> Any:
            check_arguments(f"{self.__name__}.{name}", accepted, args, kwargs)
            return body(*args, **kwargs)

        return called
