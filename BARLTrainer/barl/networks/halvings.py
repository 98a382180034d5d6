"""Which axes a network halves on its way down, and how far its convolutions look along each.

A network halves its grid four times. Where slices lie much farther apart than pixels, it first halves in their plane
alone, and looks at one slice at a time, until both distances are alike (after nnU-Net, Isensee et al. 2021,
https://doi.org/10.1038/s41592-020-01008-z): ten slices halved four times would be less than one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from barl.errors import SettingsError

Triple = tuple[int, int, int]

LEVELS = 4
"""How often a network halves its grid."""

STRIDE = 2**LEVELS
"""Voxels along an axis that become one: patches are multiples of it, or of less where an axis is halved late."""

_MOST_LATE = LEVELS - 1
"""Each axis is halved at least once: the deepest level sees beyond a slice."""

_ALIKE = 2.0
"""Distances of which one is at most so many times the other need no care."""


@dataclass(frozen=True)
class Halvings:
    """How a network halves its grid, axis by axis."""

    late: tuple[int, ...] = (0, 0, 0)
    """How many of the first halvings pass an axis by, (D, H, W), 0 to 3 each, 0 for one of them at least."""

    def __post_init__(self) -> None:
        if len(self.late) != 3 or not all(0 <= count <= _MOST_LATE for count in self.late) or min(self.late) > 0:
            got = ",".join(map(str, self.late))
            raise SettingsError(
                f"late_halvings must be three numbers from 0 to {_MOST_LATE} (head to foot, front to back, side to "
                f"side), one of them 0, such as 2,0,0; got {got}"
            )

    def __str__(self) -> str:
        """What a patch must be a multiple of."""
        steps = self.shrink()
        return str(steps[0]) if len(set(steps)) == 1 else " x ".join(map(str, steps))

    def fit(self, size: Sequence[int]) -> bool:
        """Whether a patch (D, H, W) can be halved as often as this says."""
        return all(extent >= step and extent % step == 0 for extent, step in zip(size, self.shrink(), strict=True))

    def stride(self, level: int) -> Triple:
        """Of the convolution that halves for the (level + 1)-th time, (D, H, W)."""
        return self._by_axis(lambda late: 1 if level < late else 2)

    def kernel(self, level: int, size: int = 3) -> Triple:
        """Of a convolution after ``level`` halvings: as long as ``size``, or 1 along an axis that is passed by."""
        return self._by_axis(lambda late: 1 if level < late else size)

    def shrink(self, level: int = LEVELS) -> Triple:
        """How many voxels, (D, H, W), are one after ``level`` halvings."""
        return self._by_axis(lambda late: 2 ** max(0, level - late))

    def _by_axis(self, value: Callable[[int], int]) -> Triple:
        depth, height, width = (value(late) for late in self.late)
        return depth, height, width


def halvings_for(spacing_mm: tuple[float, float, float]) -> Halvings:
    """Each level halves the axes whose voxels are then at most twice as long as the shortest.

    Args:
        spacing_mm: D, H, W of the grid that the network sees.
    """
    spacing = list(spacing_mm)
    late = [0, 0, 0]
    for _ in range(_MOST_LATE):
        shortest = min(spacing)
        for axis, length in enumerate(spacing):
            if length > _ALIKE * shortest:
                late[axis] += 1
            else:
                spacing[axis] = 2 * length
    return Halvings(tuple(late))
