"""Memory that one step frees is kept for the next one.

Every step asks for the same tensors and frees them again. glibc hands large ones back to Linux each time, and Linux
clears them, page by page, before it gives them out anew: 5 to 12 % of a step on a CPU (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Names of glibc's mallopt(3), as malloc.h numbers them."""

_MIB = 2**20
_KEPT = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1}
_USUAL = {_MMAP_MAX: 65_536, _TRIM_THRESHOLD: 64 * _MIB, _MMAP_THRESHOLD: 32 * _MIB}
"""Where glibc's own rule, which ends when it is overridden, arrives after the first large tensor."""


@contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """Meanwhile this process gives no memory back; in the end it gives back what it can.

    Of a training on a GPU, and with another C library than glibc, nothing is changed.
    """
    allocator = _glibc() if device.type == "cpu" else None
    if allocator is None:
        yield
        return
    allocator.malloc_trim(0)  # What was freed before: the preparation of large volumes, for example.
    _set(allocator, _KEPT)
    try:
        yield
    finally:
        _set(allocator, _USUAL)
        allocator.malloc_trim(0)


def _set(allocator: ctypes.CDLL, options: dict[int, int]) -> None:
    for name, value in options.items():
        allocator.mallopt(name, value)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
