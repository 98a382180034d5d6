"""Bidirectional copy-paste, BCP (Bai et al. 2023, https://arxiv.org/abs/2305.00673).

Every patch that the student learns from is put together of two: a box of an unlabeled patch in a labeled one, or a box
of a labeled patch in an unlabeled one. So labels and the teacher's guesses are learned in one and the same picture. At
first, while the teacher has nothing to say, labeled patches are mixed with labeled ones.

    x = M x_l + (1 - M) x_u,   L = l(p | M, y) + w l(p | 1 - M, y_teacher),   l = 1/2 (CE + Dice)

M is 1 around the box in one half of the mixed patches and 1 inside it in the other half. The setting
`views.paste_share` mixes the strong views of every method; this method mixes by itself, labeled patches too, and has no
other views. Deviations: the teacher is an average from the first step on, where the paper starts it from the pretrained
student; as many mixed patches a step as there are patches, where the paper has half as many; labels
teach every decoder scale.

Shapes: L labeled patches, U unlabeled patches, M mixed patches, K classes, D H W voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.components import largest_components
from barl.losses.supervised import NOT_ANNOTATED, dice_ce
from barl.methods.common.deep_supervision import check_supervised_scales, from_labels, supervised_by
from barl.methods.common.student_teacher import StudentAndTeacher
from barl.methods.common.unlabeled_view import UnlabeledView, check_unlabeled_view
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import NetworkSettings, VNet

_APART = 15_485_863


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned."""

    supervised_scales: int = 4
    """Decoder scales that learn from labels, 1 (only the finest) to 4 (all): all give one to two points more than one
    after a few hundred steps (docs/lab-notes.md)."""

    pretraining_share: float = 0.2
    """Share of the training that mixes labeled patches with labeled ones (2,000 of 17,000 steps in the paper; a short
    training needs a larger part until its guesses are worth anything)."""

    unlabeled_weight: float = 0.5
    """Weight of the voxels that the teacher labels, beside 1 for labeled ones, as in the paper."""

    box_side: float = 0.67
    """Edges of the box as a share of the patch's; two thirds, as in the paper: the box has 30 % of the voxels."""

    momentum: float = 0.99
    """Share of the old teacher kept at each step from step 2,000 on, as in the paper; less before."""

    unlabeled_view: UnlabeledView = "weak"
    """What is mixed with labeled patches: `weak`: the plain view, as in the paper, which changes no gray values; set
    `views.paste_share` to 0 then and save the strong views' mixing. `strong`: the view with changed gray values, the
    teacher still sees the plain one; what `views.paste_share` has pasted counts as labeled."""

    largest_component: bool = False
    """Whether only each class's largest component of the teacher's guess counts, as in the paper for single organs;
    wrong for lesions and teeth, and a GPU has to wait for it."""

    def __post_init__(self) -> None:
        for name in ("pretraining_share", "box_side"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if not self.unlabeled_weight >= 0:
            raise SettingsError(f"unlabeled_weight must be 0 or more, got {self.unlabeled_weight}")
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"momentum must be from 0 up to, but not including, 1, got {self.momentum}")
        check_supervised_scales(self.supervised_scales)
        check_unlabeled_view(self.unlabeled_view)


@dataclass(frozen=True, kw_only=True)
class Guessed:
    """Unlabeled patches, and what is known and believed of them."""

    images: Tensor
    """(U, C, D, H, W)."""

    label: Tensor
    """(U, D, H, W) class index where a labeled piece was pasted, 255 elsewhere."""

    guess: Tensor
    """(U, D, H, W) the teacher's class index where nothing was pasted, 255 elsewhere."""


class CopyPaste:
    """Student that learns from mixed patches, teacher by averaging."""

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
        """Learn from labeled patches in labeled ones at first, then from labeled and unlabeled ones in each other."""
        box = draw_box(batch.label, self.settings.box_side, progress)
        if progress.done < self.settings.pretraining_share:
            return self._pretraining(model, batch, box)
        guessed = self._guessed(model, batch)
        count = len(batch.labeled) + len(guessed.images)
        around, inside = box.expand(-(-count // 2), -1, -1, -1), box.expand(count // 2, -1, -1, -1)
        shown = torch.cat([~around, inside])
        number = torch.arange(count, device=box.device)
        one, other = number % len(batch.labeled), number % len(guessed.images)
        images = torch.where(shown.unsqueeze(1), batch.labeled[one], guessed.images[other])
        logits = model.student.taps(images).logits
        known = torch.where(shown, batch.label[one], guessed.label[other])
        supervised = supervised_by(logits, known, self.settings.supervised_scales)
        pseudo = dice_ce(logits[-1], torch.where(shown, NOT_ANNOTATED, guessed.guess[other]))
        terms = {"supervised": supervised.detach(), "pseudo": pseudo.detach()}
        return LossTerms(supervised + self.settings.unlabeled_weight * pseudo, terms)

    def after_step(self, model: StudentAndTeacher, progress: Progress) -> None:
        """The teacher follows the student."""
        model.follow(progress, self.settings.momentum)

    def predict(self, model: StudentAndTeacher, patch: Tensor) -> Tensor:
        """Student and teacher."""
        return model.predict(patch)

    def _pretraining(self, model: StudentAndTeacher, batch: Batch, box: Tensor) -> LossTerms:
        """A box of the next labeled patch in each one."""
        images = torch.where(box.unsqueeze(1), batch.labeled.roll(1, 0), batch.labeled)
        label = torch.where(box, batch.label.roll(1, 0), batch.label)
        supervised = from_labels(model.student, images, label, self.settings.supervised_scales)
        return LossTerms(supervised, {"supervised": supervised.detach()})

    def _guessed(self, model: StudentAndTeacher, batch: Batch) -> Guessed:
        with torch.no_grad():
            guess = model.teacher(batch.weak).max(dim=1).indices  # Five times as fast as argmax, on a CPU.
        if self.settings.largest_component:
            guess = largest_components(guess)
        unknown = torch.full_like(guess, NOT_ANNOTATED)
        if self.settings.unlabeled_view == "weak":
            return Guessed(images=batch.weak, label=unknown, guess=guess)
        if batch.pasted is None:
            return Guessed(images=batch.strong, label=unknown, guess=guess)
        known = batch.pasted >= 0
        return Guessed(
            images=batch.strong,
            label=torch.where(known, batch.pasted, unknown),
            guess=torch.where(known, unknown, guess),
        )


def draw_box(label: Tensor, side: float, progress: Progress) -> Tensor:
    """(1, D, H, W) bool, true inside a box; one for all patches of a step, as in the paper.

    It is drawn from seed and step, on the host: a replay and another process see the same one.

    Args:
        label: (B, D, H, W), whose patches are mixed.
        side: edges of the box as a share of the patch's, 0 to 1.
        progress: seed of the training and number of the step.
    """
    # torch looks at 32 bits of a seed; a prime keeps the steps of neighboring trainings apart.
    generator = torch.Generator().manual_seed((progress.seed * _APART + progress.step) % 2**32)
    box = torch.zeros((1, *label.shape[1:]), dtype=torch.bool, device=label.device)
    place = []
    for extent in label.shape[1:]:
        length = max(1, round(side * extent))
        low = int(torch.randint(extent - length + 1, (), generator=generator))
        place.append(slice(low, low + length))
    box[0, place[0], place[1], place[2]] = True
    return box
