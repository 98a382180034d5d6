"""Uncertainty-aware mean teacher, UA-MT (Yu et al. 2019, https://arxiv.org/abs/1907.07034).

A mean teacher whose student agrees with it only where the teacher is certain. The teacher is asked several times, each
time with other noise and other channels dropped; a voxel is certain while the entropy of the mean answer is low, and
what counts as low grows during the training.

    L = 1/2 (CE + Dice)(p, y) + lambda(t) w sum_v m |p - q|^2 / (K sum_v m),  m = [u < H(t)],
    H(t) = (3/4 + 1/4 r(t)) ln K

lambda is full after a part of the training; r is the same ramp over all of it, as in the paper: a bound that reaches
ln K earlier would leave a mean teacher that pays for an uncertainty nobody reads.

Deviations: the student sees the strong view where the paper has a second noise; only the teacher's repeated passes drop
channels, for our networks learn without dropout unless `network.dropout` says otherwise. Noise and dropped channels are
drawn from torch's own generator, as dropout is everywhere; a checkpoint keeps its state. Labels
teach every decoder scale.

Shapes: L labeled patches, U unlabeled patches, K classes, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from barl.errors import SettingsError
from barl.losses.certainty import certain_distance, certain_voxels
from barl.methods.common.deep_supervision import check_supervised_scales, labeled_and_strong
from barl.methods.common.ramps import sigmoid_ramp
from barl.methods.common.student_teacher import StudentAndTeacher
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import NetworkSettings, VNet


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned."""

    supervised_scales: int = 4
    """Decoder scales that learn from labels, 1 (only the finest) to 4 (all): all give one to two points more than one
    after a few hundred steps (docs/lab-notes.md)."""

    agreement_weight: float = 1.0
    """Weight of the agreement term once the ramp is over, as in `mean_teacher`, so that both differ in the uncertainty
    alone; 0.1 in the paper."""

    ramp_share: float = 0.4
    """Share of the training until the agreement has its full weight, as in `mean_teacher` (in the paper, all of it)."""

    momentum: float = 0.99
    """Share of the old teacher kept at each step from step 2,000 on, as in the paper; less before."""

    passes: int = 8
    """How often the teacher is asked for its uncertainty, as in the paper; each costs a pass without gradient over the
    unlabeled patches."""

    noise: float = 0.1
    """Standard deviation of the noise that each of these passes adds, in standard deviations of the volume, cut off at
    twice as much; as in the paper's code."""

    dropout: float = 0.2
    """Share of channels that each of these passes drops at the bottleneck and before the head. The paper's 0.5 is meant
    for networks that learn with it, see `network.dropout`."""

    bound_start: float = 0.75
    """Entropy below which a voxel is certain at the beginning, as a share of the largest possible one, ln K. It grows
    to 1 until the end of the training, both as in the paper."""

    def __post_init__(self) -> None:
        check_supervised_scales(self.supervised_scales)
        if not self.agreement_weight >= 0:
            raise SettingsError(f"agreement_weight must be 0 or more, got {self.agreement_weight}")
        for name in ("ramp_share", "bound_start"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("momentum", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} must be from 0 up to, but not including, 1, got {getattr(self, name)}")
        if not 1 <= self.passes <= 64:
            raise SettingsError(f"passes must be from 1 to 64, got {self.passes}")
        if not 0 <= self.noise <= 10:
            raise SettingsError(f"noise must be from 0 to 10 standard deviations, got {self.noise}")


class UncertaintyMeanTeacher:
    """Student trained by gradient, teacher by averaging and asked how sure it is."""

    settings_class = Settings
    num_branches = 2
    needs_unlabeled = True

    def __init__(self, settings: Settings, network: NetworkSettings) -> None:
        self.settings = settings
        self.network = network

    def build(self, in_channels: int, num_classes: int) -> StudentAndTeacher:
        """A V-Net and its average."""
        return StudentAndTeacher(VNet(in_channels, num_classes, self.network))

    def training_step(self, model: StudentAndTeacher, batch: Batch, progress: Progress) -> LossTerms:
        """Learn from labels; agree with the teacher where it is certain."""
        s = self.settings
        ramp = sigmoid_ramp(progress.done, s.ramp_share)
        with torch.no_grad():
            belief = batch.belief_on_strong(model.teacher(batch.weak).float().softmax(dim=1))
            bound = s.bound_start + (1 - s.bound_start) * sigmoid_ramp(progress.done, 1.0)
            certain = self._certain(model.teacher, batch, bound)
        supervised, _, strong = labeled_and_strong(model.student, batch, s.supervised_scales)
        agreement = certain_distance(strong.float().softmax(dim=1), belief, certain)
        terms = {"supervised": supervised.detach(), "agreement": agreement.detach(), "certain": certain.float().mean()}
        return LossTerms(supervised + s.agreement_weight * ramp * agreement, terms)

    def after_step(self, model: StudentAndTeacher, progress: Progress) -> None:
        """The teacher follows the student."""
        model.follow(progress, self.settings.momentum)

    def predict(self, model: StudentAndTeacher, patch: Tensor) -> Tensor:
        """Student and teacher."""
        return model.predict(patch)

    def _certain(self, teacher: nn.Module, batch: Batch, share: float) -> Tensor:
        """(U, D, H, W) bool; what was pasted into a view is a label, and certain."""
        mean = torch.zeros(())
        with dropping(teacher, self.settings.dropout):
            for _ in range(self.settings.passes):
                noise = self.settings.noise * torch.randn_like(batch.weak).clamp(-2, 2)
                mean = mean + teacher(batch.weak + noise).float().softmax(dim=1) / self.settings.passes
        certain = certain_voxels(mean, share)
        return certain if batch.pasted is None else certain | (batch.pasted >= 0)


@contextmanager
def dropping(network: nn.Module, share: float) -> Iterator[None]:
    """Let a network drop this share of channels, whatever it does otherwise."""
    layers = [part for part in network.modules() if isinstance(part, nn.Dropout3d)]
    before = [(layer.p, layer.training) for layer in layers]
    for layer in layers:
        layer.p = share
        layer.train()
    try:
        yield
    finally:
        for layer, (usual, training) in zip(layers, before, strict=True):
            layer.p = usual
            layer.train(training)
