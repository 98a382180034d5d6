"""A network that is the running average of another."""

from __future__ import annotations

import torch
from torch import nn

_MEMORY = 20
"""A young average remembers the steps so far divided by this."""


def freeze(network: nn.Module) -> nn.Module:
    """Take a network out of gradient training."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


@torch.no_grad()
def follow(average: nn.Module, source: nn.Module, step: int, momentum: float) -> None:
    """average <- a * average + (1 - a) * source with a = min((1 - 1 / t) ** 20, momentum), t the steps taken.

    A young average remembers a twentieth of the steps so far, as with power function averaging (Karras et al. 2024,
    https://arxiv.org/abs/2312.02696), until that is as long as with the momentum of the literature, which was chosen
    for tens of thousands of steps. Remembering all steps so far (Tarvainen and Valpola 2017) leaves the average of a
    training of a few hundred steps behind what it averages (docs/lab-notes.md). Buffers such as batch statistics are
    copied.

    Args:
        step: number of the step that has just been taken, counted from 0.
        momentum: the final share of the old average, 0 to 1.
    """
    keep = min((1 - 1 / (step + 1)) ** _MEMORY, momentum)
    targets = [p.data for p in average.parameters()]
    sources = [p.data for p in source.parameters()]
    torch._foreach_lerp_(targets, sources, 1 - keep)
    for target, buffer in zip(average.buffers(), source.buffers(), strict=True):
        target.copy_(buffer)
