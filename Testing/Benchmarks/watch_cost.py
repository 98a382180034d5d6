"""What looking for changed annotations costs a training: a look at all cases, and asking once a step.

    python Testing/Benchmarks/watch_cost.py --cases 200

The cohort is made in a temporary folder; its images are tiny, for a look never opens one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from barl.cohort import Cohort, Coverage, LabelTable, Modality
from barl.imaging.annotations import save_annotation
from barl.imaging.cache import PreparedCache
from barl.imaging.preprocess import Recipe
from barl.imaging.volumes import write_volume
from barl.phantom.cohort import centered_geometry
from barl.training.cases import RoundData, read_case
from barl.training.live import LiveCases
from barl.training.reporter import SilentReporter
from barl.training.watch import SECONDS_BETWEEN_LOOKS, CohortWatch, WatchThread

SHAPE = (16, 16, 16)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--versions", type=int, default=3, help="annotation versions of every second case")
    parser.add_argument("--folder", type=Path, help="where the cohort is made, for example on a network share")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        cohort = _cohort(Path(folder), arguments.cases, arguments.versions)
        recipe = Recipe.for_modality(Modality.MR, None)
        data = _read(cohort, recipe)
        watch = CohortWatch(cohort, recipe, data.cases)
        first = _seconds(lambda: list(watch.look()), 1)
        looks = _seconds(lambda: list(watch.look()), 50)
        busy = _seconds(lambda: list(watch.look()), 50, clock=time.thread_time)
        live = LiveCases(cohort, recipe, data, SilentReporter(Path(folder)), lambda: None)
        live.ready = WatchThread(watch).ready
        asks = _seconds(lambda: live.take(0), 10_000)
        newest = cohort.cases[-1].id
        save_annotation(cohort, newest, np.ones(SHAPE, np.uint8), coverage=Coverage(), author="benchmark")
        news = list(watch.look())
        live.ready = lambda: news
        taken = _seconds(lambda: live.take(0), 1)
    print(f"{arguments.cases} cases, {arguments.versions} versions of every second one")
    print(f"- first look, in the thread: {1e3 * first[0]:.1f} ms")
    print(f"- a look, in the thread, every {SECONDS_BETWEEN_LOOKS:g} s: {1e3 * statistics.median(looks):.2f} ms")
    print(f"  of which the processor is busy: {1e3 * statistics.median(busy):.2f} ms")
    print(f"- asking for news, every step: {1e6 * statistics.median(asks):.2f} us")
    print(f"- taking a changed case of {SHAPE} voxels: {1e3 * taken[0]:.2f} ms")


def _cohort(folder: Path, cases: int, versions: int) -> Cohort:
    cohort = Cohort.create(folder / "cohort", name="K", modality=Modality.MR, labels=LabelTable.from_names(["organ"]))
    geometry = centered_geometry(SHAPE, 1.0)
    for number in range(cases):
        path = folder / "images" / f"case_{number:03d}.nrrd"
        path.parent.mkdir(exist_ok=True)
        write_volume(path, np.random.default_rng(number).normal(size=SHAPE).astype(np.float32), geometry)
        case = cohort.add_case(path)
        label = np.zeros(SHAPE, np.uint8)
        label[4:9, 4:9, 4:9] = 1
        for _ in range(versions if number % 2 == 0 else 0):
            save_annotation(cohort, case.id, label, coverage=Coverage(), author="benchmark")
    return cohort


def _read(cohort: Cohort, recipe: Recipe) -> RoundData:
    cache, data = PreparedCache(cohort, recipe), RoundData(store=torch.device("cpu"))
    for case in cohort.cases:
        data.put(read_case(cache, case, cohort.annotation(case.id)))
    return data


def _seconds(work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return times


if __name__ == "__main__":
    main()
