"""What happens in a job, as one JSON object a line that is only ever appended: events.jsonl."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from barl.atomic import make_folder, storage_errors
from barl.jobs.layout import AnyFolder, JobFolder

EventKind = Literal[
    "progress",
    "metric",
    "log",
    "warning",
    "annotation",
    "checkpoint",
    "prediction",
    "finished",
    "failed",
    "started",
    "stopped",
    "resumed",
]


class EventWriter:
    """Appends events.

    The file is opened for each event, so that nothing is left open and a line that a killed or full-disk write left
    torn is always ended before the next one begins.

    Args:
        folder: the job folder.
        clock: gives seconds since 1970.
    """

    def __init__(self, folder: AnyFolder, *, clock: Callable[[], float] = time.time) -> None:
        self._path = JobFolder.of(folder).events
        self._clock = clock

    def write(self, kind: EventKind, **fields: Any) -> None:
        """Append one event with time and kind; it has reached the operating system on return.

        Numbers that JSON does not know (infinite, not a number) become null; NumPy's scalars become numbers.

        Raises:
            StorageError: the file cannot be written, or the disk is full.
        """
        event = {"time": self._clock(), "kind": kind} | _jsonable(fields)
        line = json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with storage_errors(self._path):
            make_folder(self._path.parent)
            with self._path.open("ab+", buffering=0) as file:
                _append(file, b"\n" + line if _is_torn(file) else line)


class EventReader:
    """Reads what was appended since the last look.

    Attributes:
        skipped: lines so far that were no JSON object; a killed writer leaves one.
        offset: bytes of the file that have been read.
    """

    def __init__(self, folder: AnyFolder) -> None:
        self._path = JobFolder.of(folder).events
        self.offset = 0
        self.skipped = 0

    def read_new(self, most_bytes: int = -1) -> list[dict[str, Any]]:
        """Whole events that were not returned before; all of them again when the file was cut or begun anew.

        Args:
            most_bytes: stop after about so many, to be called again for the rest: a window must not freeze over a long
                history. Negative: read all.
        """
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            size = 0
        if size < self.offset:
            self.offset = 0
        if size == self.offset:
            return []
        with self._path.open("rb") as file:
            file.seek(self.offset)
            # To the end of the line, or a line longer than the limit would never be read.
            block = file.read(most_bytes) + (file.readline() if most_bytes >= 0 else b"")
        whole, newline, _ = block.rpartition(b"\n")
        self.offset += len(whole) + len(newline)
        events = [_decode(line) for line in whole.split(b"\n") if line.strip()]
        self.skipped += events.count(None)
        return [event for event in events if event is not None]


def _is_torn(file: BinaryIO | Any) -> bool:
    if file.seek(0, 2) == 0:
        return False
    file.seek(-1, 2)
    return bool(file.read(1) != b"\n")


def _append(file: BinaryIO | Any, data: bytes) -> None:
    while data:  # A single write may take a part only; several writers' whole lines never mix.
        data = data[file.write(data) :]


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        return _jsonable(value.item())
    raise TypeError(f"an event field must be a JSON value, got {type(value).__name__}")
