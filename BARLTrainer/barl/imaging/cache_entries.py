"""One array of the cache on disk: ``name.npy`` and beside it ``name.json``, which is written last."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.atomic import replacing, write_json
from barl.errors import StorageError

Array = npt.NDArray[Any]

_CHUNK_BYTES = 1 << 24


def write_entry(path: Path, array: Array, details: dict[str, Any]) -> None:
    """Write an array with what belongs to it.

    Args:
        path: the ``.npy`` file.
        array: what to keep.
        details: plain values that come back with it.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    checksum = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        content = _bytes(array)
        for start in range(0, len(content), _CHUNK_BYTES):
            chunk = content[start : start + _CHUNK_BYTES]
            checksum = zlib.crc32(chunk, checksum)
            file.write(chunk)
        size = file.tell()
    write_json(_sidecar(path), {"bytes": size, "crc32": checksum, "details": details})


def read_entry(path: Path, *, verify: bool) -> tuple[Array, dict[str, Any]] | None:
    """Map an array that :func:`write_entry` wrote.

    Args:
        path: the ``.npy`` file.
        verify: whether to compare the content's checksum too, which reads all of it.

    Returns:
        The read-only memory map and the details; None when the entry is missing, cut short or damaged.
    """
    details = read_details(path)
    if details is None:
        return None
    try:
        array = np.load(path, mmap_mode="r")
        expected = json.loads(_sidecar(path).read_text(encoding="utf-8"))["crc32"]
    except (OSError, ValueError, EOFError):
        return None
    if verify and zlib.crc32(_bytes(array)) != expected:
        return None
    return array, details


def read_details(path: Path) -> dict[str, Any] | None:
    """Read the details alone; None when the entry is missing or cut short."""
    try:
        value = json.loads(_sidecar(path).read_text(encoding="utf-8"))
        details: dict[str, Any] = value["details"]
        return details if path.stat().st_size == value["bytes"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def remove_entry(path: Path) -> int:
    """Remove an entry and return the bytes that became free; one that another process has mapped may stay."""
    freed = 0
    for file in (_sidecar(path), path):
        try:
            size = file.stat().st_size
            file.unlink()
            freed += size
        except OSError:
            continue
    return freed


def write_or_keep(path: Path, array: Array, details: dict[str, Any]) -> None:
    """Write an entry, unless another process just wrote the same one and has it mapped (Windows refuses then)."""
    try:
        write_entry(path, array, details)
    except StorageError:
        if read_details(path) is None:
            raise


def _bytes(array: Array) -> memoryview:
    content: memoryview = np.ascontiguousarray(array).data
    return content.cast("B")


def _sidecar(path: Path) -> Path:
    return path.with_suffix(".json")
