"""Regions: the places of a prediction that are worth a person's look, the most rewarding ones first. No torch.

A region is a connected place between two classes where the model is unsure or its branches disagree, or an island or a
hole that anatomy makes unlikely. Regions are ranked by the volume they are expected to hold wrong: the sum of their
voxels' probabilities of error. Ties are broken by place, so that the same maps always give the same list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.cohort.labels import BACKGROUND, LabelTable
from barl.errors import InputError, SettingsError
from barl.imaging.geometry import Geometry
from barl.inference.coarse_look import coarse_look
from barl.inference.expected_error import Floats, Levels, error_by_disagreement, error_by_entropy
from barl.inference.unlikely_pieces import UnlikelyPiece, unlikely_pieces
from barl.inference.unsure_places import UnsureVoxels, Windows, unsure_voxels

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_SURE = np.uint8(0)


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """What is worth a look."""

    most: int = 20
    """Regions a case; a person does not walk through more."""

    least_error: float = 0.1
    """Probability of error from which a voxel counts as unsure."""

    most_of_shell: float = 0.12
    """Share of the voxels within 5 mm of a surface that may count as unsure, the worst of them. A model that doubts
    more than that is asked about in the places where it errs most densely, not all over."""

    extent_mm: float | None = None
    """Longest edge of a region of unsure voxels: what a person sees at once, zoomed in. None: a fifth of what is
    labeled, from 12 to 30 mm, so that the regions of a large organ are not too many to walk through."""

    least_volume_mm3: float = 2.0
    """Smaller places are left out: correcting them is not worth a visit."""

    unlikely_share: float = 0.1
    """A piece is an island when it has less than this share of the largest piece of its label; for holes alike."""

    unlikely_error: float = 0.5
    """Probability of error of an island's or a hole's voxels, where the model does not give a higher one."""

    def __post_init__(self) -> None:
        if not 1 <= self.most <= 1000:
            raise SettingsError(f"most must be from 1 to 1000, got {self.most}")
        for name in ("least_error", "unlikely_share", "unlikely_error"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if not 0 < self.most_of_shell <= 1:
            raise SettingsError(f"most_of_shell must be above 0 and at most 1, got {self.most_of_shell}")
        if self.extent_mm is not None and self.extent_mm <= 0:
            raise SettingsError(f"extent_mm must be above 0, or None, got {self.extent_mm}")
        if self.least_volume_mm3 < 0:
            raise SettingsError(f"least_volume_mm3 must be 0 or more, got {self.least_volume_mm3}")


@dataclass(frozen=True, kw_only=True)
class Region:
    """One place to look at."""

    rank: int
    """1 is the first to look at."""

    center_ras_mm: tuple[float, float, float]
    """Center of its voxel most likely to be wrong."""

    bounds_ras_mm: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    """Lowest and highest R, A and S that its voxels reach, edges included."""

    volume_mm3: float
    expected_error_mm3: float
    """Volume that is expected to be wrong."""

    classes: tuple[int, int]
    """The two values of the label table in question, the lower one first; 0 is background."""

    reason: str
    """Why to look, in a sentence."""

    voxels: Integers
    """Index of its voxels into the raveled (D, H, W) volume, increasing; not written."""

    def to_json(self) -> dict[str, Any]:
        """As ``<case>.json`` holds it."""
        return {
            "rank": self.rank,
            "center_ras_mm": [round(value, 3) for value in self.center_ras_mm],
            "bounds_ras_mm": [[round(low, 3), round(high, 3)] for low, high in self.bounds_ras_mm],
            "volume_mm3": round(self.volume_mm3, 3),
            "expected_error_mm3": round(self.expected_error_mm3, 3),
            "classes": list(self.classes),
            "reason": self.reason,
        }


def find_regions(
    labels: Levels,
    rival: Levels,
    entropy: Levels | None,
    disagreement: Levels | None,
    geometry: Geometry,
    table: LabelTable,
    settings: RegionSettings = RegionSettings(),
    known: Mask | None = None,
) -> list[Region]:
    """The regions of a prediction, at most ``settings.most``; none where nothing is labeled.

    Args:
        labels: (D, H, W) values of the table.
        rival: (D, H, W) the second most likely value; the label itself where the model is certain.
        entropy: (D, H, W) steps of the uncertainty map, 0 to 250.
        disagreement: (D, H, W) steps of the disagreement map, 0 to 250.
        geometry: the grid of all of them.
        table: names and values of the classes.
        settings: what is worth a look.
        known: (D, H, W) where a person has annotated already: nobody is asked twice.

    Raises:
        InputError: the prediction has no uncertainty, or its arrays do not lie on the grid.
    """
    if entropy is None or disagreement is None:
        raise InputError(
            "Regions need the maps of uncertainty and disagreement, and this prediction has none. "
            "Predict the case again."
        )
    arrays = {"labels": labels, "rival": rival, "entropy": entropy, "disagreement": disagreement, "known": known}
    for name, array in arrays.items():
        if array is not None and array.shape != geometry.shape:
            raise InputError(f"{name} must have the shape of the grid, {geometry.shape}, got {array.shape}.")
    if not labels.any():
        return []
    if known is not None:
        entropy, disagreement = np.where(known, _SURE, entropy), np.where(known, _SURE, disagreement)
    search = _Search(labels, geometry, table, settings)
    tables = error_by_entropy(table.num_classes), error_by_disagreement()
    look = coarse_look(labels, entropy, disagreement, tables, geometry.spacing_dhw_mm)
    least = max(settings.least_error, look.least_error(settings.most_of_shell))
    unsure = unsure_voxels(labels, rival, entropy, disagreement, tables, least)
    extent_mm = settings.extent_mm or look.extent_mm
    windows = Windows(unsure, geometry.shape, geometry.spacing_dhw_mm, extent_mm)
    found = []
    pieces = unlikely_pieces(
        labels, share=settings.unlikely_share, least_voxels=search.least_voxels, most=settings.most
    )
    for piece in pieces if known is None else _not_drawn(pieces, known, search.least_voxels):
        region, taken = search.of_piece(piece, unsure)
        windows.forget(taken)
        found.append(region)
    disagreeing = tables[1][disagreement.reshape(-1)[unsure.flat]] >= 0.5 * unsure.error
    for rows in windows.places(settings.most, search.least_voxels):
        found.append(search.of_place(unsure, rows, bool(disagreeing[rows].mean() > 0.5)))
    return _ranked(found, settings.most)


def _not_drawn(pieces: Sequence[UnlikelyPiece], known: Mask, least_voxels: float) -> Iterator[UnlikelyPiece]:
    """What is left of islands and holes where nobody has drawn."""
    flat = known.reshape(-1)
    for piece in pieces:
        left = piece.flat[~flat[piece.flat]]
        if len(left) and len(left) >= least_voxels:
            yield replace(piece, flat=left)


def _ranked(regions: Sequence[Region], most: int) -> list[Region]:
    in_order = sorted(regions, key=lambda region: (-round(region.expected_error_mm3, 6), int(region.voxels[0])))
    return [replace(region, rank=number) for number, region in enumerate(in_order[:most], start=1)]


class _Search:
    """What is common to the regions of one prediction."""

    def __init__(self, labels: Levels, geometry: Geometry, table: LabelTable, settings: RegionSettings) -> None:
        self._labels = labels
        self._geometry = geometry
        self._settings = settings
        self._names = {label.value: label.name for label in table.labels} | {BACKGROUND: "background"}
        self._voxel_mm3 = geometry.voxel_volume_ml * 1000
        self.least_voxels = settings.least_volume_mm3 / self._voxel_mm3

    def of_place(self, unsure: UnsureVoxels, rows: Integers, disagreeing: bool) -> Region:
        """A region of unsure voxels of one pair of classes."""
        voxels, error = unsure.flat[rows], unsure.error[rows]
        low, high = divmod(int(unsure.pair[rows[0]]), 256)
        one, other = self._names[low], self._names[high]
        if disagreeing:
            words = f"The branches disagree whether this is {one} or {other}."
        elif low != BACKGROUND:
            words = f"The model cannot tell {one} from {other} here."
        elif self._touches(voxels, high):
            words = f"The border of {other} is unclear here."
        else:
            words = f"Nothing is labeled here, but it may be {other}."
        return self._region(voxels, error, (low, high), words)

    def of_piece(self, piece: UnlikelyPiece, unsure: UnsureVoxels) -> tuple[Region, Integers]:
        """A region of an island or a hole and the unsure voxels at its rim; also the rows of all that lie in it."""
        at_rim = _rows_of(unsure.flat, piece.rim)
        inside = _rows_of(unsure.flat, piece.flat)
        # Rim and piece share no voxel.
        voxels = np.sort(np.concatenate([piece.flat, unsure.flat[at_rim]]))
        error = np.full(len(voxels), self._settings.unlikely_error, np.float32)
        error[np.searchsorted(voxels, unsure.flat[at_rim])] = unsure.error[at_rim]
        place = np.searchsorted(voxels, unsure.flat[inside])
        error[place] = np.maximum(error[place], unsure.error[inside])
        volume = _number(len(piece.flat) * self._voxel_mm3)
        if piece.value == BACKGROUND:
            words = f"A hole of {volume} mm³ in {self._names[piece.around]}, which anatomy makes unlikely."
        else:
            where = "" if piece.around == BACKGROUND else f", inside {self._names[piece.around]}"
            name = self._names[piece.value]
            words = f"{volume} mm³ of {name} lie apart from the rest of {name}{where}, which anatomy makes unlikely."
        pair = min(piece.value, piece.around), max(piece.value, piece.around)
        return self._region(voxels, error, pair, words), np.concatenate([at_rim, inside])

    def _region(self, voxels: Integers, error: Floats, pair: tuple[int, int], words: str) -> Region:
        place = np.stack(np.unravel_index(voxels, self._labels.shape), axis=1)
        wrong_mm3 = float(error.sum(dtype=np.float64)) * self._voxel_mm3
        return Region(
            rank=0,
            center_ras_mm=self._geometry.index_to_ras(self._center(place, error)),
            bounds_ras_mm=self._bounds(place),
            volume_mm3=len(voxels) * self._voxel_mm3,
            expected_error_mm3=wrong_mm3,
            classes=pair,
            reason=f"{words} About {_number(wrong_mm3)} mm³ may be wrong.",
            voxels=voxels,
        )

    def _center(self, place: Integers, error: Floats) -> list[float]:
        """Of the voxels most likely to be wrong, the one nearest to the middle of the region, the first of several."""
        worst = place[error >= error.max()]
        away = (worst - place.mean(axis=0)) * self._geometry.spacing_dhw_mm
        return [float(index) for index in worst[np.argmin(np.round((away**2).sum(axis=1), 6))]]

    def _bounds(self, place: Integers) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        ends = [(low - 0.5, high + 0.5) for low, high in zip(place.min(axis=0), place.max(axis=0), strict=True)]
        corners = np.array([self._geometry.index_to_ras((d, h, w)) for d in ends[0] for h in ends[1] for w in ends[2]])
        right, anterior, superior = ((float(values.min()), float(values.max())) for values in corners.T)
        return right, anterior, superior

    def _touches(self, voxels: Integers, value: int) -> bool:
        """Whether the value is labeled in the region's box or right beside it."""
        place = np.stack(np.unravel_index(voxels, self._labels.shape), axis=1)
        first, last = np.maximum(place.min(axis=0) - 1, 0), place.max(axis=0) + 2
        box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        return bool((self._labels[box] == value).any())


def _rows_of(flat: Integers, wanted: Integers) -> Integers:
    """Which rows of the increasing ``flat`` are wanted."""
    if not len(flat):
        return np.zeros(0, np.int64)
    rows = np.minimum(np.searchsorted(flat, wanted), len(flat) - 1)
    found: Integers = rows[flat[rows] == wanted]
    return found


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"
