"""Cross pseudo supervision, CPS (Chen et al. 2021, https://arxiv.org/abs/2106.01226).

Two networks that differ in their random start learn from the labels, and each from what the other one calls every
voxel, those of labeled patches included. No average and no threshold: that the two rarely make the same mistake is all
there is to it.

    L = sum_b l(p_b, y) + lambda(t) w sum_b l(p_b, argmax p_b'),  l = 1/2 (CE + Dice)

With `labels_from` = `weak` this is the paper's form with mixed images: a pseudo label comes from the whole, plain view,
and counts on the view whose intensities are changed and into which labeled pieces are pasted. `own` is its plain form:
both networks see one and the same view. Deviations: l has a Dice term as all our methods do, the weight grows, and
labels teach every decoder scale.

Shapes: L labeled patches, U unlabeled patches, K classes, D H W voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from barl.errors import SettingsError
from barl.losses.consistency import confident_label, pseudo_supervision
from barl.methods.common.deep_supervision import check_supervised_scales, labeled_and_strong
from barl.methods.common.pair import Pair, SecondNetwork, check_second_network
from barl.methods.common.ramps import sigmoid_ramp
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import EncoderDecoder, NetworkSettings

LabelsFrom = Literal["weak", "own"]
LABELS_FROM: tuple[LabelsFrom, ...] = ("weak", "own")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned."""

    supervised_scales: int = 4
    """Decoder scales that learn from labels, 1 (only the finest) to 4 (all): all give one to two points more than one
    after a few hundred steps (docs/lab-notes.md)."""

    cross_weight: float = 0.3
    """Weight of the pseudo labels beside 1 for labels, once the ramp is over: as in `barl`, so that both differ in the
    method alone. The paper's 1.5 belongs to cross entropy alone, and to networks trained on ImageNet."""

    ramp_share: float = 0.4
    """Share of the training until the pseudo labels have their full weight (6,000 of 15,000 steps in the literature).
    The paper has no ramp, but starts from networks trained on ImageNet; ours call everything background at first."""

    labels_from: LabelsFrom = "weak"
    """Where pseudo labels of unlabeled patches come from: `weak`: the other network's plain view, as in the paper's
    form with mixed images; `own`: its strong view, the very one that learns from them: two passes less a step."""

    labeled_too: bool = True
    """Whether labeled patches get pseudo labels too, as in the paper. Where nobody annotated a voxel, they are what it
    learns from."""

    second_network: SecondNetwork = "same"
    """`same`: a V-Net with another random start, as in the paper; `residual`: a ResNet encoder under the same decoder,
    which makes other mistakes and costs 1.7 times as much."""

    def __post_init__(self) -> None:
        check_supervised_scales(self.supervised_scales)
        if not self.cross_weight >= 0:
            raise SettingsError(f"cross_weight must be 0 or more, got {self.cross_weight}")
        if not 0 <= self.ramp_share <= 1:
            raise SettingsError(f"ramp_share must be from 0 to 1, got {self.ramp_share}")
        if self.labels_from not in LABELS_FROM:
            raise SettingsError(f"labels_from must be one of {LABELS_FROM}, got {self.labels_from!r}")
        check_second_network(self.second_network)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one network says of a batch."""

    supervised: Tensor
    """What the labels taught it, a scalar."""

    labeled: Tensor
    """Logits of the labeled patches, (L, K, D, H, W)."""

    strong: Tensor
    """Logits of the strong view, (U, K, D, H, W)."""

    belief: Tensor
    """What it believes the strong view to be, (U, K, D, H, W), a softmax; without gradient."""


class CrossPseudo:
    """Two networks, each the other's annotator."""

    settings_class = Settings
    num_branches = 2
    needs_unlabeled = True

    def __init__(self, settings: Settings, network: NetworkSettings) -> None:
        self.settings = settings
        self.network = network

    def build(self, in_channels: int, num_classes: int) -> Pair:
        """A V-Net and the second network of the settings."""
        return Pair(in_channels, num_classes, self.network, self.settings.second_network)

    def training_step(self, model: Pair, batch: Batch, progress: Progress) -> LossTerms:
        """Learn from labels, and from the other network's pseudo labels."""
        first, second = self._look(model.first, batch), self._look(model.second, batch)
        supervised = first.supervised + second.supervised
        cross = self._cross(first, second) + self._cross(second, first)
        weight = self.settings.cross_weight * sigmoid_ramp(progress.done, self.settings.ramp_share)
        terms = {"supervised": supervised.detach(), "cross": cross.detach()}
        return LossTerms(supervised + weight * cross, terms)

    def after_step(self, model: Pair, progress: Progress) -> None:
        """Nothing: both networks learn by gradient."""

    def predict(self, model: Pair, patch: Tensor) -> Tensor:
        """Both networks."""
        return model.predict(patch)

    def _look(self, network: EncoderDecoder, batch: Batch) -> Look:
        supervised, labeled, strong = labeled_and_strong(network, batch, self.settings.supervised_scales)
        if self.settings.labels_from == "own":
            believed = strong.detach()
        else:
            # After the pass with gradients: before it, inside autocast, cast weights without them would be left behind.
            with torch.no_grad():
                believed = network(batch.weak)
        belief = batch.belief_on_strong(believed.float().softmax(dim=1))
        return Look(supervised=supervised, labeled=labeled, strong=strong, belief=belief)

    def _cross(self, own: Look, other: Look) -> Tensor:
        """l(p, y_other): over all patches at once, so that each voxel counts the same."""
        if not self.settings.labeled_too:
            return pseudo_supervision(own.strong, confident_label(other.belief, 0.0))
        belief = torch.cat([other.labeled.detach().float().softmax(dim=1), other.belief])
        return pseudo_supervision(torch.cat([own.labeled, own.strong]), confident_label(belief, 0.0))
