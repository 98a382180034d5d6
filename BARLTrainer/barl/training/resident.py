"""The training set where the device can reach it: no loader processes, no disk in the step.

Shapes: C channels, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

NOT_ANNOTATED = 255
_MOST_PLACES = 20_000


@dataclass(frozen=True, kw_only=True)
class ResidentCase:
    """One prepared volume and, where it exists, its annotation."""

    case_id: str
    image: Tensor
    """(C, D, H, W) float16."""

    label: Tensor | None = None
    """(D, H, W) uint8 class index, 255 where not annotated."""

    places: tuple[np.ndarray, ...] = ()
    """(n, 3) samples of voxels' indices: background first, which may be empty, then each class with any voxel."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """D, H, W."""
        depth, height, width = self.image.shape[1:]
        return depth, height, width


def choose_store(total_bytes: int, device: torch.device) -> torch.device:
    """Where the voxels stay: on the device if they fill at most half of its free memory, else in the host's.

    Half is left to networks and activations; from host memory each patch's box is copied when it is drawn.
    """
    if device.type == "cuda" and total_bytes <= torch.cuda.mem_get_info(device)[0] / 2:
        return device
    return torch.device("cpu")


def labeled_case(case_id: str, image: np.ndarray, label: np.ndarray, device: torch.device) -> ResidentCase:
    """A case with its annotation, (C, D, H, W) float16 and (D, H, W) uint8."""
    return ResidentCase(
        case_id=case_id,
        image=_resident(image, device),
        label=_resident(label, device),
        places=class_places(label),
    )


def unlabeled_case(case_id: str, image: np.ndarray, device: torch.device) -> ResidentCase:
    """A case nobody annotated, (C, D, H, W) float16."""
    return ResidentCase(case_id=case_id, image=_resident(image, device))


def class_places(label: np.ndarray) -> tuple[np.ndarray, ...]:
    """For background and each class present an even sample of its voxels, at most 20,000, as (n, 3) indices."""
    classes = [int(value) for value in np.unique(label) if value not in (0, NOT_ANNOTATED)]
    return tuple(_sample_places(label, value) for value in (0, *classes))


def _sample_places(label: np.ndarray, value: int) -> np.ndarray:
    flat = np.flatnonzero(label == value)
    step = max(1, -(-len(flat) // _MOST_PLACES))
    return np.stack(np.unravel_index(flat[::step], label.shape), axis=1).astype(np.int32)


def _resident(array: np.ndarray, device: torch.device) -> Tensor:
    """A tensor on the device; on the CPU a memory-mapped array stays on disk until it is touched."""
    if device.type == "cpu":
        return torch.from_numpy(_writable_view(array))
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _writable_view(array: np.ndarray) -> np.ndarray:
    """torch warns of read-only memory; a copy-on-write map is what it wants. Nobody writes to it."""
    if array.flags.writeable:
        return array
    if isinstance(array, np.memmap) and array.filename is not None:
        return np.memmap(array.filename, array.dtype, "c", array.offset, array.shape)
    return array.copy()


def total_bytes(cases: Sequence[ResidentCase]) -> int:
    """Memory that the tensors take."""
    tensors = [t for case in cases for t in (case.image, case.label) if t is not None]
    return sum(t.numel() * t.element_size() for t in tensors)
