"""The pictures of overlay and review in the docs, drawn by Slicer's displayable managers.

    python Testing/Scene/make_pictures.py docs/images

The scan is a phantom, its true labels stand in for a prediction, and the map is the entropy of the blurred labels: the
pictures show what the module draws, not how good a model is.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy import ndimage

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "BARLSegment"))

from BARLSegmentLib.logic.OverlayLogic import OverlayLogic  # noqa: E402
from BARLSegmentLib.logic.ResultLogic import ResultLogic  # noqa: E402
from BARLSegmentLib.logic.ReviewLogic import ReviewLogic  # noqa: E402
from scene_data import addVolume, newStage  # noqa: E402
from slice_views import savePicture  # noqa: E402

from barl.atomic import write_json  # noqa: E402
from barl.imaging import Geometry, write_segmentation, write_volume  # noqa: E402
from barl.phantom import LABELS, make_case  # noqa: E402
from barl.phantom.cohort import centered_geometry  # noqa: E402

SHAPE, SPACING_MM = (80, 120, 120), 0.64
PIXELS = (320, 320)


def main(folder: Path) -> None:
    """Draw both pictures into a folder."""
    image, labels = make_case(1, SHAPE, SPACING_MM)
    grid = centered_geometry(SHAPE, SPACING_MM)
    unsure = _blurredEntropy(labels)
    with TemporaryDirectory() as predictions:
        _write(Path(predictions), labels, unsure, grid)
        stage = newStage()
        views = stage.withViews(PIXELS)
        scan = addVolume(stage.scene, image, grid)
        scan.GetDisplayNode().AutoWindowLevelOff()
        scan.GetDisplayNode().SetWindowLevelMinMax(-600, 2200)
        views.show(scan)
        shown = ResultLogic(stage.scene).load(Path(predictions), "phantom", imageNode=scan)
        overlay, review = OverlayLogic(stage.scene), ReviewLogic(stage.scene)
        review.start(shown)
        overlay.show(shown.mapNode)
        review.goTo(1)
        review.finish()
        savePicture(folder / "overlay.png", views.pixels())
        review.start(shown)
        review.goTo(1)
        for view in views.views.values():
            view.node.SetFieldOfView(*(extent * 0.55 for extent in view.node.GetFieldOfView()[:2]), 1.0)
        savePicture(folder / "review.png", views.pixels())
        overlay.cleanup()
        review.cleanup()
        stage.close()


def _blurredEntropy(labels: np.ndarray) -> np.ndarray:
    """Entropy over ln K of the labels blurred by one voxel (D, H, W), more where structures are thin."""
    classes = [0, *LABELS.values]
    shares = np.stack([ndimage.gaussian_filter((labels == value).astype(np.float32), 1.0) for value in classes])
    entropy = -(shares * np.log(np.maximum(shares, 1e-6))).sum(axis=0) / np.log(len(classes))
    return np.clip(entropy, 0, 1).astype(np.float32)


def _write(folder: Path, labels: np.ndarray, unsure: np.ndarray, grid: Geometry) -> None:
    write_segmentation(folder / "phantom.seg.nrrd", labels, grid, LABELS)
    write_volume(folder / "phantom.uncertainty.nrrd", unsure, grid)
    write_json(folder / "phantom.json", {"format_version": 1, "case": "phantom", "regions": [_region(unsure, grid)]})


def _region(unsure: np.ndarray, grid: Geometry) -> dict[str, Any]:
    """A box of 11 voxels around where the map is highest on average."""
    middle = np.unravel_index(ndimage.uniform_filter(unsure, 11).argmax(), unsure.shape)
    low, high = (grid.index_to_ras([int(one) + step for one in middle]) for step in (-5, 5))
    return {
        "rank": 1,
        "center_ras_mm": list(grid.index_to_ras([int(one) for one in middle])),
        "bounds_ras_mm": [sorted(pair) for pair in zip(low, high, strict=True)],
        "volume_mm3": float(np.prod([11 * SPACING_MM] * 3)),
        "expected_error_mm3": 20.0,
        "classes": [1, 2],
        "reason": "The border between jaw and teeth is unsure.",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
