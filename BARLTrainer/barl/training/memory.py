"""How much memory a training takes, how much it may take, and the patch that makes both fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import psutil
import torch

from barl.errors import BarlError, OutOfMemoryError, SettingsError
from barl.inference.devices import Precision
from barl.inference.sliding_window import Size
from barl.networks import STRIDE, Halvings

SMALLEST_AXIS = 32
SMALLEST_PATCH = (SMALLEST_AXIS,) * 3
"""No patch needs to stay larger than this one; those of thin volumes become smaller."""

_BYTES_PER_VOXEL = {True: 950, False: 1700}
"""Memory of one network's training pass a voxel of the batch, bf16 or not: an estimate on the safe side."""

_LAYERS = (2, 4, 6, 6, 3)
"""Convolutions of a V-Net after 0 to 4 halvings, on both ways; each halving comes with twice the channels."""

_FIXED_BYTES = 1.2 * 2**30
"""Memory of the program itself with torch loaded, weights, gradients and momentum of two networks."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step's memory depends on besides the size of a patch."""

    patches: int
    """Labeled and unlabeled ones."""

    networks: int
    """Networks that a step trains or asks."""

    precision: Precision
    halvings: Halvings = field(default_factory=Halvings)

    def training_bytes(self, patch: Size) -> float:
        """About how much memory a training with patches of this size takes at most, without the volumes."""
        voxels = math.prod(patch) * self.patches * self.networks * _kept(self.halvings) / _kept(Halvings())
        return _FIXED_BYTES + voxels * _BYTES_PER_VOXEL[self.precision.bf16]


def _kept(halvings: Halvings) -> float:
    """What the layers of a V-Net keep for the backward pass, in voxels of one channel at full resolution a filter."""
    return sum(layers * 2.0**level / math.prod(halvings.shrink(level)) for level, layers in enumerate(_LAYERS))


def patch_within(patch: Size, step: Step, memory_gib: float | None, device: torch.device) -> Size:
    """The patch, or the largest of the smaller ones whose training fits into memory.

    Args:
        patch: the largest one wanted.
        step: what its memory depends on besides.
        memory_gib: what the user allows; None for what is free.
        device: where the training runs.

    Raises:
        SettingsError: the memory that the user allows does not hold the smallest patch.
        OutOfMemoryError: the free memory does not.
    """
    limit = memory_limit_bytes(memory_gib, device)
    fitting: Size | None = patch
    while fitting is not None and step.training_bytes(fitting) > limit:
        patch, fitting = fitting, smaller_patch(fitting)
    if fitting is None:
        raise _too_little(step.training_bytes(patch), limit, step.networks, allowed=memory_gib is not None)
    return fitting


def smaller_patch(patch: Size) -> Size | None:
    """One step down along the longest axis, by what every network can halve; None where none is left."""
    longest = max(range(3), key=lambda axis: patch[axis])
    if patch[longest] <= SMALLEST_AXIS:
        return None
    depth, height, width = (extent - STRIDE * (axis == longest) for axis, extent in enumerate(patch))
    return depth, height, width


def memory_limit_bytes(memory_gib: float | None, device: torch.device) -> float:
    """What a training may use: as asked, or what is free less a tenth."""
    if memory_gib is not None:
        return memory_gib * 2**30
    if device.type == "cuda":
        return 0.9 * torch.cuda.mem_get_info(device)[0]
    return 0.9 * float(psutil.virtual_memory().available)


def _too_little(need: float, limit: float, networks: int, *, allowed: bool) -> BarlError:
    least = f"{math.ceil(need / 2**30 * 10) / 10:.1f} GiB"  # Rounded up: who allows just that much goes on.
    fewer = ", or choose a method with one network (supervised)" if networks > 1 else ""
    needs = f"A training step needs about {least} even with the smallest patch, and"
    if allowed:
        return SettingsError(f"{needs} only {limit / 2**30:.1f} GiB are allowed. Allow at least {least}{fewer}.")
    return OutOfMemoryError(
        f"{needs} only {limit / 2**30:.1f} GiB are free. Close other programs{fewer}, or use a computer with more "
        "memory."
    )
