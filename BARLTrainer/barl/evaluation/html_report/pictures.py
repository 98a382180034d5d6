"""Slices of a case as SVG: the image once as PNG, contours as lines that stay sharp at every size."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.measure import find_contours

from barl.cohort.labels import UNKNOWN, LabelTable

Plane = npt.NDArray[Any]

MISSED, EXTRA, CONFUSED = (86, 180, 233), (240, 160, 0), (216, 110, 180)
"""Colors of the error map, told apart by color-blind eyes too (after Okabe and Ito)."""

HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""The anchors of the uncertainty's colors from 0 to 1, dark to bright (matplotlib's inferno)."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One slice through a volume: the ``index``-th along ``axis`` of (D, H, W)."""

    axis: int
    index: int
    spacing_mm: tuple[float, float]
    """Of the picture's rows and columns."""

    def cut(self, volume: Plane) -> Plane:
        """The slice as a picture (rows, columns), head up where the volume's first axis is in it."""
        plane: Plane = np.take(volume, self.index, axis=self.axis)
        return plane if self.axis == 0 else plane[::-1]


def choose_view(truth: Plane, axis: int, spacing_dhw_mm: tuple[float, float, float], values: tuple[int, ...]) -> View:
    """The slice in which the classes together show most of themselves, by the truth alone."""
    others = tuple(other for other in range(3) if other != axis)
    shown = np.zeros(truth.shape[axis])
    for value in values:
        area = np.count_nonzero(truth == value, axis=others)
        shown += np.sqrt(area / max(int(area.max()), 1))
    spacing = spacing_dhw_mm[others[0]], spacing_dhw_mm[others[1]]
    return View(axis=axis, index=int(np.argmax(shown)), spacing_mm=spacing)


def size_mm(view: View, plane: Plane) -> tuple[float, float]:
    """Width and height of a picture in millimeters."""
    return plane.shape[1] * view.spacing_mm[1], plane.shape[0] * view.spacing_mm[0]


def image_symbol(name: str, view: View, plane: Plane) -> str:
    """The gray picture as an SVG symbol that all tiles of a view share."""
    low, high = np.percentile(plane, [1, 99.7]) if plane.size else (0.0, 1.0)
    gray = np.clip((plane.astype(np.float64) - low) / max(high - low, 1e-6), 0.0, 1.0)
    width, height = size_mm(view, plane)
    scale = 3 * max(plane.shape) / max(width, height)
    picture = Image.fromarray((255 * gray).astype(np.uint8)).resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC
    )
    return (
        f'<symbol id="{escape(name)}" viewBox="0 0 {width:g} {height:g}" preserveAspectRatio="none">'
        f'<image width="{width:g}" height="{height:g}" preserveAspectRatio="none" '
        f'href="{_data_uri(picture)}"/></symbol>'
    )


def tile(symbol: str, view: View, plane: Plane, overlay: str, label: str) -> str:
    """A picture with something over it."""
    width, height = size_mm(view, plane)
    return (
        f'<svg class="slice" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f'<use href="#{escape(symbol)}" width="{width:g}" height="{height:g}"/>{overlay}</svg>'
    )


def contours(view: View, labels: Plane, table: LabelTable, css: str) -> str:
    """The outlines of all classes in their colors."""
    paths = []
    for label in table.labels:
        outline = _outline(labels == label.value, view.spacing_mm)
        if outline:
            color = "#{:02x}{:02x}{:02x}".format(*label.color)
            paths.append(f'<path class="{css}" style="--label:{color}" d="{outline}"/>')
    return "".join(paths)


def _outline(mask: Plane, spacing_mm: tuple[float, float]) -> str:
    """Outline of a mask as an SVG path in millimeters."""
    rings = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)  # type: ignore[no-untyped-call]
    parts = []
    for ring in rings:
        points = (ring - 0.5) * spacing_mm  # minus the padding, plus half a voxel from its center to its corner
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in points) + "Z")
    return "".join(parts)


def error_overlay(view: View, prediction: Plane, truth: Plane) -> str:
    """Wrong voxels: missed, too much, or another class. Unknown voxels are left out."""
    wrong = (prediction != truth) & (truth != UNKNOWN)
    rgba = np.zeros((*truth.shape, 4), np.uint8)
    for where, color in [
        (wrong & (prediction == 0), MISSED),
        (wrong & (truth == 0), EXTRA),
        (wrong & (prediction != 0) & (truth != 0), CONFUSED),
    ]:
        rgba[where] = (*color, 235)
    return _overlay_image(view, truth, Image.fromarray(rgba), "pixels")


def uncertainty_overlay(view: View, uncertainty: Plane) -> str:
    """The uncertainty in the colors of `HEAT`, see-through where the model is sure."""
    level = np.clip(np.nan_to_num(uncertainty.astype(np.float64)), 0.0, 1.0)
    anchors = np.linspace(0.0, 1.0, len(HEAT))
    channels = [np.interp(level, anchors, [color[i] for color in HEAT]) for i in range(3)]
    alpha = 255 * np.clip(level * 2.5, 0.0, 0.9)
    rgba = np.stack([*channels, alpha], axis=2).astype(np.uint8)
    picture = Image.fromarray(rgba).resize((2 * rgba.shape[1], 2 * rgba.shape[0]), Image.Resampling.BILINEAR)
    return _overlay_image(view, uncertainty, picture, "smooth")


def _overlay_image(view: View, plane: Plane, picture: Image.Image, css: str) -> str:
    width, height = size_mm(view, plane)
    return (
        f'<image class="{css}" width="{width:g}" height="{height:g}" preserveAspectRatio="none" '
        f'href="{_data_uri(picture)}"/>'
    )


def _data_uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
