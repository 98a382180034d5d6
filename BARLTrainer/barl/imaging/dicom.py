"""Folders with a DICOM series: which one, in which order, and whether all slices are there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from barl.errors import ImageError
from barl.imaging.geometry import Geometry

logger = logging.getLogger(__name__)

_POSITION, _DESCRIPTION = "0020|0032", "0008|103e"

# Scouts and reports are far shorter than the volume; two series of like length are the user's choice.
_SMALL_SERIES = 0.25

# Slice positions are texts of a few digits; a missing slice shifts the next one by a whole spacing.
_POSITION_TOLERANCE = 0.1


@dataclass(frozen=True, kw_only=True)
class _Series:
    description: str
    files: tuple[str, ...]


def holds_dicom(folder: Path) -> bool:
    """Tell whether a folder itself (not its subfolders) holds DICOM files, by looking at the first few files."""
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError:  # What may not be looked into holds nothing for us.
        return False
    return any(_is_dicom(path) for path in files[:5])


def read_series(folder: Path) -> sitk.Image:
    """Read the folder's series as one 3-D image of the grid that :func:`read_series_geometry` gives.

    Raises:
        ImageError: no series, several of them, missing slices, or no 3-D image of one value a voxel.
        RuntimeError: ITK cannot read a file.
    """
    series = _find_series(folder)
    geometry = _geometry(folder, series)
    if len(series.files) == 1:
        image = sitk.ReadImage(series.files[0])
    else:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(series.files)
        image = reader.Execute()
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(
            f"The DICOM series in {folder} holds color pictures, gray values are needed. Export the original."
        )
    geometry.apply_to(image)
    return image


def read_series_geometry(folder: Path) -> Geometry:
    """Read the grid from the headers of the folder's series; see :func:`read_series` for errors."""
    return _geometry(folder, _find_series(folder))


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _find_series(folder: Path) -> _Series:
    """Take the one series, or the one beside which all others are small."""
    found = [
        sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), identifier)
        for identifier in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    ]
    if not found:
        raise ImageError(
            f"The folder {folder} holds no DICOM series. Give the folder that holds the slices themselves."
        )
    found.sort(key=len, reverse=True)
    series = [
        _Series(description=_tag(files[0], _DESCRIPTION) or "without description", files=files) for files in found
    ]
    if len(series) == 1:
        return series[0]
    names = "; ".join(f"{one.description} ({len(one.files)} files)" for one in series)
    if len(series[1].files) > _SMALL_SERIES * len(series[0].files):
        raise ImageError(
            f"The folder {folder} holds several DICOM series: {names}. Put the one to use into its own folder."
        )
    logger.warning("%s holds several DICOM series: %s. The first of these is used.", folder, names)
    return series[0]


def _geometry(folder: Path, series: _Series) -> Geometry:
    first = _header(series.files[0])
    if len(first.GetSize()) < 3 or (len(series.files) == 1 and first.GetSize()[2] == 1):
        raise ImageError(
            f"The DICOM series in {folder} has a single slice, a volume is needed. Export the whole series."
        )
    if len(series.files) == 1:
        return Geometry.from_image(first)
    step = _slice_step(folder, series)
    size, spacing = first.GetSize(), first.GetSpacing()
    return Geometry(
        size=(size[0], size[1], len(series.files)),
        spacing_mm=(spacing[0], spacing[1], step),
        origin_mm=first.GetOrigin(),
        direction=first.GetDirection(),
    )


def _slice_step(folder: Path, series: _Series) -> float:
    """Distance of neighboring slices in mm; refuses gaps, doubles and a tilted gantry."""
    positions = np.array([_position(folder, file) for file in series.files])
    normal = np.reshape(_header(series.files[0]).GetDirection(), (3, 3))[:, 2]
    steps = np.diff(positions, axis=0)
    along = steps @ normal
    step = float(np.median(along))
    if step <= 0 or np.abs(along - step).max() > _POSITION_TOLERANCE * step:
        worst = int(np.argmax(np.abs(along - step)))
        raise ImageError(
            f"The DICOM series in {folder} has missing, doubled or unevenly spaced slices: {along[worst]:.2f} mm "
            f"between slices {worst + 1} and {worst + 2}, {step:.2f} mm elsewhere. Export the complete series again."
        )
    if np.linalg.norm(steps - np.outer(along, normal), axis=1).max() > _POSITION_TOLERANCE * step:
        raise ImageError(
            f"The DICOM series in {folder} was taken with a tilted gantry: its slices are shifted against each other. "
            "Load it in Slicer (Acquisition geometry regularization: apply), and save the volume as .nrrd."
        )
    return float(along.mean())


def _position(folder: Path, file: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(number) for number in _tag(file, _POSITION).split("\\"))
    except ValueError:
        raise ImageError(
            f"The DICOM series in {folder} has slices without a position. Export it as axial slices."
        ) from None
    return x, y, z


def _header(file: str) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return reader


def _tag(file: str, key: str) -> str:
    reader = _header(file)
    return str(reader.GetMetaData(key)).strip() if reader.HasMetaDataKey(key) else ""
