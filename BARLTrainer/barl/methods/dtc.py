"""Dual-task consistency (Luo et al. 2021, https://arxiv.org/abs/2009.04448).

One network segments and measures signed distances to the surface; on unlabeled patches both must mean the same
surface. Deviations, see docs/methods/dtc.md: distances end at a reach in voxels instead of being scaled to each organ,
and the sigmoid is steep per voxel of it; cross entropy stands beside Dice, and labels teach coarser scales too.

    L = DiceCE(Y, y) + g |R - r|^2 + lambda(t) w |Y - sigmoid(k R)|^2

Shapes: L labeled patches, U unlabeled patches, K classes, D H W voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.consistency import squared_distance
from barl.losses.signed_distance import distance_error, distances_as_logits, signed_distances
from barl.losses.supervised import dice_ce_of
from barl.methods.common.deep_supervision import check_supervised_scales, from_coarse_scales
from barl.methods.common.ramps import sigmoid_ramp
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import NetworkSettings
from barl.networks.two_heads import TwoHeads


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned."""

    supervised_scales: int = 4
    """Decoder scales of the segmentation that learn from labels, 1 (only the finest, as published) to 4 (all): all, as
    in our other methods; what it gains was measured with `supervised` and `barl` (docs/lab-notes.md)."""

    distance_weight: float = 0.3
    """Weight of the squared difference of distances beside the terms of the segmentation, as published."""

    consistency_weight: float = 1.0
    """Weight of the two tasks' agreement on all patches once the ramp is over, as published."""

    ramp_share: float = 0.4
    """Share of the training until the agreement has its full weight; in the paper all 6,000 steps, here as early as in
    our other methods."""

    reach_voxels: int = 10
    """Distance in voxels from which all is equally far: a patch rarely shows a whole organ to scale its map by."""

    steepness: float = 1.0
    """k of the sigmoid that makes distances probabilities, 1 / voxel: 0.73 one voxel inside. At 3 the distance head
    lost a class altogether (docs/lab-notes.md); the published 1,500 on a map of whole organs is a step whose gradient
    is nearly always 0: the distances would never learn from it."""

    def __post_init__(self) -> None:
        check_supervised_scales(self.supervised_scales)
        for name in ("distance_weight", "consistency_weight"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.ramp_share <= 1:
            raise SettingsError(f"ramp_share must be from 0 to 1, got {self.ramp_share}")
        if not 1 <= self.reach_voxels <= 100:
            raise SettingsError(f"reach_voxels must be from 1 to 100, got {self.reach_voxels}")
        if not self.steepness > 0:
            raise SettingsError(f"steepness must be above 0, got {self.steepness}")


class Dtc:
    """Two tasks of one network that agree on unlabeled patches."""

    settings_class = Settings
    num_branches = 2
    needs_unlabeled = True

    def __init__(self, settings: Settings, network: NetworkSettings) -> None:
        self.settings = settings
        self.network = network

    def build(self, in_channels: int, num_classes: int) -> TwoHeads:
        """A V-Net with two heads."""
        return TwoHeads(in_channels, num_classes, self.network, self.settings.reach_voxels)

    def training_step(self, model: TwoHeads, batch: Batch, progress: Progress) -> LossTerms:
        """Both tasks learn from labels; everywhere they mean the same surface."""
        s = self.settings
        tasks = model(torch.cat([batch.labeled, batch.strong]))
        count, num_classes = len(batch.labeled), tasks.logits.shape[1]
        truth = signed_distances(batch.label, num_classes, s.reach_voxels)
        missed = distance_error(tasks.distance[:count], truth)
        log_probability = tasks.logits.float().log_softmax(dim=1)
        probability = log_probability.exp()
        labels = dice_ce_of(log_probability[:count], probability[:count], batch.label)
        coarse = from_coarse_scales(tasks.scales, batch.label, s.supervised_scales)
        supervised = labels + coarse + s.distance_weight * missed
        consistency = squared_distance(probability, self._segmented(tasks.distance).softmax(dim=1))
        weight = s.consistency_weight * sigmoid_ramp(progress.done, s.ramp_share)
        terms = {"supervised": supervised.detach(), "consistency": consistency.detach()}
        return LossTerms(supervised + weight * consistency, terms)

    def after_step(self, model: TwoHeads, progress: Progress) -> None:
        """Nothing."""

    def predict(self, model: TwoHeads, patch: Tensor) -> Tensor:
        """The segmentation head, and the distance head turned into a segmentation."""
        tasks = model(patch)
        return torch.stack([tasks.logits.float(), self._segmented(tasks.distance)], dim=1)

    def _segmented(self, distance: Tensor) -> Tensor:
        return distances_as_logits(distance, self.settings.steepness * self.settings.reach_voxels)
