"""What a training frees stays with it, and is given back in the end."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import torch

from barl.training.freed_memory import _glibc, freed_memory_kept

CPU = torch.device("cpu")
MIB = 2**20

needs_glibc = pytest.mark.skipif(sys.platform != "linux" or _glibc() is None, reason="only glibc is told")


def page_faults_of_a_large_tensor() -> int:
    """How many pages Linux clears for one of 48 MiB, after one of its size was freed."""
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(48 * MIB // 4)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return faults


def resident_mib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // MIB


@needs_glibc
def test_freed_memory_is_used_again_without_asking_linux() -> None:
    with freed_memory_kept(CPU):
        assert page_faults_of_a_large_tensor() < 10
    assert page_faults_of_a_large_tensor() > 10


@needs_glibc
def test_in_the_end_it_is_given_back() -> None:
    with freed_memory_kept(CPU):
        page_faults_of_a_large_tensor()
        inside = resident_mib()
    assert resident_mib() < inside - 40


def test_nothing_is_changed_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barl.training.freed_memory._glibc", lambda: pytest.fail("the C library was asked"))
    with freed_memory_kept(torch.device("cuda")):
        pass


def test_without_glibc_the_training_goes_on_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barl.training.freed_memory._glibc", lambda: None)
    with freed_memory_kept(CPU):
        torch.ones(3)
