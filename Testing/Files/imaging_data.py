"""Small volumes, grids, label files and DICOM folders for the imaging tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from barl.cohort import Cohort, LabelTable, Modality
from barl.imaging import Geometry, write_volume

JAW_AND_TEETH = LabelTable.from_names(["jaw", "Zähne 歯", "canal"])


def turned(degrees_about_x: float, degrees_about_z: float) -> npt.NDArray[np.float64]:
    """A rotation matrix."""
    a, c = np.radians(degrees_about_x), np.radians(degrees_about_z)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_x


def grid(
    shape: tuple[int, int, int] = (6, 7, 8),
    *,
    spacing: tuple[float, float, float] = (0.4, 0.5, 1.25),
    origin: tuple[float, float, float] = (-12.5, 30.25, 7.0),
    direction: npt.ArrayLike = ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
) -> Geometry:
    """A grid for an array of a shape (D, H, W); spacing and origin are x, y, z."""
    return Geometry(
        size=shape[::-1],
        spacing_mm=spacing,
        origin_mm=origin,
        direction=tuple(float(value) for value in np.asarray(direction, float).ravel()),
    )


def some_voxels(shape: tuple[int, ...] = (6, 7, 8), seed: int = 0) -> npt.NDArray[np.int16]:
    """Values like a CT's."""
    return np.random.default_rng(seed).integers(-1000, 2000, shape).astype(np.int16)


def write_header_and_layers(
    path: Path, layers: npt.NDArray[Any], segments: Sequence[tuple[str, int, int]], geometry: Geometry
) -> Path:
    """Write a .seg.nrrd as Slicer does, without BARL's code: layers (L, D, H, W), segments (name, layer, value)."""
    matrix = geometry.index_to_lps
    directions = np.vstack([[np.nan] * 3, matrix[:3, :3].T])
    header: dict[str, Any] = {
        "space": "left-posterior-superior",
        "kinds": ["list", "domain", "domain", "domain"],
        "space directions": directions,
        "space origin": matrix[:3, 3],
        "encoding": "gzip",
    }
    for index, (name, layer, value) in enumerate(segments):
        header |= {
            f"Segment{index}_ID": f"Segment_{index}",
            f"Segment{index}_Name": name,
            f"Segment{index}_Layer": str(layer),
            f"Segment{index}_LabelValue": str(value),
            f"Segment{index}_Color": "1 0.5 0",
        }
    nrrd.write(str(path), layers.transpose(0, 3, 2, 1), header)
    return path


def write_dicom_series(
    folder: Path, array: npt.NDArray[np.int16], positions_mm: Sequence[float], uid: str = "1"
) -> Path:
    """Write one axial slice a file, 0.5 x 0.5 mm pixels, at the given heights."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index, (plane, height) in enumerate(zip(array, positions_mm, strict=True)):
        image = sitk.GetImageFromArray(plane[np.newaxis])
        image.SetSpacing((0.5, 0.5, 1.0))
        tags = {
            "0008|0060": "CT",
            "0008|103e": f"series {uid}",
            "0020|000d": "1.2.3",
            "0020|000e": f"1.2.3.{uid}",
            "0008|0018": f"1.2.3.{uid}.{index + 1}",
            "0020|0032": f"-10\\-20\\{height}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(index),
        }
        for key, value in tags.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}-{index:03d}.dcm"))
        writer.Execute(image)
    return folder


def make_cohort(folder: Path, images: dict[str, npt.NDArray[Any]], geometry: Geometry) -> Cohort:
    """A cohort of jaw, teeth and canal with an image file per case."""
    cohort = Cohort.create(folder / "Kohorte ä", name="K", modality=Modality.CBCT, labels=JAW_AND_TEETH)
    for case_id, array in images.items():
        path = folder / "images of the clinic" / f"{case_id}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        write_volume(path, array, geometry)
        cohort.add_case(path, case_id=case_id)
    return cohort
