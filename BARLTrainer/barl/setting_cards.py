"""A card for each setting, read from the sources: Slicer shows settings before torch is there, and never imports it.

The dataclass beside the code that uses a setting stays the only place where it is declared; nothing is run to read it.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

import barl
from barl.catalog import card
from barl.errors import SettingsError

SECTIONS = {
    "training": "barl.training.settings:TrainingSettings",
    "network": "barl.networks.network:NetworkSettings",
    "views": "barl.training.views:ViewSettings",
}
"""Settings that all methods share, by the prefix that they have in a job."""

Value = bool | int | float | str


class Kind(str, Enum):
    """What a setting's value is."""

    SWITCH = "true or false"
    WHOLE = "a whole number"
    NUMBER = "a number"
    NUMBERS = "whole numbers with commas between them"
    CHOICE = "one of several words"


@dataclass(frozen=True, kw_only=True)
class SettingCard:
    """What someone needs to know to change a setting."""

    key: str
    """As a job holds it and ``barl train --set`` takes it: with the prefix of its section."""

    kind: Kind
    default: Value
    choices: tuple[str, ...] = ()
    """The words of a choice."""

    explanation: str
    """What it does, with unit and reason."""

    @property
    def name(self) -> str:
        """The key without its section."""
        return self.key.rpartition(".")[2]

    def parse(self, text: str) -> Value:
        """A value from what a person typed.

        Whether a number is within its limits is known to the engine alone, which checks it before a training starts.

        Raises:
            SettingsError: the text is not of the setting's kind.
        """
        text = text.strip()
        if self.kind is Kind.SWITCH:
            known: dict[str, Value] = {"true": True, "yes": True, "false": False, "no": False}
        elif self.kind is Kind.CHOICE:
            known = {word: word for word in self.choices}
        elif self.kind is Kind.NUMBERS:
            return self._numbers(text)
        else:
            return self._number(text)
        if text.lower() not in known:
            raise SettingsError(f"{self.key} must be one of ({', '.join(known)}), got {text!r}.")
        return known[text.lower()]

    def _numbers(self, text: str) -> str:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not all(part.removeprefix("-").isdecimal() for part in parts):
            raise SettingsError(f"{self.key} must be {self.kind.value}, got {text!r}.")
        return ",".join(parts)

    def _number(self, text: str) -> int | float:
        try:
            number = float(text)
            if not math.isfinite(number) or (self.kind is Kind.WHOLE and number != int(number)):
                raise ValueError
        except ValueError:
            raise SettingsError(f"{self.key} must be {self.kind.value}, got {text!r}.") from None
        return int(number) if self.kind is Kind.WHOLE else number


def method_cards(method: str) -> tuple[SettingCard, ...]:
    """The settings of one method alone; some have none.

    Raises:
        SettingsError: there is no such method.
    """
    module = card(method).module.partition(":")[0]
    return _cards(module, "Settings", "")


def section_cards(section: str) -> tuple[SettingCard, ...]:
    """The settings of one of :data:`SECTIONS`."""
    module, _, name = SECTIONS[section].partition(":")
    return _cards(module, name, f"{section}.")


@cache
def _cards(module: str, name: str, prefix: str) -> tuple[SettingCard, ...]:
    tree = _tree(module)
    declared = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return tuple(
        _card(prefix + field.target.id, field, explanation, tree)
        for field, explanation in _fields(declared)
        if isinstance(field.target, ast.Name)
    )


def _fields(declared: ast.ClassDef) -> Iterator[tuple[ast.AnnAssign, str]]:
    """The fields with the text below each."""
    following = [*declared.body[1:], ast.Pass()]
    for statement, below in zip(declared.body, following, strict=True):
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            said = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            text = below.value.value if said else ""  # type: ignore[attr-defined]
            yield statement, " ".join(str(text).replace("`", "").split())


def _card(key: str, field: ast.AnnAssign, explanation: str, tree: ast.Module) -> SettingCard:
    assert field.value is not None
    kind = ast.unparse(field.annotation)
    kinds = {"bool": Kind.SWITCH, "int": Kind.WHOLE, "float": Kind.NUMBER, "tuple[int, ...]": Kind.NUMBERS}
    default = ast.literal_eval(field.value)
    return SettingCard(
        key=key,
        kind=kinds.get(kind, Kind.CHOICE),
        default=",".join(map(str, default)) if isinstance(default, tuple) else default,
        choices=() if kind in kinds else _choices(kind, tree),
        explanation=explanation,
    )


def _choices(name: str, tree: ast.Module) -> tuple[str, ...]:
    """The words of a ``Literal`` that the module names or imports."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            assert isinstance(node.value, ast.Subscript)
            words = ast.literal_eval(node.value.slice)
            return words if isinstance(words, tuple) else (words,)
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _choices(name, _tree(str(node.module)))
    raise LookupError(f"{name} is neither written nor imported where it is used")


@cache
def _tree(module: str) -> ast.Module:
    path = Path(barl.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))
