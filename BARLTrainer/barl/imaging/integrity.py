"""Find files that were cut short. ITK fills the missing voxels of a NIfTI file without a word."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from barl.errors import ImageError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20
_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}


def check_whole(path: Path) -> None:
    """Check that a file holds all the voxels its header promises, and that its compressed data are undamaged.

    NIfTI and MetaImage files are checked; ITK itself notices a NRRD file that is too short.

    Raises:
        ImageError: bytes are missing or damaged.
    """
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        _check_nifti(path)
    elif name.endswith((".mha", ".mhd")):
        _check_meta_image(path)


def looks_like_text(path: Path) -> bool:
    """Tell whether a file starts with readable text that is no image header."""
    with path.open("rb") as file:
        start = file.read(512)
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in start)
    return printable == len(start) > 0 and not start.startswith((b"NRRD", b"ObjectType"))


def incomplete(path: Path) -> ImageError:
    """Make the error for a file of which a part is missing or damaged."""
    return ImageError(
        f"{path} is cut short or damaged: it holds fewer voxels than it should. Copy or export it again; "
        "an interrupted download or a full disk is the usual cause."
    )


def detached_data(path: Path) -> list[Path]:
    """List the files in which a ``.mhd`` or ``.nhdr`` header keeps its voxels; empty when they are in the file."""
    name = path.name.lower()
    if name.endswith(".mhd"):
        data = _meta_header(path).get("ElementDataFile", "LOCAL")
        return [] if data == "LOCAL" or data.startswith("LIST") or "%" in data else [path.parent / data.strip('"')]
    if name.endswith(".nhdr"):
        return _nrrd_data_files(path)
    return []


def _check_nifti(path: Path) -> None:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        expected, present = _compressed_lengths(file) if compressed else _plain_lengths(file, path)
    if expected is not None and present < expected:
        raise incomplete(path)


def _plain_lengths(file: BinaryIO, path: Path) -> tuple[int | None, int]:
    return _nifti_length(file.read(544)), path.stat().st_size


def _compressed_lengths(file: BinaryIO) -> tuple[int | None, int]:
    """Decompress without keeping anything: (bytes the header asks for, sound bytes that are there)."""
    header, present = b"", 0
    inflate = zlib.decompressobj(wbits=31)
    data = file.read(_CHUNK_BYTES)
    try:
        while data:
            voxels = inflate.decompress(data)
            present += len(voxels)
            header = header if len(header) >= 544 else header + voxels[:544]
            data = inflate.unused_data or file.read(_CHUNK_BYTES)
            if inflate.eof:
                # Several gzip members in a row, as bgzip writes; zeros after the last one are padding.
                data = data.lstrip(b"\0")
                inflate = zlib.decompressobj(wbits=31)
    except zlib.error:
        present = 0
    return _nifti_length(header), present


def _nifti_length(header: bytes) -> int | None:
    """Bytes that a NIfTI-1 or NIfTI-2 file must have, None when this is no NIfTI header."""
    if len(header) < 348:
        return 1 << 62
    for order in "<>":
        version: int = struct.unpack_from(order + "i", header)[0]
        if version == 348:
            dims, bits = struct.unpack_from(order + "8h", header, 40), struct.unpack_from(order + "h", header, 72)[0]
            offset = struct.unpack_from(order + "f", header, 108)[0]
        elif version == 540 and len(header) >= 540:
            dims, bits = struct.unpack_from(order + "8q", header, 16), struct.unpack_from(order + "h", header, 14)[0]
            offset = struct.unpack_from(order + "q", header, 168)[0]
        else:
            continue
        voxels: int = math.prod(max(1, length) for length in dims[1 : 1 + dims[0]])
        return int(offset) + voxels * int(bits) // 8
    return None


def _check_meta_image(path: Path) -> None:
    header = _meta_header(path)
    for data in detached_data(path):
        if not data.is_file():
            raise ImageError(
                f"{path} needs the file {data.name} beside it, which is missing. Copy both files together."
            )
    expected = _meta_length(header)
    if header.get("ElementDataFile", "").strip('"') != "LOCAL":
        present = sum(data.stat().st_size for data in detached_data(path))
        if not detached_data(path):
            return
    else:
        present = path.stat().st_size - int(header["header bytes"])
    if expected is not None and present < expected:
        raise incomplete(path)


def _meta_header(path: Path) -> dict[str, str]:
    """Read the ``key = value`` lines of a MetaImage file; ``header bytes`` is where they end."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for _ in range(200):
            line = file.readline(4096)
            key, equals, value = line.decode("utf-8", "replace").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                break
        fields["header bytes"] = str(file.tell())
    return fields


def _meta_length(header: dict[str, str]) -> int | None:
    """Bytes of voxels that a MetaImage header promises, None when it does not say."""
    try:
        if header.get("CompressedData", "False").lower() == "true":
            return int(header["CompressedDataSize"])
        voxels = math.prod(int(length) for length in header["DimSize"].split())
        channels = int(header.get("ElementNumberOfChannels", "1"))
        kind = header["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
        return voxels * channels * _META_BYTES[kind.removeprefix("U")]
    except (KeyError, ValueError):
        return None


def _nrrd_data_files(path: Path) -> list[Path]:
    with path.open("rb") as file:
        lines = [line.decode("utf-8", "replace").strip() for line in file.read(1 << 20).splitlines()]
    for number, line in enumerate(lines):
        key, _, value = line.partition(":")
        if key.lower() in ("data file", "datafile"):
            names = lines[number + 1 :] if value.strip().startswith("LIST") else [value.strip()]
            return [path.parent / name for name in names if name and "%" not in name]
    return []
