"""The reliability plot as one SVG file: how often the model is right where it says how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from barl.atomic import write_text
from barl.evaluation.uncertainty_metrics import BINS, ReliabilityBin, UncertaintyScore

_SIZE, _LEFT, _TOP, _BARS = 320, 64, 52, 76
_WIDTH, _HEIGHT = _LEFT + _SIZE + 24, _TOP + _SIZE + _BARS + 60

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#161a20}.small{font-size:12px;fill:#59626f}"
    ".grid{stroke:#e1e5ea}.ideal{stroke:#667284;stroke-dasharray:5 4}.gap{stroke:#b4480e;stroke-width:2}"
    ".dot{fill:#0b62c4}.line{fill:none;stroke:#0b62c4;stroke-width:2}.bar{fill:#9ec3ec}"
)


def write_reliability_plot(path: Path, bins: Sequence[ReliabilityBin], score: UncertaintyScore, title: str) -> None:
    """Write accuracy over confidence with the share of voxels below; needs nothing from outside the file.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    parts = [_axes(), _curve(bins), _bars(bins), _titles(title, score)]
    write_text(
        path,
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title, quote=True)}"><style>{_STYLE}</style>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n',
    )


def _x(share: float) -> float:
    return _LEFT + share * _SIZE


def _y(share: float) -> float:
    return _TOP + (1 - share) * _SIZE


def _axes() -> str:
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _x(tick), _y(tick)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_y(1)}" y2="{_y(0)}"/>')
        parts.append(f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="small" text-anchor="middle" x="{x}" y="{_y(0) + 18}">{tick:g}</text>')
        parts.append(f'<text class="small" text-anchor="end" x="{_LEFT - 8}" y="{y + 4}">{tick:g}</text>')
    parts.append(f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>')
    return "".join(parts)


def _curve(bins: Sequence[ReliabilityBin]) -> str:
    gaps = (
        f'<line class="gap" x1="{_x(one.confidence):.1f}" x2="{_x(one.confidence):.1f}" '
        f'y1="{_y(one.confidence):.1f}" y2="{_y(one.accuracy):.1f}"/>'
        for one in bins
    )
    points = " ".join(f"{_x(one.confidence):.1f},{_y(one.accuracy):.1f}" for one in bins)
    dots = (f'<circle class="dot" cx="{_x(one.confidence):.1f}" cy="{_y(one.accuracy):.1f}" r="4"/>' for one in bins)
    return "".join(gaps) + f'<polyline class="line" points="{points}"/>' + "".join(dots)


def _bars(bins: Sequence[ReliabilityBin]) -> str:
    """Share of the voxels in each bin, on a root scale: nearly all are certain, the others are the interesting ones."""
    total = sum(one.voxels for one in bins) or 1
    bottom = _y(0) + 30 + _BARS - 26
    width = _SIZE / BINS - 3
    parts = []
    for one in bins:
        height = (one.voxels / total) ** 0.5 * (_BARS - 26)
        x = _x(min(int(one.confidence * BINS), BINS - 1) / BINS) + 1.5
        parts.append(
            f'<rect class="bar" x="{x:.1f}" y="{bottom - height:.1f}" width="{width:.1f}" height="{height:.1f}">'
            f"<title>{one.voxels:,} voxels</title></rect>"
        )
    return "".join(parts)


def _titles(title: str, score: UncertaintyScore) -> str:
    ece = "-" if score.ece is None else f"{score.ece:.3f}"
    middle = _x(0.5)
    return (
        f'<text font-weight="600" x="{_LEFT}" y="20">{escape(title)}</text>'
        f'<text class="small" x="{_LEFT}" y="39">expected calibration error {ece}, {score.shell_voxels:,} voxels</text>'
        f'<text class="small" text-anchor="middle" x="{middle}" y="{_HEIGHT - 30}">confidence</text>'
        f'<text class="small" text-anchor="middle" x="{middle}" y="{_HEIGHT - 12}">'
        "(bars: share of the voxels, root scale)</text>"
        f'<text class="small" text-anchor="middle" transform="translate(18 {_y(0.5)}) rotate(-90)">'
        "share of right labels</text>"
    )
