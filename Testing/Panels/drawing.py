"""Drawing without a mouse: voxels go into the segments of the case that is being edited."""

from __future__ import annotations

from typing import Any

import numpy as np


def paint(segment: Any, *names: str) -> None:
    """Draw a small box for each structure into the case that is being edited."""
    import slicer

    case = segment.panel.editor.state.case
    segmentation = case.segmentationNode.GetSegmentation()
    for number, name in enumerate(names):
        mask = np.zeros((8, 10, 12), np.uint8)
        mask[2 + 2 * number : 4 + 2 * number, 3:6, 3:8] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask, case.segmentationNode, segmentation.GetSegmentIdBySegmentName(name), case.volumeNode
        )
