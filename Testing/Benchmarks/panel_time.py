"""How long the window waits for the clinician's panel, with real widgets in the stand-in for Slicer.

    PYTHONPATH=BARLSegment:Testing/Panels python Testing/Benchmarks/panel_time.py

A cohort of 300 cases is shown; a process of its own writes the job folder of a training as ``barl.training`` does, only
faster, and ends with a prediction of every case; every callback of BARL in the window's thread is timed meanwhile. Then
the monitor is asked 1,000 times about a job in which nothing happens, and what is there before and after is counted.

Python's collector of garbage may come at any time and looks at all objects of the program: what it took is told apart.
So is how long a full collection takes before BARL is there, with its panel, with the cohort, after the training, and
how many of them came during the training.
Painting is not timed, nor what Slicer does itself, nor what a person asks for during a training, such as a case.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import psutil

from barl.cohort import Cohort, LabelTable, Modality
from barl.jobs import EventWriter, JobSpec, State, Status, write_spec, write_status

ROOT = Path(__file__).parents[2]
TICKS = 1000
TERMS = ("supervised", "consistency", "contrast", "matching", "entropy")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--steps", type=int, default=2000, help="of the training that is played")
    parser.add_argument("--job", type=Path, help="used by this script itself: play a training in this folder")
    arguments = parser.parse_args()
    if arguments.job is not None:
        play(arguments.job, arguments.cases, arguments.steps)
        return
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    print(f"load of the computer: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), arguments.cases, arguments.steps)


def measure(folder: Path, cases: int, steps: int) -> None:
    """All measurements, one after the other in one panel."""
    from standin.install import installed

    cohort = large_cohort(folder, cases)
    with installed("5.10") as standin:
        clock = CallbackClock(standin.binding.connections)
        tell_collection("before BARL")
        standin.application.load(ROOT / "BARLSegment" / "BARLSegment.py")
        # The first import of numpy, SimpleITK and VTK is Slicer's own start.
        sys.modules["BARLSegment"].BARLSegmentLogic().cleanup()
        print(f"panel ready: {taken(lambda: standin.application.widget('BARLSegment'))}")
        segment = standin.application.widget("BARLSegment")
        tell_collection("with the panel")
        print(f"{cases} cases shown: {taken(lambda: segment.panel.cohort.open(str(cohort.folder)))}")
        tell_collection(f"with {cases} cases")
        watch_a_training(standin.application, segment.panel, cohort, cases, steps, clock)
        tell_collection("after the training")
        count_what_grows(standin, segment.panel)
        assert standin.binding.problems == []


@dataclass(frozen=True)
class Taken:
    """One measurement."""

    wall_s: float
    processor_s: float
    """Without the collector."""

    collector_s: float

    def __str__(self) -> str:
        text = f"{1e3 * self.processor_s:.1f} ms of the processor, {1e3 * self.wall_s:.1f} ms by the clock"
        return text + (f", {1e3 * self.collector_s:.1f} ms of the collector" if self.collector_s > 1e-3 else "")


class Collector:
    """What Python's collector of garbage has taken so far."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: Any) -> None:
        if phase == "start":
            self._begun = time.thread_time()
        else:
            self.seconds += time.thread_time() - self._begun


COLLECTOR = Collector()


def tell_collection(when: str) -> None:
    """What a full collection takes now, at best of three: the first one also clears up."""
    times = []
    for _ in range(3):
        before = COLLECTOR.seconds
        gc.collect()
        times.append(COLLECTOR.seconds - before)
    objects = gc.get_objects()
    print(f"a full collection {when}: {1e3 * min(times):.1f} ms for {len(objects)} objects", end="")
    print(f", {sum(map(is_ours, objects))} of them functions, classes and instances of BARL")


def is_ours(thing: object) -> bool:
    """Whether BARL has made it."""
    made_in = thing.__module__ if isinstance(thing, (type, FunctionType)) else type(thing).__module__
    return str(made_in).partition(".")[0] in ("barl", "BARLSegment", "BARLSegmentLib")


def taken(action: Callable[[], Any]) -> Taken:
    """How long something takes, in this thread."""
    wall, processor, collector = time.perf_counter(), time.thread_time(), COLLECTOR.seconds
    action()
    collected = COLLECTOR.seconds - collector
    return Taken(time.perf_counter() - wall, time.thread_time() - processor - collected, collected)


class CallbackClock:
    """Times every callback that the stand-in's connections make, the outermost one only."""

    def __init__(self, connections: Any) -> None:
        self.calls: list[tuple[Taken, str]] = []
        self._depth = 0
        guarded = connections.guarded

        def timed(receiver: Callable[..., Any]) -> Callable[..., Any]:
            called = guarded(receiver)
            return lambda *args: self._time(lambda: called(*args), getattr(receiver, "__qualname__", repr(receiver)))

        connections.guarded = timed

    def _time(self, call: Callable[[], Any], name: str) -> None:
        if self._depth:
            call()
            return
        self._depth += 1
        try:
            self.calls.append((taken(call), name))
        finally:
            self._depth -= 1


