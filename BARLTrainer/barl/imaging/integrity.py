"""What is known of a file before ITK reads it: whether it is whole, is text, or keeps its voxels elsewhere."""

from __future__ import annotations

import math
from pathlib import Path

from barl.errors import ImageError
from barl.imaging.nifti import incomplete

_META_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}


def check_whole(path: Path) -> None:
    """Check that a MetaImage file holds all the voxels its header promises; ITK prints its complaints to the screen.

    Raises:
        ImageError: voxels are missing.
    """
    if not path.name.lower().endswith((".mha", ".mhd")):
        return
    header, detached = _meta_header(path), detached_data(path)
    for data in detached:
        if not data.is_file():
            raise ImageError(
                f"{path} needs the file {data.name} beside it, which is missing. Copy both files together."
            )
    local = header.get("ElementDataFile", "").strip('"') == "LOCAL"
    if not local and not detached:
        return
    present = (
        path.stat().st_size - int(header["header bytes"]) if local else sum(one.stat().st_size for one in detached)
    )
    expected = _meta_length(header)
    if expected is not None and present < expected:
        raise incomplete(path)


def looks_like_text(path: Path) -> bool:
    """Tell whether a file starts with readable text that is no image header."""
    with path.open("rb") as file:
        start = file.read(512)
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in start)
    return printable == len(start) > 0 and not start.startswith((b"NRRD", b"ObjectType"))


def detached_data(path: Path) -> list[Path]:
    """List the files in which a ``.mhd`` or ``.nhdr`` header keeps its voxels; empty when they are in the file."""
    name = path.name.lower()
    if name.endswith(".mhd"):
        data = _meta_header(path).get("ElementDataFile", "LOCAL")
        return [] if data == "LOCAL" or data.startswith("LIST") or "%" in data else [path.parent / data.strip('"')]
    if name.endswith(".nhdr"):
        return _nrrd_data_files(path)
    return []


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
