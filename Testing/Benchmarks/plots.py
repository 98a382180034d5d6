"""Pictures of benchmark results; matplotlib is imported where it is used, for it is no dependency of the project."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

_INK, _DOT, _MEAN = "#333333", "#8fb0c9", "#1f5f8b"


def means(results: Mapping[str, Sequence[float]], *, title: str, path: Path) -> None:
    """One row a variant: a dot a seed, a bar for the mean and one standard deviation to each side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

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
    axes.grid(axis="x", color="#e6e6e6")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
