"""``barl cohort create|add|status|role`` on good and on bad input."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cli_study import SHAPE, barl, box, make_cohort, snapshot, write_image

from barl.cohort import cohort as cohort_module
from barl.cohort import folder_lock


@pytest.fixture
def a_cohort(tmp_path: Path) -> Path:
    return make_cohort(tmp_path / "study", "P01", "P02")


def test_a_new_cohort_holds_labels_and_images(tmp_path: Path) -> None:
    write_image(tmp_path / "scans" / "P01.nrrd")
    write_image(tmp_path / "scans" / "P02.mha")

    made = barl(
        "cohort", "create", tmp_path / "study", "--name", "Jaws", "--modality", "cbct",
        "--labels", "1=jaw, 5=teeth", "--images", tmp_path / "scans", "--json",
    )  # fmt: skip
    status = barl("cohort", "status", tmp_path / "study", "--json")

    assert made.code == status.code == 0
    assert made.json["cases"] == ["P01", "P02"]
    assert status.json["labels"] == [{"value": 1, "name": "jaw"}, {"value": 5, "name": "teeth"}]
    assert [(case["id"], case["state"], case["role"]) for case in status.json["cases"]] == [
        ("P01", "unlabeled", "training"),
        ("P02", "unlabeled", "training"),
    ]


def test_the_label_table_comes_from_a_first_file(tmp_path: Path) -> None:
    labels = write_image(tmp_path / "first.nii.gz", box(3))

    made = barl("cohort", "create", tmp_path / "study", "--labels-from", labels, "--json")

    assert [label["value"] for label in made.json["labels"]] == [3]


def test_status_shows_a_person_states_and_missing_images(a_cohort: Path) -> None:
    (a_cohort.parent / "scans" / "P02.nii.gz").unlink()

    answer = barl("cohort", "status", a_cohort)

    assert answer.code == 0
    assert all(part in answer.out for part in ("P01", "unlabeled", "training", "missing", "cases: 2"))


def test_a_role_is_changed_and_an_unknown_case_or_role_refused(a_cohort: Path) -> None:
    assert barl("cohort", "role", a_cohort, "P01", "validation").code == 0
    unknown_case = barl("cohort", "role", a_cohort, "P09", "validation")
    unknown_role = barl("cohort", "role", a_cohort, "P01", "spare", "--json")

    roles = {case["id"]: case["role"] for case in barl("cohort", "status", a_cohort, "--json").json["cases"]}
    assert roles == {"P01": "validation", "P02": "training"}
    assert unknown_case.code == unknown_role.code == 2
    assert "P09" in unknown_case.said
    assert unknown_role.json["error"]["type"] == "UsageError"
    assert "excluded" in unknown_role.json["error"]["message"]


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        ("", "--labels"),
        ("jaw=1", "1=jaw,2=teeth"),
        ("1=jaw,,", "1=jaw,2=teeth"),
        ("0=jaw", "1 to 254"),
        ("255=jaw", "1 to 254"),
        ("1=jaw,1=teeth", "value 1"),
        ("1=jaw,2=Jaw", "name"),
    ],
)
def test_a_wrong_label_table_makes_no_cohort(tmp_path: Path, labels: str, part: str) -> None:
    answer = barl("cohort", "create", tmp_path / "study", "--labels", labels)

    assert answer.code == 2
    assert part in answer.said
    assert not (tmp_path / "study").exists()


def test_a_folder_without_volumes_makes_no_cohort(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    answer = barl("cohort", "create", tmp_path / "study", "--labels", "jaw", "--images", tmp_path / "empty")

    assert answer.code == 2
    assert "holds no volume" in answer.said
    assert not (tmp_path / "study").exists()


def test_an_existing_cohort_is_not_created_again(a_cohort: Path) -> None:
    before = snapshot(a_cohort)

    answer = barl("cohort", "create", a_cohort, "--labels", "1=liver")

    assert answer.code == 2
    assert "cohort already" in answer.said
    assert snapshot(a_cohort) == before


def _missing(path: Path) -> Path:
    return path.with_name("nowhere.nii.gz")


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _text(path: Path) -> Path:
    path.write_text("These are my notes on the patient.\n" * 50, encoding="utf-8")
    return path


def _flat(path: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 9), np.float32)), str(path))
    return path


def _series(path: Path) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, *SHAPE), np.float32), isVector=False), str(path))
    return path


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (_missing, "does not exist"),
        (_empty, "empty"),
        (_text, "text"),
        (_flat, "flat picture"),
        (_series, "4"),
    ],
)
def test_an_image_that_cannot_be_used_is_named_and_none_is_added(a_cohort: Path, make, part: str) -> None:
    bad = make(a_cohort.parent / "bad.nii.gz")
    good = write_image(a_cohort.parent / "good.nii.gz")
    before = snapshot(a_cohort)

    answer = barl("cohort", "add", a_cohort, good, bad, "--json")

    assert answer.code == 2
    assert answer.json["error"]["type"] == "ImageError"
    assert bad.name in answer.json["error"]["message"]
    assert part in answer.json["error"]["message"]
    assert snapshot(a_cohort) == before


def test_two_images_of_one_name_are_refused_and_none_is_added(a_cohort: Path) -> None:
    one = write_image(a_cohort.parent / "first" / "P03.nii.gz")
    other = write_image(a_cohort.parent / "second" / "P03.nrrd")
    before = snapshot(a_cohort)

    both = barl("cohort", "add", a_cohort, one, other)
    again = barl("cohort", "add", a_cohort, write_image(a_cohort.parent / "third" / "p01.nii.gz"))

    assert both.code == again.code == 2
    assert "twice: p03" in both.said
    assert "twice: p01" in again.said
    assert snapshot(a_cohort) == before


def test_a_cohort_from_a_newer_version_is_left_alone(a_cohort: Path) -> None:
    record = json.loads((a_cohort / "cohort.json").read_text(encoding="utf-8"))
    record["format_version"] = 99
    (a_cohort / "cohort.json").write_text(json.dumps(record), encoding="utf-8")
    before = snapshot(a_cohort)

    for arguments in (("status",), ("role", "P01", "excluded"), ("audit",)):
        answer = barl("cohort", arguments[0], a_cohort, *arguments[1:], "--json")
        assert answer.code == 2
        assert answer.json["error"]["type"] == "NewerFormatError"
        assert "newer" in answer.json["error"]["message"]
    assert snapshot(a_cohort) == before


def test_a_cohort_that_another_process_writes_is_not_changed(a_cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort_module, "folder_lock", functools.partial(folder_lock, timeout_s=0.2))
    before = snapshot(a_cohort)

    with folder_lock(a_cohort, what="adding a case"):
        answer = barl("cohort", "role", a_cohort, "P01", "excluded", "--json")

    assert answer.code == 2
    assert answer.json["error"]["type"] == "LockedError"
    assert str(os.getpid()) in answer.json["error"]["message"]
    assert snapshot(a_cohort) == before


def test_a_file_where_the_cohort_should_go_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study").write_text("a file", encoding="utf-8")

    answer = barl("cohort", "create", tmp_path / "study" / "inside", "--labels", "jaw")

    assert answer.code == 2
    assert "file" in answer.said
    assert (tmp_path / "study").read_text(encoding="utf-8") == "a file"


def test_spaces_letters_of_any_script_and_long_paths_work(tmp_path: Path) -> None:
    folder = tmp_path / "Études dentaires" / ("eine sehr lange Bezeichnung " * 4).strip() / "顎の骨"
    image = write_image(tmp_path / "mit Leerzeichen" / "Größe 1.nrrd")

    made = barl("cohort", "create", folder, "--name", "Kiefer ⅓", "--labels", "1=Kiefer links,2=зубы")
    added = barl("cohort", "add", folder, image, "--copy", "--json")
    status = barl("cohort", "status", folder, "--json")

    assert made.code == added.code == status.code == 0
    assert added.json["added"] == ["Größe_1"]
    assert status.json["name"] == "Kiefer ⅓"
    assert status.json["cases"][0]["image_found"]
