"""One step of gradient descent that a broken batch cannot spoil.

Shapes: scalars only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from barl.errors import DivergedError
from barl.methods.protocol import Batch, LossTerms, Method, Progress
from barl.training.descent import Descent
from barl.training.distributed import Group
from barl.training.schedule import learning_rate
from barl.training.settings import TrainingSettings


class Stepper:
    """SGD with momentum and clipped gradients; losses stay on the device until they are asked for.

    A step whose gradient is not finite leaves the weights as they were, decided on the device, so that nothing waits
    for the host.
    """

    def __init__(
        self,
        method: Method[Any],
        model: nn.Module,
        settings: TrainingSettings,
        device: torch.device,
        group: Group | None = None,
    ) -> None:
        self.group = group or Group(device)
        self.method = method
        self.model = model
        self.settings = settings
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = Descent(self.parameters, momentum=settings.momentum, weight_decay=settings.weight_decay)
        self._broken = torch.zeros((), device=device)
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()

    def step(self, batch: Batch, progress: Progress, autocast: Any) -> None:
        """Forward, backward, update."""
        self.optimizer.forget_gradients()
        with autocast:
            loss = self.method.training_step(self.model, batch, progress)
        loss.total.backward()  # type: ignore[no-untyped-call]
        self._update(self._averaged(loss), progress)

    def read_losses(self) -> dict[str, float]:
        """Means since the last reading; waits for the device.

        Raises:
            DivergedError: a step was not finite. The weights are those of the step before it.
        """
        if float(self._broken) > 0:
            raise DivergedError(
                "The loss is no longer a number, so the training was stopped; the weights from before are kept. "
                "Check the images for extreme values (the audit of the cohort names them), or lower the setting "
                "training.learning_rate, to 0.01 for example."
            )
        values = torch.stack(list(self._sums.values())).tolist() if self._sums else []
        means = {name: value / self._counts[name] for name, value in zip(self._sums, values, strict=True)}
        self._sums, self._counts = {}, Counter()
        return means

    def _averaged(self, loss: LossTerms) -> LossTerms:
        """Gradients and losses of the whole batch: what is not finite in one process, is so in all."""
        total, *terms = self.group.average(self.parameters, [loss.total.detach(), *loss.terms.values()])
        return LossTerms(total, dict(zip(loss.terms, terms, strict=True)))

    def _update(self, loss: LossTerms, progress: Progress) -> None:
        norm = nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_norm, foreach=True)
        broken = (~torch.isfinite(norm + loss.total.detach())).float()
        self.optimizer.step(learning_rate(self.settings.learning_rate, progress.done), broken)
        self.method.after_step(self.model, progress)
        self._broken += broken
        self._note({"loss": loss.total.detach(), **loss.terms})

    def _note(self, terms: Mapping[str, Tensor]) -> None:
        for name, value in terms.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] += 1
