"""The audit names everything wrong with a cohort, case by case."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from imaging_data import grid, make_cohort, some_voxels, write_header_and_layers

from barl.cohort import Cohort, Coverage, Role
from barl.imaging import Finding, audit, save_annotation, write_volume

SHAPE = (12, 14, 16)


def annotate(cohort: Cohort, case_id: str, *values: int) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    for value in values:
        labels[value] = value
    save_annotation(cohort, case_id, labels, coverage=Coverage(), author="me")


@pytest.fixture
def a_sound_study(tmp_path: Path) -> Cohort:
    """Five cases, of which P0 and P1 are annotated with all three labels."""
    cohort = make_cohort(tmp_path, {f"P{seed}": some_voxels(SHAPE, seed) for seed in range(5)}, grid(SHAPE))
    annotate(cohort, "P0", 1, 2)
    annotate(cohort, "P1", 2, 3)
    return cohort


def findings(cohort: Cohort, case_id: str | None = None) -> list[tuple[str, str]]:
    return [(one.severity, one.message) for one in audit(cohort) if one.case_id == case_id]


def test_a_sound_cohort_has_no_findings(a_sound_study: Cohort) -> None:
    steps: list[tuple[int, int]] = []
    assert audit(a_sound_study, progress=lambda done, total: steps.append((done, total))) == []
    assert steps == [(number, 5) for number in range(1, 6)]


def replace_image(cohort: Cohort, case_id: str, content: bytes | np.ndarray | None, geometry: object = None) -> None:
    path = cohort.image_path(case_id)
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_volume(path, content, geometry or grid(content.shape))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"some text " * 50, "text file"),
        (np.full(SHAPE, 3, np.int16), "the same value, 3, everywhere"),
        (
            np.where(np.indices(SHAPE)[0] == 2, np.nan, 1.5).astype(np.float32),
            "224 voxels that are not a finite number",
        ),
    ],
)
def test_an_unusable_image_is_an_error(a_sound_study: Cohort, content: bytes | np.ndarray | None, message: str) -> None:
    replace_image(a_sound_study, "P3", content)
    ((severity, found),) = findings(a_sound_study, "P3")
    assert severity == "error"
    assert message in found


def test_excluded_cases_are_left_out(a_sound_study: Cohort) -> None:
    replace_image(a_sound_study, "P3", None)
    a_sound_study.set_role("P3", Role.EXCLUDED)
    assert audit(a_sound_study) == []


def test_a_case_of_other_size_or_spacing_is_a_warning(a_sound_study: Cohort) -> None:
    replace_image(a_sound_study, "P3", some_voxels(SHAPE), grid(SHAPE, spacing=(0.4, 0.5, 6.0)))
    replace_image(a_sound_study, "P4", some_voxels((4, 14, 16)))
    assert [severity for severity, _ in findings(a_sound_study, "P3")] == ["warning", "warning"]
    text = " ".join(message for _, message in findings(a_sound_study, "P4"))
    assert "only 16 x 14 x 4 voxels" in text
    assert "size is 5 x 7 x 6.4 mm, the cohort's usual one 15 x 7 x 6.4 mm" in text


def test_an_annotation_of_another_grid_is_an_error_of_its_case(a_sound_study: Cohort) -> None:
    replace_image(a_sound_study, "P1", some_voxels(SHAPE), grid(SHAPE, spacing=(0.4, 0.5, 1.3)))
    ((severity, message),) = findings(a_sound_study, "P1")
    assert severity == "error"
    assert "does not lie on the image's grid" in message


def test_overlapping_segments_and_unknown_values_are_errors(a_sound_study: Cohort) -> None:
    def overlap(path: Path) -> None:
        layers = np.ones((2, *SHAPE), np.uint8)
        write_header_and_layers(path, layers, [("jaw", 0, 1), ("canal", 1, 1)], grid(SHAPE))

    def stranger(path: Path) -> None:
        write_header_and_layers(path, np.ones((1, *SHAPE), np.uint8), [("nose", 0, 1)], grid(SHAPE))

    a_sound_study.add_annotation("P2", overlap, coverage=Coverage(), author="me")
    a_sound_study.add_annotation("P3", stranger, coverage=Coverage(), author="me")
    a_sound_study.add_annotation(
        "P4", lambda path: path.write_bytes(b"NRRD0004\n") and None, coverage=Coverage(), author="me"
    )
    for case_id, words in (("P2", "jaw and canal overlap"), ("P3", "nose"), ("P4", "0001.seg.nrrd")):
        ((severity, message),) = findings(a_sound_study, case_id)
        assert severity == "error"
        assert words in message


def test_a_label_that_no_training_annotation_holds_is_an_error(a_sound_study: Cohort) -> None:
    a_sound_study.set_role("P1", Role.VALIDATION)
    assert findings(a_sound_study) == [
        ("error", "No annotation of a training case holds canal (value 3)."),
        ("warning", "Only one training case is annotated."),
    ]


def test_no_annotation_at_all_is_an_error(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path, {"P1": some_voxels(SHAPE)}, grid(SHAPE))
    assert findings(cohort) == [("error", "No training case has a usable annotation.")]
    cohort.set_role("P1", Role.EXCLUDED)
    assert findings(cohort) == [("error", "All cases are excluded.")]


def test_small_things_are_warnings(a_sound_study: Cohort) -> None:
    a_sound_study.set_role("P4", Role.VALIDATION)
    annotate(a_sound_study, "P3")
    assert [finding.severity for finding in audit(a_sound_study)] == ["warning", "warning"]
    assert "holds no structure" in findings(a_sound_study, "P3")[0][1]
    assert "for validation but has no annotation" in findings(a_sound_study, "P4")[0][1]


def test_what_one_of_two_people_drew_at_once_is_kept_and_told_not_to_count(a_sound_study: Cohort) -> None:
    labels = np.ones(SHAPE, np.uint8)

    def save(case_id: str, author: str, parent: int | None) -> None:
        save_annotation(a_sound_study, case_id, labels, coverage=Coverage(), author=author, parent=parent)

    save("P0", "Ana", parent=1)
    save("P0", "Ben", parent=1)
    save("P1", "Ana", parent=1)
    save("P1", "Ben", parent=2)

    ((severity, message),) = findings(a_sound_study, "P0")
    assert severity == "warning"
    assert message == "Annotation 3 (Ben) was not drawn from annotation 2 (Ana), which is kept but does not count."
    assert findings(a_sound_study, "P1") == []


def test_an_annotation_that_was_changed_in_its_place_is_a_warning(a_sound_study: Cohort) -> None:
    annotate(a_sound_study, "P3", 1)
    first, other = (a_sound_study.annotation(case_id) for case_id in ("P3", "P1"))
    first.path.write_bytes(other.path.read_bytes())
    assert findings(a_sound_study, "P3") == [("warning", "The file of annotation 1 was changed after it was saved.")]


def test_errors_come_first_and_every_finding_has_advice(a_sound_study: Cohort) -> None:
    replace_image(a_sound_study, "P4", None)
    annotate(a_sound_study, "P3")
    found = audit(a_sound_study)
    assert [one.severity for one in found] == ["error", "warning"]
    assert all(isinstance(one, Finding) and one.advice for one in found)


def test_voxels_known_to_be_good_are_not_read_again(a_sound_study: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    module = sys.modules["barl.imaging.audit"]
    original = module.read_volume
    monkeypatch.setattr(module, "read_volume", lambda path: (read.append(path), original(path))[1])
    assert audit(a_sound_study, known_good={"P0", "P3"}) == []
    assert {path.name.split(".")[0] for path in read} == {"P1", "P2", "P4"}
