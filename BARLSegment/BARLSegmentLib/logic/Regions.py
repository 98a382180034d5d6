"""The places a person should look at, as the engine ranked them in a prediction's record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from barl.records import Fields

Point = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Region:
    """One place where the prediction is probably wrong."""

    rank: int
    """From 1, the most rewarding one first."""

    centerRasMm: Point
    """A point of the region, right, anterior, superior in mm, in the image's own space (without parent transforms)."""

    boundsRasMm: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    """From and to along right, anterior, superior, in mm."""

    volumeMm3: float
    expectedErrorMm3: float
    """How much of the volume is expected to be wrong."""

    classes: tuple[int, ...]
    """Label values on either side; 0 is background."""

    reason: str
    """Why it is worth a look, in a sentence."""


def readRegions(record: Fields) -> tuple[Region, ...] | None:
    """The regions of a prediction by rank; None when none were computed, empty when there is none to look at.

    Raises:
        CohortError: an entry is missing or not allowed.
    """
    if "regions" not in record.values:
        return None
    return tuple(sorted(map(_region, record.children("regions")), key=lambda region: region.rank))


def foundNothing(record: Fields) -> bool:
    """Whether a prediction is empty: then it has no regions, however unsure it may be."""
    volumes = record.values.get("volumes_ml")
    return isinstance(volumes, dict) and bool(volumes) and not any(volumes.values())


def _region(fields: Fields) -> Region:
    right, anterior, superior = _numbers(fields, fields.values.get("center_ras_mm"), "center_ras_mm", 3)
    bounds = fields.values.get("bounds_ras_mm")
    if not isinstance(bounds, list) or len(bounds) != 3:
        raise _refusal(fields, "bounds_ras_mm", "three pairs of numbers", bounds)
    (r0, r1), (a0, a1), (s0, s1) = (_numbers(fields, pair, "bounds_ras_mm", 2) for pair in bounds)
    return Region(
        rank=fields.integer("rank"),
        centerRasMm=(right, anterior, superior),
        boundsRasMm=((r0, r1), (a0, a1), (s0, s1)),
        volumeMm3=_number(fields, "volume_mm3"),
        expectedErrorMm3=_number(fields, "expected_error_mm3"),
        classes=fields.integers("classes"),
        reason=fields.text("reason"),
    )


def _number(fields: Fields, key: str) -> float:
    return _numbers(fields, [fields.values.get(key)], key, 1)[0]


def _numbers(fields: Fields, value: Any, key: str, count: int) -> Sequence[float]:
    """So many finite numbers: a view cannot jump to what is none."""
    if isinstance(value, list) and len(value) == count and all(map(_isNumber, value)):
        return [float(one) for one in value]
    raise _refusal(fields, key, f"{count} number(s)", value)


def _isNumber(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refusal(fields: Fields, key: str, allowed: str, came: Any) -> Exception:
    return fields.error(f"{fields.where}: {key} must be {allowed}, got {came!r:.80}. Predict the case again.")
