"""What can go wrong with annotations of a part of an image: thin strokes, slices in another plane.

Arrays are (D, H, W).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from barl.errors import LabelError
from barl.imaging.geometry import Geometry
from barl.imaging.segmentations import LabelMap

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

AXES = ("slices", "rows", "columns")
"""What is counted along each axis of an array."""

_LARGEST_TILT_DEGREES = 1.0
_FEWEST_SLICES = 3
_FEWEST_VOXELS = 30
_ALONE, _TOGETHER = 0.05, 0.5
"""Shares of drawn voxels that go on into the next slice: of slices drawn one by one, of a structure cut across."""

_FEW, _TIMES = 3.0, 3.0
"""Neighboring slices that somebody may have drawn at once, and how much farther a structure that they cut goes on."""


def add_strokes(array: Labels, source: LabelMap, image: Geometry, outside: int) -> Labels:
    """Put what was painted on a finer grid where nearest neighbors have missed it.

    A voxel that would be unpainted takes the label of the painted voxels whose centers lie in it: the most frequent,
    and of equally frequent ones the highest value but painted background.

    Args:
        array: (D, H, W) on the image's grid, by nearest neighbors.
        source: what was painted.
        image: the image's grid.
        outside: the value of what is unpainted.
    """
    result = array.copy()
    flat = result.reshape(-1)
    votes = []
    for value in (int(value) for value in np.unique(source.array) if value != outside):
        places = _voxels_of_centers(source.array == value, source.geometry, image)
        missed, counts = np.unique(places[flat[places] == outside], return_counts=True)
        # Painted background, 255 or 0, gives way to a structure.
        votes.append(np.stack([missed, counts, np.full_like(missed, value % 255), np.full_like(missed, value)]))
    if votes:
        every = np.concatenate(votes, axis=1)
        places, _, _, values = every[:, np.lexsort(every[2::-1])]
        flat[places] = values  # Of several votes for one voxel the last one stays: the strongest.
    return result


def _voxels_of_centers(mask: Mask, grid: Geometry, image: Geometry) -> npt.NDArray[np.intp]:
    """(n,) flat indices of the image's voxels in which the mask's voxels have their centers."""
    matrix = image.index_from(grid)
    indices = np.argwhere(mask) @ matrix[:3, :3].T + matrix[:3, 3]
    voxels = np.floor(indices + 0.5).astype(np.intp)
    inside = ((voxels >= 0) & (voxels < image.shape)).all(axis=1)
    places: npt.NDArray[np.intp] = np.ravel_multi_index(tuple(voxels[inside].T), image.shape)
    return places


def refuse_tilted(drawn: Geometry, image: Geometry, what: str) -> None:
    """Slices must be the image's own: of a slice that is cut at an angle only a line is known.

    Raises:
        LabelError: the file's axes are tilted against the image's.
    """
    tilt = image.tilt_degrees(drawn)
    if tilt > _LARGEST_TILT_DEGREES:
        raise LabelError(
            f"{what} was drawn in slices tilted by {tilt:.0f} degrees against the image's, so none of the image's own "
            "slices is complete. Draw on the image's own slices; or paint background too, and save it with coverage "
            "'scribbles'."
        )


def refuse_other_plane(drawn: Mask, axis: int, case_id: str) -> None:
    """Notice slices drawn in another plane than the coverage says; all that is not drawn would count as background.

    Such an annotation cuts through the slices of the coverage in lines: it goes on from slice to slice along the axis
    of the coverage and along a second one, and along the third, where it was drawn, it touches nothing.

    Args:
        drawn: where a structure is drawn.
        axis: of the coverage.
        case_id: for the message.

    Raises:
        LabelError: the slices were drawn along another axis.
    """
    if np.count_nonzero(drawn) < _FEWEST_VOXELS or _slices(drawn, axis) < _FEWEST_SLICES:
        return
    together = [_share_going_on(drawn, one) for one in range(3)]
    for other in range(3):
        rest = [together[one] for one in range(3) if one != other]
        if other != axis and together[other] < _ALONE and min(rest) > _TOGETHER:
            raise LabelError(
                f"Case {case_id}: this is drawn in {_slices(drawn, other)} {AXES[other]} (axis {other}) of the image's "
                f"array, not in {AXES[axis]} (axis {axis}) as its coverage says. Save it with axis {other}; or, if the "
                f"structure really is that thin, as {AXES[axis]} finished one by one, with coverage 'scribbles' and "
                "painted background."
            )


def doubt_about_plane(drawn: Mask, axis: int) -> str:
    """What to ask where two or three neighboring slices of another plane look like a thin structure; empty elsewhere.

    Both are possible, so it is asked and not refused.

    Args:
        drawn: where a structure is drawn.
        axis: of the coverage.
    """
    if np.count_nonzero(drawn) < _FEWEST_VOXELS or _slices(drawn, axis) < _FEWEST_SLICES:
        return ""
    thick = [_mean_run(drawn, one) for one in range(3)]
    for other in range(3):
        rest = [thick[one] for one in range(3) if one != other]
        if other != axis and thick[other] <= _FEW and min(rest) >= _TIMES * thick[other]:
            return (
                f"What is drawn is about {thick[other]:.0f} {AXES[other]} (axis {other}) thick, and goes on through "
                f"{_slices(drawn, axis)} {AXES[axis]} (axis {axis}). If it was drawn in {AXES[other]}, save it again "
                f"with axis {other}: as it is, the rest of all these {AXES[axis]} counts as background."
            )
    return ""


def _slices(drawn: Mask, axis: int) -> int:
    others = tuple(one for one in range(3) if one != axis)
    return int(np.count_nonzero(drawn.any(axis=others)))


def _share_going_on(drawn: Mask, axis: int) -> float:
    """Share of the drawn voxels with a drawn neighbor along an axis."""
    moved = np.moveaxis(drawn, axis, 0)
    pairs = moved[1:] & moved[:-1]
    touching = np.zeros_like(moved)
    touching[1:] |= pairs
    touching[:-1] |= pairs
    return float(np.count_nonzero(touching) / np.count_nonzero(drawn))


def _mean_run(drawn: Mask, axis: int) -> float:
    """How many drawn voxels follow each other along an axis, on average."""
    moved = np.moveaxis(drawn, axis, 0)
    starts = int(np.count_nonzero(moved[0])) + int(np.count_nonzero(moved[1:] & ~moved[:-1]))
    return int(np.count_nonzero(drawn)) / max(1, starts)
