"""Read and write volumes: NIfTI, NRRD, MetaImage files and folders of a DICOM series."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from barl.atomic import replacing
from barl.cohort.layout import RESULT_MAPS, label_names
from barl.errors import ImageError, StorageError
from barl.imaging import dicom
from barl.imaging.geometry import Geometry
from barl.imaging.integrity import check_whole, looks_like_text
from barl.imaging.nifti import incomplete, read_nifti_voxels

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Files that hold a volume; a DICOM series is a folder."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A 3-D image of one value a voxel."""

    array: Array
    """(D, H, W), int16 or float32."""

    geometry: Geometry


def read_volume(path: Path) -> Volume:
    """Read an image file or a DICOM folder.

    Args:
        path: a file with one of :data:`VOLUME_SUFFIXES`, or a folder that holds a DICOM series.

    Returns:
        The voxels as int16 where they all fit, else float32, and their grid. Voxels that are not finite are kept:
        the audit counts them and ``prepare_image`` refuses them.

    Raises:
        ImageError: the file is missing, empty, cut short, unreadable, or no 3-D image of one value a voxel.
    """
    array, geometry = read_voxels(path)
    return Volume(array=_compact(array), geometry=geometry)


def read_voxels(path: Path) -> tuple[Array, Geometry]:
    """Read an image file or a DICOM folder in its own number type; see :func:`read_volume`."""
    path = Path(path)
    _refuse_undecodable(path)
    if path.is_dir():
        with _explaining(path):
            image = dicom.read_series(path)
            return sitk.GetArrayFromImage(image), Geometry.from_image(image)
    reader = _open(path)
    check_whole(path)
    with _explaining(path):
        if path.name.lower().endswith((".nii", ".nii.gz")):
            return read_nifti_voxels(path), _geometry(path, reader)
        if reader.GetDimension() > 3:
            # Extracting drops the further axes, of which each has one entry.
            reader.SetExtractSize([*reader.GetSize()[:3], *[0] * (reader.GetDimension() - 3)])
        array = sitk.GetArrayFromImage(reader.Execute())
    return array, _geometry(path, reader)


def read_geometry(path: Path) -> Geometry:
    """Read the grid of an image file or a DICOM folder from its header, without the voxels.

    Raises:
        ImageError: as :func:`read_volume`, except that missing voxels are not noticed.
    """
    path = Path(path)
    _refuse_undecodable(path)
    if path.is_dir():
        with _explaining(path):
            return dicom.read_series_geometry(path)
    return _geometry(path, _open(path))


def write_volume(path: Path, array: Array, geometry: Geometry) -> None:
    """Write a volume; the file appears whole or not at all.

    Args:
        path: where to; the suffix gives the format, one of :data:`VOLUME_SUFFIXES` that is a single file.
        array: (D, H, W) voxels of the geometry's shape; float16 is written as float32.
        geometry: the grid.

    Raises:
        ImageError: the format is unknown or the array has another shape than the geometry.
        StorageError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    if not path.name.lower().endswith((".nii.gz", ".nii", ".nrrd", ".mha")):
        raise ImageError(f"Cannot write {path}: the name must end in .nrrd, .nii.gz, .nii or .mha. Choose one of them.")
    if array.shape != geometry.shape:
        raise ImageError(f"Cannot write {path}: the array has shape {array.shape}, its grid {geometry.shape}.")
    image = sitk.GetImageFromArray(array.astype(np.float32) if array.dtype == np.float16 else array)
    geometry.apply_to(image)
    with replacing(path) as temporary:
        _write_image(image, temporary, path)


_COHORT = "cohort.json"


def find_volumes(folder: Path) -> list[Path]:
    """List what can be read below a folder: image files, and folders that hold DICOM files.

    Segmentations, label maps named after an image beside them (``P07_seg.nii.gz`` beside ``P07.nii.gz``), the maps
    beside predictions, cohorts below the folder, and what is hidden are left out. Sorted by path.

    Raises:
        ImageError: the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"The folder {folder} does not exist. Check the path, and that the drive is connected.")
    with _explaining(folder):
        next(folder.iterdir(), None)  # os.walk leaves out folders that may not be read; this one is told.
    found = dict(_walked(folder))
    files = [place / name for place, names in found.items() for name in names if _is_volume_name(name)]
    return _without_label_maps(sorted(files)) + sorted(place for place in found if dicom.holds_dicom(place))


def _without_label_maps(files: list[Path]) -> list[Path]:
    named = {(path.parent, label_names(path)[0]) for path in files}
    return [
        path for path in files if len(set(label_names(path))) == 1 or (path.parent, label_names(path)[1]) not in named
    ]


