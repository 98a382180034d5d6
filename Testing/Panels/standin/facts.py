"""What api_facts.json says about a class, for one version of Slicer."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FACTS_FILE = Path(__file__).parents[1] / "api_facts.json"

_MEMBER = re.compile(r"(?P<kind>[psmtev])(?P<set>=?)(?P<argc>[\d,]*)(?:\+(?P<since>[\d.]+))?(?:-(?P<until>[\d.]+))?")


class NotInSlicer(AttributeError):
    """Something was used that the chosen version of Slicer does not have."""


class BadCall(ValueError):
    """A call that PythonQt refuses: wrong number of arguments, a keyword, a wrong type."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One attribute that a class shows to Python."""

    kind: str
    """``p`` property, ``s`` signal, ``m`` method, ``t`` static method, ``e`` enum, ``v`` enum value."""

    settable: bool
    """Whether the property may be assigned."""

    counts: tuple[int, ...]
    """Accepted numbers of arguments; empty when they are not known."""

    since: str
    """The first of the two versions that has it."""

    until: str
    """The last version that has it; empty when it is still there."""

    def in_version(self, version: str) -> bool:
        """Whether that version of Slicer has it."""
        return self.since <= version and (not self.until or version <= self.until)


class Facts:
    """Classes and Python modules as one version of Slicer shows them."""

    def __init__(self, version: str = "5.10") -> None:
        self.version = version
        self._all = _read()

    @property
    def parameterNodes(self) -> dict[str, Any]:
        """What a parameter node class has, and which widget shows which type."""
        return self._all["parameter_nodes"]

    @property
    def registration(self) -> dict[str, Any]:
        """The functions that register sample data."""
        return self._all["registration"]

    @property
    def cmake(self) -> dict[str, Any]:
        """Macros, metadata and the catalog entry."""
        return self._all["cmake"]

    def module(self, name: str) -> dict[str, Any]:
        """Functions, classes and constants of a Python module."""
        return self._all["python"][name]

    def namespace(self, name: str) -> str | None:
        """``qt``, ``ctk`` or ``slicer``; None for a class that is not carried."""
        facts = self._all["classes"].get(name)
        return facts["namespace"] if facts else None

    def missing(self, name: str) -> str:
        """Why a class is not there, for an error."""
        if name in self._all["not_carried"]:
            return f"{name} is a class of Slicer that api_facts.json does not carry: name it in gather_facts.py"
        return f"Slicer {self.version} has no class {name}"

    def constructors(self, name: str) -> list[int] | None:
        """Accepted numbers of arguments; None for a class that Python cannot make."""
        return self._all["classes"][name]["constructors"]

    def bases(self, name: str) -> list[str]:
        """All bases, nearest first."""
        return _bases(name)

    def inherits(self, name: str, base: str) -> bool:
        """Whether a class is that class or derives from it."""
        return base == name or base in _bases(name)

    def member(self, name: str, attribute: str) -> Member | None:
        """The attribute that Python finds: a property of any base wins over a method."""
        found = [member for member in _members(name, attribute) if member.in_version(self.version)]
        properties = [member for member in found if member.kind == "p"]
        return (properties or found or [None])[0]

    def why_absent(self, name: str, attribute: str) -> str:
        """What to tell someone who used an attribute that is not there."""
        text = f"Slicer {self.version}: {name} has no attribute {attribute!r}"
        for each in (name, *_bases(name)):
            reason = self._all["classes"].get(each, {}).get("absent", {}).get(attribute)
            if reason:
                return f"{text} ({reason})"
        other = [member for member in _members(name, attribute) if not member.in_version(self.version)]
        if other and other[0].since > self.version:
            return f"{text} (only since {other[0].since}; ask with hasattr)"
        return text

    def signals(self, name: str) -> Iterator[str]:
        """Signatures of all signals, own class before bases."""
        for each in (name, *_bases(name)):
            yield from self._all["classes"].get(each, {}).get("signals", [])

    def slots(self, name: str, attribute: str) -> bool:
        """Whether something can be called under that name."""
        member = self.member(name, attribute)
        return member is not None and member.kind in "mt"


def normalized(signature: str) -> str:
    """As Qt compares signatures: without const, references and blanks, and without the code of SIGNAL()."""
    plain = re.sub(r"\bconst\b|&|\s", "", signature)
    return plain[1:] if plain[:1] in {"1", "2"} else plain


def check_arguments(what: str, accepted: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Compare a call of a Python function with its facts (``name``, ``name=``, ``*name``, ``**name``, ``/name``).

    Raises:
        TypeError: as Python itself would.
    """
    positional = [each for each in accepted if not each.startswith(("*", "/"))]
    names = [each.strip("*/=") for each in accepted]
    if len(args) > len(positional) and not any(each.startswith("*") and each[1] != "*" for each in accepted):
        raise TypeError(f"{what}() takes {len(positional)} arguments, {len(args)} came")
    unknown = set(kwargs) - set(names)
    if unknown and not any(each.startswith("**") for each in accepted):
        raise TypeError(f"{what}() has no argument {sorted(unknown)}; it takes {names}")
    needed = [each for each in positional[len(args) :] if not each.endswith("=") and each not in kwargs]
    if needed:
        raise TypeError(f"{what}() also needs {needed}")


@functools.cache
def _read() -> dict[str, Any]:
    return json.loads(FACTS_FILE.read_text(encoding="utf-8"))


@functools.cache
def _bases(name: str) -> tuple[str, ...]:
    found: list[str] = []
    for base in _read()["classes"].get(name, {}).get("bases", []):
        found += [each for each in (base, *_bases(base)) if each not in found]
    return tuple(found)


@functools.cache
def _members(name: str, attribute: str) -> tuple[Member, ...]:
    classes = _read()["classes"]
    texts = [classes[each]["members"].get(attribute) for each in (name, *_bases(name)) if each in classes]
    return tuple(_parsed(text) for text in texts if text)


def _parsed(text: str) -> Member:
    match = _MEMBER.fullmatch(text)
    if match is None:
        raise AssertionError(f"api_facts.json: {text!r}")
    counts = tuple(int(count) for count in match["argc"].split(",") if count)
    return Member(
        kind=match["kind"],
        settable=bool(match["set"]),
        counts=counts,
        since=match["since"] or "5.10",
        until=match["until"] or "",
    )
