"""What may be chosen about a training, apart from the method and its networks."""

from __future__ import annotations

from dataclasses import dataclass

from barl.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The optimizer and the batch. Geometry and intensity changes are in ``views.ViewSettings``."""

    learning_rate: float = 0.1
    """First learning rate of SGD with momentum; falls to 0 as (1 - done)^0.9. Ten times the literature's 0.01: with
    normalized layers and clipped gradients it learns in 300 steps what 0.01 needs 1,500 for (docs/lab-notes.md)."""

    momentum: float = 0.9
    """Momentum of SGD."""

    weight_decay: float = 1e-4
    """L2 decay of all weights."""

    clip_norm: float = 10.0
    """Longest gradient; longer ones are shortened. Guards the first steps of a fresh network."""

    labeled_patches: int = 4
    """Labeled patches in a step, the same for all methods. The literature's 2 learn small structures far more slowly
    (docs/lab-notes.md)."""

    unlabeled_patches: int = 2
    """Unlabeled patches in a step, beside the labeled ones; a method without unlabeled terms draws none."""

    foreground_share: float = 0.67
    """Share of labeled patches centered on a voxel of a class drawn evenly, where the rarest class is next to nothing
    of the volume; the rest lies anywhere annotated. Small structures are found late without it."""

    least_foreground_share: float = 0.33
    """That share where the rarest class is a tenth of the volume or more (in between, in proportion); without effect
    above `foreground_share`. With more, a network of few labels sees too little of what is no structure, and calls it
    one (docs/lab-notes.md)."""

    checkpoint_seconds: float = 45.0
    """Seconds between checkpoints: what a crash costs at most. Shorter ones cost time where the drive is slow."""

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate <= 1:
            raise SettingsError(f"learning_rate must be above 0 and at most 1, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise SettingsError(f"momentum must be from 0 up to, but not including, 1, got {self.momentum}")
        if self.weight_decay < 0:
            raise SettingsError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if self.clip_norm <= 0:
            raise SettingsError(f"clip_norm must be above 0, got {self.clip_norm}")
        for name in ("labeled_patches", "unlabeled_patches"):
            if not 1 <= getattr(self, name) <= 64:
                raise SettingsError(f"{name} must be from 1 to 64, got {getattr(self, name)}")
        if not 1 <= self.checkpoint_seconds <= 60:
            raise SettingsError(f"checkpoint_seconds must be from 1 to 60, got {self.checkpoint_seconds}")
        for name in ("foreground_share", "least_foreground_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
