"""BARL: bilateral alignment in representation and label spaces (Gao, Wang, Yu 2025, https://arxiv.org/abs/2510.16863).

Two branches see a weak and a strong view of the same volume and learn from each other, in what they predict and in how
they represent it. This is a reconstruction from the paper's abstract, see docs/methods/barl.md; every choice that the
abstract does not state is a setting below.

    L = sum_b L_sup,b + lambda(t) sum_b (L_DPR,b + w_pcbc L_PCBC,b) + lambda(t) (w_reg L_reg + w_ins L_ins)

The sums run over the branches that learn: each of them moves as far in a step as a network that learns alone.

Shapes: L labeled patches, U unlabeled patches, K classes, F projected features, D H W voxels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from barl.errors import SettingsError
from barl.losses.bias_correction import (
    belief_over_scales,
    correction,
    rectified_distance,
    sharpened,
    shrink_belief,
    stray_voxels,
)
from barl.losses.consistency import confident_label, pseudo_supervision
from barl.losses.instances import InstanceRules, background_voxels, instance_alignment
from barl.losses.regions import agreed_classes, prototypes, region_alignment, region_separation, unit_features
from barl.losses.supervised import shrink_label
from barl.methods.common.averaging import follow, freeze
from barl.methods.common.deep_supervision import SCALES, check_supervised_scales, from_labels, supervised_by
from barl.methods.common.ramps import late_ramp, linear_ramp
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import EncoderDecoder, NetworkSettings, ResVNet, Taps, VNet

SecondBranch = Literal["residual", "same", "average"]
SECOND_BRANCHES: tuple[SecondBranch, ...] = ("residual", "same", "average")
_NAMES = ("first", "second")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned; the abstract states none of it. A weight of 0 switches a part off."""

    second_branch: SecondBranch = "average"
    """`average`: the running average of the first branch, half as costly; `same`: a V-Net with another
    initialization; `residual`: a ResNet encoder under the same decoder, as in MCF. For equal arithmetic the average
    was the best of them (docs/lab-notes.md); two that learn differ more, for who has a GPU or hours."""

    supervised_scales: int = 4
    """Decoder scales that learn from labels, 1 (only the finest) to 4 (all)."""

    dpr_weight: float = 0.3
    """Weight of Dual-Path Regularization once the ramp is over. With 1 a network of a thousand steps believes its own
    guesses more than the labels: three points less on left atria (docs/lab-notes.md)."""

    cross_weight: float = 0.0
    """Weight of a further path between branches on the weak view, beside 1 for the path from the other branch's weak
    view to the own strong one. 0.5 was our first choice; 0 saves the weak view's backward pass, a fifth of a step."""

    pcbc_weight: float = 0.15
    """Weight of Progressively Cognitive Bias Correction, a mean over the decoder scales, once its ramps are over; half
    of ``dpr_weight``."""

    belief_scales: int = 1
    """Decoder scales of the other branch that make up its belief in PCBC: 1, the finest alone, to 4. Coarse ones blur
    what the fine scales learn."""

    belief_temperature: float = 0.5
    """Sharpens the belief in PCBC, q^(1 / T) brought to sum 1; 1 leaves it. Two branches that agree with each other's
    doubts would end in doubt."""

    correction_weight: float = 1.0
    """Weight of the correction of stray voxels beside the rectified distance (PCBC)."""

    doubt_weight: float = 0.1
    """Share of the correction that pulls stray voxels to no class at all where the other branch is not sure either
    (PCBC); small, for it teaches nothing but doubt."""

    region_weight: float = 0.1
    """Weight of the alignment of class prototypes: it guides features, labels decide."""

    region_margin: float = 0.2
    """Cosine of two classes' prototypes up to which they count as told apart."""

    least_region_voxels: int = 16
    """Half-resolution voxels that a class needs in a patch to have a prototype; fewer are mostly border."""

    instance_weight: float = 0.1
    """Weight of the alignment of lesion instances; a single organ has one instance, and little to gain here."""

    least_instance_voxels: int = 8
    """Half-resolution voxels of the smallest lesion that is matched: four voxels wide at full resolution."""

    most_instances: int = 16
    """Lesions matched in a patch, the largest ones: bounds the time that a noisy prediction can take."""

    least_overlap: float = 0.3
    """Intersection over union from which two lesions are the same one; half-grown predictions are still matched."""

    sibling_weight: float = 0.0
    """How much other lesions of the same class count as unlike, 0 to 1. With 0.25 lesions were pushed apart from each
    other more than from the background, which cost three points of Dice (docs/lab-notes.md)."""

    background_voxels: int = 64
    """Background voxels of a step that lesions are told from, evenly spaced."""

    temperature: float = 0.1
    """Of the instance contrast: lower looks at the hardest lookalike only."""

    projected_features: int = 64
    """Length of the vectors that regions and instances are compared by."""

    warmup_share: float = 0.15
    """Share of the training that learns from labels alone: the guesses of a fresh network are mostly background.
    Unlabeled patches are not even looked at meanwhile. Alone it changed no score so far (docs/lab-notes.md)."""

    ramp_share: float = 0.5
    """Share of the training until the unlabeled terms have their full weight (6,000 of 15,000 steps in the
    literature, without a warm-up). In PCBC each finer scale starts a quarter of the ramp later."""

    threshold_start: float = 0.75
    """Least probability of a pseudo label at the beginning; young networks are rarely sure."""

    threshold_end: float = 0.9
    """Least probability of a pseudo label at the end; what is still unsure then is likely wrong."""

    momentum: float = 0.99
    """Share of the old average kept at each step from step 2,000 on, less before; only with the second branch
    `average`."""

    def __post_init__(self) -> None:
        if self.second_branch not in SECOND_BRANCHES:
            raise SettingsError(f"second_branch must be one of {SECOND_BRANCHES}, got {self.second_branch!r}")
        check_supervised_scales(self.supervised_scales)
        if not 1 <= self.belief_scales <= SCALES:
            raise SettingsError(f"belief_scales must be from 1 to {SCALES}, got {self.belief_scales}")
        for name in (
            "dpr_weight",
            "cross_weight",
            "pcbc_weight",
            "region_weight",
            "instance_weight",
            "doubt_weight",
            "correction_weight",
        ):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("least_region_voxels", "least_instance_voxels", "most_instances", "projected_features"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more, got {getattr(self, name)}")
        shares = ("warmup_share", "ramp_share", "threshold_start", "threshold_end", "least_overlap")
        for name in (*shares, "sibling_weight", "region_margin"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.warmup_share > self.ramp_share:
            raise SettingsError(
                f"warmup_share must not be above ramp_share ({self.ramp_share}), got {self.warmup_share}"
            )
        if self.background_voxels < 0:
            raise SettingsError(f"background_voxels must be 0 or more, got {self.background_voxels}")
        for name in ("temperature", "belief_temperature"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"momentum must be from 0 up to, but not including, 1, got {self.momentum}")

    @property
    def aligns_features(self) -> bool:
        """Whether features of the branches are compared at all."""
        return self.region_weight > 0 or self.instance_weight > 0


class Branch(nn.Module):
    """A network, and the projection of its half-resolution features that the other branch is compared with."""

    def __init__(self, network: EncoderDecoder, features: int, projected: int) -> None:
        super().__init__()
        self.network = network
        self.projection = nn.Conv3d(features, projected, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to logits (B, K, D, H, W)."""
        logits: Tensor = self.network(x)
        return logits

    def features(self, taps: Taps) -> Tensor:
        """(B, F, D / 2, H / 2, W / 2), each voxel's vector of length 1."""
        return unit_features(self.projection(taps.half_features))


class Branches(nn.Module):
    """The two collaborating branches."""

    def __init__(self, first: Branch, second: Branch) -> None:
        super().__init__()
        self.first = first
        self.second = second


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one branch says of a batch."""

    labeled: tuple[Tensor, ...]
    """Logits of the labeled patches at all scales, coarse to fine; with gradient."""

    strong: tuple[Tensor, ...]
    """Logits of the strong view at all scales; with gradient."""

    features: Tensor | None
    """(L + U, F, D / 2, H / 2, W / 2) of the labeled patches and the strong view; None where nobody compares them."""

    weak: tuple[Tensor, ...]
    """Logits of the weak view at all scales; with gradient only where the cross path wants it, empty where nobody
    asks for this branch's belief."""


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
        first = self._branch(VNet(in_channels, num_classes, self.network))
        if self.settings.second_branch == "residual":
            return Branches(first, self._branch(ResVNet(in_channels, num_classes, self.network)))
        if self.settings.second_branch == "same":
            return Branches(first, self._branch(VNet(in_channels, num_classes, self.network)))
        second = copy.deepcopy(first)
        freeze(second)
        return Branches(first, second)

    def training_step(self, model: Branches, batch: Batch, progress: Progress) -> LossTerms:
        """Learn from labels; on unlabeled patches from the other branch, in label space and in feature space."""
        s = self.settings
        ramp = late_ramp(progress.done, s.warmup_share, s.ramp_share)
        if ramp == 0 or not (s.dpr_weight or s.pcbc_weight or s.aligns_features):
            return self._from_labels(model, batch)
        looks = {name: self._look(model, name, batch) for name in _NAMES}
        threshold = linear_ramp(progress.done, s.threshold_start, s.threshold_end)
        parts = {"supervised": _sum([self._supervised(looks[name].labeled, batch) for name in self._learners])}
        weights = {"supervised": 1.0}
        if s.dpr_weight:
            pairs = [(looks[name], looks[_other(name)]) for name in self._learners]
            parts["dual_path"] = _sum([self._dual_path(own, other, batch, threshold) for own, other in pairs])
            weights["dual_path"] = ramp * s.dpr_weight
        if s.pcbc_weight:
            pairs = [(looks[name], looks[_other(name)]) for name in self._learners]
            parts["bias_correction"] = _sum(
                [self._bias_correction(own, other, batch, threshold, progress) for own, other in pairs]
            )
            weights["bias_correction"] = ramp * s.pcbc_weight
        if s.aligns_features:
            parts |= self._alignment(looks["first"], looks["second"], batch, threshold)
            weights |= {"regions": ramp * s.region_weight, "instances": ramp * s.instance_weight}
        total = _sum([weights[name] * part for name, part in parts.items()])
        return LossTerms(total, {name: part.detach() for name, part in parts.items()})

    def after_step(self, model: Branches, progress: Progress) -> None:
        """A second branch that is an average follows the first."""
        if self.settings.second_branch == "average":
            follow(model.second, model.first, progress.step, self.settings.momentum)

    def predict(self, model: Branches, patch: Tensor) -> Tensor:
        """Both branches."""
        return torch.stack([model.first(patch), model.second(patch)], dim=1)

    def _branch(self, network: EncoderDecoder) -> Branch:
        return Branch(network, 2 * self.network.base_filters, self.settings.projected_features)

    @property
    def _learners(self) -> tuple[str, ...]:
        return _NAMES[:1] if self.settings.second_branch == "average" else _NAMES

    def _from_labels(self, model: Branches, batch: Batch) -> LossTerms:
        learners = [getattr(model, name).network for name in self._learners]
        scales = self.settings.supervised_scales
        supervised = _sum([from_labels(network, batch.labeled, batch.label, scales) for network in learners])
        return LossTerms(supervised, {"supervised": supervised.detach()})

    def _supervised(self, scales: tuple[Tensor, ...], batch: Batch) -> Tensor:
        return supervised_by(scales, batch.label, self.settings.supervised_scales)

    def _look(self, model: Branches, name: str, batch: Batch) -> Look:
        """What the terms need of a branch, and no more: an average is asked for features, or for its belief alone."""
        branch: Branch = getattr(model, name)
        if name in self._learners:
            return self._look_with(branch, batch)
        with torch.no_grad():
            return self._look_with(branch, batch) if self.settings.aligns_features else self._believe(branch, batch)

    def _look_with(self, branch: Branch, batch: Batch) -> Look:
        crosses = self.settings.cross_weight > 0
        parts = [batch.labeled, batch.strong, *([batch.weak] if crosses else [])]
        # Gradients first: inside autocast a pass without them would leave its cast weights behind for this one.
        taps = branch.network.taps(torch.cat(parts))
        ends = [len(part) for part in parts]
        labeled, strong, *weak = zip(*(torch.split(logits, ends) for logits in taps.logits), strict=True)
        believed = len(self._learners) > 1 or self.settings.aligns_features
        if not crosses:
            weak = [self._believe(branch, batch).weak if believed else ()]
        features = branch.features(taps)[: ends[0] + ends[1]] if self.settings.aligns_features else None
        return Look(labeled=labeled, strong=strong, features=features, weak=weak[0])

    def _believe(self, branch: Branch, batch: Batch) -> Look:
        """The weak view alone."""
        with torch.no_grad():
            return Look(labeled=(), strong=(), features=None, weak=branch.network.taps(batch.weak).logits)

    def _dual_path(self, own: Look, other: Look, batch: Batch, threshold: float) -> Tensor:
        """l(p_strong, y_other) + eta * l(p_weak, y_other), y_other the other branch's confident labels (weak view)."""
        belief = other.weak[-1].detach().float().softmax(dim=1)
        loss = pseudo_supervision(own.strong[-1], confident_label(batch.belief_on_strong(belief), threshold))
        if self.settings.cross_weight > 0:
            loss = loss + self.settings.cross_weight * pseudo_supervision(
                own.weak[-1], confident_label(belief, threshold)
            )
        return loss

    def _bias_correction(self, own: Look, other: Look, batch: Batch, threshold: float, progress: Progress) -> Tensor:
        """1/S sum_s g_s(t) (rectified distance + correction) of the strong view to the other branch's belief."""
        s = self.settings
        belief = belief_over_scales(other.weak[-s.belief_scales :])
        belief = batch.belief_on_strong(sharpened(belief, s.belief_temperature))
        losses = []
        for index, logits in enumerate(own.strong):
            weight = self._scale_weight(index, len(own.strong), progress)
            log_probability = logits.float().log_softmax(dim=1)
            here = shrink_belief(belief, logits.shape[2:])
            loss = rectified_distance(log_probability, here)
            if index > 0 and s.correction_weight:
                stray = stray_voxels(log_probability, own.strong[index - 1], here)
                loss = loss + s.correction_weight * correction(log_probability, stray, here, threshold, s.doubt_weight)
            losses.append(weight * loss)
        return _sum(losses) / len(losses)

    def _scale_weight(self, index: int, count: int, progress: Progress) -> float:
        """Coarse scales first: each finer one starts a part of the ramp later."""
        start, end = self.settings.warmup_share, self.settings.ramp_share
        delay = (end - start) * index / count
        return late_ramp(progress.done, start + delay, end + delay)

    def _alignment(self, first: Look, second: Look, batch: Batch, threshold: float) -> dict[str, Tensor]:
        """Regions by the classes that both branches agree on, instances by what each of them sees."""
        assert first.features is not None and second.features is not None
        features = (first.features, second.features)
        # Products of unit vectors need all their digits, which autocast would take from them.
        with torch.autocast(batch.label.device.type, enabled=False):
            seen = [self._known_classes(look, batch, threshold) for look in (first, second)]
            return self._aligned(features, seen, first.strong[-1].shape[1])

    def _aligned(self, features: tuple[Tensor, Tensor], seen: Sequence[Tensor], num_classes: int) -> dict[str, Tensor]:
        agreed = agreed_classes(seen)
        regions = [prototypes(f, agreed, num_classes, self.settings.least_region_voxels) for f in features]
        found = {}
        if self.settings.region_weight:
            separation = _sum([region_separation(of_branch, self.settings.region_margin) for of_branch in regions])
            found["regions"] = region_alignment(*regions) + 0.5 * separation
        if self.settings.instance_weight:
            shared = torch.cat([of_branch.of_class(0) for of_branch in regions])
            voxels = [background_voxels(f, agreed, self.settings.background_voxels) for f in reversed(features)]
            background = [torch.cat([shared, far]) for far in voxels]
            found["instances"] = instance_alignment(features, seen, background, self._rules())
        return found

    def _rules(self) -> InstanceRules:
        s = self.settings
        return InstanceRules(
            least_voxels=s.least_instance_voxels,
            most=s.most_instances,
            least_overlap=s.least_overlap,
            sibling_weight=s.sibling_weight,
            temperature=s.temperature,
        )

    def _known_classes(self, look: Look, batch: Batch, threshold: float) -> Tensor:
        """(L + U, D / 2, H / 2, W / 2): the labels, and this branch's confident labels of the strong view."""
        belief = batch.belief_on_strong(look.weak[-1].detach().float().softmax(dim=1))
        both = torch.cat([batch.label, confident_label(belief, threshold)])
        return shrink_label(both, look.strong[-2])


def _sum(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


def _other(name: str) -> str:
    return "second" if name == "first" else "first"
