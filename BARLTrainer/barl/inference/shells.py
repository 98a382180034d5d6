"""The neighborhood of surfaces, where segmentations go wrong and where people look. No torch.

Shapes: D H W voxels.
"""

from __future__ import annotations

import edt
import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]


def surface_shell(labels: Labels, spacing_dhw_mm: Spacing, reach_mm: float) -> Mask:
    """The voxels (D, H, W) at most ``reach_mm`` from a place where the label changes; none where it never does.

    The change lies between voxels; both that touch it have the distance 0.
    """
    surface = _changes(labels)
    shell: Mask = np.zeros(labels.shape, bool)
    if not surface.any():
        return shell
    box = tuple(
        slice(max(0, cut.start - reach), cut.stop + reach)
        for cut, reach in zip(_box(surface), (int(reach_mm / s) + 1 for s in spacing_dhw_mm), strict=True)
    )
    distance = edt.edt(~surface[box], anisotropy=spacing_dhw_mm, black_border=False)
    shell[box] = distance <= reach_mm + 1e-4
    return shell


def _changes(labels: Labels) -> Mask:
    """Voxels of which one of the six neighbors has another label."""
    surface: Mask = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        moved, marked = np.moveaxis(labels, axis, 0), np.moveaxis(surface, axis, 0)
        unlike = moved[1:] != moved[:-1]
        marked[1:] |= unlike
        marked[:-1] |= unlike
    return surface


def _box(mask: Mask) -> tuple[slice, ...]:
    """The box of all true voxels."""
    box = []
    for axis in range(mask.ndim):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(box)
