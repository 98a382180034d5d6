"""Slicer's ``.seg.nrrd`` as it lies on disk: layers of voxels and named segments, through slicerio.

slicerio and pynrrd are imported where they are used: Slicer has neither until BARL's packages are installed, and images
are read without them.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.atomic import replacing
from barl.errors import ImageError, InputError, LabelError
from barl.imaging.geometry import Geometry

Array = npt.NDArray[Any]

_SEGMENT_FIELD = re.compile(rb"^Segment\d+_", re.MULTILINE)
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_HEADER_BYTES = 1 << 24

# Labels compress to a few percent at any level; level 9 takes ten times as long for little.
_COMPRESSION_LEVEL = 2


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One named structure of a segmentation file."""

    name: str
    value: int
    """Voxel value within its layer."""

    layer: int = 0
    color: tuple[int, int, int] = (128, 174, 128)
    """Red, green, blue, each 0 to 255."""

    terminology: str = ""
    """Slicer's terminology entry as text."""


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The voxels of a segmentation file; segments of one layer cannot overlap."""

    arrays: tuple[Array, ...]
    """(D, H, W) integers, one array a layer."""

    geometry: Geometry
    """The file's grid, which may be a crop of the image's."""

    segments: tuple[Segment, ...]


def is_segmentation(path: Path) -> bool:
    """Tell whether a file is a NRRD file that names segments."""
    if not path.name.lower().endswith((".nrrd", ".nhdr")) or not path.is_file():
        return False
    with _explaining(path):
        return _SEGMENT_FIELD.search(_header_bytes(path)) is not None


def read_segments(path: Path) -> list[Segment]:
    """Read names, values and colors from the header.

    Raises:
        LabelError: the file cannot be read.
    """
    with _explaining(path):
        return [_segment(fields) for fields in _metadata(path)["segments"]]


def read_layers(path: Path) -> Layers:
    """Read voxels and segments.

    Raises:
        InputError: slicerio or pynrrd is not installed.
        LabelError: the file cannot be read, is cut short, or holds no whole numbers.
    """
    with _packages():
        import nrrd

    with _explaining(path):
        metadata = _metadata(path)
        voxels = nrrd.read(str(path))[0].T
    if voxels.dtype.kind not in "iu":
        raise LabelError(
            f"{path} holds fractional segments. Convert them to binary labelmaps in Slicer and save again."
        )
    arrays = (voxels,) if voxels.ndim == 3 else tuple(voxels[..., layer] for layer in range(voxels.shape[3]))
    segments = tuple(_segment(fields) for fields in metadata["segments"])
    try:
        geometry = Geometry.from_index_to_lps(np.asarray(metadata["ijkToLPS"], float), arrays[0].shape)
    except ImageError as error:
        raise LabelError(f"{path}: {error}") from error
    return Layers(arrays=arrays, geometry=geometry, segments=segments)


def write_layer(path: Path, array: npt.NDArray[np.uint8], geometry: Geometry, segments: Sequence[Segment]) -> None:
    """Write one layer of voxels (D, H, W) with its segments; the file appears whole or not at all.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    with _packages():
        import slicerio

    originals: dict[bytes, bytes] = {}
    content = {
        "voxels": array.T,
        "ijkToLPS": geometry.index_to_lps,
        "encoding": "gzip",
        "containedRepresentationNames": ["Binary labelmap"],
        # Without it Slicer would take the drawn part for the whole image when the segmentation is edited. It reads a
        # parameter only up to a closing "&", which slicerio leaves out.
        "conversionParameters": [
            {"name": "Reference image geometry", "value": geometry.slicer_text, "description": "Grid of the image.&"}
        ],
        "segments": [_fields(segment, array.shape, originals) for segment in segments],
    }
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # pynrrd stamps the date in a way that newer Pythons frown upon.
        warnings.simplefilter("ignore", DeprecationWarning)
        slicerio.write_segmentation(buffer, content, compression_level=_COMPRESSION_LEVEL)
    header, _, voxels = buffer.getvalue().partition(b"\n\n")
    for placeholder, original in originals.items():
        header = header.replace(placeholder, original)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header + b"\n\n")
        file.write(voxels)


def _metadata(path: Path) -> dict[str, Any]:
    """Everything but voxels. The header is decoded here because pynrrd drops all letters that are not ASCII."""
    with _packages():
        import slicerio

    header = _header_bytes(path).decode("utf-8", "replace")
    metadata: dict[str, Any] = slicerio.read_segmentation(header.split("\n"), skip_voxels=True)
    return metadata


def _header_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(1 << 16)
        while not _HEADER_END.search(start) and len(start) < _LONGEST_HEADER_BYTES:
            more = file.read(1 << 20)
            if not more:
                break
            start += more
    return _HEADER_END.split(start, maxsplit=1)[0]


def _segment(fields: dict[str, Any]) -> Segment:
    red, green, blue = (round(255 * min(1.0, max(0.0, part))) for part in fields.get("color", (0.5, 0.68, 0.5)))
    from slicerio.segmentation import terminology_entry_to_string

    terminology = fields.get("terminology")
    return Segment(
        name=str(fields.get("name", fields["id"])).strip(),
        value=int(fields.get("labelValue", 1)),
        layer=int(fields.get("layer", 0)),
        color=(red, green, blue),
        terminology=terminology_entry_to_string(terminology) if terminology else "",
    )


def _fields(segment: Segment, shape: tuple[int, ...], originals: dict[bytes, bytes]) -> dict[str, Any]:
    """A segment as slicerio wants it, with stand-ins for texts that pynrrd could not write."""
    name, terminology = f"@name{segment.value}@", f"@terminology{segment.value}@"
    originals[name.encode()] = segment.name.encode()
    originals[terminology.encode()] = segment.terminology.encode()
    return {
        "id": f"Segment_{segment.value}",
        "name": name,
        "nameAutoGenerated": False,
        "color": [round(part / 255, 6) for part in segment.color],
        "colorAutoGenerated": False,
        "labelValue": segment.value,
        "layer": 0,
        "extent": [0, shape[2] - 1, 0, shape[1] - 1, 0, shape[0] - 1],
        "tags": {"TerminologyEntry": terminology} if segment.terminology else {},
    }


@contextmanager
def _packages() -> Iterator[None]:
    """Say what to do where slicerio or pynrrd is not installed, as in a Slicer that BARL is new to."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"Segmentations are read and written with the package {error.name}, which is not installed. In Slicer open "
            "the module BARL Trainer and press Install what is missing; elsewhere: pip install slicerio pynrrd."
        ) from error


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn what slicerio, pynrrd and zlib raise on odd files into LabelErrors."""
    with _packages():
        import nrrd

    try:
        yield
    except FileNotFoundError as error:
        raise LabelError(f"{path} does not exist. Check the path, and that the drive is connected.") from error
    except (
        nrrd.NRRDError,
        OSError,
        ValueError,
        LookupError,
        AttributeError,
        EOFError,
        StopIteration,
        zlib.error,
    ) as error:
        raise LabelError(
            f"{path} cannot be read as a segmentation; it may be cut short or damaged. "
            f"Copy it again, or open it in Slicer and save it anew. (Reader's words: {error})"
        ) from error
