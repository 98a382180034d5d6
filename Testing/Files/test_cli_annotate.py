"""``barl cohort annotate|audit`` on good and on bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_study import barl, box, make_cohort, snapshot, write_image


@pytest.fixture
def a_cohort(tmp_path: Path) -> Path:
    return make_cohort(tmp_path / "study", "P01", "P02", "P03")


def test_an_annotation_becomes_the_next_version(a_cohort: Path, tmp_path: Path) -> None:
    labels = write_image(tmp_path / "drawn.nii.gz", box())

    first = barl("cohort", "annotate", a_cohort, "P01", labels, "--author", "AB", "--json")
    second = barl("cohort", "annotate", a_cohort, "P01", labels, "--json")
    status = barl("cohort", "status", a_cohort, "--json").json["cases"][0]

    assert first.json["annotated"] == [{"case": "P01", "version": 1}]
    assert second.json["annotated"] == [{"case": "P01", "version": 2}]
    assert (status["state"], status["coverage"], status["annotation"]) == ("annotated", "complete", 2)


def test_a_folder_of_label_files_is_matched_by_name(a_cohort: Path, tmp_path: Path) -> None:
    for name in ("P01.nii.gz", "P02_seg.nrrd", "other.nii.gz"):
        write_image(tmp_path / "drawn" / name, box())

    answer = barl("cohort", "annotate", a_cohort, "--folder", tmp_path / "drawn", "--json")

    assert answer.code == 0
    assert [row["case"] for row in answer.json["annotated"]] == ["P01", "P02"]
    assert [Path(path).name for path in answer.json["unmatched"]] == ["other.nii.gz"]


def test_one_bad_file_of_a_folder_does_not_keep_the_others_out(a_cohort: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "drawn" / "P01.nii.gz", box())
    write_image(tmp_path / "drawn" / "P02.nii.gz", box(7))

    answer = barl("cohort", "annotate", a_cohort, "--folder", tmp_path / "drawn", "--json")

    assert answer.code == 2
    assert [row["case"] for row in answer.json["annotated"]] == ["P01"]
    assert [(row["case"], row["type"]) for row in answer.json["failed"]] == [("P02", "LabelError")]


def test_slices_and_scribbles_make_a_case_partly_annotated(a_cohort: Path, tmp_path: Path) -> None:
    labels = write_image(tmp_path / "drawn.nii.gz", box())

    slices = barl("cohort", "annotate", a_cohort, "P01", labels, "--coverage", "slices", "--axis", "0")
    scribbles = barl("cohort", "annotate", a_cohort, "P02", labels, "--coverage", "scribbles")
    cases = barl("cohort", "status", a_cohort, "--json").json["cases"]

    assert slices.code == scribbles.code == 0
    assert [case["coverage"] for case in cases] == ["slices", "scribbles", None]
    assert [case["state"] for case in cases] == ["partly annotated", "partly annotated", "unlabeled"]


def test_a_label_file_without_any_structure_is_taken_and_told(a_cohort: Path, tmp_path: Path) -> None:
    empty, drawn = (write_image(tmp_path / f"{name}.nii.gz", array) for name, array in (("e", 0 * box()), ("d", box())))
    spoken = barl("cohort", "annotate", a_cohort, "P01", empty)
    told = barl("cohort", "annotate", a_cohort, "P01", empty, "--json").json
    fine = barl("cohort", "annotate", a_cohort, "P01", drawn, "--json").json

    assert (spoken.code, "holds no structure, only background. Check that it is the right file" in spoken.said) == (
        0,
        True,
    )
    assert (told["annotated"], told["without_structure"]) == ([{"case": "P01", "version": 2}], ["P01"])
    assert fine["without_structure"] == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("P01",), "--folder"),
        ((), "--folder"),
        (("P01", "FILE", "--folder", "DIR"), "--folder"),
        (("P09", "FILE"), "P09"),
        (("P01", "FILE", "--coverage", "slices"), "--axis"),
        (("P01", "FILE", "--axis", "1"), "--coverage slices only"),
        (("P01", "FILE", "--coverage", "slices", "--axis", "5"), "0, 1 or 2"),
        (("P01", "MISSING"), "missing.nii.gz"),
        (("--folder", "MISSING"), "not a folder"),
        (("--folder", "DIR"), "is named like a case"),
    ],
)
def test_a_call_that_makes_no_sense_changes_nothing(
    a_cohort: Path, tmp_path: Path, arguments: tuple[str, ...], part: str
) -> None:
    (tmp_path / "empty").mkdir()
    paths = {"FILE": write_image(tmp_path / "drawn.nii.gz", box()), "DIR": tmp_path / "empty"}
    paths["MISSING"] = tmp_path / "missing.nii.gz"
    before = snapshot(a_cohort)

    answer = barl("cohort", "annotate", a_cohort, *(paths.get(argument, argument) for argument in arguments))

    assert answer.code == 2
    assert part in answer.said
    assert snapshot(a_cohort) == before


def test_two_files_of_one_case_are_refused(a_cohort: Path, tmp_path: Path) -> None:
    for name in ("P01.nii.gz", "P01_seg.nii.gz"):
        write_image(tmp_path / "drawn" / name, box())
    before = snapshot(a_cohort)

    answer = barl("cohort", "annotate", a_cohort, "--folder", tmp_path / "drawn")

    assert answer.code == 2
    assert "both belong to" in answer.said
    assert snapshot(a_cohort) == before


def test_a_value_outside_the_table_is_told_with_the_table(a_cohort: Path, tmp_path: Path) -> None:
    labels = write_image(tmp_path / "drawn.nii.gz", box(7))
    before = snapshot(a_cohort)

    answer = barl("cohort", "annotate", a_cohort, "P01", labels, "--json")

    assert answer.code == 2
    assert answer.json["error"]["type"] == "LabelError"
    assert all(part in answer.json["error"]["message"] for part in ("7", "jaw", "teeth"))
    assert snapshot(a_cohort) == before


def test_a_label_on_another_grid_is_refused_and_resampled_on_request(a_cohort: Path, tmp_path: Path) -> None:
    labels = write_image(tmp_path / "drawn.nii.gz", box(), origin=(0.2, 0.1, 0.0))
    before = snapshot(a_cohort)

    refused = barl("cohort", "annotate", a_cohort, "P01", labels)
    unchanged = snapshot(a_cohort) == before
    resampled = barl("cohort", "annotate", a_cohort, "P01", labels, "--resample")

    assert refused.code == 2
    assert "P01" in refused.said
    assert "grid" in refused.said
    assert unchanged
    assert resampled.code == 0


def test_a_label_file_that_was_cut_short_is_refused(a_cohort: Path, tmp_path: Path) -> None:
    labels = write_image(tmp_path / "drawn.nii", box())
    labels.write_bytes(labels.read_bytes()[:-100])
    before = snapshot(a_cohort)

    answer = barl("cohort", "annotate", a_cohort, "P01", labels)

    assert answer.code == 2
    assert "cut short" in answer.said
    assert snapshot(a_cohort) == before


def test_an_audit_without_findings_is_done_and_one_with_errors_is_not(a_cohort: Path, tmp_path: Path) -> None:
    nothing_drawn = barl("cohort", "audit", a_cohort, "--json")
    array = box()
    array[:, 6:, 6:] = 2
    for case in ("P01", "P02"):
        barl("cohort", "annotate", a_cohort, case, write_image(tmp_path / "drawn.nii.gz", array))
    annotated = barl("cohort", "audit", a_cohort, "--json")

    assert nothing_drawn.code == 2
    assert nothing_drawn.json["errors"] >= 1
    assert any("annotat" in finding["message"] for finding in nothing_drawn.json["findings"])
    assert annotated.code == 0
    assert annotated.json["errors"] == 0


def test_an_audit_finds_voxels_that_are_no_numbers_and_files_cut_short(a_cohort: Path, tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(6, 8, 10)).astype(np.float32)
    array[1, 1, 1] = np.nan
    write_image(a_cohort.parent / "scans" / "P03.nii.gz", array)
    cut_short = a_cohort.parent / "scans" / "P02.nii.gz"
    cut_short.write_bytes(cut_short.read_bytes()[:-200])

    answer = barl("cohort", "audit", a_cohort)

    assert answer.code == 2
    assert all(part in answer.said for part in ("P02", "cut short", "P03"))
