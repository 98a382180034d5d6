"""How weights grow during training."""

from __future__ import annotations

import math


def sigmoid_ramp(done: float, length: float) -> float:
    """exp(-5 (1 - t / T)^2) with t clipped to 0 ... T: from 0.007 up to 1 (Laine and Aila 2017, https://arxiv.org/abs/1610.02242).

    Args:
        done: share of the training that is over, 0 to 1.
        length: share after which the weight is full, 0 for at once.
    """
    if length <= 0:
        return 1.0
    missing = 1 - min(max(done, 0.0), length) / length
    return math.exp(-5 * missing * missing)


def late_ramp(done: float, start: float, end: float) -> float:
    """0 until ``start``, then :func:`sigmoid_ramp` up to 1 at ``end``; all as shares of the training, 0 to 1."""
    return 0.0 if done < start else sigmoid_ramp(done - start, end - start)


def linear_ramp(done: float, start: float, end: float) -> float:
    """From ``start`` at the beginning of the training to ``end`` at its end."""
    return start + (end - start) * min(max(done, 0.0), 1.0)
