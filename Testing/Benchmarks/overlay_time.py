"""How long a clinician waits for predictions, overlays, jumps and the monitor, with a large case.

    python Testing/Benchmarks/overlay_time.py

A case of 512 x 512 x 400 voxels with 5 classes comes into the scene as the panel brings it: image, prediction, map and
regions, on real MRML nodes (slicer-core). Slicer's displayable managers draw three slice views of 512 x 512 pixels
offscreen; each time includes drawing all three. *Nothing but drawing* draws them once more though nothing has changed.
The monitor has 100,000 events in the file before it begins. Medians; beside the time on the clock stands that of the
processor (all threads together), which says more where other programs keep the processor busy.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "BARLSegment"), str(ROOT / "Testing" / "Scene")]

from scene_data import newStage, region  # noqa: E402
from scene_time import cohort_with_image, geometry_of  # noqa: E402

from barl.atomic import write_json  # noqa: E402
from barl.cohort import Cohort  # noqa: E402
from barl.imaging import write_segmentation, write_volume  # noqa: E402
from barl.jobs import EventWriter, JobFolder, JobSpec, State, Status, write_spec, write_status  # noqa: E402
from BARLSegmentLib.logic.CohortLogic import CohortLogic  # noqa: E402
from BARLSegmentLib.logic.MonitorLogic import MonitorLogic  # noqa: E402
from BARLSegmentLib.logic.OverlayLogic import OverlayLogic  # noqa: E402
from BARLSegmentLib.logic.ResultLogic import ResultLogic  # noqa: E402
from BARLSegmentLib.logic.ReviewLogic import ReviewLogic  # noqa: E402

SHAPE = (400, 512, 512)
RADIUS = 70
CENTERS = [(200, 256 + round(130 * np.cos(turn)), 256 + round(130 * np.sin(turn))) for turn in np.arange(5) * 1.257]
EVENTS = 100_000
REPEATS = 15


@dataclass
class Row:
    """One line of the table."""

    name: str
    clock_ms: float
    processor_ms: float
    limit_ms: float


def main() -> None:
    """Make the case, measure, print a table."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        rows += _views(_write(Path(folder)))
        rows += _monitor(Path(folder) / "job")
    print(f"{'':44} {'clock':>10} {'processor':>10} {'limit':>10}")
    for row in rows:
        print(f"{row.name:44} {row.clock_ms:7.2f} ms {row.processor_ms:7.2f} ms {row.limit_ms:7.0f} ms")


def _timed(name: str, limit_ms: float, work: Callable[[int], Any], repeats: int = REPEATS) -> Row:
    clock, processor = [], []
    for index in range(repeats):
        began, used = time.perf_counter(), time.process_time()
        work(index)
        clock.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    return Row(name, 1e3 * statistics.median(clock), 1e3 * statistics.median(processor), limit_ms)


def _write(folder: Path) -> Cohort:
    """A cohort with a prediction of five balls, unsure at their surfaces."""
    labels, unsure = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
    axis = np.arange(-RADIUS - 20, RADIUS + 20, dtype=np.float32)
    distance = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    surface = np.rint(250 * np.exp(-(((distance - RADIUS) / 6) ** 2)) * (np.abs(distance - RADIUS) < 20)) / 250
    for value, center in enumerate(CENTERS, start=1):
        place = tuple(slice(middle - RADIUS - 20, middle + RADIUS + 20) for middle in center)
        labels[place][distance < RADIUS] = value
        np.maximum(unsure[place], surface, out=unsure[place])
    cohort, grid = cohort_with_image(folder, labels), geometry_of(labels)
    predictions = cohort.new_round() / "predictions"
    regions = [region(rank, grid.index_to_ras(center), 5.0) for rank, center in enumerate(CENTERS, start=1)]
    write_segmentation(predictions / "large.seg.nrrd", labels, grid, cohort.labels)
    write_volume(predictions / "large.uncertainty.nrrd", unsure, grid)
    write_json(predictions / "large.json", {"format_version": 1, "case": "large", "regions": regions})
    return cohort


