"""Trainings on two processes, as ``torchrun`` starts them; one of them is killed in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest
from journey import events, wait_until

from barl.jobs import JobFolder, Status, launch, process_started, read_status
from barl.training.job import create

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def a_study(an_annotated_study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(an_annotated_study, tmp_path / "study")


def _round(study: Path, *, patches: int, steps: int) -> Path:
    settings = {
        "network.base_filters": 4,
        "training.labeled_patches": patches,
        "training.unlabeled_patches": patches,
        "training.checkpoint_seconds": 1,
    }
    wish = {"method": "mean_teacher", "steps": steps, "seed": 5, "device": "cpu", "precision": "fp32"}
    return create(study, {**wish, "settings": settings})


def _launched(folder: Path) -> int:
    """The number of the launched process, which is torchrun's where there are several."""
    return int(json.loads(JobFolder(folder).process.read_text(encoding="utf-8"))["pid"])


def _ended(folder: Path) -> Status:
    """How it stands once all of its processes are gone."""
    wait_until(lambda: process_started(_launched(folder)) is None)
    return read_status(folder)


def _mean_loss(folder: Path) -> float:
    """Over all steps: how many of them an event covers depends on how busy the computer is."""
    found = events(folder, "metric")
    covered = [event["step"] - before for event, before in zip(found, [0, *(e["step"] for e in found)], strict=False)]
    return sum(event["loss"] * steps for event, steps in zip(found, covered, strict=True)) / sum(covered)


def _kill_the_follower(folder: Path) -> None:
    leader = read_status(folder).pid
    (follower,) = [child for child in psutil.Process(_launched(folder)).children() if child.pid != leader]
    os.kill(follower.pid, signal.SIGKILL)


def test_two_processes_learn_what_one_learns_from_the_double_batch(a_study: Path) -> None:
    alone, shared = _round(a_study, patches=2, steps=3), _round(a_study, patches=1, steps=3)
    launch(alone)
    launch(shared, prefix=TORCHRUN)

    ended = [_ended(alone), _ended(shared)]

    assert [status.state.value for status in ended] == ["finished", "finished"], [status.error for status in ended]
    assert _mean_loss(shared) == pytest.approx(_mean_loss(alone), rel=1e-4)
    assert [event["case"] for event in events(shared, "prediction")] == ["scan_03", "scan_04"]


def test_one_of_two_processes_is_killed_and_the_job_goes_on_from_its_checkpoint(a_study: Path) -> None:
    folder = _round(a_study, patches=1, steps=30)
    launch(folder, prefix=TORCHRUN)
    wait_until((JobFolder(folder).checkpoints / "last.pt").is_file)

    _kill_the_follower(folder)
    killed = _ended(folder)
    launch(folder, prefix=TORCHRUN)
    resumed = _ended(folder)

    assert killed.state.value in ("failed", "interrupted"), killed
    assert "Traceback" not in f"{killed.error}{killed.message}"
    assert (resumed.state.value, resumed.step) == ("finished", 30), resumed.error
    (again,) = events(folder, "resumed")
    assert 0 < again["step"] < 30
    assert len(events(folder, "started")) == len(events(folder, "finished")) == 1  # Only the leader writes.
    assert [event["step"] for event in events(folder, "metric")][-1] == 30
    assert "2 labeled and 2 unlabeled a step" in str(events(folder, "log"))
