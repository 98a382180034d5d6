"""The most memory that this process ever had."""

from __future__ import annotations

import resource
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")


def peak_mib(device: torch.device) -> float:
    """Of a GPU what torch allocated, of a CPU the resident memory, in MiB.

    Linux hands ``ru_maxrss`` of a parent down to the programs it starts, so the kernel's own record is read there.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if _STATUS.is_file():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
