"""Networks that run side by side on the cores of a processor, each on its share of them.

Two threads of one convolution wait for each other at its end, hundreds of times in a pass; two networks need not.
Measured in docs/performance.md. A GPU is busy with one network anyway: there they run one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor

Pass = Callable[[], Sequence[Tensor]]
"""A network's pass over its input. No two of them share parameters."""


def side_by_side(passes: Sequence[Pass], device: torch.device, *, in_turn: bool = False) -> list[tuple[Tensor, ...]]:
    """What the passes give, in their order; gradients flow as if they had run one after the other.

    Args:
        passes: of different networks. Whether gradients are wanted is theirs to say, within what the caller allows.
        device: of their tensors.
        in_turn: never at once. Passes that draw random numbers, as dropout does, need that, or who is first would be
            chance.
    """
    if in_turn or device.type != "cpu" or len(passes) < 2 or torch.get_num_threads() < len(passes):
        return [tuple(one()) for one in passes]
    workers = _workers(len(passes), torch.get_num_threads() // len(passes))
    if not torch.is_grad_enabled():
        return workers.run(passes)
    counts: list[int] = []
    # Only what hangs on something with a gradient gets one itself.
    anchor = torch.zeros((), requires_grad=True)
    flat: tuple[Tensor, ...] = _SideBySide.apply(anchor, workers, passes, counts)  # type: ignore[no-untyped-call]
    ends = [sum(counts[: i + 1]) for i in range(len(counts))]
    return [flat[end - count : end] for end, count in zip(ends, counts, strict=True)]


class _Workers:
    """One thread for each network; they stay, and so do the threads that torch starts for each of them."""

    def __init__(self, count: int, cores: int) -> None:
        threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(count, "barl-network", _use_cores, (cores,))
        together = threading.Barrier(count)
        list(self._pool.map(lambda _: together.wait(), range(count)))
        # The last call also counts for threads that somebody else starts later.
        torch.set_num_threads(threads)

    def run(self, tasks: Sequence[Pass]) -> list[tuple[Tensor, ...]]:
        """All at once, with the caller's gradients and precision; the first error once all have ended."""
        grad, half = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu")

        def run(task: Pass) -> tuple[Tensor, ...]:
            # The cache of cast weights is one for all threads: a pass without gradients would leave its own there.
            with torch.set_grad_enabled(grad), torch.autocast("cpu", dtype, enabled=half, cache_enabled=False):
                return tuple(task())

        futures = [self._pool.submit(run, task) for task in tasks]
        for future in futures:
            future.exception()
        return [future.result() for future in futures]


def _use_cores(count: int) -> None:
    torch.get_num_threads()  # A new thread takes the whole program's number at its first look: after this one.
    torch.set_num_threads(count)


@cache
def _workers(count: int, cores: int) -> _Workers:
    return _Workers(count, cores)


class _SideBySide(torch.autograd.Function):
    """Passes and the ways back through them, each in its own thread."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, workers: _Workers, passes: Sequence[Pass], counts: list[int]) -> Any:
        """(outputs of the first pass, of the second, ...); ``counts`` gets how many each has."""
        with torch.enable_grad():
            outputs = workers.run(passes)
        counts.extend(len(of_pass) for of_pass in outputs)
        ctx.outputs, ctx.workers = outputs, workers
        ctx.set_materialize_grads(False)
        flat = tuple(output.detach() for of_pass in outputs for output in of_pass)
        fixed = [not output.requires_grad for of_pass in outputs for output in of_pass]
        ctx.mark_non_differentiable(*[output for output, is_fixed in zip(flat, fixed, strict=True) if is_fixed])
        return flat

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        """Gradients go straight to the networks' parameters."""
        left = list(gradients)
        tasks = []
        for of_pass in ctx.outputs:
            given, left = left[: len(of_pass)], left[len(of_pass) :]
            tasks.append(_way_back(of_pass, given))
        ctx.outputs = None
        ctx.workers.run(tasks)
        return None, None, None, None


def _way_back(outputs: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Pass:
    wanted = [(o, g) for o, g in zip(outputs, gradients, strict=True) if g is not None and o.requires_grad]

    def run() -> Sequence[Tensor]:
        if wanted:
            torch.autograd.backward([o for o, _ in wanted], [g for _, g in wanted])
        return ()

    return run
