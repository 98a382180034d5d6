"""Lesion-instance alignment: a lesion looks alike to both branches, and unlike background and other classes.

BARL's abstract (https://arxiv.org/abs/2510.16863) names the matching of lesion instances between branches. The rule is
our completion: connected components are matched by their overlap, matched ones attract, and InfoNCE (van den Oord et
al. 2018, https://arxiv.org/abs/1807.03748) keeps them from everything else.

Shapes: B patches, F features, N instances of a branch over the whole batch, P matched pairs, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from barl.losses.supervised import NOT_ANNOTATED


@dataclass(frozen=True, kw_only=True)
class InstanceRules:
    """What counts as an instance, as a match, and as unlike."""

    least_voxels: int
    """Voxels of the smallest instance."""

    most: int
    """Instances of a patch, the largest ones."""

    least_overlap: float
    """Intersection over union from which two instances are the same one, 0 to 1."""

    sibling_weight: float
    """How much other instances of the same class count as unlike, 0 to 1."""

    temperature: float
    """Of the contrast, above 0."""


@dataclass(frozen=True)
class Instances:
    """Connected components of one branch, numbered over the whole batch; on the host."""

    ids: np.ndarray
    """(B, D, H, W) int64, 1 to N, 0 where no instance is."""

    classes: np.ndarray
    """(N,) class index of each."""

    @property
    def count(self) -> int:
        """N."""
        return len(self.classes)


def instance_alignment(
    features: Sequence[Tensor], classes: Sequence[Tensor], background: Sequence[Tensor], rules: InstanceRules
) -> Tensor:
    """The contrast of the instances that two branches share, mean of both directions.

    Args:
        features: of each branch, (B, F, D, H, W), each voxel's vector of length 1.
        classes: what each branch sees, (B, D, H, W) class index, 255 where it knows nothing.
        background: what each branch's instances are told from besides each other, (M, F), the other branch's features.
        rules: see there.

    Returns:
        A scalar; 0 with a gradient of 0 where no instance is shared.
    """
    found = [find_instances(c.cpu().numpy(), rules.least_voxels, rules.most) for c in classes]
    pairs = match_instances(found[0], found[1], rules.least_overlap)
    vectors = [instance_vectors(f, instances) for f, instances in zip(features, found, strict=True)]
    directions = []
    for own, other in ((0, 1), (1, 0)):
        mine, theirs = (torch.from_numpy(pairs[:, side]).to(vectors[0].device) for side in (own, other))
        weights = sibling_weights(found[own], found[other], pairs[:, [own, other]], rules.sibling_weight)
        counted = torch.from_numpy(weights).to(vectors[0].device)
        directions.append(
            instance_contrast(vectors[own][mine], vectors[other], theirs, counted, background[own], rules.temperature)
        )
    return torch.stack(directions).mean()


def background_voxels(features: Tensor, classes: Tensor, count: int) -> Tensor:
    """Features of at most ``count`` background voxels, evenly spaced over the batch, (M, F).

    Evenly and not by chance: a replay and a second process see the same ones.

    Args:
        features: (B, F, D, H, W).
        classes: (B, D, H, W), 0 where it is background for sure.
        count: 0 or more.
    """
    places = (classes == 0).flatten().nonzero()[:, 0]
    chosen = places[:: max(1, len(places) // max(1, count))][:count]
    return features.movedim(1, -1).flatten(0, -2)[chosen]


def find_instances(classes: np.ndarray, least_voxels: int, most: int) -> Instances:
    """26-connected components of each foreground class, the largest ``most`` of a patch.

    Args:
        classes: (B, D, H, W) integers, 0 background, 255 where unknown.
        least_voxels: smaller components are left out.
        most: the largest number of components of a patch.
    """
    ids = np.zeros(classes.shape, np.int64)
    found: list[int] = []
    for index, patch in enumerate(np.where(classes == NOT_ANNOTATED, 0, classes).astype(np.uint8)):
        parts = cc3d.connected_components(patch, connectivity=26)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        order = np.argsort(-sizes, kind="stable")[:most]
        kept = order[sizes[order] >= least_voxels]
        numbers = np.zeros(len(sizes), np.int64)
        numbers[kept] = len(found) + 1 + np.arange(len(kept))
        ids[index] = numbers[parts]
        of_part = np.zeros(len(sizes), np.uint8)
        of_part[parts.ravel()] = patch.ravel()
        found += of_part[kept].tolist()
    return Instances(ids, np.array(found, np.int64))


def match_instances(first: Instances, second: Instances, least_overlap: float) -> np.ndarray:
    """Pairs of instances of one class that overlap, (P, 2) indices from 0; each instance in one pair at most.

    The assignment maximizes the sum of intersection over union (Kuhn-Munkres, as scipy solves it).

    Args:
        first: of one branch.
        second: of the other, on the same grid.
        least_overlap: pairs with a smaller intersection over union are no match, 0 to 1.
    """
    overlap = intersection_over_union(first, second)
    overlap[first.classes[:, None] != second.classes[None]] = 0
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    good = overlap[rows, columns] >= max(least_overlap, 1e-9)
    return np.stack([rows[good], columns[good]], axis=1)


def intersection_over_union(first: Instances, second: Instances) -> np.ndarray:
    """(N1, N2) float64, 0 to 1."""
    size = (first.count + 1, second.count + 1)
    pairs = np.bincount((first.ids * size[1] + second.ids).ravel(), minlength=size[0] * size[1]).reshape(size)
    common = pairs[1:, 1:].astype(np.float64)
    union = pairs[1:].sum(axis=1)[:, None] + pairs[:, 1:].sum(axis=0)[None] - common
    overlap: np.ndarray = common / np.maximum(union, 1)
    return overlap


def instance_vectors(features: Tensor, instances: Instances) -> Tensor:
    """(N, F): the mean feature of each instance, brought to length 1.

    Args:
        features: (B, F, D, H, W).
        instances: on the same grid.
    """
    ids = torch.from_numpy(instances.ids).to(features.device).flatten()
    voxels = features.movedim(1, -1).flatten(0, -2)
    sums = voxels.new_zeros(instances.count + 1, voxels.shape[1]).index_add(0, ids, voxels)
    return functional.normalize(sums[1:], dim=1)


def sibling_weights(first: Instances, second: Instances, pairs: np.ndarray, weight: float) -> np.ndarray:
    """(P, N2) float32: how much each instance of the second branch counts against the first one of a pair.

    1 for the match itself and for other classes, ``weight`` for other instances of the same class: they are as alike
    as two lesions of one patient are, and pushing them apart would fight the alignment of regions.
    """
    same = first.classes[pairs[:, 0]][:, None] == second.classes[None]
    weights = np.where(same, np.float32(weight), np.float32(1))
    weights[np.arange(len(pairs)), pairs[:, 1]] = 1
    return weights


def instance_contrast(
    anchors: Tensor, others: Tensor, target: Tensor, weights: Tensor, background: Tensor, temperature: float
) -> Tensor:
    """InfoNCE: mean over pairs of -ln [e^(s_ij / t) / (sum_k w_ik e^(s_ik / t) + sum_b e^(s_ib / t))].

    s is the cosine of two vectors, j the match of i, k runs over the other branch's instances, b over background.

    Args:
        anchors: (P, F) of one branch.
        others: (N, F) of the other branch.
        target: (P,) index into ``others``: the match of each anchor.
        weights: (P, N) weight of each of the others; 0 leaves it out.
        background: (M, F), M may be 0.
        temperature: t, above 0.

    Returns:
        A scalar; 0 where there is no pair.
    """
    if len(anchors) == 0:
        return anchors.sum() + others.sum() * 0
    similar = anchors @ others.T / temperature
    positive = similar.gather(1, target.unsqueeze(1))[:, 0]
    everything = torch.cat([similar + weights.log(), anchors @ background.T / temperature], dim=1)
    return (everything.logsumexp(dim=1) - positive).mean()