def _views(cohort: Cohort) -> list[Row]:
    stage = newStage()
    views = stage.withViews((512, 512))
    views.render()
    cases, results = CohortLogic(stage.scene), ResultLogic(stage.scene)
    overlay, review = OverlayLogic(stage.scene), ReviewLogic(stage.scene)
    cases.open(cohort.folder)

    def load(_: int) -> None:
        case = cases.loadCase("large")
        folder = results.newest(cohort, "large")
        shown = results.load(folder, "large", imageNode=case.volumeNode, segmentationNode=case.segmentationNode)
        overlay.show(shown.mapNode)
        review.start(shown)
        review.next()
        views.render()

    def then(work: Callable[[int], Any]) -> Callable[[int], None]:
        def workAndDraw(index: int) -> None:
            work(index)
            views.render()

        return workAndDraw

    jumpOnce = then(lambda _: review.next())
    rows = [
        _timed("image, prediction and overlay into the scene", 3000, load, repeats=1),
        _timed("toggle the overlay", 50, then(lambda _: overlay.toggle())),
        _timed("change the threshold", 50, then(lambda index: overlay.setThreshold(0.1 + 0.05 * (index % 10)))),
        _timed("jump to a region", 50, jumpOnce),
        _timed("of which all but cutting and drawing", 50, lambda _: review.next()),
        _timed("of which nothing but drawing", 50, lambda _: views.render()),
    ]
    rows += _jumpInParts(jumpOnce, overlay, cases.segmentationNodeOf("large").GetDisplayNode())
    for logic in (overlay, review, cases):
        logic.cleanup()
    stage.close()
    return rows


def _jumpInParts(jump: Callable[[int], None], overlay: OverlayLogic, segments: Any) -> list[Row]:
    """A jump with less and less to be shown, in turns, so that a busy computer is as busy for each."""
    names = ("jump, all shown", "jump without the map", "jump without map and segments")
    measured: dict[str, list[Row]] = {name: [] for name in names}
    for _ in range(REPEATS):
        for name in names:
            overlay.show(overlay.mapNode) if name == names[0] else overlay.hide()
            segments.SetVisibility2DFill(False)
            segments.SetVisibility(name != names[2])
            jump(0)
            measured[name].append(_timed(name, 50, jump, repeats=1))
    return [_median(rows) for rows in measured.values()]


def _median(rows: list[Row]) -> Row:
    clock = statistics.median(row.clock_ms for row in rows)
    processor = statistics.median(row.processor_ms for row in rows)
    return Row(rows[0].name, clock, processor, rows[0].limit_ms)


def _monitor(folder: Path) -> list[Row]:
    write_spec(folder, JobSpec(kind="train"))
    write_status(folder, Status(state=State.RUNNING).by_this_process())
    lines = (
        json.dumps({"time": 1.7e9 + n, "kind": "metric", "step": n, "loss": 1 / (n + 1), "supervised": 0.5 / (n + 1)})
        for n in range(EVENTS)
    )
    JobFolder(folder).events.write_text("\n".join(lines) + "\n", "utf-8")
    stage, writer = newStage(), EventWriter(folder)
    monitor = MonitorLogic(stage.scene)
    monitor.showCurves()
    monitor.attach(folder)
    ticks = JobFolder(folder).events.stat().st_size // (64 * 1024)
    catching_up = _timed("tick while catching up with 100,000 events", 10, lambda _: monitor.tick(), repeats=ticks)
    while monitor.tick():
        pass

    new = []
    for index in range(100):
        writer.write("metric", step=EVENTS + index, loss=0.1, supervised=0.05)
        new.append(_timed("tick with a new event after 100,000", 10, lambda _: monitor.tick(), repeats=1))
    drawing = _timed("of which drawing the curves anew", 10, lambda _: _drawAgain(monitor))
    monitor.cleanup()
    stage.close()
    return [catching_up, _median(new), drawing]


def _drawAgain(monitor: MonitorLogic) -> None:
    """The part of a tick that comes once a second; of so long a training only every hundredth row is kept."""
    for _ in range(200):
        monitor.losses.add(2 * EVENTS, {"loss": 0.1, "supervised": 0.05})
    assert monitor.losses.update()


if __name__ == "__main__":
    main()
