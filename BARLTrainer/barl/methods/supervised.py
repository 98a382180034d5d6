"""The honest baseline: one V-Net that learns from the labels alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from barl.methods.common.deep_supervision import check_supervised_scales, from_labels
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import NetworkSettings, VNet


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be tuned; every other choice is the trainer's."""

    supervised_scales: int = 4
    """Decoder scales that learn from labels, 1 (only the finest) to 4 (all): all give one to two points more than one
    after a few hundred steps (docs/lab-notes.md)."""

    def __post_init__(self) -> None:
        check_supervised_scales(self.supervised_scales)


class Supervised:
    """One network, labeled patches only."""

    settings_class = Settings
    num_branches = 1
    needs_unlabeled = False

    def __init__(self, settings: Settings, network: NetworkSettings) -> None:
        self.settings = settings
        self.network = network

    def build(self, in_channels: int, num_classes: int) -> VNet:
        """One V-Net."""
        return VNet(in_channels, num_classes, self.network)

    def training_step(self, model: VNet, batch: Batch, progress: Progress) -> LossTerms:
        """Cross entropy and Dice, at all scales."""
        supervised = from_labels(model, batch.labeled, batch.label, self.settings.supervised_scales)
        return LossTerms(supervised, {"supervised": supervised.detach()})

    def after_step(self, model: VNet, progress: Progress) -> None:
        """Nothing."""

    def predict(self, model: VNet, patch: Tensor) -> Tensor:
        """One branch."""
        logits: Tensor = model(patch)
        return logits.unsqueeze(1)
