"""Which annotated cases are kept for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

MINIMUM_ANNOTATED = 4
"""Below this every annotation is worth more in training than in validation."""

MAXIMUM_VALIDATION = 10
"""More would only make each validation slower."""


def propose_validation(annotated: Iterable[str], seed: int = 0) -> tuple[str, ...]:
    """Choose about a fifth of the annotated cases, at least 1 and at most 10; none below 4.

    The choice hangs on seed and ids only: not on their order, the system or Python's version, and a case that is
    annotated later changes it little.

    Args:
        annotated: ids of the completely annotated cases.
        seed: another seed, another choice.

    Returns:
        The chosen ids, sorted.
    """
    ids = sorted(set(annotated))
    if len(ids) < MINIMUM_ANNOTATED:
        return ()
    count = min(MAXIMUM_VALIDATION, max(1, round(len(ids) / 5)))
    return tuple(sorted(sorted(ids, key=lambda case_id: _draw(seed, case_id))[:count]))


def _draw(seed: int, case_id: str) -> bytes:
    return hashlib.sha256(f"{seed}:{case_id}".encode()).digest()
