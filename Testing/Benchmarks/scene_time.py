"""Cases in the scene: how long a large one takes to come, and a version to be saved; real MRML, no application.

    PYTHONPATH=BARLSegment python Testing/Benchmarks/scene_time.py --repeats 3

The case has 512 x 512 x 400 voxels and 5 structures; its file is compressed NRRD. Seconds of the wall clock tell what a
user waits, seconds of the processor what the work costs where other programs run beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from barl.cohort import Cohort, Coverage, LabelTable, Modality
from barl.imaging import Geometry, save_annotation, write_volume
from BARLSegmentLib.logic.CohortLogic import CohortLogic
from BARLSegmentLib.logic.CorrectionLogic import CorrectionLogic
from BARLSegmentLib.logic.VolumeWriting import VolumeWriting

SIZE = (512, 512, 400)
NAMES = ("jaw", "upper teeth", "lower teeth", "left canal", "right canal")
BALLS = ((200, 256, 256, 120), (150, 150, 150, 50), (150, 350, 150, 50), (250, 150, 350, 40), (250, 350, 350, 40))
"""Slice, row, column and radius of each structure, in voxels."""


def main() -> None:
    """Make the case, then load, save and draft it again and again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=3, default=SIZE, metavar=("X", "Y", "Z"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cohort = make_cohort(Path(folder), tuple(arguments.size))
        for _ in range(arguments.repeats):
            measure(cohort)


def make_cohort(folder: Path, size: tuple[int, ...]) -> Cohort:
    """A cohort of one large annotated case."""
    width, height, depth = size
    labels = balls((depth, height, width))
    cohort = cohort_with_image(folder, labels)
    save_annotation(cohort, "large", labels, coverage=Coverage(), author="benchmark")
    return cohort


def cohort_with_image(folder: Path, labels: np.ndarray) -> Cohort:
    """A cohort whose only case ``large`` has a noisy image of the labels (D, H, W)."""
    noise = np.random.default_rng(0).normal(0, 40, labels.shape[1:])
    image = np.stack([np.where(plane > 0, 700, 0) + np.roll(noise, index, 0) for index, plane in enumerate(labels)])
    write_volume(folder / "large.nrrd", image.astype(np.int16), geometry_of(labels))
    cohort = Cohort.create(folder / "cohort", name="large", modality=Modality.CBCT, labels=LabelTable.from_names(NAMES))
    cohort.add_case(folder / "large.nrrd")
    return cohort


def geometry_of(array: np.ndarray) -> Geometry:
    """Voxels of 0.3 mm in a straight grid that begins at the middle of the world."""
    axes = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    depth, height, width = array.shape
    return Geometry(size=(width, height, depth), spacing_mm=(0.3,) * 3, origin_mm=(0.0, 0.0, 0.0), direction=axes)


def balls(shape: tuple[int, int, int]) -> np.ndarray:
    """Five balls, scaled with the shape."""
    labels = np.zeros(shape, np.uint8)
    row, column = np.ogrid[: shape[1], : shape[2]]
    scale = np.array(shape) / (400, 512, 512)
    for index in range(shape[0]):
        for value, (*center, radius) in enumerate(BALLS, start=1):
            z, y, x = center * scale
            labels[index][(index - z) ** 2 + (row - y) ** 2 + (column - x) ** 2 < (radius * scale.min()) ** 2] = value
    return labels


def measure(cohort: Cohort) -> None:
    """One case into a new scene, one version, one draft."""
    scene, segmentations = slicer.vtkMRMLScene(), slicer.vtkSlicerSegmentationsModuleLogic()
    segmentations.SetMRMLScene(scene)
    cases, corrections = CohortLogic(scene), CorrectionLogic(scene, author="benchmark", autosaveSeconds=0.0)
    cases.open(cohort.folder)
    loaded = timed("a case into the scene", lambda: cases.loadCase("large"))
    node = loaded.segmentationNode
    corrections.watch(cohort, node)
    timed("saving a version", lambda: corrections.saveVersion(cohort, node, coverage=Coverage()))
    node.GetSegmentation().GetNthSegment(0).SetName("Jaw")
    steps = window_waits(corrections.tick)
    print(
        f"writing a draft beside: {len(steps)} steps, the longest {1e3 * max(steps):.0f} ms, {sum(steps):.2f} s in all"
    )
    node.GetSegmentation().GetNthSegment(0).SetName("jaw")
    timed("writing a draft at once", lambda: corrections.secure(node))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.nrrd"
        writing = VolumeWriting(loaded.volumeNode, lambda volume: write_volume(path, volume.array, volume.geometry))
        steps = window_waits(lambda: not writing.step())
    print(f"a volume out of the scene: {len(steps)} steps, the longest {1e3 * max(steps):.0f} ms")
    timed("the case table", cases.table)
    for logic in (corrections, cases):
        logic.cleanup()
    segmentations.SetMRMLScene(None)


def window_waits(step: Callable[[], bool]) -> list[float]:
    """Seconds of each step, as a panel's timer makes them for as long as there are more."""
    waits, goes_on = [], True
    while goes_on:
        begun = time.perf_counter()
        goes_on = step()
        waits.append(time.perf_counter() - begun)
        time.sleep(0.02)
    return waits


def timed(name: str, work: Callable[[], Any]) -> Any:
    """Do it, and print how long it took."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{name:24}  {wall:6.2f} s   processor {processor:6.2f} s")
    return result


if __name__ == "__main__":
    main()
