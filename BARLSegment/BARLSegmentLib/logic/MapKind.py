"""The maps that a prediction may have."""

from __future__ import annotations

from enum import Enum

MAP_ATTRIBUTE = "BARL.Map"
"""Node attribute of a volume that is such a map: which one."""

SEGMENTATION_ROLE = "BARL.segmentation"
"""Node reference from such a map to the segmentation that it tells about."""


class MapKind(str, Enum):
    """Which map of a prediction to show; both are 0 where the networks are sure and 1 where they are not."""

    UNCERTAINTY = "uncertainty"
    DISAGREEMENT = "disagreement"
