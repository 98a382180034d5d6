"""The voxels of NIfTI files. ITK turns NaN into 0 and fills missing voxels without a word; here neither happens."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.errors import ImageError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20
_HEADER_BYTES = 544
_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}


def read_nifti_voxels(path: Path) -> npt.NDArray[Any]:
    """Read the voxels of a 3-D image (D, H, W) in the file's number type, or as float64 when the header scales them.

    Raises:
        ImageError: voxels are missing, the compressed data are damaged, or the number type is not one of numpy's.
    """
    chunks = _content(path)
    start = b""
    while len(start) < _HEADER_BYTES and (chunk := next(chunks, b"")):
        start += chunk
    header = _Header.parse(path, start)
    content = bytearray(header.offset + header.num_bytes)
    filled = 0
    for chunk in _after(start, chunks):
        # Everything is read, also what follows the voxels: only the end of a gzip stream tells that it is sound.
        part = chunk[: len(content) - filled]
        content[filled : filled + len(part)] = part
        filled += len(part)
    if filled < len(content):
        raise incomplete(path)
    voxels = np.frombuffer(content, header.dtype, offset=header.offset).reshape(header.shape)
    voxels = voxels.astype(header.dtype.newbyteorder("="), copy=False)
    return voxels if header.slope is None else voxels * header.slope + header.intercept


def incomplete(path: Path) -> ImageError:
    """Make the error for a file of which a part is missing or damaged."""
    return ImageError(
        f"{path} is cut short or damaged: it holds fewer voxels than it should. Copy or export it again; "
        "an interrupted download or a full disk is the usual cause."
    )


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What is needed to find the voxels in a NIfTI-1 or NIfTI-2 file."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    slope: float | None
    intercept: float

    @classmethod
    def parse(cls, path: Path, start: bytes) -> _Header:
        if len(start) < 348:
            raise incomplete(path)
        for order in "<>":
            version = struct.unpack_from(order + "i", start)[0]
            if version == 348:
                places = (("8h", 40), ("h", 70), ("f", 108), ("2f", 112))
            elif version == 540 and len(start) >= 540:
                places = (("8q", 16), ("h", 12), ("q", 168), ("2d", 176))
            else:
                continue
            dims, (kind,), (offset,), scaling = (struct.unpack_from(order + code, start, at) for code, at in places)
            return cls._checked(path, order, dims[1 : 1 + dims[0]], int(kind), int(offset), scaling)
        raise ImageError(
            f"{path} is no NIfTI file, though its name says so. Check that it was copied or exported right."
        )

    @classmethod
    def _checked(
        cls, path: Path, order: str, dims: tuple[int, ...], kind: int, offset: int, scaling: tuple[float, ...]
    ) -> _Header:
        if kind not in _TYPES:
            raise ImageError(
                f"{path} stores its voxels as NIfTI type {kind}, which BARL cannot read. Save it as .nrrd."
            )
        slope, intercept = scaling
        # The standard: a slope of 0 means that the header does not scale; so does one that is no number.
        scales = math.isfinite(slope) and math.isfinite(intercept) and slope != 0 and (slope, intercept) != (1, 0)
        return cls(
            offset=offset,
            shape=tuple(max(1, length) for length in dims[2::-1]),
            dtype=np.dtype(order + _TYPES[kind]),
            slope=slope if scales else None,
            intercept=intercept,
        )

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _after(start: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    yield from chunks


def _content(path: Path) -> Iterator[bytes]:
    """The file's bytes, decompressed where they are compressed, whatever its name says."""
    with path.open("rb") as file:
        data = file.read(_CHUNK_BYTES)
        if not data.startswith(_GZIP_MAGIC):
            while data:
                yield data
                data = file.read(_CHUNK_BYTES)
            return
        inflate = zlib.decompressobj(wbits=31)
        while data:
            try:
                yield inflate.decompress(data)
            except zlib.error as error:
                raise incomplete(path) from error
            data = inflate.unused_data or file.read(_CHUNK_BYTES)
            if inflate.eof:
                # Several gzip members in a row, as bgzip writes; zeros after the last one are padding.
                data = data.lstrip(b"\0")
                inflate = zlib.decompressobj(wbits=31)
