"""What a method is: the third contract of the design.

The training loop knows nothing of any method; a method knows nothing of files, devices or logging.

Shapes: L labeled patches, U unlabeled patches, C channels, K classes, R branches, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from barl.networks import NetworkSettings

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's patches. Weak and strong views of one patch share their geometry: voxels correspond."""

    labeled: Tensor
    """(L, C, D, H, W) augmented in geometry and intensity."""

    label: Tensor
    """(L, D, H, W) int64 class index, 255 where not annotated."""

    weak: Tensor
    """(U, C, D, H, W) augmented in geometry only."""

    strong: Tensor
    """(U, C, D, H, W) the weak view with its intensities changed, and with what was pasted into it."""

    pasted: Tensor | None = None
    """(U, D, H, W) int64: where the strong view shows a piece of a labeled patch, that piece's class; -1 elsewhere.
    None where nothing is pasted."""

    def belief_on_strong(self, belief: Tensor) -> Tensor:
        """What the strong view should be: the true class in what was pasted, elsewhere the belief from the weak view.

        Args:
            belief: (U, K, D, H, W), a softmax of the weak view.
        """
        if self.pasted is None:
            return belief
        known = self.pasted >= 0
        truth = one_hot(self.pasted.clamp(min=0), belief.shape[1]).movedim(-1, 1).to(belief.dtype)
        return torch.where(known.unsqueeze(1), truth, belief)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where the training stands."""

    step: int
    """Steps taken before this one."""

    total_steps: int
    """Steps of the whole training."""

    seed: int = 0
    """Of the training: what a method draws by itself hangs on it and on the step, so that a replay sees the same."""

    @property
    def done(self) -> float:
        """Share of the training that is over, 0 to 1."""
        return min(1.0, self.step / max(1, self.total_steps))


@dataclass(frozen=True)
class LossTerms:
    """What a step minimizes, and its parts for the log."""

    total: Tensor
    """Scalar with gradient."""

    terms: Mapping[str, Tensor] = field(default_factory=dict)
    """Scalars by name, on the device; read every N steps only."""


class Method(Protocol[Model]):
    """One way to learn from labeled and unlabeled patches."""

    settings: Any
    """The dataclass it was made with; a model's record keeps all of it."""

    num_branches: int
    """R: rows that ``predict`` returns."""

    needs_unlabeled: bool
    """Whether the step reads ``batch.weak`` and ``batch.strong``."""

    def build(self, in_channels: int, num_classes: int) -> Model:
        """All branches in one module."""
        ...

    def training_step(self, model: Model, batch: Batch, progress: Progress) -> LossTerms:
        """The paper's algorithm box."""
        ...

    def after_step(self, model: Model, progress: Progress) -> None:
        """What happens after the optimizer's step, e.g. a moving average."""
        ...

    def predict(self, model: Model, patch: Tensor) -> Tensor:
        """Logits (B, R, K, D, H, W) of a patch (B, C, D, H, W)."""
        ...


class MethodClass(Protocol):
    """How a method is made: from its own settings and those of its networks."""

    settings_class: type

    def __call__(self, settings: Any, network: NetworkSettings) -> Method[Any]:
        """Make the method."""
        ...
