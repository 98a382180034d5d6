"""Our own JSON files read with care: what is wrong is told by file, place, what is allowed and what came."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from barl import __version__
from barl.errors import InputError, NewerFormatError

Choice = TypeVar("Choice", bound=Enum)

ADVICE = "Correct it in a text editor, or restore the file from a backup."
"""What to do about a file that a person may have edited, and that nothing can make anew."""

_BUSY_RETRIES = 20 if os.name == "nt" else 0  # Windows refuses to open a file just while it is being replaced.


class Fields:
    """One object of a JSON file, and where it stands, so that an error can point at it.

    Args:
        values: what ``json.loads`` gave; anything but an object is refused.
        where: file and place, the beginning of every message.
        error: the exception to raise.
        advice: what to do, the end of every message.
    """

    def __init__(self, values: Any, where: str, error: type[InputError], advice: str = ADVICE) -> None:
        self.where, self.error, self.advice = where, error, advice
        if not isinstance(values, dict):
            raise error(f"{where}: expected an object {{...}}, got {values!r:.80}. {advice}")
        self.values: dict[str, Any] = values

    def text(self, key: str, default: str | None = None) -> str:
        """A text; required unless there is a default."""
        value = self.values.get(key, default)
        if isinstance(value, str):
            return value
        raise self._refusal(key, "a text")

    def optional_text(self, key: str) -> str | None:
        """A text, or None when absent."""
        return None if self.values.get(key) is None else self.text(key)

    def integer(self, key: str) -> int:
        """A whole number."""
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self._refusal(key, "a whole number")

    def optional_integer(self, key: str) -> int | None:
        """A whole number, or None when absent."""
        return None if self.values.get(key) is None else self.integer(key)

    def optional_number(self, key: str) -> float | None:
        """A number, or None when absent."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise self._refusal(key, "a number")

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        value = self.values.get(key)
        if isinstance(value, list) and all(type(item) is int for item in value):
            return tuple(value)
        raise self._refusal(key, "a list of whole numbers")

    def choice(self, key: str, choices: type[Choice]) -> Choice:
        """A member of an enumeration, by value."""
        for member in choices:
            if member.value == self.values.get(key):
                return member
        raise self._refusal(key, f"one of {', '.join(repr(member.value) for member in choices)}")

    def child(self, key: str) -> Fields:
        """The object under a key."""
        return Fields(self.values.get(key), f"{self.where}, {key}", self.error, self.advice)

    def children(self, key: str) -> list[Fields]:
        """The objects of the list under a key."""
        value = self.values.get(key)
        if isinstance(value, list):
            places = (f"{self.where}, {key}[{index}]" for index in range(len(value)))
            return [Fields(item, place, self.error, self.advice) for item, place in zip(value, places, strict=True)]
        raise self._refusal(key, "a list [...]")

    @contextmanager
    def located(self) -> Iterator[None]:
        """Around what is made of this object: an error about a value that is not allowed says where it stands."""
        try:
            yield
        except InputError as problem:
            told = str(problem)
            raise self.error(told if told.startswith(self.where) else f"{self.where}: {told}") from problem

    def require_format(self, known: int) -> None:
        """Refuse a format that this version does not know.

        Raises:
            NewerFormatError: a newer BARL wrote it; the message names the version to install.
        """
        found = self.integer("format_version")
        if found > known:
            writer = self.text("written_by", "")
            wanted = f"BARL {writer} or newer" if writer else "the newest BARL"
            raise NewerFormatError(
                f"{self.where} has format {found}; this is BARL {__version__}, which knows formats up to {known}. "
                f"Install {wanted} to use it. Nothing was changed."
            )
        if found < 1:
            raise self._refusal("format_version", f"a whole number from 1 to {known}")

    def _refusal(self, key: str, allowed: str) -> InputError:
        came = f"got {self.values[key]!r:.80}" if key in self.values else "but it is missing"
        return self.error(f"{self.where}: {key} must be {allowed}, {came}. {self.advice}")


def format_stamp(version: int) -> dict[str, Any]:
    """The first two entries of every file: what ``require_format`` looks at."""
    return {"format_version": version, "written_by": __version__}


def read_fields(path: Path, error: type[InputError], advice: str = ADVICE) -> Fields:
    """Read a JSON file.

    Args:
        path: the file.
        error: the exception to raise.
        advice: what to do when it is damaged.

    Raises:
        error: it is missing, cannot be read, or is not JSON; the message names the line.
    """
    data = _read(path, error)
    try:
        return Fields(json.loads(data.decode("utf-8-sig")), str(path), error, advice)
    except json.JSONDecodeError as problem:
        raise error(f"{path}, line {problem.lineno}: this is not valid JSON ({problem.msg}). {advice}") from problem
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise error(f"{path}, line {line}: this is not UTF-8 text. {advice}") from problem


def _read(path: Path, error: type[InputError]) -> bytes:
    for attempt in range(_BUSY_RETRIES + 1):
        try:
            return path.read_bytes()
        except PermissionError as problem:
            if attempt == _BUSY_RETRIES:
                raise error(f"{path} may not be read. Ask for the right to read it.") from problem
            time.sleep(0.02)
        except OSError as problem:
            raise error(
                f"{path} cannot be read: {problem.strerror}. Check that folder and drive are there."
            ) from problem
    raise AssertionError("the loop returns or raises")
