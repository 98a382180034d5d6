"""BARL: bilateral alignment in representation and label spaces (Gao, Wang, Yu 2025, https://arxiv.org/abs/2510.16863).

Two branches see a weak and a strong view of the same volume and learn from each other. This is a reconstruction from
the paper's abstract; every choice that the abstract does not state is a setting below.

    L = sum_b L_sup,b + lambda(t) sum_b l(p_b on the strong view, confident labels of the other branch's weak view)

The sums run over the branches that learn: each of them moves as far in a step as a network that learns alone.

Here: deep supervision and Dual-Path Regularization (DPR). Not yet here: Progressively Cognitive Bias Correction, and
the alignment of regions and lesion instances.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from barl.errors import SettingsError
from barl.losses.consistency import confident_label, pseudo_supervision
from barl.losses.supervised import deep_dice_ce
from barl.methods.common.averaging import follow, freeze
from barl.methods.common.ramps import late_ramp, linear_ramp
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import EncoderDecoder, NetworkSettings, ResVNet, Taps, VNet

SecondBranch = Literal["residual", "same", "average"]
SECOND_BRANCHES: tuple[SecondBranch, ...] = ("residual", "same", "average")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned; the abstract states none of it."""

    second_branch: SecondBranch = "residual"
    """`residual`: a ResNet encoder under the same decoder, as in MCF; `same`: a V-Net with another initialization;
    `average`: the running average of the first branch."""

    supervised_scales: int = 4
    """Decoder scales that learn from labels, 1 (only the finest) to 4 (all)."""

    dpr_weight: float = 1.0
    """Weight of Dual-Path Regularization once the ramp is over."""

    cross_weight: float = 0.0
    """Weight of a further path between branches on the weak view, beside 1 for the path from the other branch's weak
    view to the own strong one. 0.5 was our first choice; 0 saves the weak view's backward pass, a fifth of a step."""

    warmup_share: float = 0.15
    """Share of the training that learns from labels alone: the guesses of a fresh network are mostly background.
    Unlabeled patches are not even looked at meanwhile. Alone it changed no score so far (docs/lab-notes.md)."""

    ramp_share: float = 0.5
    """Share of the training until the unlabeled terms have their full weight (6,000 of 15,000 steps in the
    literature, without a warm-up)."""

    threshold_start: float = 0.75
    """Least probability of a pseudo label at the beginning; young networks are rarely sure."""

    threshold_end: float = 0.9
    """Least probability of a pseudo label at the end; what is still unsure then is likely wrong."""

    momentum: float = 0.99
    """Share of the old average kept at each step; only with the second branch `average`."""

    def __post_init__(self) -> None:
        if self.second_branch not in SECOND_BRANCHES:
            raise SettingsError(f"second_branch must be one of {SECOND_BRANCHES}, got {self.second_branch!r}")
        if not 1 <= self.supervised_scales <= 4:
            raise SettingsError(f"supervised_scales must be from 1 to 4, got {self.supervised_scales}")
        for name in ("dpr_weight", "cross_weight"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("warmup_share", "ramp_share", "threshold_start", "threshold_end"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.warmup_share > self.ramp_share:
            raise SettingsError(
                f"warmup_share must not be above ramp_share ({self.ramp_share}), got {self.warmup_share}"
            )
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"momentum must be from 0 up to, but not including, 1, got {self.momentum}")


class Branches(nn.Module):
    """The two collaborating networks."""

    def __init__(self, first: EncoderDecoder, second: EncoderDecoder) -> None:
        super().__init__()
        self.first = first
        self.second = second


@dataclass(frozen=True, kw_only=True)
class Views:
    """What one branch says of the three parts of a batch."""

    labeled: tuple[Tensor, ...]
    """Logits at all scales, coarse to fine."""

    strong: Tensor
    """(U, K, D, H, W) logits."""

    weak: Tensor
    """(U, K, D, H, W) logits; with gradient only where the cross path wants it."""


class Barl:
    """Two branches, each the other's teacher."""

    settings_class = Settings
    num_branches = 2
    needs_unlabeled = True

    def __init__(self, settings: Settings, network: NetworkSettings) -> None:
        self.settings = settings
        self.network = network

    def build(self, in_channels: int, num_classes: int) -> Branches:
        """A V-Net and the second branch of the settings."""
        first = VNet(in_channels, num_classes, self.network)
        if self.settings.second_branch == "residual":
            return Branches(first, ResVNet(in_channels, num_classes, self.network))
        if self.settings.second_branch == "same":
            return Branches(first, VNet(in_channels, num_classes, self.network))
        second = copy.deepcopy(first)
        freeze(second)
        return Branches(first, second)

    def training_step(self, model: Branches, batch: Batch, progress: Progress) -> LossTerms:
        """Deep supervision on labels, Dual-Path Regularization on unlabeled patches."""
        learners = self._learners(model)
        weight = self.settings.dpr_weight * late_ramp(
            progress.done, self.settings.warmup_share, self.settings.ramp_share
        )
        if weight == 0:
            return self._from_labels(model, learners, batch)
        views = {name: self._look(getattr(model, name), batch, learns=name in learners) for name in ("first", "second")}
        supervised = torch.stack([self._supervised(views[name].labeled, batch) for name in learners]).sum()
        threshold = linear_ramp(progress.done, self.settings.threshold_start, self.settings.threshold_end)
        dpr = torch.stack([self._dual_path(views[name], views[_other(name)], threshold) for name in learners]).sum()
        terms = {"supervised": supervised.detach(), "dual_path": dpr.detach()}
        return LossTerms(supervised + weight * dpr, terms)

    def _from_labels(self, model: Branches, learners: Sequence[str], batch: Batch) -> LossTerms:
        scales = [getattr(model, name).taps(batch.labeled).logits for name in learners]
        supervised = torch.stack([self._supervised(logits, batch) for logits in scales]).sum()
        return LossTerms(supervised, {"supervised": supervised.detach()})

    def _supervised(self, scales: tuple[Tensor, ...], batch: Batch) -> Tensor:
        return deep_dice_ce(scales[-self.settings.supervised_scales :], batch.label)

    def after_step(self, model: Branches, progress: Progress) -> None:
        """A second branch that is an average follows the first."""
        if self.settings.second_branch == "average":
            follow(model.second, model.first, progress.step, self.settings.momentum)

    def predict(self, model: Branches, patch: Tensor) -> Tensor:
        """Both branches."""
        return torch.stack([model.first(patch), model.second(patch)], dim=1)

    def _learners(self, model: Branches) -> tuple[str, ...]:
        return ("first",) if self.settings.second_branch == "average" else ("first", "second")

    def _look(self, network: EncoderDecoder, batch: Batch, *, learns: bool) -> Views:
        """One pass over all that needs gradients, one without over what does not."""
        if not learns:
            with torch.no_grad():
                weak = network(batch.weak)
            return Views(labeled=(), strong=weak, weak=weak)
        parts = [batch.labeled, batch.strong]
        crosses = self.settings.cross_weight > 0
        if crosses:
            parts.append(batch.weak)
        # Gradients first: inside autocast a pass without them would leave its cast weights behind for this one.
        taps = network.taps(torch.cat(parts))
        pieces = torch.split(taps.finest, [len(part) for part in parts])
        if crosses:
            return Views(labeled=_head_rows(taps, len(batch.labeled)), strong=pieces[1], weak=pieces[2])
        with torch.no_grad():
            weak = network(batch.weak)
        return Views(labeled=_head_rows(taps, len(batch.labeled)), strong=pieces[1], weak=weak)

    def _dual_path(self, own: Views, other: Views, threshold: float) -> Tensor:
        """l(p_strong, y_other) + eta * l(p_weak, y_other), y_other the other branch's confident labels (weak view)."""
        pseudo = confident_label(other.weak.float().softmax(dim=1), threshold)
        loss = pseudo_supervision(own.strong, pseudo)
        if self.settings.cross_weight > 0:
            loss = loss + self.settings.cross_weight * pseudo_supervision(own.weak, pseudo)
        return loss


def _head_rows(taps: Taps, count: int) -> tuple[Tensor, ...]:
    return tuple(logits[:count] for logits in taps.logits)


def _other(name: str) -> str:
    return "second" if name == "first" else "first"
