"""Several processes that train one model, each on its share of the patches.

Started by ``torchrun``, every process has the whole model and all volumes and draws the same random numbers; each cuts
only its own patches of a step. Gradients are averaged, so that weights stay equal. The first process leads: it alone
decides and writes; the others follow its word. A process without others exchanges nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from barl import errors
from barl.errors import BarlError, JobFailedError, ProcessLostError, SettingsError
from barl.inference.devices import choose_device
from barl.losses.reduction import exchange
from barl.training.reporter import Failure, processes, rank

OVER = -1
"""The leader's word that there is nothing left to follow."""

CHANGED = -2
"""The leader's word that a text follows, on what has changed in the cohort."""

_STEP_LIMIT = timedelta(minutes=10)
"""Within a step, processes wait for each other for less than a step's time; one that is silent for so long is lost."""

_WORD_LIMIT = timedelta(days=1)
"""Followers wait while the leader checks and prepares a cohort, validates, or writes to a slow drive. A process that
has ended is noticed at once all the same: its connections close."""

_SECONDS_TO_WRITE = 30.0
_FAILURE = "failure"

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Which part of a step's patches belongs to a process."""

    rank: int = 0
    size: int = 1

    def of(self, patches: Sequence[T]) -> Sequence[T]:
        """The own patches of the whole batch, which holds equally many for each process."""
        each = len(patches) // self.size
        return patches[self.rank * each : (self.rank + 1) * each]

    def count(self, patches: int) -> int:
        """How many of a whole batch's patches are the own ones."""
        return patches // self.size

    def filled(self, patches: int) -> int:
        """The least number of patches, from this one on, that can be shared equally."""
        return -(-patches // self.size) * self.size


class Group:
    """The processes of one training, seen from one of them.

    Args:
        device: the own one.
        share: the own place; by default there are no others.
        neighbors: processes on this computer.
    """

    def __init__(self, device: torch.device, share: Share | None = None, neighbors: int = 1) -> None:
        self.device = device
        self.share = share or Share()
        self.neighbors = neighbors
        self._words: distributed.ProcessGroup | None = None
        self._store: Any = None  # A torch.distributed.Store, once there are others.

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.share.size

    @property
    def leads(self) -> bool:
        """Whether this process decides and writes."""
        return self.share.rank == 0

    def from_leader(self, word: int = 0) -> int:
        """The leader's word, in all processes; followers wait for it as long as it takes.

        Raises:
            ProcessLostError: another process ended.
        """
        if self._words is None:
            return word
        message = torch.tensor(word)
        with exchange():
            distributed.broadcast(message, 0, group=self._words)
        return int(message)

    def text_from_leader(self, text: str = "") -> str:
        """A longer message of the leader, in all processes.

        Raises:
            ProcessLostError: another process ended.
        """
        if self._words is None:
            return text
        letters = list(text.encode())
        message = torch.tensor(letters, dtype=torch.uint8) if self.leads else None
        count = self.from_leader(len(letters))
        if message is None:
            message = torch.empty(count, dtype=torch.uint8)
        with exchange():
            distributed.broadcast(message, 0, group=self._words)
        return bytes(message.tolist()).decode()

    def same_weights(self, model: nn.Module) -> None:
        """The leader's weights and buffers, in all processes: equal seeds give equal ones, and this makes sure.

        Raises:
            ProcessLostError: another process ended.
        """
        if self._words is None:
            return
        for tensor in model.state_dict().values():
            dense = tensor.contiguous()  # A copy where the channels come last.
            with exchange():
                distributed.broadcast(dense, 0)
            tensor.copy_(dense)

    def average(self, parameters: Sequence[nn.Parameter], scalars: Sequence[Tensor]) -> list[Tensor]:
        """Replace gradients by their means over the processes, in one exchange; nothing waits for the device.

        A gradient that only some processes have counts as 0 in the others.

        Args:
            scalars: travel along; the same ones in all processes.

        Returns:
            The means of the scalars.

        Raises:
            ProcessLostError: another process ended.
        """
        if self._words is None:
            return list(scalars)
        gradients = [_gradient(parameter) for parameter in self._learning(parameters)]
        given = [*gradients, *scalars]
        mean = torch.cat([one.reshape(-1).to(given[0].dtype) for one in given]) / self.size
        with exchange():
            distributed.all_reduce(mean)
        parts = torch.split(mean, [one.numel() for one in given])
        means = [part.view(one.shape) for part, one in zip(parts, given, strict=True)]
        torch._foreach_copy_(gradients, means[: len(gradients)])
        return means[len(gradients) :]

    def dismiss(self) -> None:
        """Let the followers go; from here on the leader is alone."""
        if self._words is None:
            return
        if self.leads:
            with suppress(ProcessLostError):  # Who has gone already needs no word.
                self.from_leader(OVER)
        self._words = self._store = None
        distributed.destroy_process_group()

    def _learning(self, parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """Those that have a gradient anywhere: processes must exchange the same ones. Asked on the host."""
        known = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.uint8)
        with exchange():
            distributed.all_reduce(known, distributed.ReduceOp.MAX, group=self._words)
        return [parameter for parameter, anywhere in zip(parameters, known.tolist(), strict=True) if anywhere]

    def _form(self) -> None:
        gpu = self.device.type == "cuda"
        if gpu:
            torch.cuda.set_device(self.device)
        try:
            store, own, size = next(rendezvous("env://", timeout=_STEP_LIMIT))
            distributed.init_process_group(
                "nccl" if gpu else "gloo", store=store, rank=own, world_size=size, timeout=_STEP_LIMIT
            )
            # Words go over the host, so that they neither wait for a device nor for the end of a step.
            self._words = distributed.new_group(backend="gloo", timeout=_WORD_LIMIT)
        except RuntimeError as error:
            raise ProcessLostError(
                f"The {self.size} processes of this training did not find each other ({error}). Check that all of them "
                "were started, and that this computer lets its own programs connect."
            ) from error
        self._store = store

    def _confess(self, failure: Failure) -> None:
        """Tell the leader why this process ends, and let it notice wherever it waits."""
        if self._store is None:
            return
        self._store.set(_FAILURE, json.dumps([failure.kind, failure.message]))
        words, self._words = self._words, None
        distributed.destroy_process_group(words)
        del words
        if self.device.type == "cpu":
            distributed.destroy_process_group()
        # torchrun ends all processes as soon as one has failed: the leader first needs time to write down why.
        time.sleep(_SECONDS_TO_WRITE)

    def _confessed(self) -> BarlError | None:
        """Why another process ended, if it could say so."""
        if self._store is None or not self._store.check([_FAILURE]):
            return None
        kind, message = json.loads(self._store.get(_FAILURE))
        error: BarlError = getattr(errors, kind, JobFailedError)(message)
        return error


@contextmanager
def join(wish: str) -> Iterator[Group]:
    """The group that the environment names, as ``torchrun`` sets it; without one, this process alone.

    Args:
        wish: the device asked for.

    Raises:
        SettingsError: there is no such device, or not one for each process.
        BarlError: in the leader, what another process ended of.
        ProcessLostError: another process ended without a word.
    """
    share = Share(rank(), processes())
    if share.size == 1:
        yield Group(choose_device(wish))
        return
    neighbors = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    group = Group(_own_device(wish, int(os.environ.get("LOCAL_RANK", "0")), neighbors), share, neighbors)
    group._form()
    try:
        yield group
    except ProcessLostError as lost:
        reason = group._confessed()
        if reason is None:
            raise
        raise reason from lost
    except Exception as error:
        if not group.leads:
            group._confess(Failure.of(error))
        raise
    group.dismiss()


def _own_device(wish: str, local_rank: int, neighbors: int) -> torch.device:
    """The CPU, or a CUDA device for each process of this computer."""
    if ":" in wish:
        raise SettingsError(
            f"device {wish} names one device, but this training was started as several processes. "
            "Choose cuda, cpu or auto."
        )
    device = choose_device(wish)
    if device.type != "cuda":
        return device
    count = torch.cuda.device_count()
    if count < neighbors:
        raise SettingsError(
            f"{neighbors} processes were started on this computer, which has {count} CUDA devices. "
            f"Start one for each (torchrun --nproc-per-node {count}), or choose the device cpu."
        )
    return torch.device("cuda", local_rank)


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
