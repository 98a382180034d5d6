"""Labels come in by name or by value, and whatever does not fit the table is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from imaging_data import JAW_AND_TEETH, grid, some_voxels, turned, write_header_and_layers

from barl.cohort import Label, LabelTable
from barl.errors import LabelError
from barl.imaging import read_label_names, read_labels, write_segmentation, write_volume

OBLIQUE = grid(direction=turned(17, -31))


def some_labels(*values: int, shape: tuple[int, int, int] = (6, 7, 8)) -> np.ndarray:
    return np.random.default_rng(0).choice([0, *values], shape).astype(np.uint8)


def test_a_written_segmentation_comes_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "größe 歯.seg.nrrd"
    array = some_labels(1, 2, 3)
    write_segmentation(path, array, OBLIQUE, JAW_AND_TEETH)
    labels = read_labels(path, JAW_AND_TEETH)
    np.testing.assert_array_equal(labels.array, array)
    assert labels.geometry.difference_from(OBLIQUE, tolerance=1e-9) == ""
    expected = [(label.value, label.name, label.color) for label in JAW_AND_TEETH.labels]
    assert read_label_names(path) == expected


def test_slicerio_and_itk_see_the_same_voxels_as_barl_wrote(tmp_path: Path) -> None:
    path, array = tmp_path / "a.seg.nrrd", some_labels(1, 2, 3)
    write_segmentation(path, array, OBLIQUE, JAW_AND_TEETH)
    seen = slicerio.read_segmentation(str(path))
    np.testing.assert_array_equal(slicerio.segment_mask(seen, "canal"), (array == 3).transpose(2, 1, 0))
    np.testing.assert_allclose(seen["ijkToLPS"], OBLIQUE.index_to_lps, atol=1e-9)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)
    np.testing.assert_allclose(image.GetDirection(), OBLIQUE.direction, atol=1e-9)


def test_slicer_finds_the_whole_image_grid(tmp_path: Path) -> None:
    write_segmentation(tmp_path / "a.seg.nrrd", some_labels(1), OBLIQUE, JAW_AND_TEETH)
    note = f"ConversionParameters:=Reference image geometry|{OBLIQUE.slicer_text}|Grid of the image.&\n"
    assert note.encode() in (tmp_path / "a.seg.nrrd").read_bytes()
    assert read_labels(tmp_path / "a.seg.nrrd", JAW_AND_TEETH).array.any()


def test_terminology_comes_back_as_it_was(tmp_path: Path) -> None:
    entry = "General~SCT^123037004^Anatomical Structure~SCT^113197003^Knöchel~^^~Anatomic codes~^^~^^"
    table = LabelTable((Label(value=9, name="rib", color=(1, 2, 254), terminology=entry),))
    write_segmentation(tmp_path / "a.seg.nrrd", some_labels(9), grid(), table)
    assert f"TerminologyEntry:{entry}|".encode() in (tmp_path / "a.seg.nrrd").read_bytes()
    assert read_label_names(tmp_path / "a.seg.nrrd") == [(9, "rib", (1, 2, 254))]


def test_an_empty_segmentation_stays_empty_and_keeps_its_names(tmp_path: Path) -> None:
    write_segmentation(tmp_path / "a.seg.nrrd", some_labels(), grid(), JAW_AND_TEETH)
    assert not read_labels(tmp_path / "a.seg.nrrd", JAW_AND_TEETH).array.any()
    assert len(read_label_names(tmp_path / "a.seg.nrrd")) == 3


def test_segments_are_found_by_name_whatever_their_value_layer_or_case(tmp_path: Path) -> None:
    jaw, teeth = np.zeros((2, 6, 7, 8), np.uint8)
    jaw[1:3], teeth[3:5] = 1, 1
    path = write_header_and_layers(
        tmp_path / "a.seg.nrrd", np.stack([jaw, teeth]), [("CANAL ", 0, 1), ("Jaw", 1, 1)], OBLIQUE
    )
    np.testing.assert_array_equal(read_labels(path, JAW_AND_TEETH).array, 3 * jaw + 1 * teeth)


def test_overlapping_segments_are_named_with_place_and_size(tmp_path: Path) -> None:
    jaw, canal = np.zeros((2, 6, 7, 8), np.uint8)
    jaw[1:4], canal[3:5, 2:4, 2:4] = 1, 1
    path = write_header_and_layers(
        tmp_path / "a.seg.nrrd", np.stack([jaw, canal]), [("jaw", 0, 1), ("canal", 1, 1)], grid()
    )
    with pytest.raises(LabelError, match=r"jaw and canal overlap in 4 voxels, slices 3 to 3") as caught:
        read_labels(path, JAW_AND_TEETH)
    right, anterior, superior = grid().index_to_ras((3, 3, 2))
    assert f"R {right:.1f}, A {anterior:.1f}, S {superior:.1f} mm" in str(caught.value)


def test_a_segment_of_another_name_is_refused_unless_it_is_empty(tmp_path: Path) -> None:
    layer = np.zeros((1, 6, 7, 8), np.uint8)
    layer[0, 0] = 1
    segments = [("jaw", 0, 1), ("Segment_2", 0, 2)]
    path = write_header_and_layers(tmp_path / "a.seg.nrrd", layer, segments, grid())
    assert read_labels(path, JAW_AND_TEETH).array.sum() == 56
    layer[0, 1] = 2
    write_header_and_layers(path, layer, segments, grid())
    with pytest.raises(LabelError, match=r"named Segment_2 are not in the label table \(jaw, Zähne 歯, canal\)"):
        read_labels(path, JAW_AND_TEETH)


def test_a_segmentation_cut_short_or_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, some_labels(1, 2, 3, shape=(20, 30, 40)), grid((20, 30, 40)), JAW_AND_TEETH)
    for share in (0.9, 0.5, 0.05):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        with pytest.raises(LabelError, match=r"a\.seg\.nrrd"):
            read_labels(path, JAW_AND_TEETH)
    with pytest.raises(LabelError, match="does not exist"):
        read_labels(tmp_path / "missing.seg.nrrd", JAW_AND_TEETH)
    (tmp_path / "text.seg.nrrd").write_text("hello\n" * 200)
    with pytest.raises(LabelError, match="text file"):
        read_labels(tmp_path / "text.seg.nrrd", JAW_AND_TEETH)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32])
def test_label_maps_are_read_by_value(tmp_path: Path, suffix: str, kind: type) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(path, some_labels(1, 3).astype(kind), OBLIQUE)
    np.testing.assert_array_equal(read_labels(path, JAW_AND_TEETH).array, some_labels(1, 3))
    assert [name for _, name, _ in read_label_names(path)] == ["Label 1", "Label 3"]


def test_values_outside_the_table_are_counted(tmp_path: Path) -> None:
    array = some_labels(1).astype(np.int16)
    array[0, 0, :3], array[1, 0, 0] = 4, -7
    write_volume(tmp_path / "a.nrrd", array, grid())
    with pytest.raises(LabelError, match=r"value -7 \(1 voxels\), 4 \(3 voxels\) is not in the label table"):
        read_labels(tmp_path / "a.nrrd", JAW_AND_TEETH)


def test_the_value_for_not_annotated_becomes_255(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nrrd", some_labels(1, 4).astype(np.int16), grid())
    expected = np.where(some_labels(1, 4) == 4, 255, some_labels(1, 4))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.nrrd", JAW_AND_TEETH, unknown_value=4).array, expected)
    with pytest.raises(LabelError, match="cannot mean 'not annotated'"):
        read_labels(tmp_path / "a.nrrd", JAW_AND_TEETH, unknown_value=3)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_an_image_is_no_label_map(tmp_path: Path, value: float) -> None:
    array = some_labels(1).astype(np.float32)
    array[2, 2, 2] = value
    write_volume(tmp_path / "a.nrrd", array, grid())
    with pytest.raises(LabelError, match="not whole numbers"):
        read_labels(tmp_path / "a.nrrd", JAW_AND_TEETH)


def test_what_does_not_fit_the_table_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.seg.nrrd"
    with pytest.raises(LabelError, match="255"):
        write_segmentation(path, some_labels(255), grid(), JAW_AND_TEETH)
    with pytest.raises(LabelError, match="shape"):
        write_segmentation(path, some_labels(1), grid((3, 3, 3)), JAW_AND_TEETH)
    with pytest.raises(LabelError, match=r"\.seg\.nrrd"):
        write_segmentation(tmp_path / "a.nii.gz", some_labels(1), grid(), JAW_AND_TEETH)
    assert list(tmp_path.iterdir()) == []


def test_a_plain_nrrd_image_is_no_segmentation(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nrrd", some_voxels(), grid())
    with pytest.raises(LabelError, match="probably an image"):
        read_labels(tmp_path / "a.nrrd", JAW_AND_TEETH)


def test_an_image_of_whole_numbers_makes_no_label_table(tmp_path: Path) -> None:
    array = np.arange(6 * 7 * 8, dtype=np.uint8).reshape(6, 7, 8)
    write_volume(tmp_path / "a.nrrd", array, grid())
    with pytest.raises(LabelError, match=r"254 different values, more than the 128.*probably an image"):
        read_label_names(tmp_path / "a.nrrd")
    write_volume(tmp_path / "b.nrrd", (array % 129).astype(np.uint8), grid())
    assert len(read_label_names(tmp_path / "b.nrrd")) == 128
