"""Mean teacher (Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780).

A student learns from labels and from agreeing with a teacher on unlabeled patches. The teacher is a running
average of the student; it sees the weak view, the student the strong one. Deviations: the paper adds noise to the
inputs of both; here the views differ in intensity as the trainer's strong view does. Labels teach every decoder scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.consistency import squared_distance
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
    """Weight of the agreement term once the ramp is over, on a mean over voxels and classes. With 10 a network of a
    thousand steps agrees before it knows, which cost up to eight points on left atria (docs/lab-notes.md)."""

    ramp_share: float = 0.4
    """Share of the training until the agreement term has its full weight (6,000 of 15,000 steps in the literature)."""

    momentum: float = 0.99
    """Share of the old teacher kept at each step from step 2,000 on; less before."""

    def __post_init__(self) -> None:
        check_supervised_scales(self.supervised_scales)
        if self.agreement_weight < 0:
            raise SettingsError(f"agreement_weight must be 0 or more, got {self.agreement_weight}")
        if not 0 <= self.ramp_share <= 1:
            raise SettingsError(f"ramp_share must be from 0 to 1, got {self.ramp_share}")
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"momentum must be from 0 up to, but not including, 1, got {self.momentum}")


class MeanTeacher:
    """Student trained by gradient, teacher by averaging."""

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
        """Learn from labels; agree with the teacher on the unlabeled patches."""
        with torch.no_grad():
            belief = batch.belief_on_strong(model.teacher(batch.weak).float().softmax(dim=1))
        supervised, _, strong = labeled_and_strong(model.student, batch, self.settings.supervised_scales)
        agreement = squared_distance(strong.float().softmax(dim=1), belief)
        weight = self.settings.agreement_weight * sigmoid_ramp(progress.done, self.settings.ramp_share)
        terms = {"supervised": supervised.detach(), "agreement": agreement.detach()}
        return LossTerms(supervised + weight * agreement, terms)

    def after_step(self, model: StudentAndTeacher, progress: Progress) -> None:
        """The teacher follows the student."""
        model.follow(progress, self.settings.momentum)

    def predict(self, model: StudentAndTeacher, patch: Tensor) -> Tensor:
        """Student and teacher."""
        return model.predict(patch)
