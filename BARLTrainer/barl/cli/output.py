"""What a command says: its result on standard output, everything else on standard error."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object; progress goes to standard error.")]
"""Every command has it."""

_WIDE = 160


class Output:
    """One command's voice: for a person, or with ``--json`` for a program."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.screen = _console(stderr=False)
        self.side = _console(stderr=True)

    def result(self, record: Mapping[str, Any], *shown: RenderableType) -> None:
        """Say the result once: the record to a program, what is shown to a person."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(record), indent=2, allow_nan=False) + "\n")
            return
        for part in shown:
            self.screen.print(part, soft_wrap=isinstance(part, str), highlight=False)

    def note(self, text: str) -> None:
        """Tell something on the way."""
        self.side.print(text, soft_wrap=True, highlight=False)


def table(title: str, *columns: str) -> Table:
    """An empty table in the house's look."""
    made = Table(title=title or None, title_justify="left", header_style="bold", title_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


def counted(number: int, thing: str) -> str:
    """A number of things, one of them without an s."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def plain(value: Any) -> Any:
    """Only what JSON knows; numbers that are not finite become null."""
    if isinstance(value, Enum):
        return plain(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    # A pipe has no width; rich would take 80 columns and fold the tables.
    return console if console.is_terminal else Console(stderr=stderr, width=_WIDE)
