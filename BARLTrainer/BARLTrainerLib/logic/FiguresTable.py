"""The figures of several rounds side by side, and as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from barl.atomic import storage_errors, write_text
from barl.errors import StorageError
from BARLTrainerLib.logic.RoundRow import RoundRow

HEADER = (
    "round",
    "method",
    "preset",
    "minutes",
    "state",
    "step",
    "structure",
    "dice",
    "validation_cases",
    "too_few_to_say",
)
"""First line of the file; also tells a table of ours from somebody else's file."""

MEAN = "mean"


def structures(rows: Sequence[RoundRow]) -> list[str]:
    """The structures that any of the rounds was measured on, in the order of their first appearance."""
    found: dict[str, None] = {}
    for row in rows:
        found.update(dict.fromkeys(row.score.byClass if row.score is not None else ()))
    return list(found)


def writeFigures(path: Path, rows: Sequence[RoundRow]) -> None:
    """Write one line a round and structure; rounds that were not measured have one line without a figure.

    Raises:
        StorageError: there is another file of this name, the folder cannot be written, or the disk is full.
    """
    _refuseForeign(path)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        writer.writerows(_lines(row))
    write_text(path, text.getvalue())


def _lines(row: RoundRow) -> list[list[object]]:
    state = row.state.value if row.state is not None else "unreadable"
    begin = [row.number, row.method, row.asked.get("preset", ""), row.asked.get("minutes", ""), state]
    if row.score is None:
        return [[*begin, "", "", "", "", ""]]
    figures = {MEAN: row.score.dice, **row.score.byClass}
    end = [row.validationCases, "yes" if row.isTooFew else "no"]
    return [[*begin, row.score.step, name, f"{value:.6f}", *end] for name, value in figures.items()]


def _refuseForeign(path: Path) -> None:
    with storage_errors(path):
        if not path.exists():
            return
        first = _firstLine(path) if path.is_file() else ""
    if first != ",".join(HEADER):
        raise StorageError(
            f"{path} is there already and is no table of BARL's rounds. Choose another folder, or move it away."
        )


def _firstLine(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(1000).strip()
