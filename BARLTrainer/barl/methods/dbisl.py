"""DBiSL: bidirectional dual-task synergistic learning (Li 2026, https://arxiv.org/abs/2602.09378).

One network segments and measures signed distances to the surface, a differentiable transformer in each direction turns
one into the other, and the two tasks teach each other. Published are the abstract and second-hand sentences; every
weight, schedule and certainty is our completion, see docs/methods/dbisl.md, and a setting below. Labels teach coarser
scales of the segmentation too, which the formulas leave out.

    L = L_sup + lambda(t) (w_con L_con + w_pse L_pse)
    L_sup = [DiceCE(Y) + DiceCE(T_r2s(R))](y) + g [|R - r|^2 + |T_s2r(Y) - r|^2]
    L_con = |Y - T_r2s(R)|^2 + g |R - T_s2r(Y)|^2
    L_pse = sum u [CE(Y) + CE(T_r2s(R)) + g |R - r'|^2](y') / sum u,  y' = argmax (Y + T_r2s(R)) / 2, r' its distances

Shapes: L labeled patches, U unlabeled patches, K classes, D H W voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.consistency import squared_distance
from barl.losses.signed_distance import Transformers, distance_error, signed_distances
from barl.losses.supervised import dice_ce_of
from barl.losses.task_agreement import (
    certainty_by_agreement,
    certainty_by_entropy,
    weighted_cross_entropy,
    weighted_mean,
)
from barl.methods.common.deep_supervision import check_supervised_scales, from_coarse_scales
from barl.methods.common.ramps import sigmoid_ramp
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import NetworkSettings
from barl.networks.two_heads import TwoHeads, TwoTasks

Directions = Literal["both", "to_segmentation"]
DIRECTIONS: tuple[Directions, ...] = ("both", "to_segmentation")
Certainty = Literal["entropy", "agreement"]
CERTAINTIES: tuple[Certainty, ...] = ("entropy", "agreement")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned; the abstract states none of it. A weight of 0 switches a part off."""

    supervised_scales: int = 4
    """Decoder scales of the segmentation that learn from labels, 1 (only the finest) to 4 (all): all, as in our other
    methods; what it gains was measured with `supervised` and `barl` (docs/lab-notes.md)."""

    directions: Directions = "both"
    """`both`: each task is turned into the other; `to_segmentation`: only distances into segmentations, as in DTC."""

    distance_weight: float = 0.3
    """Weight of each squared difference of distances beside the terms of the segmentation, as in DTC."""

    consistency_weight: float = 1.0
    """Weight of the two tasks' agreement on all patches once the ramp is over, as in DTC."""

    pseudo_weight: float = 1.0
    """Weight of learning from the two tasks' common guess on unlabeled patches once the ramp is over."""

    certainty: Certainty = "entropy"
    """What makes a voxel of that guess count: `entropy`: that the mean of both tasks is sure of one class (0 to 1);
    `agreement`: that both tasks agree, sure or not (0.5 to 1), which trusts a young network more."""

    ramp_share: float = 0.4
    """Share of the training until both weights are full, as in our other methods."""

    reach_voxels: int = 10
    """Distance in voxels from which all is equally far: beyond it a border is out of sight of most patches."""

    steepness: float = 1.0
    """k of the sigmoid that makes distances probabilities, 1 / voxel: 0.73 one voxel inside, 0.95 three voxels. At 3,
    the distance head's gradient drowns the other one's, and both learn half as fast (docs/lab-notes.md); DTC's 1,500 on
    a map of whole organs is a step whose gradient is nearly always 0."""

    smoothness_voxels: float = 0.15
    """h of the kernel exp(-r / h) that makes probabilities distances, in voxels. Larger ones blur: the center of a ball
    of 10 voxels' radius is 0.9 voxels nearer to its surface than it should be, at 0.2 it is 1.2."""

    sharpening: float = 13.0
    """Power of the probabilities before that kernel: a remote 1 % is then no surface one voxel off, but one 9 voxels
    off."""

    def __post_init__(self) -> None:
        check_supervised_scales(self.supervised_scales)
        for name, allowed in (("directions", DIRECTIONS), ("certainty", CERTAINTIES)):
            if getattr(self, name) not in allowed:
                raise SettingsError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        for name in ("distance_weight", "consistency_weight", "pseudo_weight"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.ramp_share <= 1:
            raise SettingsError(f"ramp_share must be from 0 to 1, got {self.ramp_share}")
        if not 1 <= self.reach_voxels <= 100:
            raise SettingsError(f"reach_voxels must be from 1 to 100, got {self.reach_voxels}")
        for name in ("steepness", "sharpening"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.reach_voxels / 80 <= self.smoothness_voxels <= self.reach_voxels:
            raise SettingsError(
                f"smoothness_voxels must be from {self.reach_voxels / 80:g} to {self.reach_voxels}, an 80th of "
                f"reach_voxels to all of it, got {self.smoothness_voxels}: exp(-reach / h) would be 0, or no distance"
            )

    @property
    def transformers(self) -> Transformers:
        """From one task to the other and back."""
        return Transformers(
            reach_voxels=self.reach_voxels,
            steepness=self.steepness,
            smoothness_voxels=self.smoothness_voxels,
            sharpening=self.sharpening,
        )


class Segmentation(NamedTuple):
    """A softmax, which many terms need, and its logarithm, which others do."""

    log_probability: Tensor
    """(B, K, D, H, W) float32."""

    probability: Tensor
    """The same shape."""

    def patches(self, first: int, last: int | None = None) -> Segmentation:
        """Some of the batch."""
        return Segmentation(self.log_probability[first:last], self.probability[first:last])


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Both tasks' view of some patches, each also as the other would say it; all with gradient."""

    segmentation: Segmentation
    """Y."""

    distance: Tensor
    """R, (B, K - 1, D, H, W), shares of the reach."""

    segmented_distance: Segmentation
    """T_r2s(R)."""

    measured_segmentation: Tensor | None
    """T_s2r(Y) of one class, (B, 1, D, H, W); None where only the other direction is wanted."""

    measured_class: int
    """Which one, 1 to K - 1."""

    def patches(self, first: int, last: int | None = None) -> Guess:
        """Some of the batch."""
        measured = self.measured_segmentation
        return Guess(
            segmentation=self.segmentation.patches(first, last),
            distance=self.distance[first:last],
            segmented_distance=self.segmented_distance.patches(first, last),
            measured_segmentation=None if measured is None else measured[first:last],
            measured_class=self.measured_class,
        )

    @property
    def distance_of_measured(self) -> Tensor:
        """R of the class that the segmentation was measured for, (B, 1, D, H, W)."""
        return self.distance[:, self.measured_class - 1 : self.measured_class]


class Dbisl:
    """Two tasks of one network, each the other's teacher."""

    settings_class = Settings
    num_branches = 2
    needs_unlabeled = True

    def __init__(self, settings: Settings, network: NetworkSettings) -> None:
        self.settings = settings
        self.network = network
        self.transformers = settings.transformers

    def build(self, in_channels: int, num_classes: int) -> TwoHeads:
        """A V-Net with two heads."""
        return TwoHeads(in_channels, num_classes, self.network, self.settings.reach_voxels)

    def training_step(self, model: TwoHeads, batch: Batch, progress: Progress) -> LossTerms:
        """Supervision of both tasks; their agreement; their common guess as a label where it is sure."""
        s = self.settings
        tasks = model(torch.cat([batch.labeled, batch.strong]))
        everything = self._guess(tasks, progress)
        count = len(batch.labeled)
        coarse = from_coarse_scales(tasks.scales, batch.label, s.supervised_scales)
        ramp = sigmoid_ramp(progress.done, s.ramp_share)
        parts = {"supervised": self._supervised(everything.patches(0, count), batch.label) + coarse}
        weights = {"supervised": 1.0}
        if s.consistency_weight:
            parts["consistency"] = self._consistency(everything)
            weights["consistency"] = ramp * s.consistency_weight
        if s.pseudo_weight:
            parts["pseudo"] = self._pseudo_supervision(everything.patches(count), batch.pasted)
            weights["pseudo"] = ramp * s.pseudo_weight
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return LossTerms(total, {name: part.detach() for name, part in parts.items()})

    def after_step(self, model: TwoHeads, progress: Progress) -> None:
        """Nothing."""

    def predict(self, model: TwoHeads, patch: Tensor) -> Tensor:
        """The segmentation head, and the distance head turned into a segmentation."""
        tasks = model(patch)
        segmented = self.transformers.to_segmentation(tasks.distance)
        return torch.stack([tasks.logits.float(), segmented], dim=1)

    def _guess(self, tasks: TwoTasks, progress: Progress) -> Guess:
        """Of several classes, one a step has its turn to be measured: all of them would slow a step too much."""
        segmentation = _segmentation(tasks.logits.float())
        turn = 1 + progress.step % tasks.distance.shape[1]
        measured = None
        if self.settings.directions == "both":
            measured = self.transformers.to_distance(segmentation.log_probability[:, turn : turn + 1])
        return Guess(
            segmentation=segmentation,
            distance=tasks.distance,
            segmented_distance=_segmentation(self.transformers.to_segmentation(tasks.distance)),
            measured_segmentation=measured,
            measured_class=turn,
        )

    def _supervised(self, guess: Guess, label: Tensor) -> Tensor:
        """Both tasks by the label, as they are and as the other would say them."""
        truth = signed_distances(label, guess.distance.shape[1] + 1, self.settings.reach_voxels)
        segmented = dice_ce_of(*guess.segmentation, label) + dice_ce_of(*guess.segmented_distance, label)
        measured = distance_error(guess.distance, truth)
        if guess.measured_segmentation is not None:
            measured = measured + distance_error(guess.measured_segmentation, truth.of_class(guess.measured_class))
        return segmented + self.settings.distance_weight * measured

    def _consistency(self, guess: Guess) -> Tensor:
        """Both tasks agree, said in either's way; gradients into both."""
        apart = squared_distance(guess.segmentation.probability, guess.segmented_distance.probability)
        if guess.measured_segmentation is None:
            return apart
        measured = squared_distance(guess.distance_of_measured, guess.measured_segmentation)
        return apart + self.settings.distance_weight * measured

    def _pseudo_supervision(self, guess: Guess, pasted: Tensor | None) -> Tensor:
        """Both tasks by their common guess, voxels of which count as much as it is certain."""
        tasks = (guess.segmentation.probability.detach(), guess.segmented_distance.probability.detach())
        label = (tasks[0] + tasks[1]).max(dim=1).indices  # Five times as fast as argmax, on a CPU.
        certain = certainty_by_entropy if self.settings.certainty == "entropy" else certainty_by_agreement
        weight = certain(*tasks)
        if pasted is not None:
            label = torch.where(pasted >= 0, pasted, label)
            weight = weight.masked_fill(pasted >= 0, 1.0)
        truth = signed_distances(label, tasks[0].shape[1], self.settings.reach_voxels, complete=True).low
        missed = (guess.distance - truth).square().mean(dim=1)
        return (
            weighted_cross_entropy(guess.segmentation.log_probability, label, weight)
            + weighted_cross_entropy(guess.segmented_distance.log_probability, label, weight)
            + self.settings.distance_weight * weighted_mean(missed, weight)
        )


def _segmentation(logits: Tensor) -> Segmentation:
    log_probability = logits.log_softmax(dim=1)
    return Segmentation(log_probability, log_probability.exp())
