"""``segmentVolumes`` as somebody types it into Slicer's console: the engine works in a process of its own."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from barl.cohort import Cohort
from barl.imaging import read_labels

pytest.importorskip("slicer")  # Only where there is the wheel slicer-core.


def test_the_volumes_of_a_cohort_are_segmented_by_its_newest_model(a_trained_study: Path, tmp_path: Path) -> None:
    from BARLSegmentLib.logic.BatchLogic import segmentVolumes

    cohort, output = Cohort.open(a_trained_study), tmp_path / "Ergebnisse ä"
    images = [cohort.image_path(case.id) for case in cohort.cases[2:]]

    rows = segmentVolumes(images, a_trained_study, output, device="cpu")
    again = segmentVolumes(images, a_trained_study, output, device="cpu")

    assert [row.state for row in rows] == ["done", "done"]
    assert [(row.state, row.volumesMl) for row in again] == [("skipped", row.volumesMl) for row in rows]
    for row in rows:
        labels = read_labels(output / f"{row.case}.seg.nrrd", cohort.labels)
        jaw = (labels.array == 1).sum() * labels.geometry.voxel_volume_ml
        assert row.volumesMl["jaw"] == pytest.approx(jaw, abs=1e-3)
    with (output / "volumes.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [line["case"] for line in csv.DictReader(file)] == [row.case for row in rows]
