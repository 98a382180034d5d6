"""The registration of SampleData: arguments are those of the facts, and what was registered is kept."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

from standin.facts import Facts, NotInSlicer, check_arguments


class SampleDataModule(ModuleType):
    """``SampleData``, as far as modules register data with it."""

    def __init__(self, facts: Facts) -> None:
        super().__init__("SampleData")
        self.registered: list[SimpleNamespace] = []
        self.SampleDataLogic = _Registration(facts, self.registered)


class _Registration:
    def __init__(self, facts: Facts, registered: list[SimpleNamespace]) -> None:
        self._facts, self._registered = facts, registered

    def __getattr__(self, name: str) -> Any:
        fact = self._facts.registration.get(name)
        if fact is None or fact["since"] > self._facts.version:
            raise NotInSlicer(f"SampleDataLogic of Slicer {self._facts.version} has no {name}")
        accepted = [each["name"] + ("=" if "default" in each else "") for each in fact["args"]]

        def register(*args: Any, **kwargs: Any) -> None:
            check_arguments(name, accepted, args, kwargs)
            self._registered.append(SimpleNamespace(**kwargs))

        return register
