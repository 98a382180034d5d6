"""Annotations of a part of an image: no stroke is lost, and slices are those that the coverage names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_study import barl
from imaging_data import JAW_AND_TEETH, grid, make_cohort, some_voxels, turned

from barl.cohort import Cohort, Coverage, CoverageKind
from barl.errors import LabelError
from barl.imaging import (
    Geometry,
    audit,
    import_annotation,
    load_annotation,
    save_annotation,
    write_segmentation,
    write_volume,
)
from barl.imaging.partial import add_strokes
from barl.imaging.segmentations import LabelMap

SHAPE = (12, 14, 16)
GRID = grid(SHAPE, direction=turned(17, -31), spacing=(0.8, 0.8, 0.8))
FINER = Geometry.from_index_to_lps(
    GRID.index_to_lps @ np.array([[0.2, 0, 0, -0.3], [0, 0.2, 0, -0.3], [0, 0, 0.2, -0.3], [0, 0, 0, 1]]),
    (57, 67, 77),
)
"""Five times as fine, its voxels nowhere centered on the image's."""

SCRIBBLES = Coverage(kind=CoverageKind.SCRIBBLES)


def slices(axis: int) -> Coverage:
    return Coverage(kind=CoverageKind.SLICES, axis=axis)


@pytest.fixture
def a_study(tmp_path: Path) -> Cohort:
    """One case, P07, on an oblique grid."""
    return make_cohort(tmp_path, {"P07": some_voxels(SHAPE)}, GRID)


def thin_strokes() -> np.ndarray:
    """A line of the structure and one of background, each a fine voxel wide, between the image's voxel centers."""
    painted = np.zeros(FINER.shape, np.uint8)
    painted[23, 28, 5:69] = 2
    painted[23, 43, 5:69] = 255
    return painted


def test_strokes_thinner_than_a_voxel_survive_another_grid(a_study: Cohort, tmp_path: Path) -> None:
    write_segmentation(tmp_path / "a.seg.nrrd", thin_strokes(), FINER, JAW_AND_TEETH, background_painted=True)
    version = import_annotation(a_study, "P07", tmp_path / "a.seg.nrrd", coverage=SCRIBBLES, author="me", resample=True)
    known = load_annotation(a_study, version)
    assert [int((known == value).sum()) for value in (0, 2)] == [13, 13]  # 64 fine voxels in 13 coarse ones.
    assert np.ptp(np.argwhere(known == 2), axis=0).tolist() == [0, 0, 12]


def test_slices_thinner_than_the_images_survive_another_grid(a_study: Cohort, tmp_path: Path) -> None:
    painted = np.zeros(FINER.shape, np.uint8)
    painted[23, 10:50, 10:60] = 1
    write_volume(tmp_path / "a.nrrd", painted, FINER)
    version = import_annotation(a_study, "P07", tmp_path / "a.nrrd", coverage=slices(0), author="me", resample=True)
    known = load_annotation(a_study, version)
    assert np.flatnonzero((known != 255).any(axis=(1, 2))).tolist() == [4]
    assert set(np.unique(known[4])) == {0, 1}


def test_where_several_strokes_fall_into_one_voxel_the_most_frequent_wins_and_background_gives_way() -> None:
    coarse, fine = grid((1, 1, 3), spacing=(4, 1, 1), origin=(0, 0, 0)), grid((1, 1, 12), spacing=(1, 1, 1))
    fine = Geometry(size=fine.size, spacing_mm=fine.spacing_mm, origin_mm=(-1.5, 0, 0), direction=fine.direction)
    painted = np.array([[[1, 1, 2, 0, 255, 3, 0, 0, 2, 3, 0, 0]]], np.uint8)
    empty = np.zeros((1, 1, 3), np.uint8)
    result = add_strokes(empty, LabelMap(array=painted, geometry=fine), coarse, 0)
    assert result.ravel().tolist() == [1, 3, 3]
    kept = add_strokes(np.full((1, 1, 3), 7, np.uint8), LabelMap(array=painted, geometry=fine), coarse, 0)
    assert kept.ravel().tolist() == [7, 7, 7]


@pytest.mark.parametrize("drawn_along", [1, 2])
def test_slices_drawn_in_another_plane_are_refused_with_the_axis_to_choose(a_study: Cohort, drawn_along: int) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    np.moveaxis(labels, drawn_along, 0)[[3, 6, 9], 2:9, 2:9] = 1
    axial = np.where(labels.any(axis=(1, 2), keepdims=True), labels, 255).astype(np.uint8)
    with pytest.raises(LabelError, match=rf"drawn in 3 \w+ \(axis {drawn_along}\).*Save it with axis {drawn_along}"):
        save_annotation(a_study, "P07", axial, coverage=slices(0), author="me")
    assert a_study.annotations("P07") == []
    meant = np.where(labels.any(axis=tuple({0, 1, 2} - {drawn_along}), keepdims=True), labels, 255).astype(np.uint8)
    assert save_annotation(a_study, "P07", meant, coverage=slices(drawn_along), author="me").number == 1


