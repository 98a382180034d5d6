"""A small cohort and a small job in folders whose names have spaces and letters outside ASCII."""

from __future__ import annotations

from pathlib import Path

import pytest

from barl.cohort import Cohort, LabelTable, Modality
from barl.jobs import JobFolder, JobSpec, write_spec


@pytest.fixture
def an_image(tmp_path: Path) -> Path:
    """A file that passes for an image where nobody looks inside."""
    path = tmp_path / "P07.nii.gz"
    path.write_bytes(b"voxels")
    return path


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """An empty cohort."""
    labels = LabelTable.from_names(["jaw", "teeth"])
    return Cohort.create(tmp_path / "Kohorte Zähne 歯", name="Zähne", modality=Modality.CBCT, labels=labels)


@pytest.fixture
def a_job(tmp_path: Path) -> JobFolder:
    """A job that nobody has started."""
    job = JobFolder(tmp_path / "Läufe 1" / "0001")
    write_spec(job, JobSpec(kind="train", payload={"minutes": 3}))
    return job
