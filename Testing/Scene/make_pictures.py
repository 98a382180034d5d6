"""The pictures of overlay and review in the docs, drawn by Slicer's displayable managers.

    python Testing/Scene/make_pictures.py docs/images

The scan is a phantom, its true labels stand in for a prediction, and the map is the entropy of the blurred labels, with
one place blurred more than the rest: the pictures show what the module draws, not how good a model is.
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

SHAPE, SPACING_MM = (96, 144, 144), 0.54
PIXELS = (340, 340)
MARGIN = 30
"""Voxels at the border of the scan where no region is chosen."""


def main(folder: Path) -> None:
    """Draw both pictures into a folder."""
    image, labels = make_case(1, SHAPE, SPACING_MM)
    grid = centered_geometry(SHAPE, SPACING_MM)
    place = _busiestPlace(labels)
    unsure = _map(labels, place)
    with TemporaryDirectory() as predictions:
        _write(Path(predictions), labels, unsure, grid, _region(place, grid))
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
        review.finish()  # The marker goes, the place stays.
        savePicture(folder / "overlay.png", views.pixels())
        review.start(shown)
        review.goTo(1)
        for view in views.views.values():
            view.node.SetFieldOfView(*(extent * 0.6 for extent in view.node.GetFieldOfView()[:2]), 1.0)
        savePicture(folder / "review.png", views.pixels())
        overlay.cleanup()
        review.cleanup()
        stage.close()


def _busiestPlace(labels: np.ndarray) -> tuple[int, ...]:
    """The voxel around which most borders of structures are, away from the border of the scan."""
    borders = ndimage.morphological_gradient(labels, size=3) > 0
    crowd = ndimage.uniform_filter(borders.astype(np.float32), 15)
    inner = tuple(slice(MARGIN, -MARGIN) for _ in range(3))
    found = np.unravel_index(crowd[inner].argmax(), crowd[inner].shape)
    return tuple(int(one) + MARGIN for one in found)


def _map(labels: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
    """Entropy over ln K of the labels (D, H, W), blurred little, and much around a place."""
    distance = sum(
        (axis - middle) ** 2 for axis, middle in zip(np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]], place, strict=True)
    )
    near = np.exp(-distance / 2 / 6.0**2)
    return (1 - near) * _entropy(labels, 0.6) + near * _entropy(labels, 2.5)


def _entropy(labels: np.ndarray, blur: float) -> np.ndarray:
    classes = [0, *LABELS.values]
    shares = np.stack([ndimage.gaussian_filter((labels == value).astype(np.float32), blur) for value in classes])
    entropy = -(shares * np.log(np.maximum(shares, 1e-6))).sum(axis=0) / np.log(len(classes))
    return np.clip(entropy, 0, 1).astype(np.float32)


def _write(folder: Path, labels: np.ndarray, unsure: np.ndarray, grid: Geometry, region: dict[str, Any]) -> None:
    write_segmentation(folder / "phantom.seg.nrrd", labels, grid, LABELS)
    write_volume(folder / "phantom.uncertainty.nrrd", unsure.astype(np.float32), grid)
    write_json(folder / "phantom.json", {"format_version": 1, "case": "phantom", "regions": [region]})


def _region(place: tuple[int, ...], grid: Geometry) -> dict[str, Any]:
    """A box of 15 voxels around a place."""
    low, high = (grid.index_to_ras([one + step for one in place]) for step in (-7, 7))
    return {
        "rank": 1,
        "center_ras_mm": list(grid.index_to_ras(place)),
        "bounds_ras_mm": [sorted(pair) for pair in zip(low, high, strict=True)],
        "volume_mm3": (15 * SPACING_MM) ** 3,
        "expected_error_mm3": 20.0,
        "classes": [1, 2],
        "reason": "The border between jaw and teeth is unsure.",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
