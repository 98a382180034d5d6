"""The honest baseline: one V-Net that learns from the labels alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from barl.losses.supervised import dice_ce
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.networks import NetworkSettings, VNet


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Nothing to tune: every choice is the trainer's."""


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
        """Cross entropy and Dice."""
        supervised = dice_ce(model(batch.labeled), batch.label)
        return LossTerms(supervised, {"supervised": supervised.detach()})

    def after_step(self, model: VNet, progress: Progress) -> None:
        """Nothing."""

    def predict(self, model: VNet, patch: Tensor) -> Tensor:
        """One branch."""
        logits: Tensor = model(patch)
        return logits.unsqueeze(1)
