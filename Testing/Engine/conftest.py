"""Tiny networks, balls in noise, and a job to report to; one thread, so that numbers repeat and nothing is starved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_doubles import Balls, on_cpu

from barl.inference.devices import Precision
from barl.jobs import JobFolder, JobSpec, write_spec
from barl.methods.protocol import Batch


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cpu() -> torch.device:
    """The device of all these tests."""
    return torch.device("cpu")


@pytest.fixture
def fp32() -> Precision:
    """Float32, without a probe."""
    return on_cpu(bf16=False)


@pytest.fixture
def a_batch() -> Batch:
    """Two labeled and two unlabeled patches with balls in noise; weak and strong views differ."""
    return Balls(seed=1).next_batch()


@pytest.fixture
def a_job(tmp_path: Path) -> JobFolder:
    """A job that nobody has started."""
    job = JobFolder(tmp_path / "Läufe 1" / "0001")
    write_spec(job, JobSpec(kind="train", payload={}))
    return job
