"""Dual Networks (Lu, Wu, Kateb and Chaddad 2025, https://arxiv.org/abs/2505.17690).

A V-Net and a residual V-Net look at the same patches. They are corrected where one of them is confidently wrong, agree
with each other, learn from what they call certain together, and the one that does worse at the moment (the student)
arranges its features around those of certain voxels.

    L = sum_b (L_s,b + w_x L_cross,b) + lambda(t) [w_u L_u + w_r L_reg + w_e sum_b L_ent,b + w_c L_c,student]

    L_s      1/2 (CE + Dice)(p_b, y), and as much less as they are coarser at the other decoder scales
    L_cross  squared distance to the label where exactly one network is confident of foreground
    L_u      e^(-KL) CE(p_2, argmax p_1) + KL(p_1 || p_2): the first network teaches the second
    L_reg    1 - cos(p_1, p_2)
    L_ent    cross entropy with the union of both networks' foregrounds, where any of them is sure
    L_c      unsure voxels' features near their class's prototype, prototypes apart

In the released code L_ent and L_c have no gradient, and some of their entropies are taken of logits; `as_released`
trains what that code effectively trains: L_s, L_cross, L_u and L_reg. See docs/methods/dual_networks.md.

Shapes: L labeled patches, U unlabeled patches, K classes, F features, D H W voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.consistency import cosine_distance
from barl.losses.discounting import discounted_supervision
from barl.losses.entropy_filter import filtered_supervision, reliable_label
from barl.losses.prototype_contrast import prototype_contrast
from barl.losses.rectification import disputed_voxels, rectification
from barl.losses.supervised import cross_entropy, soft_dice
from barl.methods.common.deep_supervision import check_supervised_scales, from_coarse_scales
from barl.methods.common.pair import Pair
from barl.methods.common.ramps import sigmoid_ramp
from barl.methods.common.unlabeled_view import UnlabeledView, check_unlabeled_view
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import EncoderDecoder, NetworkSettings


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned. A weight of 0 switches a part off. The released code has twice these weights, beside twice our
    supervised loss."""

    supervised_scales: int = 4
    """Decoder scales of both networks that learn from labels, 1 (only the finest, as published) to 4 (all): all, as in
    our other methods; what it gains was measured with `supervised` and `barl` (docs/lab-notes.md)."""

    as_released: bool = False
    """Train what the released code effectively trains: without the entropy filter and the contrast, whose settings then
    have no effect, labels at the finest scale alone, and with full weights from the first step on."""

    rectification_weight: float = 0.25
    """Weight of the squared distance to the label where the networks dispute; from the first step on."""

    confidence: float = 0.6
    """Probability from which a network disputes, as in the released code."""

    pseudo_weight: float = 0.5
    """Weight of what the first network teaches the second, once the ramp is over."""

    cosine_weight: float = 0.5
    """Weight of the angle between both networks' class vectors, once the ramp is over."""

    entropy_weight: float = 0.5
    """Weight of the labels that both networks give together, once the ramp is over."""

    reliable_share: float = 0.8
    """Share of each network's voxels that count as sure, those of lowest entropy; a voxel of which any network is sure
    is learned from. The released code keeps 0.2, nearly all of it background: foreground would never be learned."""

    contrast_weight: float = 0.05
    """Weight of the contrast between features and prototypes, once the ramp is over."""

    ramp_share: float = 0.4
    """Share of the training until unlabeled terms have their full weight. In the paper only the contrast has a ramp, as
    long as the training of 6,000 steps; in a few hundred, what a fresh network teaches is a larger part."""

    unlabeled_view: UnlabeledView = "weak"
    """What both networks see of unlabeled patches: `weak`: the plain view, as in the paper, which changes no gray
    values; set `views.paste_share` to 0 then and save the strong views' mixing. `strong`: the view with changed gray
    values; what was pasted into it is a certain label."""

    def __post_init__(self) -> None:
        check_supervised_scales(self.supervised_scales)
        for part in ("rectification", "pseudo", "cosine", "entropy", "contrast"):
            if not getattr(self, f"{part}_weight") >= 0:
                raise SettingsError(f"{part}_weight must be 0 or more, got {getattr(self, f'{part}_weight')}")
        for name in ("confidence", "reliable_share", "ramp_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        check_unlabeled_view(self.unlabeled_view)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one network says of a batch, with gradient."""

    log_probability: Tensor
    """Log-softmax of the labeled, then of the unlabeled patches, (L + U, K, D, H, W)."""

    probability: Tensor
    """Softmax of the same."""

    coarse: Tensor
    """What labels taught the coarser scales, a scalar."""

    features: Tensor
    """Of the unlabeled patches below the last head, (U, F, D, H, W)."""


class DualNetworks:
    """Two unlike networks; who does better on the labels leads."""

    settings_class = Settings
    num_branches = 2
    needs_unlabeled = True

    def __init__(self, settings: Settings, network: NetworkSettings) -> None:
        self.settings = settings
        self.network = network

    def build(self, in_channels: int, num_classes: int) -> Pair:
        """A V-Net and a residual V-Net."""
        return Pair(in_channels, num_classes, self.network, "residual")

    def training_step(self, model: Pair, batch: Batch, progress: Progress) -> LossTerms:
        """Learn from labels, from each other, and from what both are sure of."""
        looks = (self._look(model.first, batch), self._look(model.second, batch))
        count = len(batch.labeled)
        # Divergences and roots need all their digits, which autocast would take from them.
        with torch.autocast(batch.label.device.type, enabled=False):
            dices = [soft_dice(look.probability[:count], batch.label) for look in looks]
            errors = [cross_entropy(look.log_probability[:count], batch.label) for look in looks]
            coarse = torch.stack([look.coarse for look in looks]).sum()
            parts = {"supervised": 0.5 * torch.stack(dices + errors).sum() + coarse}
            parts |= self._between(looks, batch)
            if not self.settings.as_released:
                # The student is chosen on the device, or the host would have to wait for both losses.
                parts |= self._sure(looks, batch, dices[0] < dices[1], progress)
        weights = self._weights(progress)
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return LossTerms(total, {name: part.detach() for name, part in parts.items()})

    def after_step(self, model: Pair, progress: Progress) -> None:
        """Nothing: both networks learn by gradient."""

    def predict(self, model: Pair, patch: Tensor) -> Tensor:
        """Both networks."""
        return model.predict(patch)

    def _weights(self, progress: Progress) -> dict[str, float]:
        s = self.settings
        ramp = 1.0 if s.as_released else sigmoid_ramp(progress.done, s.ramp_share)
        return {
            "supervised": 1.0,
            "rectification": s.rectification_weight,
            "pseudo": ramp * s.pseudo_weight,
            "cosine": ramp * s.cosine_weight,
            "entropy": ramp * s.entropy_weight,
            "contrast": ramp * s.contrast_weight,
        }

    def _look(self, network: EncoderDecoder, batch: Batch) -> Look:
        view = batch.weak if self.settings.unlabeled_view == "weak" else batch.strong
        taps = network.taps(torch.cat([batch.labeled, view]))
        log_probability = taps.finest.float().log_softmax(dim=1)
        scales = 1 if self.settings.as_released else self.settings.supervised_scales
        return Look(
            log_probability=log_probability,
            probability=log_probability.exp(),
            coarse=from_coarse_scales(taps.logits, batch.label, scales),
            features=taps.features[len(batch.labeled) :],
        )

    def _between(self, looks: tuple[Look, Look], batch: Batch) -> dict[str, Tensor]:
        """L_cross on labels; L_u and L_reg on all voxels, labeled or not."""
        s = self.settings
        first, second = looks
        parts = {}
        if s.rectification_weight:
            known = [look.probability[: len(batch.labeled)] for look in looks]
            disputed = disputed_voxels(known[0], known[1], s.confidence)
            parts["rectification"] = torch.stack([rectification(p, batch.label, disputed) for p in known]).sum()
        if s.pseudo_weight:
            parts["pseudo"] = discounted_supervision(second.log_probability, first.probability)
        if s.cosine_weight:
            parts["cosine"] = cosine_distance(first.probability, second.probability)
        return parts

    def _sure(
        self, looks: tuple[Look, Look], batch: Batch, first_leads: Tensor, progress: Progress
    ) -> dict[str, Tensor]:
        """L_ent of both networks, L_c of the student."""
        s = self.settings
        first, second = (look.probability[len(batch.labeled) :].detach() for look in looks)
        label = reliable_label(first, second, s.reliable_share)
        if s.unlabeled_view == "strong" and batch.pasted is not None:
            label = torch.where(batch.pasted >= 0, batch.pasted, label)
        parts = {}
        if s.entropy_weight:
            logs = [look.log_probability[len(batch.labeled) :] for look in looks]
            parts["entropy"] = torch.stack([filtered_supervision(log, label) for log in logs]).sum()
        if s.contrast_weight:
            features = torch.where(first_leads, looks[1].features, looks[0].features)
            guess = torch.where(first_leads, second, first).max(dim=1).indices
            parts["contrast"] = prototype_contrast(features, label, guess, first.shape[1], progress.step)
        return parts
