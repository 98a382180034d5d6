"""Tables that take no more room than their lines need."""

from __future__ import annotations

from typing import Any

_FRAME_PIXELS = 8


def fitHeight(table: Any, lines: int, mostLines: int, linePixels: int) -> None:
    """As high as its lines need, up to a limit: an empty half of a table takes the place of what is below."""
    height = linePixels * (min(lines, mostLines) + 1) + _FRAME_PIXELS
    table.setMinimumHeight(height)
    table.setMaximumHeight(height)
