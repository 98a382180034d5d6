"""Pictures of benchmark results; matplotlib is imported where it is used, for it is no dependency of the project."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

_INK, _DOT, _MEAN = "#333333", "#8fb0c9", "#1f5f8b"
_STRATEGIES = {"regions": "#0b62c4", "slices": "#17803d", "cases": "#b4480e", "all": "#667284"}


def means(results: Mapping[str, Sequence[float]], *, title: str, path: Path) -> None:
    """One row a variant: a dot a seed, a bar for the mean and one standard deviation to each side."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(7.5, 1.1 + 0.38 * len(results)))
    for row, values in enumerate(results.values()):
        center = statistics.mean(values)
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        axes.plot([center - spread, center + spread], [row, row], color=_MEAN, linewidth=2, zorder=2)
        axes.plot(values, [row] * len(values), "o", color=_DOT, markersize=6, zorder=1)
        axes.plot([center], [row], "|", color=_MEAN, markersize=16, markeredgewidth=2.5, zorder=3)
        axes.annotate(f"{center:.3f}", (center, row), (0, 9), textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(range(len(results)), list(results))
    axes.set_ylim(len(results) - 0.4, -0.8)
    axes.set_xlabel("mean Dice of the held-out cases")
    axes.set_title(title, fontsize=9, color=_INK, loc="left")
    _quiet(axes, grid="x", without=("top", "right", "left"))
    axes.tick_params(axis="y", length=0)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def times(results: Mapping[str, Sequence[tuple[float, float]]], *, title: str, path: Path) -> None:
    """A dot a run at (seconds, Dice), a color a variant."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(7.5, 4.5))
    for number, (name, runs) in enumerate(results.items()):
        if not runs:
            continue
        color = pyplot.get_cmap("tab20")(number % 20)
        axes.plot(*zip(*runs, strict=True), "o", color=color, markersize=6, label=name)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_xlabel("processor seconds of the training")
    axes.set_ylabel("mean Dice of the held-out cases")
    axes.set_title(title, fontsize=9, color=_INK, loc="left")
    _quiet(axes)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def costs(curves: Mapping[str, Any], units: Mapping[str, str], *, path: Path) -> None:
    """Dice against cost: a panel a unit, a line a strategy and seed, a dashed line at 95 % of everything annotated.

    Args:
        curves: what a simulation writes into curves.json.
        units: which costs, with their words for the axis.
        path: of the picture; its suffix tells the format.
    """
    pyplot = _pyplot()
    from matplotlib import ticker

    pyplot.rcParams["svg.hashsalt"] = "barl"  # The same picture for the same numbers.
    figure, panels = pyplot.subplots(1, len(units), figsize=(4.2 * len(units), 3.6), sharey=True, squeeze=False)
    for axes, (unit, words) in zip(panels[0], units.items(), strict=True):
        for name, color in _STRATEGIES.items():
            _loops(axes, [one for one in curves["points"] if one["strategy"] == name], unit, name, color)
        if curves["reached"]:
            axes.axhline(curves["reached"]["target"], color=_INK, linewidth=1, linestyle=(0, (5, 4)), zorder=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        # Thousands as k, millions as M: numbers in full would run into each other.
        axes.xaxis.set_major_formatter(ticker.EngFormatter(sep="\N{THIN SPACE}"))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.tick_params(axis="x", labelsize=8)
        axes.set_xlabel(words)
        _quiet(axes)
    panels[0][0].set_ylabel("mean Dice of the held-out cases")
    panels[0][0].legend(frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _loops(axes: Any, points: Sequence[Mapping[str, Any]], unit: str, name: str, color: str) -> None:
    for number, seed in enumerate(sorted({one["seed"] for one in points})):
        loop = sorted((one for one in points if one["seed"] == seed), key=lambda one: one["round"])
        spent, dice = [one["cost"][unit] for one in loop], [one["dice"] for one in loop]
        # Everything at once has one cost: its dots are the trainings that go on.
        axes.plot(
            spent,
            dice,
            "o" if name == "all" else "o-",
            color=color,
            markersize=4,
            linewidth=1.6,
            label="_" if number else name,
        )


def _pyplot() -> Any:
    """Without a window."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _quiet(axes: Any, *, grid: Literal["both", "x"] = "both", without: Sequence[str] = ("top", "right")) -> None:
    """A pale grid behind the data, and no more of the frame than is read."""
    axes.grid(axis=grid, color="#e6e6e6")
    axes.set_axisbelow(True)
    for side in without:
        axes.spines[side].set_visible(False)
