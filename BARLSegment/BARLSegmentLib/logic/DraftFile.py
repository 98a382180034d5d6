"""A draft's voxels on their way to disk: arrays and texts alone, so that a thread may write them while Slicer draws on.

The format is Slicer's ``.seg.nrrd``. Some slices are written at a time: zlib lets other threads run meanwhile.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.atomic import replacing
from barl.imaging import Geometry

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 2
"""Labels compress to a few percent at any level; higher ones take ten times as long for little."""

_BLOCK_BYTES = 4 << 20
"""Compressed in one go, without Python."""

Extent = tuple[int, int, int, int, int, int]
"""First and last column, row and slice, as VTK has them."""


@dataclass(frozen=True, kw_only=True)
class DraftSegment:
    """What a file says of a segment beside its voxels."""

    identifier: str
    name: str
    color: tuple[float, float, float]
    value: int
    layer: int
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DraftContent:
    """All that a file holds."""

    layers: npt.NDArray[Any]
    """(L, D, H, W) integers."""

    geometry: Geometry
    """Of the part that the arrays cover."""

    extent: Extent
    """Of that part in the image's grid."""

    segments: tuple[DraftSegment, ...]
    conversion: str
    """Slicer's conversion parameters as text."""


class GivenUpError(Exception):
    """Nobody wants the file any more."""


class Wanted:
    """Whether somebody wants a file that a thread writes."""

    def __init__(self) -> None:
        self._isWanted = True
        self._appearing = threading.Lock()

    def withdraw(self) -> None:
        """Nobody wants it any more: from now on it does not appear. Waits for one that is just appearing."""
        self._isWanted = False
        with self._appearing:
            pass

    def require(self) -> None:
        """Raises GivenUpError: nobody wants it any more."""
        if not self._isWanted:
            raise GivenUpError

    @contextmanager
    def appearing(self) -> Iterator[None]:
        """Inside, nobody withdraws it; raises as ``require``."""
        with self._appearing:
            self.require()
            yield


def writeDraftFile(path: Path, content: DraftContent, wanted: Wanted) -> None:
    """Write a file; it appears whole or not at all.

    Args:
        path: where.
        content: what; nobody may change it meanwhile.
        wanted: asked every now and then, and once more before the file appears.

    Raises:
        StorageError: the folder cannot be written, or the disk is full; what was there before stays.
        GivenUpError: nobody wants it any more; what was there before stays.
    """
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    with ExitStack() as stack, replacing(path) as temporary:
        with temporary.open("wb") as file:
            file.write(_header(content).encode() + b"\n")
            for block in _blocks(content.layers):
                wanted.require()
                file.write(packer.compress(block))
            file.write(packer.flush())
        stack.enter_context(wanted.appearing())


def _blocks(layers: npt.NDArray[Any]) -> Iterator[memoryview]:
    """Some slices at a time; layers are the fastest axis of the file, then columns and rows."""
    count = max(1, _BLOCK_BYTES // max(1, layers[:, 0].nbytes))
    for begin in range(0, layers.shape[1], count):
        yield np.ascontiguousarray(np.moveaxis(layers[:, begin : begin + count], 0, -1)).data


def _header(content: DraftContent) -> str:
    count, depth, height, width = content.layers.shape
    isOne = count == 1
    directions = " ".join(_vector(row) for row in content.geometry.index_to_lps[:3, :3].T)
    offset = " ".join(str(first) for first in content.extent[::2])
    lines = [
        "NRRD0004",
        f"type: {NRRD_TYPES[content.layers.dtype.str[1:]]}",
        f"dimension: {3 if isOne else 4}",
        "space: left-posterior-superior",
        f"sizes: {'' if isOne else f'{count} '}{width} {height} {depth}",
        f"space directions: {'' if isOne else 'none '}{directions}",
        f"kinds: {'' if isOne else 'list '}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(content.geometry.index_to_lps[:3, 3])}",
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        f"Segmentation_ConversionParameters:={content.conversion}",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        f"Segmentation_ReferenceImageExtentOffset:={offset}",
    ]
    for number, segment in enumerate(content.segments):
        lines += [f"Segment{number}_{key}:={value}" for key, value in _fields(segment, content).items()]
    return "\n".join(lines) + "\n"


def _fields(segment: DraftSegment, content: DraftContent) -> dict[str, str]:
    _count, depth, height, width = content.layers.shape
    return {
        "ID": segment.identifier,
        "Name": segment.name,
        "NameAutoGenerated": "0",
        "Color": " ".join(f"{part:.6g}" for part in segment.color),
        "ColorAutoGenerated": "0",
        "LabelValue": str(segment.value),
        "Layer": str(segment.layer),
        "Extent": f"0 {width - 1} 0 {height - 1} 0 {depth - 1}",
        "Tags": "".join(f"{key}:{value}|" for key, value in segment.tags.items()),
    }


def _vector(parts: npt.NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(part)) for part in parts) + ")"


NRRD_TYPES = {"u1": "unsigned char", "i1": "signed char", "i2": "short", "u2": "unsigned short", "i4": "int"}
