"""The neighborhood of surfaces, where segmentations go wrong and where people look. No torch.

Shapes: D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence

import edt
import numpy as np
import numpy.typing as npt

from barl.inference.expected_error import LEVELS

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]

SHELL_MM = 5.0
"""How far from a surface a person looks for errors."""

_UPPER_SHARE = 0.1
_COARSE_MM = 1.0


def surface_shell(labels: Labels, spacing_dhw_mm: Spacing, reach_mm: float) -> Mask:
    """The voxels (D, H, W) at most ``reach_mm`` from a place where the label changes; none where it never does.

    The change lies between voxels; both that touch it have the distance 0.
    """
    surface = _changes(labels)
    shell: Mask = np.zeros(labels.shape, bool)
    if not surface.any():
        return shell
    box = _grown(bounding_box(surface), spacing_dhw_mm, reach_mm)
    distance = edt.edt(~surface[box], anisotropy=spacing_dhw_mm, black_border=False)
    shell[box] = distance <= reach_mm + 1e-4
    return shell


def doubt_by_label(
    labels: Labels, entropy: npt.NDArray[np.uint8], values: Sequence[int], spacing_dhw_mm: Spacing
) -> list[float | None]:
    """How unsure the most unsure tenth of each label's shell is on average, 0 to 1; None for a label without a voxel.

    A share of a shell around the label itself: neither a large background nor a large other label dilutes it, and a
    thin canal counts like a jaw. Voxels finer than 1 mm are looked at in steps, at least half of that apart.

    Args:
        labels: (D, H, W) values of the label table.
        entropy: (D, H, W) steps of the uncertainty map, 0 to 250.
        values: the labels asked about.
        spacing_dhw_mm: distance of voxel centers.
    """
    steps, spacing = thinned(spacing_dhw_mm, _COARSE_MM)
    coarse, unsure = labels[steps], entropy[steps]
    present = np.bincount(coarse.reshape(-1), minlength=256)
    return [_doubt_around(coarse == value, unsure, spacing) if present[value] else None for value in values]


def thinned(spacing_dhw_mm: Spacing, most_mm: float) -> tuple[tuple[slice, ...], Spacing]:
    """Steps through an array at most so far apart (one voxel where voxels are larger), and how far apart they are."""
    d, h, w = (max(1, int(most_mm / spacing)) for spacing in spacing_dhw_mm)
    apart = (d * spacing_dhw_mm[0], h * spacing_dhw_mm[1], w * spacing_dhw_mm[2])
    return (slice(None, None, d), slice(None, None, h), slice(None, None, w)), apart


def _doubt_around(mask: Mask, entropy: npt.NDArray[np.uint8], spacing_dhw_mm: Spacing) -> float | None:
    """For one label; only the box that its shell can reach is looked at."""
    box = _grown(bounding_box(mask), spacing_dhw_mm, SHELL_MM)
    shell = surface_shell(mask[box].view(np.uint8), spacing_dhw_mm, SHELL_MM)
    return _upper_share(entropy[box][shell])


def _upper_share(steps: npt.NDArray[np.uint8]) -> float | None:
    """Mean of the largest tenth of some steps, as a number from 0 to 1."""
    if not steps.size:
        return None
    count = max(1, round(_UPPER_SHARE * steps.size))
    return float(np.partition(steps, -count)[-count:].mean() / LEVELS)


def _changes(labels: Labels) -> Mask:
    """Voxels of which one of the six neighbors has another label."""
    surface: Mask = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        moved, marked = np.moveaxis(labels, axis, 0), np.moveaxis(surface, axis, 0)
        unlike = moved[1:] != moved[:-1]
        marked[1:] |= unlike
        marked[:-1] |= unlike
    return surface


def _grown(box: tuple[slice, ...], spacing_dhw_mm: Spacing, reach_mm: float) -> tuple[slice, ...]:
    reaches = [int(reach_mm / spacing) + 1 for spacing in spacing_dhw_mm]
    return tuple(slice(max(0, cut.start - reach), cut.stop + reach) for cut, reach in zip(box, reaches, strict=True))


def bounding_box(mask: Mask, margin: int = 0) -> tuple[slice, ...]:
    """The box of all true voxels of a mask that has some, and as many voxels around it, which may end outside."""
    box = []
    for axis in range(mask.ndim):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(max(0, int(found[0]) - margin), int(found[-1]) + 1 + margin))
    return tuple(box)
