"""Wrong files and folders that the tests of each command leave out: told in words, and nothing is changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_study import SHAPE, Answer, barl, box, make_cohort, snapshot, write_image

from barl.imaging import dicom
from barl.imaging.chosen_images import found_images

BARL = (sys.executable, "-c", "import barl.cli, sys; sys.exit(barl.cli.main())")


@pytest.fixture
def a_cohort(tmp_path: Path) -> Path:
    return make_cohort(tmp_path / "study", "P01", "P02")


def _refused(answer: Answer, *parts: str) -> None:
    assert answer.code == 2, answer.said
    assert [part for part in parts if part not in answer.said] == []


def test_a_damaged_version_is_mended_by_annotating_again(a_cohort: Path, tmp_path: Path) -> None:
    labels = write_image(tmp_path / "drawn.nii.gz", box())
    barl("cohort", "annotate", a_cohort, "P01", labels)
    (a_cohort / "annotations" / "P01" / "0001.json").write_text("{", encoding="utf-8")

    told = barl("cohort", "audit", a_cohort)
    mended = barl("cohort", "annotate", a_cohort, "P01", labels, "--json")

    _refused(told, "0001.json", "Annotate or import it again")
    assert mended.json["annotated"] == [{"case": "P01", "version": 2}]
    assert barl("cohort", "status", a_cohort, "--json").json["cases"][0]["annotation"] == 2
    assert (a_cohort / "annotations" / "P01" / "0001.seg.nrrd").is_file()


def test_a_damaged_version_does_not_hide_the_other_cases(a_cohort: Path, tmp_path: Path) -> None:
    for case in ("P01", "P02"):
        barl("cohort", "annotate", a_cohort, case, write_image(tmp_path / "drawn.nii.gz", box()))
    (a_cohort / "annotations" / "P01" / "0001.json").write_text("{", encoding="utf-8")

    spoken, told = barl("cohort", "status", a_cohort), barl("cohort", "status", a_cohort, "--json")

    assert (spoken.code, told.code) == (0, 0)
    assert [
        part
        for part in ("damaged", "0001.json, line 1", "Annotate or import the case again")
        if part not in spoken.said
    ] == []
    assert [case["state"] for case in told.json["cases"]] == ["damaged", "annotated"]
    assert told.json["cases"][1]["error"] is None


def test_label_maps_beside_their_images_become_no_cases_and_are_imported_from_there(tmp_path: Path) -> None:
    folder = tmp_path / "both"
    for name in ("P01", "P02"):
        write_image(folder / f"{name}.nii.gz")
        write_image(folder / f"{name}_seg.nii.gz", box())
    write_image(folder / "P03_mask.nii.gz")

    made = barl("cohort", "create", tmp_path / "study", "--labels", "1=jaw", "--images", folder, "--json")
    drawn = barl("cohort", "annotate", tmp_path / "study", "--folder", folder, "--json")

    assert made.json["cases"] == ["P01", "P02", "P03_mask"]
    assert [one["case"] for one in drawn.json["annotated"]] == ["P01", "P02"]
    assert drawn.json["failed"] == []


def test_a_label_map_given_as_an_image_is_told_by_the_audit(a_cohort: Path, tmp_path: Path) -> None:
    barl("cohort", "add", a_cohort, write_image(tmp_path / "P03_seg.nii.gz", box()))

    findings = barl("cohort", "audit", a_cohort, "--json").json["findings"]

    assert [(one["case_id"], one["severity"]) for one in findings if "probably a label map" in one["message"]] == [
        ("P03_seg", "warning")
    ]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"labels": [{"value": 300, "name": "jaw", "color": [1, 2, 3]}]}, ("labels[0]", "from 1 to 254", "300")),
        ({"labels": 2 * [{"value": 1, "name": "jaw", "color": [1, 2, 3]}]}, ("Two labels have the value 1",)),
        ({"labels": []}, ("at least one label",)),
        (
            {"cases": [{"id": "../x", "image": "a.nrrd", "role": "training"}]},
            ("cases[0]", "'../x' cannot be a case id"),
        ),
        ({"cases": [{"id": "x", "image": "", "role": "training"}]}, ("cases[0]", "image must be a path")),
    ],
    ids=["value", "twice", "none", "id", "no image"],
)
def test_what_is_not_allowed_in_a_cohort_file_is_told_with_file_and_place(
    a_cohort: Path, change: dict[str, object], parts: tuple[str, ...]
) -> None:
    record = json.loads((a_cohort / "cohort.json").read_text(encoding="utf-8"))
    (a_cohort / "cohort.json").write_text(json.dumps(record | change), encoding="utf-8")

    _refused(barl("cohort", "status", a_cohort), "cohort.json", *parts)


def test_what_is_not_allowed_in_a_version_is_told_with_its_file(a_cohort: Path, tmp_path: Path) -> None:
    barl("cohort", "annotate", a_cohort, "P01", write_image(tmp_path / "drawn.nii.gz", box()))
    path = a_cohort / "annotations" / "P01" / "0001.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | {"coverage": {"kind": "slices", "axis": 7}}), encoding="utf-8")

    _refused(barl("cohort", "audit", a_cohort), "0001.json", "must be 0, 1 or 2, got 7")


def test_files_that_could_both_be_one_cases_are_not_scored_by_chance(tmp_path: Path) -> None:
    for name in ("pred/P01", "refs/P01", "refs/P01_mask", "more/P01", "more/P01_seg"):
        write_image(tmp_path / f"{name}.nii.gz", box())
    one = tmp_path / "refs" / "P01.nii.gz"

    _refused(barl("evaluate", tmp_path / "pred", tmp_path / "refs"), "P01.nii.gz and P01_mask.nii.gz could both be")
    _refused(barl("evaluate", tmp_path / "more", tmp_path / "pred"), "P01_seg.nii.gz would both be compared with")
    _refused(barl("evaluate", tmp_path / "more", one), "is one reference, and there are 2 predictions")


def test_scores_replace_no_label_file_and_what_cannot_be_written_is_told_before_scoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = write_image(tmp_path / "P01.nii.gz", box())
    before = snapshot(tmp_path)
    monkeypatch.setattr("barl.evaluation.metrics.score_case", lambda *given, **named: pytest.fail("scored"))

    _refused(barl("evaluate", labels, labels, "--csv", labels), "would replace", "P01.nii.gz", "no .csv file")
    _refused(barl("evaluate", labels, labels, "--csv", labels / "scores.csv"), "A part of the path is a file")
    assert snapshot(tmp_path) == before


def test_annotated_cases_that_are_not_for_training_are_told_as_such(a_cohort: Path, tmp_path: Path) -> None:
    barl("cohort", "annotate", a_cohort, "P01", write_image(tmp_path / "drawn.nii.gz", box()))
    barl("cohort", "role", a_cohort, "P01", "validation")
    audited, trained = barl("cohort", "audit", a_cohort, "--json"), barl("train", a_cohort)
    for case in ("P01", "P02"):
        barl("cohort", "role", a_cohort, case, "excluded")

    _refused(audited, "let cases that are annotated for validation (1) be training cases")
    _refused(trained, "1 annotated are for validation or excluded")
    _refused(barl("cohort", "audit", a_cohort), "All cases are excluded", "1 error, 0 warnings.")
    assert "no training case to annotate" in barl("cohort", "next", a_cohort).said


def test_a_case_of_nearly_the_right_name_is_asked_about(a_cohort: Path, tmp_path: Path) -> None:
    labels = write_image(tmp_path / "drawn.nii.gz", box())

    _refused(barl("cohort", "annotate", a_cohort, "p02", labels), "has no case 'p02'. Did you mean P02?")
    assert "Did you mean" not in barl("cohort", "annotate", a_cohort, "scan", labels).said


def test_labels_set_apart_by_another_sign_are_not_one_label(tmp_path: Path) -> None:
    _refused(barl("cohort", "create", tmp_path / "c", "--labels", "1=jaw;2=teeth"), "'1=jaw,2=teeth'", "1=jaw;2=teeth")
    assert list(tmp_path.iterdir()) == []


def test_a_segmentation_or_one_dicom_file_in_the_place_of_an_image_is_told_as_such(
    a_cohort: Path, tmp_path: Path
) -> None:
    drawn, slice_1 = tmp_path / "P03.seg.nrrd", tmp_path / "slice1.dcm"
    drawn.write_bytes(b"NRRD0004")
    slice_1.write_bytes(bytes(128) + b"DICM")
    before = snapshot(a_cohort)

    _refused(barl("cohort", "add", a_cohort, drawn), "P03.seg.nrrd is a segmentation", "the image that it was drawn on")
    _refused(barl("cohort", "add", a_cohort, slice_1), "slice1.dcm is a single DICOM file", "Give the folder")
    assert snapshot(a_cohort) == before


def test_a_dicom_folder_given_as_a_dot_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = tmp_path / "P07"
    series.mkdir()
    (series / "slice1.dcm").write_bytes(bytes(128) + b"DICM")
    monkeypatch.chdir(series)

    assert [path.name for path in found_images([Path()])] == ["P07"]


def test_a_scan_given_as_its_own_annotation_is_told_as_one(a_cohort: Path, tmp_path: Path) -> None:
    array = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) - 100
    before = snapshot(a_cohort)

    answer = barl("cohort", "annotate", a_cohort, "P01", write_image(tmp_path / "scan.nrrd", array))

    _refused(answer, "scan.nrrd", "480 different values", "probably an image")
    assert snapshot(a_cohort) == before


def test_scores_are_not_written_over_a_folder(tmp_path: Path) -> None:
    labels = write_image(tmp_path / "P01.nii.gz", box())
    (tmp_path / "scores").mkdir()

    answer = barl("evaluate", labels, labels, "--csv", tmp_path / "scores", "--json")

    _refused(answer, "scores", "--csv needs the name of a file", "is a folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["P01.nii.gz", "scores"]


def test_a_name_longer_than_the_file_system_allows_is_told(tmp_path: Path) -> None:
    _refused(barl("cohort", "create", tmp_path / ("long" * 100), "--labels", "jaw"), "too long")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_a_name_in_an_old_encoding_is_told_and_does_not_end_the_program(a_cohort: Path) -> None:
    folder = a_cohort.parent / "disc"
    image = write_image(folder / "P03.nii.gz")
    odd = os.fsdecode(os.fsencode(folder) + b"/M\xfcller.nii.gz")
    shutil.copy(image, odd)
    before = snapshot(a_cohort)

    # In processes of their own: without its check ITK would end this one.
    _refused(_process(*BARL, "cohort", "add", a_cohort, folder), "M?ller.nii.gz", "Rename")
    _refused(_process(*BARL, "cohort", "add", a_cohort, odd), "ller.nii.gz", "Rename")
    assert snapshot(a_cohort) == before


def test_a_folder_that_may_not_be_looked_into_is_left_out(
    a_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "disc" / "P03.nii.gz")
    (tmp_path / "disc" / "locked").mkdir()
    really = dicom.Path.iterdir

    def iterdir(folder: Path) -> object:
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return really(folder)

    monkeypatch.setattr(dicom.Path, "iterdir", iterdir)

    assert barl("cohort", "add", a_cohort, tmp_path / "disc", "--json").json["added"] == ["P03"]


def _barl_where(mount: str, *arguments: object) -> Answer:
    """Run a command with a mount that only it sees."""
    return _process("unshare", "-rm", "sh", "-c", f'{mount} && exec "$0" "$@"', *BARL, *arguments)


def _process(*words: object) -> Answer:
    line = [str(word) for word in words]
    ran = subprocess.run(line, capture_output=True, encoding="utf-8", timeout=60, check=False)
    return Answer(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    mount = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /tmp"]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not _may_mount(), reason="mounts of one's own are not allowed here")


@needs_mounts
@pytest.mark.parametrize(
    "command",
    [
        ("cohort", "add", "COHORT", "IMAGE"),
        ("cohort", "role", "COHORT", "P01", "excluded"),
        ("cohort", "annotate", "COHORT", "P01", "LABELS"),
        ("cohort", "create", "COHORT/new", "--labels", "jaw"),
        ("evaluate", "LABELS", "LABELS", "--csv", "COHORT/scores.csv"),
    ],
    ids=" ".join,
)
def test_a_read_only_drive_is_told_with_what_to_do(a_cohort: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    names = {"IMAGE": write_image(tmp_path / "P03.nii.gz"), "LABELS": write_image(tmp_path / "drawn.nii.gz", box())}
    (a_cohort / "annotations" / "P01").mkdir(parents=True)
    words = [str(names.get(word, word.replace("COHORT", str(a_cohort)))) for word in command]
    before = snapshot(a_cohort)

    answer = _barl_where(f"mount --bind '{a_cohort}' '{a_cohort}' && mount -o remount,ro,bind '{a_cohort}'", *words)

    _refused(answer, "Read-only", "choose another folder")
    assert "Traceback" not in answer.said
    assert ".tmp-" not in answer.said
    assert ".lock" not in answer.said
    assert snapshot(a_cohort) == before


@needs_mounts
def test_a_full_disk_is_told_and_a_cohort_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    full = f"mount -t tmpfs -o size=4k tmpfs '{folder}' && {{ head -c 9999 /dev/zero >'{folder}/other' 2>&-; true; }}"

    answer = _barl_where(full, "cohort", "create", folder / "study", "--labels", "jaw", "--json")

    _refused(answer, "disk is full", "free some space")
    assert answer.json["error"]["type"] == "StorageError"
