"""Connected components of label maps, on the host.

Shapes: B patches, D H W voxels.
"""

from __future__ import annotations

import cc3d
import numpy as np
import torch
from torch import Tensor


def largest_components(label: Tensor) -> Tensor:
    """Each class's largest 26-connected component in each patch; what else is foreground becomes background, 0.

    The labels go to the host and back, so that a GPU has to wait.

    Args:
        label: (B, D, H, W) int64 class index, 0 background, at most 255.
    """
    patches = label.cpu().numpy().astype(np.uint8)
    kept = np.stack([_largest(patch) for patch in patches])
    return torch.from_numpy(kept).to(label.device, torch.int64)


def _largest(patch: np.ndarray) -> np.ndarray:
    parts = cc3d.connected_components(patch, connectivity=26)
    sizes = np.bincount(parts.ravel())
    of_part = np.zeros(len(sizes), np.uint8)
    of_part[parts.ravel()] = patch.ravel()
    keep = np.zeros(len(sizes), bool)
    for value in np.unique(of_part[1:]):
        keep[np.argmax(np.where(of_part == value, sizes, -1))] = True
    keep[0] = False
    return np.where(keep[parts], patch, 0)
