"""One tiny study, made through the command line, in a folder with spaces and letters of other scripts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from journey import SMALL, done

from barl.phantom import Phantom, make_cohort


@pytest.fixture(scope="session")
def a_phantom(tmp_path_factory: pytest.TempPathFactory) -> Phantom:
    """Four scans and the truth of each."""
    folder = tmp_path_factory.mktemp("phantom")
    return make_cohort(folder, cases=4, annotated=0, shape=(32, 48, 48), spacing_mm=1.6)


@pytest.fixture(scope="session")
def an_annotated_study(a_phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of the four scans, two of them annotated."""
    folder = tmp_path_factory.mktemp("Étude 顎") / "mein Kiefer"
    drawn = folder.parent / "drawn"
    drawn.mkdir()
    for case_id in ("scan_01", "scan_02"):
        shutil.copy(a_phantom.truth[case_id], drawn)
    images = [a_phantom.cohort.image_path(case.id) for case in a_phantom.cohort.cases]
    made = done("cohort", "create", folder, "--labels-from", a_phantom.truth["scan_01"], "--name", "Kiefer")
    added = done("cohort", "add", folder, *images, "--copy")
    annotated = done("cohort", "annotate", folder, "--folder", drawn, "--author", "AB")
    assert [label["name"] for label in made["labels"]] == ["jaw", "teeth", "canal"]
    assert added["added"] == ["scan_01", "scan_02", "scan_03", "scan_04"]
    assert [row["case"] for row in annotated["annotated"]] == ["scan_01", "scan_02"]
    return folder


@pytest.fixture(scope="session")
def a_trained_study(an_annotated_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the study with one finished round."""
    folder = tmp_path_factory.mktemp("trained") / "study"
    shutil.copytree(an_annotated_study, folder)
    finished = done("train", folder, "--method", "supervised", "--steps", 20, *SMALL)
    assert (finished["state"], finished["step"], finished["total_steps"]) == ("finished", 20, 20)
    return folder
