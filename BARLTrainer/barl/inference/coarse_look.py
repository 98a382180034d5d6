"""How much a prediction doubts and how large its structures are, from a thinned grid; it sizes regions. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from barl.inference.expected_error import Floats, Levels
from barl.inference.shells import SHELL_MM, Spacing, bounding_box, surface_shell, thinned

_VOXELS = 2_000_000
"""Looked at at most, where they are finer than 1 mm: of 512 x 512 x 512 voxels the look takes a tenth of a second."""

_SHARE_OF_EXTENT = 0.2
_LEAST_EXTENT_MM, _MOST_EXTENT_MM = 12.0, 30.0


@dataclass(frozen=True, kw_only=True)
class CoarseLook:
    """What a look at some of the voxels tells."""

    shell_error: Floats
    """Probability of error of the voxels near a surface, increasing."""

    extent_mm: float
    """Edge of a region that fits what is labeled."""

    def least_error(self, share: float) -> float:
        """Probability of error that only this share of the voxels near a surface exceeds; 0 where there is none."""
        count = len(self.shell_error)
        return float(self.shell_error[count - 1 - int(share * (count - 1))]) if count else 0.0


def coarse_look(
    labels: Levels, entropy: Levels, disagreement: Levels, tables: tuple[Floats, Floats], spacing_dhw_mm: Spacing
) -> CoarseLook:
    """Look at a prediction; something must be labeled.

    Args:
        labels: (D, H, W) values of the label table.
        entropy: (D, H, W) steps of the uncertainty map, 0 to 250.
        disagreement: the same.
        tables: probability of error by step of each of the two maps.
        spacing_dhw_mm: distance of voxel centers.
    """
    volume_mm3 = labels.size * math.prod(spacing_dhw_mm)
    steps, spacing = thinned(spacing_dhw_mm, max(1.0, (volume_mm3 / _VOXELS) ** (1 / 3)))
    coarse = labels[steps]
    shell = surface_shell(coarse, spacing, SHELL_MM)
    error = np.maximum(tables[0][entropy[steps][shell]], tables[1][disagreement[steps][shell]])
    return CoarseLook(shell_error=np.sort(error), extent_mm=_extent_mm(coarse, spacing))


def _extent_mm(labels: Levels, spacing_dhw_mm: Spacing) -> float:
    if not labels.any():  # All that is labeled fell between the steps.
        return _LEAST_EXTENT_MM
    edges = [(cut.stop - cut.start) * mm for cut, mm in zip(bounding_box(labels != 0), spacing_dhw_mm, strict=True)]
    return float(np.clip(_SHARE_OF_EXTENT * max(edges), _LEAST_EXTENT_MM, _MOST_EXTENT_MM))