def test_neighboring_slices_of_another_plane_are_asked_about_and_a_thick_structure_is_not(two_cases: Cohort) -> None:
    rows = np.zeros(SHAPE, np.uint8)
    rows[2:9, 5:7, 3:13] = 1
    thick = np.zeros(SHAPE, np.uint8)
    thick[2:9, 4:9, 3:13] = 1
    thick[9] = 2
    thick[10] = 3
    for case_id, labels in (("P0", rows), ("P1", thick)):
        axial = np.where(labels.any(axis=(1, 2), keepdims=True), labels, 255).astype(np.uint8)
        save_annotation(two_cases, case_id, axial, coverage=slices(0), author="me")

    ((case_id, severity, message),) = [found for found in findings(two_cases) if found[0] is not None]

    assert (case_id, severity) == ("P0", "warning")
    assert "about 2 rows (axis 1) thick, and goes on through 7 slices (axis 0)" in message
    assert "save it again with axis 1" in message


@pytest.mark.parametrize("width", [2, 5])
def test_neighboring_slices_of_a_thin_or_a_thick_structure_are_no_other_plane(a_study: Cohort, width: int) -> None:
    labels = np.full(SHAPE, 255, np.uint8)
    labels[2:10] = 0
    labels[2:10, 3:10, 4 : 4 + width] = 1
    labels[2:10, 3:10, 12 : 12 + width] = 1
    assert save_annotation(a_study, "P07", labels, coverage=slices(0), author="me").number == 1


def test_slices_of_a_tilted_reformat_are_refused_and_slices_on_a_finer_grid_are_not(
    a_study: Cohort, tmp_path: Path
) -> None:
    tilted = grid(SHAPE, direction=turned(17, -10), spacing=(0.8, 0.8, 0.8))
    labels = np.zeros(SHAPE, np.uint8)
    labels[5, 3:9, 3:9] = 1
    write_volume(tmp_path / "a.nrrd", labels, tilted)
    with pytest.raises(LabelError, match=r"slices tilted by 2\d degrees against the image's.*coverage 'scribbles'"):
        import_annotation(a_study, "P07", tmp_path / "a.nrrd", coverage=slices(0), author="me", resample=True)
    assert a_study.annotations("P07") == []


def test_tilt_is_the_angle_between_nearest_axes() -> None:
    assert GRID.tilt_degrees(GRID) == pytest.approx(0, abs=1e-5)
    assert GRID.tilt_degrees(grid(direction=-turned(17, -31)[:, [1, 0, 2]])) == pytest.approx(0, abs=1e-5)
    assert grid().tilt_degrees(grid(direction=turned(0, 20))) == pytest.approx(20)


def test_an_index_of_another_grid_is_found_on_this_one() -> None:
    index = np.array([10.0, 20.0, 30.0, 1.0])
    here = GRID.index_from(FINER) @ index
    assert GRID.index_to_ras(here[:3].tolist()) == pytest.approx(FINER.index_to_ras(index[:3].tolist()))
    assert (GRID.dhw_to_ras @ here)[:3] == pytest.approx(FINER.index_to_ras(index[:3].tolist()))


# Scribbles without background


def scribble(cohort: Cohort, case_id: str, *values: int) -> None:
    labels = np.full(SHAPE, 255, np.uint8)
    for row, value in enumerate(values):
        labels[4, 2 + row, 3:9] = value
    save_annotation(cohort, case_id, labels, coverage=SCRIBBLES, author="me")


@pytest.fixture
def two_cases(tmp_path: Path) -> Cohort:
    """P0 and P1, not annotated."""
    return make_cohort(tmp_path, {f"P{seed}": some_voxels(SHAPE, seed) for seed in range(2)}, grid(SHAPE))


def findings(cohort: Cohort) -> list[tuple[str | None, str, str]]:
    return [(one.case_id, one.severity, one.message) for one in audit(cohort)]


def test_scribbles_without_background_are_kept_and_warned_of(two_cases: Cohort) -> None:
    scribble(two_cases, "P0", 1, 2, 3)
    scribble(two_cases, "P1", 0, 1, 2, 3)
    ((case_id, severity, message),) = findings(two_cases)
    assert (case_id, severity) == ("P0", "warning")
    assert "none of background" in message


def test_no_training_starts_where_no_case_knows_any_background(two_cases: Cohort) -> None:
    for case_id in ("P0", "P1"):
        scribble(two_cases, case_id, 1, 2, 3)
    found = findings(two_cases)
    assert [severity for _, severity, _ in found] == ["error", "warning", "warning"]
    assert "take every voxel for a structure" in found[0][2]


def test_the_command_line_tells_how_much_is_known_and_what_is_missing(two_cases: Cohort, tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[[3, 8], 2:9, 2:9] = 1
    write_volume(tmp_path / "drawn.nrrd", labels, grid(SHAPE))
    file = tmp_path / "drawn.nrrd"
    sliced = barl("cohort", "annotate", two_cases.folder, "P0", file, "--coverage", "slices", "--axis", 0)
    scribbled = barl("cohort", "annotate", two_cases.folder, "P1", file, "--coverage", "scribbles")
    assert "P0: version 1, slices, 16.67% of the voxels known: 2 of 12 slices" in sliced.said
    assert "P1: version 1, scribbles, 3.65% of the voxels known" in scribbled.said
    assert "none of background" in scribbled.said
    assert "segment named Background" in scribbled.said
