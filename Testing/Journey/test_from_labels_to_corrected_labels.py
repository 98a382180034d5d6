"""The loop a clinician goes through: annotate, train, predict, look, correct, train again."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
from journey import SMALL, barl, done, events, states, weights

from barl.phantom import Phantom

MAPS = ("uncertainty", "disagreement")


@pytest.fixture(scope="module")
def new_scans(a_phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two volumes of other hospitals: one oblique, one flipped with thick slices."""
    folder = tmp_path_factory.mktemp("new scans")
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(a_phantom.cohort.image_path("scan_04"))))
    oblique = sitk.GetImageFromArray(array)
    oblique.SetSpacing((1.6, 1.55, 1.7))
    oblique.SetOrigin((-30.0, 12.5, 1000.25))
    oblique.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.2, -0.1, 0.3).GetMatrix())
    sitk.WriteImage(oblique, str(folder / "Größe 1.nii.gz"))
    flipped = sitk.GetImageFromArray(np.ascontiguousarray(array[::2, ::-1]))
    flipped.SetSpacing((1.6, 1.6, 3.2))
    flipped.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(flipped, str(folder / "flipped.mha"))
    return folder


@pytest.fixture(scope="module")
def predicted(a_trained_study: Path, new_scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the predictions of both."""
    output = tmp_path_factory.mktemp("out") / "segmented"
    answer = done("predict", a_trained_study, new_scans, "--output", output, "--device", "cpu")
    assert [(row["case"], row["state"]) for row in answer["records"]] == [("Größe 1", "done"), ("flipped", "done")]
    return output


def test_an_audit_and_the_status_know_what_is_annotated(an_annotated_study: Path) -> None:
    findings = done("cohort", "audit", an_annotated_study)
    cases = done("cohort", "status", an_annotated_study)["cases"]

    assert (findings["errors"], findings["findings"]) == (0, [])
    assert [case["state"] for case in cases] == ["annotated", "annotated", "unlabeled", "unlabeled"]
    assert all(case["image_found"] for case in cases)


def test_a_round_leaves_a_model_and_predictions_of_what_nobody_annotated(a_trained_study: Path) -> None:
    folder = a_trained_study / "rounds" / "0001"
    shown = done("jobs", "show", a_trained_study)

    assert (shown["state"], shown["percent"]) == ("finished", 100.0)
    assert shown["payload"]["settings"] == {"network.base_filters": 4}
    assert json.loads((folder / "model" / "model.json").read_text(encoding="utf-8"))["training"]["steps"] == 20
    assert sorted(path.name for path in (folder / "predictions").glob("*.seg.nrrd")) == [
        "scan_03.seg.nrrd",
        "scan_04.seg.nrrd",
    ]
    losses = [event["loss"] for event in events(folder, "metric")]
    assert losses[-1] < losses[0]
    assert list(states(a_trained_study).values()) == ["annotated", "annotated", "predicted", "predicted"]


def test_predictions_lie_exactly_on_the_grid_of_their_image(new_scans: Path, predicted: Path) -> None:
    for name in ("Größe 1.nii.gz", "flipped.mha"):
        image = sitk.ReadImage(str(new_scans / name))
        case = name.split(".")[0]
        for kind in ("seg", *MAPS):
            result = sitk.ReadImage(str(predicted / f"{case}.{kind}.nrrd"))
            assert result.GetSize() == image.GetSize()
            for ask in ("GetSpacing", "GetOrigin", "GetDirection"):
                assert getattr(result, ask)() == pytest.approx(getattr(image, ask)(), abs=1e-5), (name, kind, ask)


def test_maps_are_between_0_and_1_and_a_single_network_never_disagrees(predicted: Path) -> None:
    for kind in MAPS:
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(predicted / f"flipped.{kind}.nrrd")))
        assert array.min() >= 0
        assert array.max() <= 1
        assert (array.max() > 0) == (kind == "uncertainty")


def test_segments_have_the_names_and_colors_of_the_cohort(a_trained_study: Path, predicted: Path) -> None:
    table = json.loads((a_trained_study / "cohort.json").read_text(encoding="utf-8"))["labels"]
    segments = slicerio.read_segmentation(str(predicted / "flipped.seg.nrrd"))["segments"]

    assert [(s["name"], s["labelValue"]) for s in segments] == [(row["name"], row["value"]) for row in table]
    for segment, row in zip(segments, table, strict=True):
        assert [round(255 * part) for part in segment["color"]] == list(row["color"])


def test_a_second_call_skips_what_is_finished_and_does_what_has_changed(
    a_trained_study: Path, new_scans: Path, predicted: Path, tmp_path: Path
) -> None:
    scans, output = shutil.copytree(new_scans, tmp_path / "scans"), shutil.copytree(predicted, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    call = ("predict", a_trained_study, scans, "--output", output, "--device", "cpu")

    again = done(*call)
    untouched = {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == before
    (output / "Größe 1.uncertainty.nrrd").unlink()
    mended = done(*call)

    assert [row["state"] for row in again["records"]] == ["skipped", "skipped"]
    assert untouched
    assert [row["state"] for row in mended["records"]] == ["done", "skipped"]
    assert (output / "Größe 1.uncertainty.nrrd").is_file()


def test_scores_on_the_screen_and_in_the_csv_are_the_same(
    a_trained_study: Path, a_phantom: Phantom, tmp_path: Path
) -> None:
    truth = a_phantom.truth["scan_03"].parent

    answer = done("evaluate", a_trained_study / "rounds" / "0001", truth, "--csv", tmp_path / "scores.csv")

    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    told = [score["dice"] for case in answer["cases"] for score in case["scores"]]
    assert [case["case_id"] for case in answer["cases"]] == ["scan_03", "scan_04"]
    assert len(rows) == 6
    assert [float(row["Dice"]) for row in rows] == pytest.approx(told, abs=1e-6)


def test_a_corrected_case_is_learned_from_in_a_second_round_that_goes_on(
    a_trained_study: Path, a_phantom: Phantom, tmp_path: Path
) -> None:
    study = shutil.copytree(a_trained_study, tmp_path / "study")
    done("cohort", "annotate", study, "scan_03", a_phantom.truth["scan_03"], "--author", "CD")

    other = barl("train", study, "--method", "barl", "--steps", 1, "--from-round", 1, *SMALL, "--json")
    second = done("train", study, "--method", "supervised", "--steps", 6, "--from-round", 1, *SMALL)

    first_round, newest = study / "rounds" / "0001", Path(second["job"])
    assert other.code == 2
    assert "method supervised" in other.json["error"]["message"]
    assert any("3 annotated, 1 without" in event["message"] for event in events(newest, "log"))
    assert events(newest, "metric")[0]["loss"] < events(first_round, "metric")[0]["loss"]
    assert [path.name for path in (newest / "predictions").glob("*.seg.nrrd")] == ["scan_04.seg.nrrd"]
    assert states(study)["scan_03"] == "annotated"
    assert weights(newest).keys() == weights(first_round).keys()


def test_two_networks_learn_together_and_tell_where_they_disagree(an_annotated_study: Path, tmp_path: Path) -> None:
    study = shutil.copytree(an_annotated_study, tmp_path / "study")

    finished = done("train", study, "--method", "barl", "--set", "second_branch=same", "--steps", 3, *SMALL)

    assert finished["state"] == "finished"
    maps = [sitk.ReadImage(str(path)) for path in Path(finished["predictions"]).glob("*.disagreement.nrrd")]
    assert len(maps) == 2
    assert all(sitk.GetArrayViewFromImage(one).max() > 0 for one in maps)
    assert list(states(study).values()) == ["annotated", "annotated", "predicted", "predicted"]


@pytest.mark.parametrize(
    "command",
    [
        ("cohort", "status", "STUDY"),
        ("cohort", "audit", "STUDY"),
        ("cohort", "role", "STUDY", "scan_04", "training"),
        ("jobs", "list", "STUDY"),
        ("jobs", "show", "STUDY"),
        ("jobs", "show", "STUDY", "--follow"),
        ("methods",),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_every_command_answers_a_program_with_one_object(a_trained_study: Path, command: tuple[str, ...]) -> None:
    assert done(*(a_trained_study if word == "STUDY" else word for word in command))
