"""A network that learns, and its running average that shows it what to make of unlabeled patches."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from barl.methods.common.averaging import follow, freeze
from barl.methods.protocol import Progress
from barl.networks import VNet


class StudentAndTeacher(nn.Module):
    """Student trained by gradient, teacher by averaging (Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780)."""

    def __init__(self, student: VNet) -> None:
        super().__init__()
        self.student = student
        self.teacher = freeze(copy.deepcopy(student))

    def follow(self, progress: Progress, momentum: float) -> None:
        """The teacher moves towards the student.

        Args:
            progress: of the step that has just been taken.
            momentum: share of the old teacher that is kept, 0 to 1.
        """
        follow(self.teacher, self.student, progress.step, momentum)

    def predict(self, patch: Tensor) -> Tensor:
        """Both networks' logits of a patch (B, C, D, H, W), (B, 2, K, D, H, W)."""
        return torch.stack([self.student(patch), self.teacher(patch)], dim=1)
