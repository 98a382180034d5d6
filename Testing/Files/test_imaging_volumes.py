"""Volumes come in with their exact grid, or not at all and with a reason."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from imaging_data import grid, some_voxels, turned, write_dicom_series

from barl.errors import ImageError, StorageError
from barl.imaging import find_volumes, read_geometry, read_volume, write_volume
from barl.imaging.geometry import Geometry

SINGLE_FILE_SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".mha"]
GRIDS = {
    "straight": grid(),
    "oblique": grid(direction=turned(17, -31)),
    "flipped": grid(direction=np.diag([-1, 1, -1])),
    "sagittal": grid(direction=[[0, 0, 1], [1, 0, 0], [0, -1, 0]]),
}


@pytest.mark.parametrize("suffix", SINGLE_FILE_SUFFIXES)
@pytest.mark.parametrize("geometry", GRIDS.values(), ids=GRIDS.keys())
def test_a_written_volume_comes_back_with_voxels_and_grid(tmp_path: Path, suffix: str, geometry: Geometry) -> None:
    path = tmp_path / f"Zähne 歯 und mehr{suffix}"
    write_volume(path, some_voxels(), geometry)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, some_voxels())
    assert volume.array.dtype == np.int16
    assert volume.geometry.difference_from(geometry, tolerance=1e-4) == ""
    assert read_geometry(path) == volume.geometry


def test_headers_with_separate_voxel_files_are_read(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(some_voxels())
    for name in ("a.mhd", "a.nhdr"):
        sitk.WriteImage(image, str(tmp_path / name))
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, some_voxels())
    (tmp_path / "a.raw").unlink()
    with pytest.raises(ImageError, match=r"needs the file a\.raw"):
        read_volume(tmp_path / "a.mhd")


def test_very_long_paths_with_spaces_are_read(tmp_path: Path) -> None:
    folder = tmp_path / ("a b " * 50).strip() / ("ü" * 100) / ("c" * 200)
    write_volume(folder / "x.nii.gz", some_voxels(), grid())
    np.testing.assert_array_equal(read_volume(folder / "x.nii.gz").array, some_voxels())


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((4, 4, 4), 200, np.uint8), np.int16),
        (np.full((4, 4, 4), 30_000, np.int32), np.int16),
        (np.full((4, 4, 4), 40_000, np.uint16), np.float32),
        (np.full((4, 4, 4), 0.25, np.float64), np.float32),
    ],
)
def test_voxels_are_int16_where_they_fit_else_float32(tmp_path: Path, array: np.ndarray, expected: type) -> None:
    write_volume(tmp_path / "a.nrrd", array, grid((4, 4, 4)))
    volume = read_volume(tmp_path / "a.nrrd")
    assert volume.array.dtype == expected
    np.testing.assert_array_equal(volume.array, array)


@pytest.mark.parametrize("suffix", SINGLE_FILE_SUFFIXES)
def test_voxels_that_are_no_numbers_are_kept_for_the_audit_to_count(tmp_path: Path, suffix: str) -> None:
    array = np.array([np.nan, np.inf, -np.inf, 1.5] * 3, np.float32).reshape(3, 2, 2)
    write_volume(tmp_path / f"a{suffix}", array, grid((3, 2, 2)))
    np.testing.assert_array_equal(read_volume(tmp_path / f"a{suffix}").array, array)


def test_the_scaling_of_a_nifti_header_is_applied_as_itk_does(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii", some_voxels(), grid())
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:120] = np.array([0.5, -10], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii")))
    assert not np.array_equal(expected, some_voxels())
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").array, expected)


def test_a_header_that_promises_more_than_fits_into_memory_is_told(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii", some_voxels(), grid())
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[42:48] = np.array([32_767] * 3, "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(ImageError, match=r"memory|cut short"):
        read_volume(tmp_path / "a.nii")


def test_nifti_files_of_the_other_byte_order_are_read(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii", some_voxels(), grid())
    content = np.frombuffer((tmp_path / "a.nii").read_bytes(), np.uint8).copy()
    fields = [
        (0, 4, 1),
        (32, 4, 1),
        (36, 2, 1),
        (40, 2, 8),
        (56, 4, 3),
        (68, 2, 4),
        (76, 4, 8),
        (108, 4, 3),
        (120, 2, 1),
    ]
    for start, width, count in [*fields, (124, 4, 6), (252, 2, 2), (256, 4, 18), (352, 2, some_voxels().size)]:
        part = content[start : start + width * count]
        part[:] = part.reshape(count, width)[:, ::-1].ravel()
    (tmp_path / "a.nii").write_bytes(content.tobytes())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii"))), some_voxels())
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, some_voxels())


@pytest.mark.parametrize("suffix", SINGLE_FILE_SUFFIXES)
@pytest.mark.parametrize("share", [0.99, 0.6, 0.02])
def test_a_file_cut_short_is_noticed(
    tmp_path: Path, suffix: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(path, some_voxels((20, 30, 40)), grid((20, 30, 40)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ImageError, match=r"cut short|cannot be read"):
        read_volume(path)
    assert capfd.readouterr().err == ""


def test_a_damaged_byte_in_the_middle_of_a_compressed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write_volume(path, some_voxels((20, 30, 40)), grid((20, 30, 40)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged"):
        read_volume(path)


def test_a_file_of_several_gzip_members_is_whole(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii", some_voxels(), grid())
    content = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]))
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii.gz").array, some_voxels())


def test_what_is_no_volume_is_refused_with_a_reason(tmp_path: Path) -> None:
    def refuse(name: str, reason: str) -> None:
        with pytest.raises(ImageError, match=reason) as caught:
            read_volume(tmp_path / name)
        assert name in str(caught.value)

    (tmp_path / "text.nii.gz").write_text("not an image at all\n" * 40)
    (tmp_path / "empty.nrrd").touch()
    (tmp_path / "odd.nrrd").write_bytes(bytes(range(256)) * 8)
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5), np.uint8)), str(tmp_path / "flat.nrrd"))
    sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((3, 4, 5, 6), np.uint8), isVector=False), str(tmp_path / "time.nii.gz")
    )
    sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(tmp_path / "color.mha")
    )
    refuse("text.nii.gz", "text file")
    refuse("empty.nrrd", "empty")
    refuse("odd.nrrd", "cannot be read as an image")
    refuse("flat.nrrd", "flat picture")
    refuse("time.nii.gz", "4 axes")
    refuse("color.mha", "3 values a voxel")
    refuse("missing.nii.gz", "does not exist")
    refuse("photo.jpg", "does not exist")


def test_a_fourth_axis_of_length_one_is_dropped(tmp_path: Path) -> None:
    image = sitk.JoinSeries([sitk.GetImageFromArray(some_voxels())])
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    volume = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.array, some_voxels())
    assert volume.geometry.shape == (6, 7, 8)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd"])
def test_a_sheared_grid_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(path, some_voxels(), grid())
    content = path.read_bytes()
    if suffix == ".nii":
        # sform only, with x leaning into y.
        rows = np.array([[0.4, 0.2, 0, 0], [0, 0.5, 0, 0], [0, 0, 1.25, 0]], "<f4")
        content = content[:252] + np.array([0, 2], "<i2").tobytes() + content[256:280] + rows.tobytes() + content[328:]
    else:
        start = content.index(b"space directions:")
        end = content.index(b"\n", start)
        content = content[:start] + b"space directions: (0.4,0,0) (0.2,0.5,0) (0,0,1.25)" + content[end:]
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"right angles"):
        read_volume(path)


def test_a_failed_write_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nrrd"
    write_volume(path, some_voxels(), grid())

    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(sitk, "WriteImage", broken)
    with pytest.raises(StorageError, match="MB free"):
        write_volume(path, some_voxels(seed=1), grid())
    np.testing.assert_array_equal(read_volume(path).array, some_voxels())
    assert [file.name for file in tmp_path.iterdir()] == ["a.nrrd"]


def test_a_dicom_folder_is_read_in_the_order_of_its_positions(tmp_path: Path) -> None:
    array = some_voxels((5, 8, 8))
    folder = write_dicom_series(tmp_path / "größe 1", array[::-1], [8, 6, 4, 2, 0])
    volume = read_volume(folder)
    np.testing.assert_array_equal(volume.array, array)
    assert volume.geometry.spacing_mm == (0.5, 0.5, 2.0)
    assert volume.geometry.origin_mm == (-10, -20, 0)
    assert read_geometry(folder) == volume.geometry


def test_a_dicom_series_with_a_gap_is_refused(tmp_path: Path) -> None:
    folder = write_dicom_series(tmp_path / "a", some_voxels((4, 8, 8)), [0, 2, 6, 8])
    with pytest.raises(ImageError, match=r"4\.00 mm between slices 2 and 3, 2\.00 mm elsewhere"):
        read_volume(folder)


def test_of_two_like_dicom_series_the_user_must_choose(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "a", some_voxels((5, 8, 8)), range(5))
    write_dicom_series(tmp_path / "a", some_voxels((4, 8, 8)), range(4), uid="2")
    with pytest.raises(ImageError, match=r"series 1 \(5 files\); series 2 \(4 files\)"):
        read_volume(tmp_path / "a")


def test_a_scout_beside_a_dicom_series_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_dicom_series(tmp_path / "a", some_voxels((9, 8, 8)), range(9))
    write_dicom_series(tmp_path / "a", some_voxels((1, 8, 8)), [0], uid="2")
    with caplog.at_level(logging.WARNING):
        assert read_volume(tmp_path / "a").array.shape == (9, 8, 8)
    assert "series 2 (1 files)" in caplog.text


def test_a_folder_without_dicom_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no DICOM series"):
        read_volume(tmp_path)


def test_volumes_of_a_folder_are_all_images_and_dicom_folders_below_it(tmp_path: Path) -> None:
    kept = ("b.nii.gz", "a.nrrd", "P2/ct.mha")
    left_out = (
        "labels.seg.nrrd",
        "a.uncertainty.nrrd",
        "a.disagreement.nrrd",
        "notes.txt",
        ".hidden.nrrd",
        ".x/c.nrrd",
    )
    for name in (*kept, *left_out, "study/cohort.json", "study/images/d.nrrd"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    write_dicom_series(tmp_path / "P1" / "CT", some_voxels((3, 4, 4)), range(3))
    names = [str(path.relative_to(tmp_path)) for path in find_volumes(tmp_path)]
    assert names == [str(Path("P2", "ct.mha")), "a.nrrd", "b.nii.gz", str(Path("P1", "CT"))]
