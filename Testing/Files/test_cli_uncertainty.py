"""``barl evaluate --uncertainty``: figures, the plot, and what is said where they cannot be had."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_study import SHAPE, barl, box, write_image


def a_study(folder: Path, *names: str, with_maps: bool = True) -> tuple[Path, Path]:
    """Predictions that are one slice off and unsure in just the slices that are wrong."""
    predictions, references = folder / "predictions", folder / "references"
    for name in names:
        write_image(predictions / f"{name}.nii.gz", box(start=2))
        write_image(references / f"{name}.nii.gz", box(start=1))
        if with_maps:
            unsure = np.zeros(SHAPE, np.float32)
            unsure[[1, 4], 2:5, 2:5] = 1.0
            write_image(predictions / f"{name}.uncertainty.nrrd", unsure)
    return predictions, references


def test_a_map_that_is_unsure_just_where_it_is_wrong_finds_all_errors(tmp_path: Path) -> None:
    predictions, references = a_study(tmp_path, "P01", "P02")

    answer = barl("evaluate", predictions, references, "--labels", "1=jaw", "--uncertainty", "--json")

    assert answer.code == 0
    found = answer.json["uncertainty"]
    assert found["shell_mm"] == 5
    assert [case["case_id"] for case in found["cases"]] == ["P01", "P02"]
    together = found["all"]
    assert (together["auroc"], together["auprc"]) == (1.0, 1.0)
    assert together["wrong_voxels"] == 2 * 18
    # 18 voxels are wrong in each case, and are expected to be with 1/2.
    voxels = together["shell_voxels"]
    assert together["ece"] == pytest.approx(0.5 * 36 / voxels, abs=1e-3)
    assert together["brier"] == pytest.approx(0.25 * 36 / voxels, abs=1e-3)
    assert sum(one["voxels"] for one in found["reliability"]) == voxels


def test_the_plot_is_written_and_the_figures_are_shown(tmp_path: Path) -> None:
    predictions, references = a_study(tmp_path, "P01")
    plot = tmp_path / "Läufe" / "reliability.svg"

    answer = barl("evaluate", predictions, references, "--labels", "1=jaw", "--uncertainty", "--plot", plot)

    assert answer.code == 0
    assert "Uncertainty within 5 mm" in answer.out
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")


def test_without_the_option_nothing_is_said_of_uncertainty(tmp_path: Path) -> None:
    predictions, references = a_study(tmp_path, "P01", with_maps=False)

    answer = barl("evaluate", predictions, references, "--labels", "1=jaw", "--json")

    assert answer.code == 0
    assert "uncertainty" not in answer.json


def test_a_prediction_without_uncertainty_is_told_and_the_others_are_measured(tmp_path: Path) -> None:
    predictions, references = a_study(tmp_path, "P01", "P02")
    (predictions / "P02.uncertainty.nrrd").unlink()

    some = barl("evaluate", predictions, references, "--labels", "1=jaw", "--uncertainty", "--json")
    told = barl("evaluate", predictions, references, "--labels", "1=jaw", "--uncertainty")
    (predictions / "P01.uncertainty.nrrd").unlink()
    none = barl("evaluate", predictions, references, "--labels", "1=jaw", "--uncertainty", "--json")

    assert some.code == none.code == 2
    assert [case["case_id"] for case in some.json["cases"]] == ["P01", "P02"]
    assert "Uncertainty not measured: Case P02" in told.said
    assert "Not scored" not in told.said
    assert [case["case_id"] for case in some.json["uncertainty"]["cases"]] == ["P01"]
    assert "Case P02: the prediction has no uncertainty" in some.json["failed"][0]["message"]
    assert "Predict the case again with barl predict" in none.json["error"]["message"]


@pytest.mark.parametrize(
    ("array", "origin", "told"),
    [
        (np.full(SHAPE, 7, np.float32), (0.0, 0.0, 0.0), "must hold numbers from 0 to 1, got 7 to 7"),
        (np.full(SHAPE, np.nan, np.float32), (0.0, 0.0, 0.0), "must hold numbers from 0 to 1, got nan to nan"),
        (np.zeros(SHAPE, np.float32), (9.0, 0.0, 0.0), "does not lie on the prediction's grid"),
    ],
    ids=["beyond 1", "no numbers", "elsewhere"],
)
def test_a_map_that_cannot_be_one_is_told(
    tmp_path: Path, array: np.ndarray, origin: tuple[float, ...], told: str
) -> None:
    predictions, references = a_study(tmp_path, "P01")
    write_image(predictions / "P01.uncertainty.nrrd", array, origin=origin)

    answer = barl("evaluate", predictions, references, "--labels", "1=jaw", "--uncertainty")

    assert answer.code == 2
    assert told in answer.said


def test_a_plot_of_nothing_is_refused(tmp_path: Path) -> None:
    predictions, references = a_study(tmp_path, "P01")

    answer = barl("evaluate", predictions, references, "--plot", tmp_path / "r.svg")

    assert answer.code == 2
    assert "give --uncertainty, too" in answer.said
