"""The training set where the device can reach it: no loader processes, no disk in the step.

Shapes: C channels, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from barl.losses.supervised import NOT_ANNOTATED

_MOST_PLACES = 20_000


@dataclass(frozen=True, kw_only=True)
class ClassPlaces:
    """Where one class is."""

    value: int
    """Its index; 0 is background."""

    count: int
    """Its voxels in the whole volume."""

    indices: np.ndarray
    """(n, 3) D, H, W of at most 20,000 of them."""


@dataclass(frozen=True, kw_only=True)
class ResidentCase:
    """One prepared volume and, where it exists, its annotation."""

    case_id: str
    image: Tensor
    """(C, D, H, W) float16."""

    label: Tensor | None = None
    """(D, H, W) uint8 class index, 255 where not annotated."""

    places: tuple[ClassPlaces, ...] = ()
    """Background first, then each class that is there."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """D, H, W."""
        depth, height, width = self.image.shape[1:]
        return depth, height, width


def choose_store(volume_bytes: float, step_bytes: float, device: torch.device) -> torch.device:
    """Where the voxels stay: on the device if they and a training step fit into its free memory, else in the host's.

    From host memory each patch's box is copied when it is drawn.
    """
    if device.type == "cuda" and volume_bytes + step_bytes <= 0.9 * torch.cuda.mem_get_info(device)[0]:
        return device
    return torch.device("cpu")


def labeled_case(case_id: str, image: np.ndarray, label: np.ndarray, device: torch.device) -> ResidentCase:
    """A case with its annotation, (C, D, H, W) float16 and (D, H, W) uint8."""
    return ResidentCase(
        case_id=case_id,
        image=resident_tensor(image, device),
        label=resident_tensor(label, device),
        places=class_places(label),
    )


def unlabeled_case(case_id: str, image: np.ndarray, device: torch.device) -> ResidentCase:
    """A case nobody annotated, (C, D, H, W) float16."""
    return ResidentCase(case_id=case_id, image=resident_tensor(image, device))


def class_places(label: np.ndarray) -> tuple[ClassPlaces, ...]:
    """Background and each class present, (D, H, W) uint8, 255 where not annotated."""
    classes = [int(value) for value in np.unique(label) if value not in (0, NOT_ANNOTATED)]
    return tuple(_places(label, value) for value in (0, *classes))


def _places(label: np.ndarray, value: int) -> ClassPlaces:
    flat = np.flatnonzero(label == value)
    count = len(flat)
    if count > _MOST_PLACES:
        # By chance: every n-th voxel would lie on a few columns where n and the width share a factor.
        flat = flat[np.random.default_rng(value).integers(count, size=_MOST_PLACES)]
    indices = np.stack(np.unravel_index(flat, label.shape), axis=1).astype(np.int32)
    return ClassPlaces(value=value, count=count, indices=indices)


def resident_tensor(array: np.ndarray, device: torch.device) -> Tensor:
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
