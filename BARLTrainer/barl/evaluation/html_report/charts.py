"""Charts as inline SVG: scores of every case on a line a class, and curves over the training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from statistics import fmean

import numpy as np
import numpy.typing as npt

from barl.evaluation.html_report.records import Curve, MethodResult

Numbers = npt.NDArray[np.float64]

_WIDTH = 940
_CURVE_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 48, 550, 12, 222


def dice_chart(methods: Sequence[MethodResult], classes: Sequence[str]) -> str:
    """A dot a case and a bar at the mean, for each class and method, over Dice."""
    dots = {(name, i): _dice(method, name) for name in classes for i, method in enumerate(methods)}
    lowest = min((value for values in dots.values() for value in values), default=0.0)
    start = max(0.0, math.floor(lowest * 10 - 0.2) / 10)
    row_height = 16
    block_height = row_height * len(methods) + 18
    height = block_height * len(classes) + 30
    left, right = 90, _WIDTH - 60
    scale = (right - left) / (1.0 - start)
    parts = [_x_grid(start, left, scale, height - 26)]
    for block, name in enumerate(classes):
        top = block * block_height + 14
        middle = top + row_height * (len(methods) - 1) / 2
        parts.append(f'<text class="name" x="0" y="{middle + 4:.1f}">{escape(name)}</text>')
        for i in range(len(methods)):
            parts.append(_dot_row(dots[name, i], i, left, top + i * row_height, scale, start))
    label = f"Dice of each case for {', '.join(classes)}"
    return _svg(_WIDTH, height, label, "".join(parts))


def _dice(method: MethodResult, name: str) -> list[float]:
    scores = [score.dice for case in method.scores for score in case.scores if score.name == name]
    return [value for value in scores if value is not None]


def _x_grid(start: float, left: float, scale: float, bottom: float) -> str:
    step = 0.1 if start >= 0.45 else 0.2
    ticks = np.arange(math.ceil(start / step - 1e-9) * step, 1.0 + 1e-9, step)
    parts = []
    for tick in ticks:
        x = left + (tick - start) * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom}"/>')
        parts.append(f'<text class="tick" text-anchor="middle" x="{x:.1f}" y="{bottom + 18}">{tick:.1f}</text>')
    return "".join(parts)


def _dot_row(values: Sequence[float], color: int, left: float, y: float, scale: float, start: float) -> str:
    if not values:
        return f'<text class="tick" x="{left}" y="{y + 4}">not defined</text>'
    xs = [left + (value - start) * scale for value in values]
    mean = fmean(values)
    middle = left + (mean - start) * scale
    row = f'<line class="m{color} reach" x1="{min(xs):.1f}" x2="{max(xs):.1f}" y1="{y}" y2="{y}"/>'
    row += "".join(f'<circle class="m{color}" cx="{x:.1f}" cy="{y}" r="4"/>' for x in xs)
    row += f'<line class="m{color} mean" x1="{middle:.1f}" x2="{middle:.1f}" y1="{y - 7}" y2="{y + 7}"/>'
    return row + f'<text class="m{color} value" x="{_WIDTH - 48}" y="{y + 4}">{mean:.3f}</text>'


def curve_chart(name: str, curves: Sequence[tuple[int, Curve]], over: str = "training steps") -> str:
    """Curves of one kind, each with the number of its method, which gives the color; only finite values are drawn.

    Args:
        name: what the curves show; a name beginning with "loss" is also drawn smoothed.
        curves: by the number of a color.
        over: what grows to the right.
    """
    finite = [(color, *_finite(curve)) for color, curve in curves]
    values = np.concatenate([y for _, _, y in finite])
    if not values.size:
        return _svg(_CURVE_WIDTH, 60, name, '<text class="tick" x="0" y="30">no finite values</text>')
    smoothed = name.casefold().startswith("loss")
    low, high = _range(values, clip=smoothed)
    last_step = max(float(x.max()) for _, x, _ in finite if x.size) or 1.0
    parts = [_y_grid(low, high), _step_ticks(last_step)]
    for color, steps, numbers in finite:
        x = _LEFT + steps / last_step * (_RIGHT - _LEFT)
        y = _BOTTOM - (np.clip(numbers, low, high) - low) / (high - low) * (_BOTTOM - _TOP)
        parts.append(_draw_curve(x, y, f"m{color}", smoothed=smoothed))
    return _svg(_CURVE_WIDTH, _BOTTOM + 28, f"{name} over {over}", "".join(parts))


def _finite(curve: Curve) -> tuple[Numbers, Numbers]:
    steps, values = np.asarray(curve.steps, np.float64), np.asarray(curve.values, np.float64)
    known = np.isfinite(values)
    return steps[known], values[known]


def _draw_curve(x: Numbers, y: Numbers, css: str, *, smoothed: bool) -> str:
    """A line; a long noisy one is faint under its running mean, a short one has dots."""
    if smoothed and len(x) > 12:
        return _line(x, y, f"{css} curve faint") + _line(x, _running_mean(y), f"{css} curve")
    dots = zip(x, y, strict=True) if len(x) <= 30 else ()
    circles = (f'<circle class="{css}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in dots)
    return _line(x, y, f"{css} curve") + "".join(circles)


def _range(values: Numbers, *, clip: bool) -> tuple[float, float]:
    """The values' range with a little room; of a loss, the first few steps may run out at the top."""
    low, high = float(values.min()), float(np.percentile(values, 99) if clip else values.max())
    room = 0.06 * (high - low) or 0.5
    return (low - room if low < 0 or low - room > 0 else 0.0), high + room


def _y_grid(low: float, high: float) -> str:
    step = _nice_step((high - low) / 4)
    parts = []
    for tick in np.arange(math.ceil(low / step - 1e-9) * step, high, step):
        y = _BOTTOM - (tick - low) / (high - low) * (_BOTTOM - _TOP)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{_short(tick)}</text>')
    return "".join(parts)


def _step_ticks(steps: float) -> str:
    parts = []
    for tick in np.arange(0.0, steps + 1e-9, _nice_step(steps / 4)):
        x = _LEFT + tick / steps * (_RIGHT - _LEFT)
        parts.append(f'<text class="tick" text-anchor="middle" x="{x:.1f}" y="{_BOTTOM + 18}">{_short(tick)}</text>')
    return "".join(parts)


def _nice_step(rough: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten above ``rough``."""
    power = 10.0 ** math.floor(math.log10(max(rough, 1e-12)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 10 else f"{number:.3g}"


def _running_mean(y: Numbers) -> Numbers:
    window = max(3, len(y) // 25) | 1
    padded = np.pad(y, window // 2, mode="edge")
    return np.convolve(padded, np.ones(window) / window, mode="valid")


def _line(x: Numbers, y: Numbers, css: str) -> str:
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), 500)).astype(int))
    points = " ".join(f"{x[i]:.1f},{y[i]:.1f}" for i in keep)
    return f'<polyline class="{css}" points="{points}"/>'


def _svg(width: float, height: float, label: str, body: str) -> str:
    return f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'