def _walked(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folder and those below it, each with the names of its files."""
    for parent, names, files in os.walk(folder):
        yield Path(parent), files
        # A cohort's copies of images are not other images.
        names[:] = [name for name in names if not name.startswith(".") and not Path(parent, name, _COHORT).exists()]


def _is_volume_name(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(VOLUME_SUFFIXES) and not lower.endswith((".seg.nrrd", *RESULT_MAPS)) and lower[0] != "."


def _refuse_undecodable(path: Path) -> None:
    """ITK ends the whole process at a name that is no UTF-8, as old discs and servers have them."""
    shown = str(path).encode("utf-8", "replace").decode()
    if shown != str(path):
        raise ImageError(f"{shown} has a name with letters that cannot be read. Rename it (and its folders).")


def _open(path: Path) -> sitk.ImageFileReader:
    """Read a file's header and refuse what is no volume."""
    if not path.exists():
        raise ImageError(f"{path} does not exist. Check the path, and that the drive is connected.")
    if not path.name.lower().endswith(VOLUME_SUFFIXES):
        if path.name.lower().endswith(".dcm"):
            raise ImageError(f"{path} is a single DICOM file. Give the folder that holds all files of the series.")
        allowed = ", ".join(VOLUME_SUFFIXES)
        raise ImageError(f"{path} is no image BARL can read. Give a file ending in {allowed}, or a DICOM folder.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _explaining(path):
        if path.stat().st_size == 0:
            raise ImageError(f"{path} is empty (0 bytes). Copy or export it again.")
        reader.ReadImageInformation()
    _refuse_other_than_3d(path, reader)
    return reader


def _refuse_other_than_3d(path: Path, reader: sitk.ImageFileReader) -> None:
    size = reader.GetSize()
    shape = " x ".join(map(str, size))
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())
    if reader.GetNumberOfComponents() != 1 or "complex" in kind:
        raise ImageError(
            f"{path} has {max(2, reader.GetNumberOfComponents())} values a voxel (a color or vector image), "
            "one is needed. Export the original gray values."
        )
    if len(size) < 3:
        raise ImageError(
            f"{path} is a flat picture ({shape}), a volume with three axes is needed. Export the whole stack."
        )
    if any(length > 1 for length in size[3:]):
        raise ImageError(
            f"{path} has {len(size)} axes ({shape}), a volume with three axes is needed. "
            "Save the one time point or channel to be segmented as a file of its own."
        )


def _geometry(path: Path, reader: sitk.ImageFileReader) -> Geometry:
    try:
        return Geometry.from_image(reader)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Turn ITK's and the operating system's errors into ImageErrors, and keep ITK's warnings off the screen."""
    warnings_were_on = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}. Check that you may read it.") from error
    except RuntimeError as error:
        raise _explanation(path, str(error)) from error
    except MemoryError as error:
        raise _explanation(path, "out of memory") from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(warnings_were_on)


def _explanation(path: Path, message: str) -> ImageError:
    if path.is_file() and looks_like_text(path):
        return ImageError(f"{path} is a text file, not an image. Check that the right file was copied or downloaded.")
    if "expected" in message or "data not read" in message:
        return incomplete(path)
    if "orthonormal" in message:
        return ImageError(
            f"{path}: its axes are not at right angles (a sheared or tilted acquisition, or a damaged header). "
            "Load it in Slicer, resample it to straight axes (Resample Scalar/Vector/DWI Volume), and save it."
        )
    if "memory" in message.lower() or "bad_alloc" in message:
        return ImageError(f"{path} does not fit into memory. Close other programs, or crop or resample the image.")
    detail = message.strip().splitlines()[-1].strip() if message.strip() else "no reason given"
    return ImageError(
        f"{path} cannot be read as an image; it may be damaged or of another format than its name says. "
        f"Export it again, or open it in Slicer and save it as .nrrd. (Reader's words: {detail})"
    )


def _compact(array: Array) -> Array:
    """Give the voxels as int16 where they all fit, else as float32."""
    if array.dtype == np.int16 or array.dtype == np.float32:
        return array
    if array.dtype.kind in "iu":
        limits = np.iinfo(np.int16)
        if array.size and limits.min <= array.min() and array.max() <= limits.max:
            return array.astype(np.int16)
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _write_image(image: sitk.Image, temporary: Path, path: Path) -> None:
    """Write through ITK, and look at the result, because ITK does not report every full disk."""
    try:
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=1)
        _check_written(temporary)
    except (RuntimeError, ImageError) as error:
        free_mb = shutil.disk_usage(path.parent).free / 1e6
        raise StorageError(
            f"Cannot write {path} ({free_mb:.0f} MB free on this disk). Free some space or choose another folder; "
            "what was there before is unchanged."
        ) from error


def _check_written(path: Path) -> None:
    check_whole(path)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        read_nifti_voxels(path)
