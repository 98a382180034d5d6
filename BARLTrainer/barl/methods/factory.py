"""From a name and plain values to a method."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from barl.catalog import card
from barl.errors import SettingsError
from barl.methods.protocol import Method, MethodClass
from barl.networks import NetworkSettings

S = TypeVar("S")


def make_method(name: str, settings: Mapping[str, Any], network: NetworkSettings) -> Method[Any]:
    """The method of a card with the given settings, defaults for the rest.

    Raises:
        SettingsError: no such method, an unknown setting, or a value outside what is allowed.
    """
    cls = method_class(name)
    return cls(settings_from(cls.settings_class, settings, owner=f"method {name}"), network)


def method_class(name: str) -> MethodClass:
    """The class that a card names as text."""
    module, _, attribute = card(name).module.partition(":")
    return cast(MethodClass, getattr(importlib.import_module(module), attribute))


def settings_from(cls: type[S], values: Mapping[str, Any], *, owner: str) -> S:
    """A settings record from plain values; text, as a command line gives it, becomes the default's type.

    Raises:
        SettingsError: an unknown key, or a value of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(cast(Any, cls))}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        allowed = ", ".join(fields) or "none"
        raise SettingsError(f"{owner} has no setting {unknown[0]!r}. Its settings: {allowed}.")
    return cls(**{key: _typed(key, value, fields[key].default) for key, value in values.items()})


def _typed(key: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return _as_bool(key, value)
    if isinstance(default, tuple):
        return _as_numbers(key, value)
    if isinstance(default, int | float):
        return _as_number(key, value, type(default))
    if not isinstance(value, str):
        raise SettingsError(f"{key} must be text, got {value!r}")
    return value


def _as_bool(key: str, value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    chosen = words.get(str(value).lower())
    if chosen is None:
        raise SettingsError(f"{key} must be true or false, got {value!r}")
    return chosen


def _as_numbers(key: str, value: Any) -> tuple[int, ...]:
    items = value.split(",") if isinstance(value, str) else value
    try:
        return tuple(int(_as_number(key, item, int)) for item in items if item != "")
    except (SettingsError, TypeError):
        raise SettingsError(f"{key} must be whole numbers with commas between them, got {value!r}") from None


def _as_number(key: str, value: Any, kind: type[int] | type[float]) -> int | float:
    try:
        number = kind(value)
        if isinstance(value, bool) or not math.isfinite(float(value)) or float(value) != number:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        wanted = "a whole number" if kind is int else "a number"
        raise SettingsError(f"{key} must be {wanted}, got {value!r}") from None
    return number
