"""How the learning rate falls."""

from __future__ import annotations

POWER = 0.9
"""Exponent of the usual polynomial decay in segmentation."""


def learning_rate(first: float, done: float) -> float:
    """first * (1 - done)^0.9, with ``done`` the share of the training that is over, 0 to 1."""
    return float(first * (1 - min(max(done, 0.0), 1.0)) ** POWER)
