"""What is annotated while a training runs is used by it, within half a minute, by the installed command."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from journey import SMALL, done, events, wait_until

from barl.phantom import Phantom

_PROMISED_SECONDS = 30


def test_a_running_training_picks_up_an_annotation_and_lets_a_validation_case_go(
    an_annotated_study: Path, a_phantom: Phantom, tmp_path: Path
) -> None:
    study = shutil.copytree(an_annotated_study, tmp_path / "study")
    begun = done("train", study, "--method", "supervised", "--steps", 50_000, "--no-predict", *SMALL, "--detach")
    round_folder = Path(begun["job"])
    wait_until(lambda: (done("jobs", "show", study)["step"] or 0) > 0)

    added = done("cohort", "annotate", study, "scan_03", a_phantom.truth["scan_03"], "--author", "CD")
    start = time.monotonic()
    wait_until(lambda: events(round_folder, "annotation"))
    seconds = time.monotonic() - start
    done("cohort", "role", study, "scan_01", "validation")
    wait_until(lambda: len(events(round_folder, "annotation")) == 2)
    done("jobs", "stop", study)
    wait_until(lambda: done("jobs", "show", study)["state"] == "stopped")

    first, second = events(round_folder, "annotation")
    assert (first["case"], first["version"]) == ("scan_03", added["annotated"][0]["version"])
    assert "annotation 1 picked up (complete, for training)" in first["message"]
    assert seconds < _PROMISED_SECONDS
    assert (second["case"], second["role"]) == ("scan_01", "validation")
    assert 0 < first["step"] < second["step"]
    assert json.loads((round_folder / "status.json").read_text(encoding="utf-8"))["error"] is None


def test_a_simulation_compares_strategies_and_is_not_repeated(a_phantom: Phantom, tmp_path: Path) -> None:
    images = [a_phantom.cohort.image_path(case.id) for case in a_phantom.cohort.cases]
    truth = a_phantom.truth["scan_01"]
    done("cohort", "create", tmp_path / "study", "--labels-from", truth, "--images", images[0].parent)
    call = ("simulate", tmp_path / "study", "--truth", truth.parent, "--output", tmp_path / "out", "--rounds", 1)
    call += ("--steps", 2, "--strategies", "slices,cases", "--cases", 1, "--slices", 2, "--method", "supervised")

    first = done(*call, *SMALL)
    written = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "out" / "points").iterdir())
    second = done(*call, *SMALL)

    told = json.loads(Path(first["curves"]).read_text(encoding="utf-8"))["points"]
    assert [(point["strategy"], point["round"]) for point in told] == [
        ("cases", 0),
        ("cases", 1),
        ("slices", 0),
        ("slices", 1),
    ]
    assert told[3]["cost"]["slices_touched"] == told[2]["cost"]["slices_touched"] + 2
    assert first == second
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "out" / "points").iterdir()) == written
    assert Path(first["page"]).is_file()
