"""The synthetic patients: reproducible, varied, complete, and no giveaway."""

from __future__ import annotations

from pathlib import Path

import cc3d
import numpy as np
import pytest

from barl.cohort import CaseState
from barl.errors import SettingsError
from barl.imaging.annotations import load_annotation
from barl.imaging.segmentations import read_labels
from barl.imaging.volumes import read_volume
from barl.phantom import LABELS, LESION_LABELS, make_case, make_cohort, make_lesion_case
from barl.phantom.fields import Arch

SMALL = (24, 36, 36)
COARSE_MM = 2.1

Patients = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def six_patients() -> Patients:
    return [make_case(seed) for seed in range(6)]


@pytest.mark.parametrize("make", [make_case, make_lesion_case])
def test_the_same_seed_gives_the_same_patient_and_another_seed_another(make) -> None:
    (image, labels), (again, labels_again), (other, other_labels) = (make(s, SMALL, COARSE_MM) for s in (5, 5, 6))
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert (image != other).any() and (labels != other_labels).any()


def test_every_patient_has_jaw_teeth_and_canal_and_nothing_else(six_patients: Patients) -> None:
    for image, labels in six_patients:
        assert image.dtype == np.int16 and labels.dtype == np.uint8
        assert image.shape == labels.shape == (64, 96, 96)
        assert set(np.unique(labels)) == {0, *LABELS.values}


def test_other_shapes_and_spacings_show_the_same_patient(six_patients: Patients) -> None:
    _, fine = six_patients[3]
    _, coarse = make_case(3, SMALL, COARSE_MM)
    assert coarse.shape == SMALL
    for label in LABELS.labels:
        volumes = (fine == label.value).sum() * 0.8**3, (coarse == label.value).sum() * COARSE_MM**3
        assert volumes[1] == pytest.approx(volumes[0], rel=0.35)


def test_the_canal_runs_inside_the_jaw(six_patients: Patients) -> None:
    for _, labels in six_patients:
        touched = np.zeros(labels.shape, bool)
        canal = labels == LABELS.by_name("canal").value
        for axis in range(3):
            for step in (-1, 1):
                touched |= np.roll(canal, step, axis)
        neighbors = labels[touched & ~canal]
        assert (neighbors == LABELS.by_name("jaw").value).mean() > 0.8


def test_gray_values_alone_do_not_give_the_labels_away(six_patients: Patients) -> None:
    """The canal is as bright as much of the bone around it, and teeth overlap with the jaw."""
    for image, labels in six_patients:
        jaw, teeth, canal = (image[labels == value].astype(float) for value in LABELS.values)
        assert np.percentile(jaw, 5) < np.median(canal) < np.percentile(jaw, 60)
        assert np.percentile(teeth, 10) < np.percentile(jaw, 90)


def test_patients_differ_in_size_and_brightness(six_patients: Patients) -> None:
    jaw_voxels = [(labels == 1).sum() for _, labels in six_patients]
    bone_hu = [np.median(image[labels == 1]) for image, labels in six_patients]
    assert max(jaw_voxels) > 1.25 * min(jaw_voxels)
    assert max(bone_hu) - min(bone_hu) > 200


def test_nothing_is_labeled_outside_the_scanned_cylinder(six_patients: Patients) -> None:
    for image, labels in six_patients:
        unseen = (image == -1000).all(axis=0)
        assert not labels[:, unseen].any()


def test_a_point_on_the_arch_has_no_distance_from_it() -> None:
    arch = Arch(half_width_mm=26.0, depth_mm=44.0, power=2.5, asymmetry=0.0)
    points = arch.points()[20:-20]
    u, v = arch.frame(points[:, 0], points[:, 1])
    assert np.abs(v).max() < 0.6
    assert (np.diff(u) > -0.3).all() and u[0] < -40 < 40 < u[-1]


def test_points_outside_the_arch_are_positive_and_inside_negative() -> None:
    arch = Arch(half_width_mm=26.0, depth_mm=44.0, power=2.0, asymmetry=0.0)
    _, v = arch.frame(np.float32([0.0, 0.0, 45.0]), np.float32([-8.0, 12.0, 30.0]))
    assert v[0] == pytest.approx(8.0, abs=0.6)
    assert v[1] < -4 and v[2] > 4


def test_lesions_come_in_many_pieces_and_are_bright() -> None:
    pieces = []
    for seed in range(5):
        image, labels = make_lesion_case(seed)
        assert set(np.unique(labels)) == {0, *LESION_LABELS.values}
        pieces.append(cc3d.connected_components(labels, connectivity=26).max())
        assert np.median(image[labels == 1]) > np.median(image[labels == 0])
    assert min(pieces) >= 8 and max(pieces) >= 30


def test_a_cohort_has_its_annotations_and_keeps_the_other_truth_apart(tmp_path: Path) -> None:
    phantom = make_cohort(tmp_path, cases=3, annotated=1, shape=SMALL, spacing_mm=COARSE_MM)
    cohort = phantom.cohort
    states = [cohort.state(case.id) for case in cohort.cases]
    assert states == [CaseState.ANNOTATED, CaseState.UNLABELED, CaseState.UNLABELED]
    assert set(phantom.truth) == {case.id for case in cohort.cases}
    for case_id, path in phantom.truth.items():
        assert cohort.folder not in path.parents
        image = read_volume(cohort.image_path(case_id))
        assert image.array.shape == SMALL
        assert read_labels(path, LABELS).geometry == image.geometry


def test_the_annotation_is_the_truth(tmp_path: Path) -> None:
    phantom = make_cohort(tmp_path, cases=1, annotated=1, shape=SMALL, spacing_mm=COARSE_MM)
    case_id = phantom.cohort.cases[0].id
    version = phantom.cohort.annotation(case_id)
    assert version is not None
    truth = read_labels(phantom.truth[case_id], LABELS).array
    np.testing.assert_array_equal(load_annotation(phantom.cohort, version), truth)


def test_two_seeds_give_two_cohorts(tmp_path: Path) -> None:
    cohorts = [
        make_cohort(tmp_path / str(seed), cases=1, annotated=0, seed=seed, shape=SMALL, spacing_mm=COARSE_MM).cohort
        for seed in (0, 1)
    ]
    first, second = (read_volume(cohort.image_path(cohort.cases[0].id)).array for cohort in cohorts)
    assert (first != second).any()


def test_more_annotated_cases_than_cases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="between 0 and the number of cases"):
        make_cohort(tmp_path, cases=2, annotated=3)
    assert not any(tmp_path.iterdir())
