"""The places that a prediction proposes for review, as its ``<case>.json`` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from barl.errors import InputError
from barl.records import Fields, read_fields

_AGAIN = "Predict the case again."

Bounds = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class ReviewRegion:
    """One place to look at."""

    rank: int
    """1 is the first one to look at."""

    bounds_ras_mm: Bounds
    """From and to along right, anterior and superior."""

    expected_error_mm3: float
    """How much is expected to be wrong in it."""


def read_review_regions(record: Path) -> list[ReviewRegion]:
    """The regions of a prediction by rank; none where the model is sure everywhere.

    Raises:
        InputError: the record is missing or damaged, or was written without regions.
    """
    fields = read_fields(record, InputError, _AGAIN)
    if "regions" not in fields.values:
        raise InputError(
            f"{record} lists no regions to review: the prediction was made without uncertainty, or by an older BARL. "
            "Predict again with a method that tells where it is unsure."
        )
    return sorted((_region(one) for one in fields.children("regions")), key=lambda region: region.rank)


def _region(fields: Fields) -> ReviewRegion:
    right, anterior, superior = _bounds(fields)
    return ReviewRegion(
        rank=fields.integer("rank"),
        bounds_ras_mm=(right, anterior, superior),
        expected_error_mm3=fields.optional_number("expected_error_mm3") or 0.0,
    )


def _bounds(fields: Fields) -> list[tuple[float, float]]:
    try:
        bounds = [(float(low), float(high)) for low, high in fields.values["bounds_ras_mm"]]
        if len(bounds) == 3:
            return bounds
    except (KeyError, TypeError, ValueError):
        pass
    came = fields.values.get("bounds_ras_mm")
    raise InputError(f"{fields.where}: bounds_ras_mm must be three pairs of numbers, got {came!r:.80}. {_AGAIN}")
