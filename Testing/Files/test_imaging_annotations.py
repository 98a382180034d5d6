"""Annotations lie on the image's grid, and 255 is exactly where nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from imaging_data import JAW_AND_TEETH, grid, make_cohort, some_voxels, turned, write_header_and_layers

from barl.cohort import Cohort, Coverage, CoverageKind
from barl.errors import LabelError
from barl.imaging import (
    Geometry,
    import_annotation,
    load_annotation,
    save_annotation,
    write_segmentation,
    write_volume,
)

GRID = grid(direction=turned(17, -31), spacing=(0.4, 0.4, 0.4))
COMPLETE, SCRIBBLES = Coverage(), Coverage(kind=CoverageKind.SCRIBBLES)
KNOWN = arrays(np.uint8, (6, 7, 8), elements=st.sampled_from([0, 1, 2, 3, 255]), fill=st.just(255))


def slices(axis: int) -> Coverage:
    return Coverage(kind=CoverageKind.SLICES, axis=axis)


@pytest.fixture
def a_study(tmp_path: Path) -> Cohort:
    """One case, P07, on an oblique grid."""
    return make_cohort(tmp_path, {"P07": some_voxels()}, GRID)


def some_labels() -> np.ndarray:
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[2, 1:4, 2:6], labels[4, 2, 3] = 1, 3
    return labels


def imported(cohort: Cohort, path: Path, coverage: Coverage = COMPLETE, **options: object) -> np.ndarray:
    version = import_annotation(cohort, "P07", path, coverage=coverage, author="me", **options)  # type: ignore[arg-type]
    return load_annotation(cohort, version)


def test_a_label_map_is_imported_as_it_is(a_study: Cohort, tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", some_labels(), GRID)
    np.testing.assert_array_equal(imported(a_study, tmp_path / "a.nii.gz"), some_labels())
    version = a_study.annotation("P07")
    assert version is not None
    assert (version.source, version.number) == ("imported", 1)


def test_a_cropped_segmentation_is_put_back_where_it_was_drawn(a_study: Cohort, tmp_path: Path) -> None:
    matrix = GRID.index_to_lps
    matrix[:3, 3] = (GRID.index_to_lps @ [2, 1, 2, 1])[:3]
    crop = Geometry.from_index_to_lps(matrix, (3, 4, 5))
    layers = some_labels()[None, 2:5, 1:5, 2:7]
    path = write_header_and_layers(tmp_path / "a.seg.nrrd", layers, [("jaw", 0, 1), ("canal", 0, 3)], crop)
    np.testing.assert_array_equal(imported(a_study, path), some_labels())


def test_a_label_map_stored_in_another_axis_order_is_turned(a_study: Cohort, tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = [[0, -1, 0], [0, 0, 1], [-1, 0, 0]], [7, 0, 5]
    stored = Geometry.from_index_to_lps(GRID.index_to_lps @ matrix, (7, 8, 6))
    labels = np.flip(some_labels().transpose(1, 2, 0), (1, 2))
    write_volume(tmp_path / "a.nrrd", labels, stored)
    np.testing.assert_array_equal(imported(a_study, tmp_path / "a.nrrd"), some_labels())


def test_another_grid_is_refused_or_resampled(a_study: Cohort, tmp_path: Path) -> None:
    finer = Geometry.from_index_to_lps(GRID.index_to_lps @ np.diag([0.5, 0.5, 0.5, 1]), (11, 13, 15))
    labels = some_labels().repeat(2, 0).repeat(2, 1).repeat(2, 2)[:11, :13, :15]
    write_volume(tmp_path / "a.nrrd", labels, finer)
    message = (
        r"Case P07: .* does not lie on the image's grid: .*spacing 0\.2 x 0\.2 x 0\.2 mm instead of 0\.4 x .*resample"
    )
    with pytest.raises(LabelError, match=message):
        imported(a_study, tmp_path / "a.nrrd")
    np.testing.assert_array_equal(imported(a_study, tmp_path / "a.nrrd", resample=True), some_labels())


def test_labels_beside_the_image_are_not_lost_in_silence(a_study: Cohort, tmp_path: Path) -> None:
    shifted = Geometry.from_index_to_lps(
        GRID.index_to_lps @ np.array([[1, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), (6, 7, 8)
    )
    write_volume(tmp_path / "a.nrrd", some_labels(), shifted)
    with pytest.raises(LabelError, match="labeled voxels outside the image"):
        imported(a_study, tmp_path / "a.nrrd")
    far = grid(origin=(500, 500, 500), spacing=(0.3, 0.3, 0.3))
    write_volume(tmp_path / "far.nrrd", some_labels(), far)
    with pytest.raises(LabelError, match="wholly outside the image"):
        imported(a_study, tmp_path / "far.nrrd", resample=True)
    assert a_study.annotations("P07") == []


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_without_anything_drawn_are_unknown(a_study: Cohort, tmp_path: Path, axis: int) -> None:
    labels = np.zeros((6, 7, 8), np.uint8)
    in_slices = np.moveaxis(labels, axis, 0)
    in_slices[2, 1:4, 2:5], in_slices[4, 2, 3] = 1, 3
    write_volume(tmp_path / "a.nrrd", labels, GRID)
    known = np.moveaxis(imported(a_study, tmp_path / "a.nrrd", slices(axis)), axis, 0)
    for drawn, slice_ in zip(in_slices, known, strict=True):
        np.testing.assert_array_equal(slice_, drawn if drawn.any() else np.full_like(drawn, 255))


def test_unpainted_voxels_of_scribbles_are_unknown(a_study: Cohort, tmp_path: Path) -> None:
    painted = some_labels()
    painted[0, :2] = 255
    write_segmentation(tmp_path / "a.seg.nrrd", painted, GRID, JAW_AND_TEETH, background_painted=True)
    expected = np.where(painted == 255, 0, np.where(painted == 0, 255, painted))
    np.testing.assert_array_equal(imported(a_study, tmp_path / "a.seg.nrrd", SCRIBBLES), expected)


def test_a_segment_named_background_is_background_when_complete(a_study: Cohort, tmp_path: Path) -> None:
    painted = some_labels()
    painted[0, :2] = 255
    write_segmentation(tmp_path / "a.seg.nrrd", painted, GRID, JAW_AND_TEETH, background_painted=True)
    np.testing.assert_array_equal(imported(a_study, tmp_path / "a.seg.nrrd"), some_labels())


def test_a_scribble_map_with_its_own_value_for_unknown(a_study: Cohort, tmp_path: Path) -> None:
    """As in the ACDC scribbles: 0 is painted background, 4 is not annotated."""
    scribbles = np.where(some_labels() == 0, 4, some_labels())
    scribbles[0, 0] = 0
    write_volume(tmp_path / "a.nii.gz", scribbles, GRID)
    known = imported(a_study, tmp_path / "a.nii.gz", SCRIBBLES, unknown_value=4)
    np.testing.assert_array_equal(known, np.where(scribbles == 4, 255, scribbles))
    with pytest.raises(LabelError, match="'complete'"):
        imported(a_study, tmp_path / "a.nii.gz", COMPLETE, unknown_value=4)
    with pytest.raises(LabelError, match="only partly annotated"):
        imported(a_study, tmp_path / "a.nii.gz", slices(0), unknown_value=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(known=KNOWN)
def test_saved_scribbles_come_back(a_study: Cohort, known: np.ndarray) -> None:
    if (known == 255).all():
        with pytest.raises(LabelError, match="nothing is annotated"):
            save_annotation(a_study, "P07", known, coverage=SCRIBBLES, author="me")
        return
    version = save_annotation(a_study, "P07", known, coverage=SCRIBBLES, author="me")
    np.testing.assert_array_equal(load_annotation(a_study, version), known)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(known=KNOWN, axis=st.integers(0, 2), annotated=st.sets(st.integers(0, 5), min_size=1))
def test_saved_slices_come_back_also_empty_ones(a_study: Cohort, known: np.ndarray, axis: int, annotated: set) -> None:
    whole = np.where(known == 255, 0, known).astype(np.uint8)
    for index, plane in enumerate(np.moveaxis(whole, axis, 0)):
        if index not in annotated:
            plane[:] = 255
    version = save_annotation(a_study, "P07", whole, coverage=slices(axis), author="me")
    np.testing.assert_array_equal(load_annotation(a_study, version), whole)


def test_an_array_of_another_shape_is_refused(a_study: Cohort) -> None:
    with pytest.raises(LabelError, match="shape"):
        save_annotation(a_study, "P07", np.zeros((3, 3, 3), np.uint8), coverage=COMPLETE, author="me")
