"""Ordinary NRRD files are read as ITK reads them; all others are left to ITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from barl.errors import ImageError
from barl.imaging import read_volume
from barl.imaging.nrrd_voxels import read_nrrd_voxels

SHAPE = (5, 6, 7)


def anImage(path: Path, kind: str = "<i2", *, compressed: bool = True) -> Path:
    values = np.random.default_rng(0).integers(0, 100, SHAPE).astype(kind)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path), useCompression=compressed)
    return path


def with_header(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    return path


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["<i1", "<u1", "<i2", "<u2", "<i4", "<u4", "<f4", "<f8"])
def test_every_number_type_is_read_as_itk_reads_it(tmp_path: Path, kind: str, compressed: bool) -> None:
    path = anImage(tmp_path / "Zähne.nrrd", kind, compressed=compressed)

    voxels = read_nrrd_voxels(path)

    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert voxels is not None
    assert voxels.dtype == expected.dtype
    np.testing.assert_array_equal(voxels, expected)


def test_a_large_file_is_read_in_parts_that_fit_together(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-1000, 3000, (80, 100, 90)).astype(np.int16)
    path = tmp_path / "large.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path), useCompression=True)

    np.testing.assert_array_equal(read_nrrd_voxels(path), values)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"endian: little", b"endian: big"),
        (b"dimension: 3", b"dimension: 4"),
        (b"kinds: domain domain domain", b"kinds: vector domain domain"),
        (b"encoding: gzip", b"encoding: bzip2"),
        (b"encoding: gzip", b"line skip: 1\nencoding: gzip"),
        (b"type: short", b"type: block"),
        (b"sizes: 7 6 5", b"sizes: 7 6 6"),
        (b"sizes: 7 6 5", b"sizes: 7 6 4"),
        (b"NRRD", b"NOPE"),
    ],
)
def test_anything_out_of_the_ordinary_is_left_to_itk(tmp_path: Path, old: bytes, new: bytes) -> None:
    assert read_nrrd_voxels(with_header(anImage(tmp_path / "a.nrrd"), old, new)) is None


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("missing", [1, 9, 60])
def test_a_file_cut_short_is_not_taken_for_whole(tmp_path: Path, compressed: bool, missing: int) -> None:
    path = anImage(tmp_path / "a.nrrd", compressed=compressed)
    path.write_bytes(path.read_bytes()[:-missing])

    assert read_nrrd_voxels(path) is None
    if missing > 9:  # ITK forgives the lack of what checks a stream.
        with pytest.raises(ImageError):
            read_volume(path)


def test_big_endian_files_come_through_itk(tmp_path: Path) -> None:
    path = anImage(tmp_path / "a.nrrd", compressed=False)
    content = path.read_bytes()
    start = content.index(b"\n\n") + 2
    values = np.frombuffer(content[start:], "<i2")
    header = content[:start].replace(b"endian: little", b"endian: big")
    path.write_bytes(header + values.astype(">i2").tobytes())

    np.testing.assert_array_equal(read_volume(path).array.ravel(), values)
