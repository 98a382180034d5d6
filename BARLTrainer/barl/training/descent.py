"""Stochastic gradient descent with momentum, as ``torch.optim.SGD`` computes it, without the compiler behind it.

torch's optimizer classes import its compiler as soon as one is made: 65 MiB and more than a second for nothing. The
function below them, which this uses, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

_BUFFER = "momentum_buffer"


class Descent:
    """v <- m v + g + d w and w <- w - r v in one operation for all weights (Sutskever et al. 2013, as torch writes it).

    Args:
        parameters: w, changed in place by :meth:`step`.
        momentum: m.
        weight_decay: d.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, momentum: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.momentum = momentum
        self.weight_decay = weight_decay
        # Left to the fused operation, a first step that is broken would leave it whatever lay in that memory.
        self._buffers = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, learning_rate: float, broken: Tensor) -> None:
        """Go down the gradients; parameters without one stay.

        Args:
            learning_rate: r.
            broken: a scalar on the device of the weights; where it is 1, everything stays as it is.
        """
        rows = zip(self.parameters, self._buffers, strict=True)
        moving = [(parameter, parameter.grad, buffer) for parameter, buffer in rows if parameter.grad is not None]
        parameters, gradients, buffers = (list(column) for column in zip(*moving, strict=True)) if moving else ([],) * 3
        sgd(
            parameters,
            gradients,
            buffers,
            fused=True,
            found_inf=broken,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    def forget_gradients(self) -> None:
        """Give their memory back."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, in the form of ``torch.optim.SGD``."""
        return {"state": {index: {_BUFFER: buffer} for index, buffer in enumerate(self._buffers)}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken, by this class or by ``torch.optim.SGD``.

        Raises:
            ValueError: it belongs to other parameters.
        """
        found = [state["state"][index][_BUFFER] for index in sorted(state["state"])]
        if [buffer.shape for buffer in found] != [buffer.shape for buffer in self._buffers]:
            raise ValueError("the momentum belongs to other parameters")
        for own, buffer in zip(self._buffers, found, strict=True):
            own.copy_(buffer)
