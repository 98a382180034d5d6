"""How long a person waits: times of this process, not of the wall, for other programs run beside the tests.

Limits are wide, for computers differ: these tests notice work that grows with the cohort. The goals are compared in
``Testing/Benchmarks/panel_time.py``.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from standin.install import StandIn

ROOT = Path(__file__).parents[2]
CASES = 300
ROUNDS = 40


def seconds(action: Callable[[], Any]) -> float:
    begun = time.process_time()
    action()
    return time.process_time() - begun


def large_cohort(folder: Path, image: Path) -> Path:
    """A cohort whose cases all have the same image."""
    from barl.cohort import Cohort, LabelTable, Modality

    Cohort.create(folder, name="Large", modality=Modality.CBCT, labels=LabelTable.from_names(["jaw"]))
    record = json.loads((folder / "cohort.json").read_text(encoding="utf-8"))
    record["cases"] = [{"id": f"case_{n:03d}", "image": str(image), "role": "training"} for n in range(CASES)]
    (folder / "cohort.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_the_panel_is_ready_within_a_second(standin: StandIn) -> None:
    standin.application.load(ROOT / "BARLSegment" / "BARLSegment.py")
    # The first import of numpy, SimpleITK and VTK is Slicer's own start.
    sys.modules["BARLSegment"].BARLSegmentLogic().cleanup()

    assert seconds(lambda: standin.application.widget("BARLSegment")) < 1.0


def test_a_cohort_of_300_cases_shows_within_two_seconds(segment: Any, images: Path, tmp_path: Path) -> None:
    folder = large_cohort(tmp_path / "large", images / "scan_01.nrrd")

    assert seconds(lambda: segment.panel.cohort.open(str(folder))) < 2.0
    assert segment.panel.cohort.ui.caseTable.rowCount == CASES


def test_predictions_of_300_cases_come_into_the_tables_in_short_steps(
    segment: Any, images: Path, tmp_path: Path
) -> None:
    segment.panel.cohort.open(str(large_cohort(tmp_path / "large", images / "scan_01.nrrd")))
    predictions = segment.logic.cohort.cohort.new_round() / "predictions"
    predictions.mkdir()
    for number in range(CASES):
        (predictions / f"case_{number:03d}.seg.nrrd").touch()
        (predictions / f"case_{number:03d}.json").write_text('{"format_version": 1, "mean_uncertainty": 0.3}')
    refreshing, longest = segment.panel.refreshing, 0.0
    refreshing.request()

    gc.disable()  # It may come at any time, and takes as long as the program has objects.
    while refreshing.isBusy:
        longest = max(longest, seconds(refreshing.step))
    gc.enable()

    assert segment.panel.review.ui.predictionTable.rowCount == CASES
    assert longest < 0.25


def test_many_long_rounds_keep_the_engineers_window_alive(standin: StandIn, a_cohort_folder: Path) -> None:
    from trainer_study import aRound

    from barl.cohort import Cohort

    cohort = Cohort.open(a_cohort_folder)
    folders = [aRound(cohort, "barl", dice=0.8, cases=3) for _ in range(ROUNDS)]
    lines = [json.dumps({"time": 0, "kind": "metric", "step": 30 + n, "loss": 1.0 / (n + 1)}) for n in range(3000)]
    for folder in folders[-3:]:
        with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    standin.application.load(ROOT / "BARLTrainer" / "BARLTrainer.py")
    panel = standin.application.widget("BARLTrainer").panel
    panel.open(str(a_cohort_folder))
    longest = 0.0
    for _ in range(ROUNDS + 12):
        longest = max(longest, seconds(panel.rounds.look))

    assert len(panel.rounds.rounds.histories[folders[-1]].losses) > 1000
    assert longest < 0.25
    assert seconds(panel.rounds.refresh) < 1.0
