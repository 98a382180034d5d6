"""Sums over a batch that several processes share, so that a loss is that of the whole batch.

A ratio of sums, such as Dice or a mean over known voxels, is not the mean of the processes' ratios. Its sums are
added up over the processes before they are divided; a mean over whole patches of one size needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed

from barl.errors import ProcessLostError


def totals(*sums: Tensor) -> tuple[Tensor, ...]:
    """Each sum over all processes, in one exchange; without other processes, as they come.

    All processes must ask for the same sums in the same order. The gradient is right once gradients are averaged over
    the processes, see ``training.distributed``.

    Args:
        sums: of the own patches, any shapes; the first one floating.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return sums
    flat = torch.cat([part.reshape(-1).to(sums[0].dtype) for part in sums])
    parts = _Total.apply(flat).split([part.numel() for part in sums])  # type: ignore[no-untyped-call]
    return tuple(part.view(given.shape) for part, given in zip(parts, sums, strict=True))


@contextmanager
def exchange() -> Iterator[None]:
    """Around what processes do together: words for a process that is not there any more.

    Raises:
        ProcessLostError: another process has ended or no longer answers.
    """
    try:
        yield
    except torch.OutOfMemoryError:  # A RuntimeError too, with a way out of its own.
        raise
    except RuntimeError as error:  # All that torch.distributed says of lost connections and of time that is over.
        raise ProcessLostError(
            f"One of the {distributed.get_world_size()} processes of this training ended, or no longer answers; the "
            "log may tell why. Resume the round from its last checkpoint."
        ) from error


class _Total(torch.autograd.Function):
    """s = sum_r s_r; every process then computes the same loss from s, so that dL/ds is the same everywhere.

    dL/ds_r = dL/ds, here times the number of processes, by which averaging the gradients divides.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        with exchange():
            distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * distributed.get_world_size()