def watch_a_training(application: Any, panel: Any, cohort: Any, cases: int, steps: int, clock: CallbackClock) -> None:
    """Follow a training from its first event to its last prediction, and tell the longest callbacks."""
    folder = cohort.new_round()
    write_spec(folder, JobSpec(kind="train", payload={"cohort": str(cohort.folder)}))
    write_status(folder, Status(state=State.RUNNING, stage="checking", percent=0.0).by_this_process())
    command = [sys.executable, __file__, "--job", str(folder), "--cases", str(cases), "--steps", str(steps)]
    job = subprocess.Popen(command)
    panel.show(panel.ui.trainStep)
    panel.train.follow(folder)
    clock.calls.clear()
    full = gc.get_stats()[2]["collections"]
    while job.poll() is None or panel.train.state.isActive or panel.refreshing.isBusy:
        application.process(0.1)
    print(f"full collections during the training: {gc.get_stats()[2]['collections'] - full}")
    assert panel.train.state.status.state is State.FINISHED, panel.train.ui.statusLabel.text
    assert panel.review.ui.predictionTable.rowCount == cases
    print(f"a training of {steps} steps and {cases} predictions: {len(clock.calls)} callbacks, the longest:")
    by_wall = max(clock.calls, key=lambda call: call[0].wall_s)
    for what, name in sorted(clock.calls, key=lambda call: -call[0].processor_s)[:5]:
        print(f"    {what}  {name}")
    print(f"    longest by the clock: {by_wall[0]}  {by_wall[1]}")
    collected = max(clock.calls, key=lambda call: call[0].collector_s)
    print(f"    with the longest collection: {collected[0]}  {collected[1]}")


def count_what_grows(standin: Any, panel: Any) -> None:
    """Ask the monitor often about a job in which nothing happens any more than a sign of life."""
    import slicer

    folder = panel.logic.cohort.cohort.new_round()
    write_spec(folder, JobSpec(kind="train", payload={}))
    events, status = EventWriter(folder), Status(state=State.RUNNING, stage="training", percent=10.0, step=1)
    write_status(folder, status.by_this_process())
    events.write("metric", step=0, loss=1.0)
    panel.train.follow(folder)

    def counts() -> dict[str, int]:
        gc.collect()
        return {
            "Python objects": len(gc.get_objects()),
            "connections": len(standin.binding.connections),
            "nodes": slicer.mrmlScene.GetNumberOfNodes(),
            "observers of the panels' logics": len(panel.logic.monitor.observers._functions),
            "KiB of memory": psutil.Process().memory_info().rss // 1024,
        }

    for _ in range(50):
        panel.train.tick()
    before = counts()
    for tick in range(TICKS):
        if tick % 10 == 0:
            write_status(folder, status.by_this_process())
        panel.train.tick()
    after = counts()
    write_status(folder, Status(state=State.STOPPED))
    panel.train.tick()
    print(f"after {TICKS} ticks of the monitor:")
    for name, number in before.items():
        print(f"    {name}: {number} before, {after[name] - number:+d}")


def large_cohort(folder: Path, cases: int) -> Cohort:
    """A cohort whose images are empty files: the table never opens one."""
    cohort = Cohort.create(folder / "c", name="Large", modality=Modality.CBCT, labels=LabelTable.from_names(["jaw"]))
    record = json.loads((cohort.folder / "cohort.json").read_text(encoding="utf-8"))
    for number in range(cases):
        image = folder / f"case_{number:03d}.nrrd"
        image.touch()
        record["cases"].append({"id": image.stem, "image": str(image), "role": "training"})
    (cohort.folder / "cohort.json").write_text(json.dumps(record), encoding="utf-8")
    cohort.reload()
    return cohort


def play(folder: Path, cases: int, steps: int) -> None:
    """Write what a training writes: its own reporter does it, a hundred steps a second."""
    from barl.training.reporter import Reporter

    reporter = Reporter(folder)
    reporter.start()
    for step in range(steps):
        loss = 1.0 / (1 + step)
        if step % 10 == 0:
            reporter.metric(step=step, seconds=0.01 * step, loss=loss, **dict.fromkeys(TERMS, loss / 5))
        if step % 500 == 499:
            reporter.metric(step=step, dice=0.5, dice_by_class={"jaw": 0.5})
            reporter.checkpoint(step)
        reporter.progress(step, steps, 0.01 * (steps - step))
        time.sleep(0.01)
    for number in range(cases):
        _predict(folder / "predictions", f"case_{number:03d}")
        reporter.prediction(case=f"case_{number:03d}", state="done", mean_uncertainty=0.3)
        reporter.stage("predicting", number / cases)
        time.sleep(0.03)
    ranking = [{"case": f"case_{n:03d}", "rank": n + 1, "reason": "jaw: an unsure border"} for n in range(cases)]
    (folder / "ranking.json").write_text(json.dumps({"format_version": 1, "cases": ranking}), encoding="utf-8")
    reporter.finished()


def _predict(folder: Path, case: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{case}.seg.nrrd").touch()
    record = {"format_version": 1, "case": case, "mean_uncertainty": 0.3}
    (folder / f"{case}.json").write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main()
