"""Wrong input of trainings and predictions: told in words, with the way out, and nothing is half written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from journey import COMMAND, SMALL, Answer, barl, done

from barl.phantom import Phantom

TWO_STEPS = ("--method", "supervised", "--steps", 2, "--no-predict", *SMALL)


@pytest.fixture
def a_study(an_annotated_study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(an_annotated_study, tmp_path / "study")


def _refused(answer: Answer, *parts: str) -> None:
    assert answer.code == 2, answer.out + answer.err
    message = answer.json["error"]["message"]
    assert [part for part in parts if part not in message] == []


def test_a_volume_that_cannot_be_read_is_told_and_the_others_are_done(
    a_trained_study: Path, a_phantom: Phantom, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    image = sitk.ReadImage(str(a_phantom.cohort.image_path("scan_03")))
    sitk.WriteImage(image, str(scans / "good.nii.gz"))
    (scans / "cut.nii.gz").write_bytes((scans / "good.nii.gz").read_bytes()[:30_000])
    (scans / "empty.nrrd").write_bytes(b"")
    (scans / "notes.nii.gz").write_text("The patient was late.\n" * 30, encoding="utf-8")
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    array[3, 4, 5] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(array), str(scans / "hole.mha"))

    answer = barl("predict", a_trained_study, scans, "--output", tmp_path / "out", "--device", "cpu", "--json")

    told = {row["case"]: (row["state"], row["message"]) for row in answer.json["records"]}
    assert answer.code == 2
    assert {case: state for case, (state, _) in told.items() if state != "failed"} == {"good": "done"}
    assert all(
        part in told[case][1]
        for case, part in {"cut": "cut short", "empty": "0 bytes", "notes": "text file", "hole": "1 voxels"}.items()
    )
    assert {path.name.split(".")[0] for path in (tmp_path / "out").iterdir()} == {"good"}


def test_two_volumes_of_one_name_would_write_one_result(a_trained_study: Path, tmp_path: Path) -> None:
    for folder in ("before", "after"):
        shutil.copytree(a_trained_study / "images", tmp_path / folder)

    answer = barl("predict", a_trained_study, tmp_path / "before", tmp_path / "after", "-o", tmp_path / "out", "--json")

    _refused(answer, "scan_01.seg.nrrd", "before", "after", "Rename")
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_predictions_should_go_is_told_before_anything_is_computed(
    a_trained_study: Path, tmp_path: Path
) -> None:
    image = shutil.copy(a_trained_study / "images" / "scan_03.nrrd", tmp_path)
    before = Path(image).read_bytes()

    answer = barl("predict", a_trained_study, image, "--output", image, "--json")

    _refused(answer, "scan_03.nrrd is a file", "choose a folder")
    assert Path(image).read_bytes() == before


def test_a_model_of_a_newer_version_and_a_damaged_one_are_not_used(a_trained_study: Path, tmp_path: Path) -> None:
    model = shutil.copytree(a_trained_study / "rounds" / "0001" / "model", tmp_path / "model")
    image = a_trained_study / "images" / "scan_03.nrrd"
    call = ("predict", model, image, "--output", tmp_path / "out", "--device", "cpu", "--json")
    card = json.loads((model / "model.json").read_text(encoding="utf-8"))

    (model / "model.json").write_text(json.dumps(card | {"format_version": 99}), encoding="utf-8")
    newer = barl(*call)
    (model / "model.json").write_text(json.dumps(card), encoding="utf-8")
    (model / "weights.pt").write_bytes((model / "weights.pt").read_bytes()[:-1000])
    damaged = barl(*call)

    _refused(newer, "model.json has format 99", "Install")
    _refused(damaged, "weights.pt", "Copy the model folder again")


def _break_image(study: Path) -> None:
    (study / "images" / "scan_04.nrrd").unlink()


def _pierce_image(study: Path) -> None:
    path = study / "images" / "scan_03.nrrd"
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float32)
    array[3, 4, 5] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


def _break_annotation(study: Path) -> None:
    path = study / "annotations" / "scan_02" / "0001.seg.nrrd"
    path.write_bytes(path.read_bytes()[:-200])


def _lose_a_class(study: Path) -> None:
    record = json.loads((study / "cohort.json").read_text(encoding="utf-8"))
    record["labels"].append({"value": 9, "name": "sinus", "color": [1, 2, 3], "terminology": ""})
    (study / "cohort.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "parts"),
    [
        (_break_image, ("Case scan_04", "does not exist", "exclude the case")),
        (_pierce_image, ("Case scan_03", "not a finite number", "exclude the case")),
        (_break_annotation, ("Case scan_02", "0001.seg.nrrd", "earlier versions are kept")),
        (_lose_a_class, ("sinus (value 9)", "take it out of the label table")),
    ],
    ids=["missing image", "hole in an image", "damaged annotation", "class without annotation"],
)
def test_an_error_of_the_cohort_makes_no_round(a_study: Path, harm, parts: tuple[str, ...]) -> None:
    harm(a_study)

    _refused(barl("train", a_study, *TWO_STEPS, "--json"), *parts)

    assert not (a_study / "rounds").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--minutes", 0.01), ("minutes must be from 0.1", "first checkpoint")),
        (("--minutes", 5, "--steps", 3), ("either minutes or steps",)),
        (("--set", "training.learning_rate=true"), ("learning_rate must be a number", "True")),
        (("--set", "training.checkpoint_seconds=600"), ("checkpoint_seconds must be from 1 to 60", "600")),
        (("--set", "learning_rate=0.1"), ("has no setting 'learning_rate'. Did you mean training.learning_rate?",)),
        (("--device", "gpu"), ("auto, cpu, cuda", "'gpu'")),
        (("--from-round", 7), ("no round 7",)),
        (("--memory-gib", 0.5, "--precision", "fp32"), ("only 0.5 GiB are allowed. Allow at least",)),
    ],
    ids=str,
)
def test_a_wish_that_makes_no_sense_makes_no_round(
    an_annotated_study: Path, arguments: tuple[object, ...], parts: tuple[str, ...]
) -> None:
    _refused(barl("train", an_annotated_study, *arguments, "--json"), *parts)
    assert not (an_annotated_study / "rounds").exists()


def test_a_budget_too_short_for_a_training_says_how_much_it_needs(a_study: Path) -> None:
    call = ("--method", "barl", "--minutes", 0.1, "--preset", "standard", "--device", "cpu", "--precision", "fp32")
    answer = barl("train", a_study, *call, "--set", "network.base_filters=8", "--json")

    _refused(answer, "too few to learn anything", "Choose at least", "minutes")


def test_only_one_annotated_case_is_warned_of_and_trained_on(a_study: Path) -> None:
    shutil.rmtree(a_study / "annotations" / "scan_02")

    answer = barl("train", a_study, *TWO_STEPS, "--json")

    assert answer.code == 0
    assert "Only one training case is annotated" in answer.err


def test_very_long_paths_with_spaces_go_through_training_and_prediction(
    an_annotated_study: Path, tmp_path: Path
) -> None:
    deep = tmp_path / ("sehr langer Name " * 6).strip() / ("日本語 " * 15).strip() / ("x" * 100)
    study = shutil.copytree(an_annotated_study, deep / "study")
    assert len(str(study)) > 260

    done("train", study, *TWO_STEPS)
    answer = done("predict", study, study / "images" / "scan_03.nrrd", "--output", deep / "out", "--device", "cpu")

    assert [row["state"] for row in answer["records"]] == ["done"]


def _on_a_disk(folder: Path, kib: int, *lines: str) -> Answer:
    """Run shell lines where ``folder`` is a small disk that only they see."""
    script = [f"mount -t tmpfs -o size={kib}k tmpfs '{folder}'", *lines]
    ran = subprocess.run(
        ["unshare", "-rm", "sh", "-c", " && ".join(script)],
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        check=False,
    )
    return Answer(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def _may_mount(folder: Path) -> bool:
    return shutil.which("unshare") is not None and _on_a_disk(folder, 4).code == 0


def _words(*arguments: object) -> str:
    return " ".join(f"'{word}'" for word in (COMMAND, *arguments))


def test_a_disk_that_is_full_for_the_checkpoint_ends_the_training_with_the_reason(
    an_annotated_study: Path, tmp_path: Path
) -> None:
    if not _may_mount(tmp_path):
        pytest.skip("mounts of one's own are not allowed here")
    disk = tmp_path / "disk"
    disk.mkdir()
    room = 2100  # KiB: enough for the cohort and its cache, not for a checkpoint.

    train = _words("train", disk / "study", *TWO_STEPS, "--json")
    copied = f"cp -r '{an_annotated_study}' '{disk}/study'"
    answer = _on_a_disk(
        disk, room, copied, f"{train}; code=$?; ls -A '{disk}/study/rounds/0001/checkpoints' >&2; exit $code"
    )

    _refused(answer, "checkpoints/last.pt", "disk is full", "free some space")
    assert ".tmp-" not in answer.err


def test_a_disk_that_is_full_for_a_round_keeps_no_half_of_it(an_annotated_study: Path, tmp_path: Path) -> None:
    if not _may_mount(tmp_path):
        pytest.skip("mounts of one's own are not allowed here")
    disk = tmp_path / "disk"
    disk.mkdir()

    fill = f"{{ head -c 99999999 /dev/zero >'{disk}/other' 2>&-; true; }}"
    copied = f"cp -r '{an_annotated_study}' '{disk}/study'"
    train = _words("train", disk / "study", *TWO_STEPS, "--json")
    answer = _on_a_disk(disk, 2100, copied, fill, f"{train}; code=$?; ls -A '{disk}/study/rounds' >&2; exit $code")

    _refused(answer, "disk is full")
    assert "0001" not in answer.err


def test_a_disk_that_is_full_for_a_prediction_is_told_and_nothing_half_written_stays(
    a_trained_study: Path, tmp_path: Path
) -> None:
    if not _may_mount(tmp_path):
        pytest.skip("mounts of one's own are not allowed here")
    disk = tmp_path / "disk"
    disk.mkdir()

    image = a_trained_study / "images" / "scan_03.nrrd"
    call = _words("predict", a_trained_study, image, "--output", disk, "--device", "cpu", "--json")
    answer = _on_a_disk(disk, 16, f"{call}; code=$?; ls -A '{disk}' >&2; exit $code")

    _refused(answer, "scan_03", "Free some space")
    assert ".tmp-" not in answer.err
    assert "scan_03.json" not in answer.err
