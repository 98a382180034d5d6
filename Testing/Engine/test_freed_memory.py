"""What a training frees stays with it, and is given back in the end."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from barl.training.freed_memory import _glibc, freed_memory_kept

CPU = torch.device("cpu")
PRELUDE = """
import resource
from pathlib import Path
import torch
from barl.training.freed_memory import freed_memory_kept

CPU = torch.device("cpu")
MIB = 2**20


def faults_of_a_large_tensor():
    # How many pages Linux clears for one of 48 MiB, after a somewhat larger one was freed.
    torch.ones(56 * MIB // 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(48 * MIB // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // MIB


"""

needs_glibc = pytest.mark.skipif(sys.platform != "linux" or _glibc() is None, reason="only glibc is told")


def in_a_process_of_its_own(script: str) -> list[int]:
    """The numbers that a script prints: what other tests left in this process's memory must not count."""
    done = subprocess.run([sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@needs_glibc
def test_freed_memory_is_used_again_without_asking_linux() -> None:
    inside, after = in_a_process_of_its_own(
        "with freed_memory_kept(CPU):\n    print(faults_of_a_large_tensor())\nprint(faults_of_a_large_tensor())"
    )
    assert inside < 10 < after


@needs_glibc
def test_in_the_end_it_is_given_back() -> None:
    inside, after = in_a_process_of_its_own(
        "with freed_memory_kept(CPU):\n    faults_of_a_large_tensor()\n    print(resident_mib())\nprint(resident_mib())"
    )
    assert after < inside - 40


def test_nothing_is_changed_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barl.training.freed_memory._glibc", lambda: pytest.fail("the C library was asked"))
    with freed_memory_kept(torch.device("cuda")):
        pass


def test_without_glibc_the_training_goes_on_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barl.training.freed_memory._glibc", lambda: None)
    with freed_memory_kept(CPU):
        torch.ones(3)
