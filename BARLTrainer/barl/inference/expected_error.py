"""From the steps of an uncertainty map to the probability that a voxel's label is wrong. No torch.

A map holds bytes; 251 possible values make every conversion a look-up.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

LEVELS = 250
"""Steps of a map between 0 and 1; they fit a byte, compress well, and 0.004 is finer than any use of the map."""

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]


def error_by_entropy(num_classes: int) -> Floats:
    """Probability of error for each step of the entropy map, shape (251,).

    Near a border two classes are in question, and then the entropy is h(e) = -e ln e - (1 - e) ln (1 - e), which is
    turned around here. With more classes in question h(e) is a lower bound (the entropy is the smallest when all that
    the first class lacks is in a second one), so that the error is over- rather than underestimated. Above ln 2,
    where two classes cannot be, e goes on in a straight line to that of all K classes being alike, 1 - 1/K.

    Args:
        num_classes: K, background included; the map is the entropy over ln K.
    """
    nats = np.linspace(0, math.log(num_classes), LEVELS + 1)
    return np.where(nats <= math.log(2), _two_classes(nats), _more_classes(nats, num_classes)).astype(np.float32)


def error_by_disagreement() -> Floats:
    """Probability of error for each step of the disagreement map, shape (251,).

    The disagreement is an entropy of its own: how much is left to learn by hearing a branch. Two branches that are
    certain of different classes disagree by 1, and one of them is wrong: e = 1/2. In between as for the entropy of two
    classes.
    """
    return _two_classes(np.linspace(0, math.log(2), LEVELS + 1)).astype(np.float32)


def levels_of(values: npt.NDArray[np.float32]) -> Levels:
    """A map from 0 to 1 back in its steps."""
    levels: Levels = np.rint(np.clip(values, 0, 1) * LEVELS).astype(np.uint8)
    return levels


def _two_classes(nats: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # Finer towards 0, where the entropy rises steeply.
    share = 0.5 * np.linspace(0, 1, 20_001) ** 3
    rest = 1 - share
    entropy = -(share * np.log(np.maximum(share, 1e-300)) + rest * np.log(rest))
    return np.interp(nats, entropy, share)


def _more_classes(nats: npt.NDArray[np.float64], num_classes: int) -> npt.NDArray[np.float64]:
    return np.interp(nats, [math.log(2), max(math.log(num_classes), math.log(2) + 1e-9)], [0.5, 1 - 1 / num_classes])
