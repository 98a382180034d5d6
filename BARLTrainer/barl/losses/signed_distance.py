"""Segmentations as signed distances and back: what two tasks of one network tell each other.

A signed distance is positive inside a class and negative outside, in shares of a reach: 1 means as far inside as the
reach or farther. There is one map a foreground class; background is where no class is. The reach, a few voxels to
either side of a surface, is where distances say something about it.

Shapes: B patches, K classes (0 is background), D H W voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from barl.losses.distance_transform import soft_distance_to, squared_distance_to
from barl.losses.reduction import totals
from barl.losses.supervised import NOT_ANNOTATED

_TINY = 1e-6


@dataclass(frozen=True, kw_only=True)
class Transformers:
    """The two differentiable transformers, from one task to the other and back."""

    reach_voxels: int
    """Distance that a map's 1 stands for."""

    steepness: float
    """k, 1 / voxel: of the sigmoid from distance to probability."""

    smoothness_voxels: float
    """h: of the kernel from probability to distance."""

    sharpening: float
    """Power that probabilities are raised to before their distance is taken."""

    def to_segmentation(self, distance: Tensor) -> Tensor:
        """T_r2s: logits (B, K, D, H, W) whose softmax is the segmentation, see :func:`distances_as_logits`."""
        return distances_as_logits(distance, self.steepness * self.reach_voxels)

    def to_distance(self, log_probability: Tensor) -> Tensor:
        """T_s2r: R_c = (D[1 - m_c] - D[m_c]) / reach with m_c = p_c^s / (p_c^s + (1 - p_c)^s).

        DBiSL's other transformer, D by convolution with exp(-r / h). The power s is ours: a probability p looks to the
        kernel like a voxel -h ln p farther away, and a remote 1 % would be a surface one voxel off.

        Args:
            log_probability: ln p_c of some foreground classes c, (B, M, D, H, W) float32 or float64.

        Returns:
            (B, M, D, H, W), shares of the reach.
        """
        of_others = (1 - log_probability.exp()).clamp(min=_TINY).log()
        margin = self.sharpening * (log_probability - of_others)
        sets = torch.cat([(-margin).sigmoid(), margin.sigmoid()], dim=1)
        inside, outside = soft_distance_to(sets, self.reach_voxels, self.smoothness_voxels).chunk(2, dim=1)
        return (inside - outside) / self.reach_voxels


def distances_as_logits(distance: Tensor, steepness: float) -> Tensor:
    """Logits (0, k R_1, ..., k R_(K-1)): for one class their softmax is 1 / (1 + exp(-k R)).

    The scaled sigmoid of DTC (Luo et al. 2021, https://arxiv.org/abs/2009.04448) and DBiSL (Li 2026,
    https://arxiv.org/abs/2602.09378), for several classes as a softmax with background at 0.

    Args:
        distance: R, (B, K - 1, D, H, W), shares of the reach.
        steepness: k, a share of the reach.

    Returns:
        (B, K, D, H, W) float32 or float64.
    """
    kind = torch.promote_types(distance.dtype, torch.float32)
    return functional.pad(steepness * distance.to(kind), (0, 0, 0, 0, 0, 0, 1, 0))


@dataclass(frozen=True)
class DistanceRange:
    """Where signed distances lie that a label leaves open in part."""

    low: Tensor
    """(B, K - 1, D, H, W) float32, shares of the reach."""

    high: Tensor
    """The same shape; equal to ``low`` where all voxels within the distance are annotated."""

    known: Tensor
    """(B, 1, D, H, W) float32: 1 where the voxel itself is annotated."""

    def of_class(self, index: int) -> DistanceRange:
        """That of one foreground class alone, 1 to K - 1."""
        return DistanceRange(self.low[:, index - 1 : index], self.high[:, index - 1 : index], self.known)


def signed_distances(label: Tensor, num_classes: int, reach: int, *, complete: bool = False) -> DistanceRange:
    """Exact signed distances of a label, as far as it tells them.

    The nearest annotated voxel of the other side bounds a distance from above, the nearest voxel that nobody annotated
    from below: it may belong to the other side.

    Args:
        label: (B, D, H, W) class index, 255 where not annotated.
        num_classes: K.
        reach: voxels that 1 stands for.
        complete: the caller knows that no voxel is 255, which saves a map.
    """
    known = (label != NOT_ANNOTATED).unsqueeze(1)
    classes = torch.arange(1, num_classes, device=label.device).view(1, -1, 1, 1, 1)
    inside = label.unsqueeze(1) == classes
    outside = known & ~inside
    # Whole squares are compared first: roots are drawn of what is left.
    of_outside, of_inside = squared_distance_to(torch.cat([outside, inside], dim=1), reach).chunk(2, dim=1)
    squares = torch.where(inside, of_outside, of_inside)
    far = _in_reaches(squares, reach)
    near = far if complete else _in_reaches(torch.minimum(squares, squared_distance_to(~known, reach)), reach)
    return DistanceRange(torch.where(inside, near, -far), torch.where(inside, far, -near), known.float())


def _in_reaches(squares: Tensor, reach: int) -> Tensor:
    return squares.float().sqrt_().div_(reach)


def distance_error(distance: Tensor, target: DistanceRange) -> Tensor:
    """Mean over annotated voxels and classes of the squared distance from R to its range; 0 where nothing is known.

    Args:
        distance: R, (B, K - 1, D, H, W), shares of the reach.
        target: of the same shape.
    """
    distance = distance.float()
    missed = (distance - distance.clamp(target.low, target.high)).square() * target.known
    total, count = totals(missed.sum(), target.known.sum())
    return total / (count * distance.shape[1]).clamp(min=1)
