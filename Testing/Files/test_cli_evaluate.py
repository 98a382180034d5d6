"""``barl evaluate`` on files, folders and a cohort, with numbers computed by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from cli_study import SHAPE, barl, box, make_cohort, write_image


def test_a_box_moved_by_one_slice_has_the_dice_computed_by_hand(tmp_path: Path) -> None:
    prediction = write_image(tmp_path / "prediction.nii.gz", box(start=2))
    reference = write_image(tmp_path / "reference.nii.gz", box(start=1))

    scores = barl("evaluate", prediction, reference, "--labels", "1=jaw", "--json").json["cases"][0]["scores"]

    assert scores[0]["name"] == "jaw"
    assert scores[0]["dice"] == pytest.approx(2 * 18 / (27 + 27))
    assert scores[0]["jaccard"] == pytest.approx(18 / 36)
    assert scores[0]["hd95_mm"] == pytest.approx(1.5)
    assert scores[0]["hd95_voxels"] == pytest.approx(1.0)


def test_an_empty_prediction_has_no_distance_and_says_so(tmp_path: Path) -> None:
    prediction = write_image(tmp_path / "prediction.nii.gz", np.zeros(SHAPE, np.uint8))
    reference = write_image(tmp_path / "reference.nii.gz", box())

    as_json = barl("evaluate", prediction, reference, "--labels", "1=jaw", "--json")
    shown = barl("evaluate", prediction, reference, "--labels", "1=jaw")

    score = as_json.json["cases"][0]["scores"][0]
    assert (score["dice"], score["hd95_mm"], score["assd_mm"]) == (0.0, None, None)
    assert score["note"] in shown.out
    assert as_json.json["summary"][0]["metrics"]["hd95_mm"] == {"mean": None, "std": None, "n": 0, "undefined": 1}


def test_files_without_a_label_and_files_cut_short_do_not_keep_the_other_cases_from_being_scored(
    tmp_path: Path,
) -> None:
    for name in ("P01", "P02", "P03", "P04"):
        write_image(tmp_path / "pred" / f"{name}.nii.gz", box())
        write_image(tmp_path / "ref" / f"{name}.nii.gz", box())
    write_image(tmp_path / "pred" / "P02.nii.gz", 0 * box())
    write_image(tmp_path / "ref" / "P03.nii.gz", 0 * box())
    torn = tmp_path / "pred" / "P04.nii.gz"
    torn.write_bytes(torn.read_bytes()[:-20])

    answer = barl("evaluate", tmp_path / "pred", tmp_path / "ref", "--json")

    assert answer.code == 2
    notes = {case["case_id"]: case["scores"][0]["note"] for case in answer.json["cases"]}
    assert notes == {"P01": "", "P02": "not predicted", "P03": "not in the reference"}
    assert [(one["case"], "cut short" in one["message"]) for one in answer.json["failed"]] == [("P04", True)]


def test_where_nothing_is_labeled_the_labels_must_be_named(tmp_path: Path) -> None:
    empty = write_image(tmp_path / "P01.nii.gz", 0 * box())

    assert "Name those to score with --labels" in barl("evaluate", empty, empty).said
    assert barl("evaluate", empty, empty, "--labels", "jaw", "--json").json["cases"][0]["scores"][0]["dice"] is None


def test_folders_are_matched_by_name_and_written_to_csv(tmp_path: Path) -> None:
    for name in ("P01", "P02", "P03"):
        write_image(tmp_path / "predictions" / f"{name}.nii.gz", box())
    for name in ("P01_seg", "P02"):
        write_image(tmp_path / "references" / f"{name}.nrrd", box())
    table = tmp_path / "scores" / "table.csv"

    answer = barl("evaluate", tmp_path / "predictions", tmp_path / "references", "--csv", table, "--json")

    assert answer.code == 0
    assert [case["case_id"] for case in answer.json["cases"]] == ["P01", "P02"]
    assert [Path(path).name for path in answer.json["unmatched"]] == ["P03.nii.gz"]
    with table.open(encoding="utf-8", newline="") as file:
        assert [row["Dice"] for row in csv.DictReader(file)] == ["1", "1"]


def test_references_without_a_prediction_are_named_for_the_means_are_without_them(tmp_path: Path) -> None:
    write_image(tmp_path / "predictions" / "P01.nii.gz", box())
    for name in ("P01", "P02_seg", "P03"):
        write_image(tmp_path / "references" / f"{name}.nrrd", box())

    answer = barl("evaluate", tmp_path / "predictions", tmp_path / "references", "--json")
    assert answer.json["missing"] == ["P02_seg", "P03"]
    assert "No prediction for P02_seg, P03" in barl("evaluate", tmp_path / "predictions", tmp_path / "references").out


def test_of_a_cohort_annotated_validation_cases_without_a_prediction_are_named(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "study", "P01", "P02", "P03")
    for name in ("P01", "P02", "P03"):
        barl("cohort", "annotate", cohort, name, write_image(tmp_path / f"{name}.nii.gz", box()))
    barl("cohort", "role", cohort, "P02", "validation")
    write_image(tmp_path / "predictions" / "P01.nii.gz", box())

    assert barl("evaluate", tmp_path / "predictions", cohort, "--json").json["missing"] == ["P02"]


def test_a_folder_in_the_place_of_a_table_is_told_before_anything_is_scored(tmp_path: Path) -> None:
    answer = barl("evaluate", tmp_path / "nowhere", tmp_path / "nowhere", "--csv", tmp_path)

    assert answer.code == 2
    assert "--csv needs the name of a file to write" in answer.said


def test_a_cohort_gives_names_and_only_what_is_known_counts(tmp_path: Path) -> None:
    cohort = make_cohort(tmp_path / "study", "P01", "P02")
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[2] = box()[2]
    barl(
        "cohort",
        "annotate",
        cohort,
        "P01",
        write_image(tmp_path / "drawn.nii.gz", drawn),
        "--coverage",
        "slices",
        "--axis",
        "0",
    )
    for name in ("P01", "P02"):
        write_image(tmp_path / "predictions" / f"{name}.nii.gz", box())

    answer = barl("evaluate", tmp_path / "predictions", cohort, "--json")

    assert answer.code == 0
    jaw, teeth = answer.json["cases"][0]["scores"]
    assert (jaw["name"], jaw["dice"], jaw["known_voxels"]) == ("jaw", 1.0, SHAPE[1] * SHAPE[2])
    assert (teeth["name"], teeth["dice"]) == ("teeth", None)
    assert len(answer.json["unmatched"]) == 1


def test_grids_that_differ_are_told_and_the_other_cases_scored(tmp_path: Path) -> None:
    for name, origin in (("P01", (0.0, 0.0, 0.0)), ("P02", (5.0, 0.0, 0.0))):
        write_image(tmp_path / "predictions" / f"{name}.nii.gz", box(), origin=origin)
        write_image(tmp_path / "references" / f"{name}.nii.gz", box())

    some = barl("evaluate", tmp_path / "predictions", tmp_path / "references", "--json")
    one = barl("evaluate", tmp_path / "predictions" / "P02.nii.gz", tmp_path / "references" / "P02.nii.gz", "--json")

    assert some.code == one.code == 2
    assert [case["case_id"] for case in some.json["cases"]] == ["P01"]
    assert "P02" in some.json["failed"][0]["message"]
    assert "grid" in one.json["error"]["message"]


@pytest.mark.parametrize(
    ("image", "came"),
    [
        (box() - 1000.0, "2 different values from -1000 to -999"),
        (np.where(box() > 0, 3071, 0).astype(np.int16), "2 different values from 0 to 3071"),
        (box() + 0.5, "values that are not whole numbers"),
    ],
    ids=["air", "bone", "fractions"],
)
def test_a_scan_in_the_place_of_a_label_map_is_told_as_one(tmp_path: Path, image: np.ndarray, came: str) -> None:
    scan, labels = write_image(tmp_path / "scan.nii.gz", image), write_image(tmp_path / "P01.nii.gz", box())

    for answer in (barl("evaluate", labels, scan, "--json"), barl("evaluate", scan, labels, "--json")):
        assert answer.code == 2
        assert answer.json["error"]["type"] == "LabelError"
        assert answer.json["error"]["message"] == (
            f"{scan} holds {came}, so it is no label map: allowed are whole numbers from 0 to 254, and 255 for not "
            "annotated. It is probably an image, or labels smoothed by resampling. Give the label map itself, its "
            "structures numbered from 1 to 254."
        )


@pytest.mark.parametrize(
    ("predictions", "references", "part"),
    [
        ("nowhere", "references", "does not exist"),
        ("empty", "references", "holds no segmentation"),
        ("predictions", "nowhere", "not a folder"),
        ("predictions", "empty", "same name"),
    ],
)
def test_nothing_to_compare_is_said(tmp_path: Path, predictions: str, references: str, part: str) -> None:
    (tmp_path / "empty").mkdir()
    write_image(tmp_path / "predictions" / "P01.nii.gz", box())
    write_image(tmp_path / "references" / "P01.nii.gz", box())

    answer = barl("evaluate", tmp_path / predictions, tmp_path / references)

    assert answer.code == 2
    assert part in answer.said
