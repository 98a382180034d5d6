"""A training that was stopped, killed or left alone ends with the same weights, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from journey import SMALL, Answer, answer_of, assert_same_weights, barl, done, events, start, wait_until

STEPS = 24
"""Long enough that a training is still at work when somebody has decided to stop it."""
TRAIN = ("--method", "barl", "--steps", STEPS, "--seed", 5, "--no-predict", *SMALL)
OFTEN = ("--set", "training.checkpoint_seconds=1")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(scope="module")
def uninterrupted(an_annotated_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The round of a training that nobody disturbed."""
    study = shutil.copytree(an_annotated_study, tmp_path_factory.mktemp("calm") / "study")
    return Path(done("train", study, *TRAIN)["job"])


@pytest.fixture
def a_study(an_annotated_study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(an_annotated_study, tmp_path / "study")


def _begun(study: Path) -> tuple[subprocess.Popen[str], Path]:
    """A watched training that has written its first checkpoint, and its round."""
    watcher = start("train", study, *TRAIN, *OFTEN, "--json")
    round_folder = study / "rounds" / "0001"
    wait_until(lambda: (round_folder / "checkpoints" / "last.pt").is_file() or watcher.poll() is not None)
    return watcher, round_folder


def _assert_ends_like(uninterrupted: Path, round_folder: Path, resumed: Answer) -> None:
    assert (resumed.code, resumed.json["state"], resumed.json["step"]) == (0, "finished", STEPS), resumed.err
    (again,) = events(round_folder, "resumed")
    assert 0 < again["step"] < STEPS
    assert events(round_folder, "metric")[-1]["step"] == STEPS
    assert_same_weights(round_folder, uninterrupted)


def test_a_training_killed_in_the_middle_goes_on_as_if_nothing_had_happened(a_study: Path, uninterrupted: Path) -> None:
    watcher, round_folder = _begun(a_study)
    # Read at once: on a fast computer the whole training takes two seconds.
    os.kill(json.loads((round_folder / "status.json").read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
    told = answer_of(watcher)
    listed = done("jobs", "list", a_study)["jobs"]
    resumed = barl("jobs", "resume", a_study, "--json")

    assert told.code == 1
    assert told.json["state"] == "interrupted"
    assert "without a word" in told.json["error"]["message"]
    assert [job["state"] for job in listed] == ["interrupted"]
    _assert_ends_like(uninterrupted, round_folder, resumed)


def test_control_c_saves_and_stops_and_the_training_can_go_on(a_study: Path, uninterrupted: Path) -> None:
    watcher, round_folder = _begun(a_study)
    watcher.send_signal(signal.SIGINT)
    told = answer_of(watcher)
    refused = barl("jobs", "stop", a_study, "--json")
    resumed = barl("jobs", "resume", a_study, "--json")

    assert (told.code, told.json["state"]) == (0, "stopped")
    assert 0 < told.json["step"] < STEPS
    assert refused.code == 2
    assert "stopped" in refused.json["error"]["message"]
    _assert_ends_like(uninterrupted, round_folder, resumed)


def test_a_training_left_to_itself_is_stopped_from_elsewhere_and_keeps_what_it_learned(a_study: Path) -> None:
    begun = done("train", a_study, "--method", "supervised", "--steps", 5000, *SMALL, "--detach")
    round_folder = Path(begun["job"])
    wait_until(lambda: (done("jobs", "show", a_study)["step"] or 0) > 0)
    twice = barl("jobs", "resume", a_study, "--json")

    asked = done("jobs", "stop", a_study)
    wait_until(lambda: done("jobs", "show", a_study)["state"] == "stopped")

    assert begun["state"] == "running"
    assert twice.code == 2
    assert "runs already" in twice.json["error"]["message"]
    assert asked["state"] == "stopping"
    image = a_study / "images" / "scan_03.nrrd"
    predicted = done("predict", round_folder, image, "--output", a_study.parent / "out", "--device", "cpu")
    assert [row["state"] for row in predicted["records"]] == ["done"]
