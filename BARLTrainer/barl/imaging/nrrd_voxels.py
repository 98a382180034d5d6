"""Voxels of an ordinary NRRD file straight into NumPy's memory.

ITK reads them into memory of its own first, from where they are copied. Asking the system for that memory, four
kilobytes at a time, takes as long as reading; NumPy asks for megabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_TYPES = {
    "signed char": "i1",
    "unsigned char": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "unsigned short": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "unsigned int": "u4",
    "uint32": "u4",
    "float": "f4",
    "double": "f8",
}
_AXES = {"domain", "space"}
_UNUSUAL = {"data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip", "block size", "blocksize"}
_LONGEST_HEADER_LINES = 1000
_GZIP = 16 + zlib.MAX_WBITS
_PACKED_BYTES = 1 << 17
_UNPACKED_BYTES = 1 << 20


def read_nrrd_voxels(path: Path) -> Array | None:
    """Read the voxels (D, H, W) of a three-dimensional ``.nrrd`` file in its own number type.

    Returns:
        None for anything out of the ordinary, such as a file that is cut short or has its voxels elsewhere: ITK reads
        it, or knows what is wrong with it.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        header = _header(file)
        voxels = None if header is None else _empty(header)
        if header is None or voxels is None:
            return None
        read = _unpack if header["encoding"] in ("gzip", "gz") else _copy
        return voxels if read(file, voxels.reshape(-1).view(np.uint8).data) else None


def _header(file: BufferedReader) -> dict[str, str] | None:
    """The ``key: value`` lines up to the empty one, in small letters; None when there is no such end."""
    if not file.readline(16).startswith(b"NRRD"):
        return None
    fields: dict[str, str] = {}
    for _ in range(_LONGEST_HEADER_LINES):
        line = file.readline().decode("utf-8", "replace")
        if not line.endswith("\n"):
            return None
        if not line.strip():
            return fields
        key, colon, value = line.partition(": ")
        if colon:
            fields[key.strip().lower()] = value.strip().lower()
    return None


def _empty(header: dict[str, str]) -> Array | None:
    """Room for the voxels; None when the header is not of the ordinary kind."""
    if _UNUSUAL & header.keys() or header.get("encoding") not in ("raw", "gzip", "gz"):
        return None
    if header.get("type") not in _TYPES or not set(header.get("kinds", "").split()) <= _AXES:
        return None
    sizes = [int(size) for size in header.get("sizes", "").split() if size.isdigit()]
    if header.get("dimension") != "3" or len(sizes) != 3 or min(sizes) < 1:
        return None
    kind = np.dtype(_TYPES[header["type"]])
    if kind.itemsize > 1 and header.get("endian") != "little":
        return None
    return np.empty(sizes[::-1], kind.newbyteorder("<"))


def _unpack(file: BufferedReader, target: memoryview) -> bool:
    """Fill the target with what a gzip stream holds; whether that was just enough and the stream is whole."""
    filled = 0
    try:
        for part in _inflated(file):
            if filled + len(part) > len(target):
                return False
            target[filled : filled + len(part)] = part
            filled += len(part)
    except (zlib.error, EOFError):
        return False
    return filled == len(target)


def _inflated(file: BufferedReader) -> Iterator[bytes]:
    stream = zlib.decompressobj(_GZIP)
    while not stream.eof:
        packed = stream.unconsumed_tail or file.read(_PACKED_BYTES)
        if not packed:
            raise EOFError
        yield stream.decompress(packed, _UNPACKED_BYTES)


def _copy(file: BufferedReader, target: memoryview) -> bool:
    return file.readinto(target) == len(target) and not file.read(1)
