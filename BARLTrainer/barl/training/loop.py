"""The training loop: read top to bottom.

A step draws a batch, asks the method for its loss, and updates. Around it: the time budget, checkpoints, validation,
changes of the cohort, the wish to stop, and memory that does not suffice. Of several processes the first one leads; the
others take the same steps. Nothing here knows a method or a file format.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import nn

from barl.errors import CohortError, JobError, OutOfMemoryError, SettingsError
from barl.inference.devices import Precision, is_out_of_memory
from barl.methods.protocol import Batch, Method, Progress
from barl.training.checkpoint import CheckpointFile, Snapshot
from barl.training.distributed import CHANGED, OVER, Group
from barl.training.freed_memory import freed_memory_kept
from barl.training.reporter import Reporter
from barl.training.settings import TrainingSettings
from barl.training.stepper import Stepper
from barl.training.views import Chance

_SECONDS_BETWEEN_LOSSES = 2.0
_TIMED_STEPS = 8
_LEAST_STEPS = 30
_VALIDATIONS = 5
_FAR = 30_000
"""A total for the first steps, before their time is known."""


class Batches(Protocol):
    """Where patches come from."""

    def next_batch(self) -> Batch:
        """One step's patches."""
        ...


class Changes(Protocol):
    """What may change in the cohort while the training runs."""

    def take(self, step: int) -> str:
        """In the leader: let what has changed hold; returns what :meth:`follow` needs, empty for nothing."""
        ...

    def follow(self, words: str) -> None:
        """In the other processes: do the same."""
        ...


class NoChanges:
    """The cohort stays as it is."""

    def take(self, step: int) -> str:
        """Nothing."""
        return ""

    def follow(self, words: str) -> None:
        """Nothing."""


@dataclass(kw_only=True)
class Training:
    """What goes in, and what the loop keeps up to date."""

    method: Method[Any]
    model: nn.Module
    batches: Batches
    chance: Chance
    settings: TrainingSettings
    precision: Precision
    device: torch.device
    total_steps: int | None
    """None: as many as fit into ``budget_seconds``."""

    budget_seconds: float
    validate: Callable[[], dict[str, float]] | None = None
    """Dice by class on the validation cases."""

    validation_cases: int = 0
    """How many these are: noted with their scores, for a mean of one or two says little."""

    make_smaller: Callable[[], Batches | None] = field(default=lambda: None)
    """Called when memory does not suffice: smaller batches, or None."""

    changes: Changes = field(default_factory=NoChanges)
    """Asked between two steps."""

    group: Group | None = None
    """None: this process alone."""

    seed: int = 0
    """Of the job, for what methods draw by themselves."""

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def train(training: Training, checkpoints: CheckpointFile, reporter: Reporter) -> bool:
    """Train to the end, from the newest checkpoint if there is one.

    Returns:
        True when the training is over, False when it was stopped before.

    Raises:
        DivergedError: the loss is no longer a number.
        OutOfMemoryError: not even the smallest patch fits; of several processes, one ran out of memory.
        ProcessLostError: another process ended.
        SettingsError: the time budget does not hold a training.
        StorageError: a checkpoint could not be written.
    """
    group = training.group or Group(training.device)
    stepper = Stepper(training.method, training.model, training.settings, training.device, group)
    _go_on(training, stepper, checkpoints)
    group.same_weights(training.model)
    training.model.train()
    with freed_memory_kept(training.device):
        return _lead(training, stepper, checkpoints, reporter) if group.leads else _follow(training, stepper, reporter)


def _follow(training: Training, stepper: Stepper, reporter: Reporter) -> bool:
    """The leader's steps, until it says that they are over; how the training ends is not known here."""
    while (word := stepper.group.from_leader()) != OVER:
        if word == CHANGED:
            training.changes.follow(stepper.group.text_from_leader())
            continue
        training.total_steps = word or None
        _step_or_shrink(training, stepper, reporter)
    return True


def _lead(training: Training, stepper: Stepper, checkpoints: CheckpointFile, reporter: Reporter) -> bool:
    clock = _Clock(training)
    while training.total_steps is None or training.step < training.total_steps:
        _take_changes(training, stepper, checkpoints, reporter)
        stepper.group.from_leader(training.total_steps or 0)
        _step_or_shrink(training, stepper, reporter)
        clock.tick()
        _fit_into_budget(training, clock, reporter)
        if clock.losses_due():
            _report_losses(training, stepper, reporter)
        reporter.progress(training.step, training.total_steps, clock.remaining())
        if training.validate and training.step in _validation_steps(training.total_steps):
            _validate(training, reporter)
            clock.resume()
        if reporter.wants_stop():
            _save(training, stepper, checkpoints, reporter)
            checkpoints.wait()
            return False
        if clock.checkpoint_due():
            _save(training, stepper, checkpoints, reporter)
    _report_losses(training, stepper, reporter)
    _save(training, stepper, checkpoints, reporter)
    checkpoints.wait()
    return True


def _take_changes(training: Training, stepper: Stepper, checkpoints: CheckpointFile, reporter: Reporter) -> None:
    """Let what changed in the cohort hold in all processes from the next step on."""
    try:
        words = training.changes.take(training.step)
    except CohortError:  # Nothing is left to learn from: what was learned stays, to go on from.
        _save(training, stepper, checkpoints, reporter)
        checkpoints.wait()
        raise
    if words:
        stepper.group.from_leader(CHANGED)
        stepper.group.text_from_leader(words)


def _go_on(training: Training, stepper: Stepper, checkpoints: CheckpointFile) -> None:
    """Everything the next step depends on becomes what it was."""
    snapshot = checkpoints.read()
    if snapshot is None:
        return
    try:
        training.model.load_state_dict(snapshot.model)
        stepper.optimizer.load_state_dict(snapshot.optimizer)
    except (RuntimeError, ValueError) as error:
        raise JobError(
            "This round cannot go on: its checkpoint does not fit the cohort as it is now, for example because a label "
            "was added, or another version of BARL made it. Start a new round instead."
        ) from error
    training.chance.restore(snapshot.chance)
    torch.set_rng_state(snapshot.torch_rng.cpu())
    if snapshot.cuda_rng is not None and training.device.type == "cuda":
        torch.cuda.set_rng_state(snapshot.cuda_rng.cpu(), training.device)
    training.step, training.seconds = snapshot.step, snapshot.seconds
    training.total_steps, training.history = snapshot.total_steps, list(snapshot.history)


def _save(training: Training, stepper: Stepper, checkpoints: CheckpointFile, reporter: Reporter) -> None:
    """After the losses were read: a checkpoint never holds weights that a broken step has touched."""
    _report_losses(training, stepper, reporter)
    cuda = training.device.type == "cuda"
    checkpoints.write(
        Snapshot(
            step=training.step,
            total_steps=training.total_steps,
            seconds=training.seconds,
            model=training.model.state_dict(),
            optimizer=stepper.optimizer.state_dict(),
            chance=training.chance.state(),
            torch_rng=torch.get_rng_state(),
            cuda_rng=torch.cuda.get_rng_state(training.device) if cuda else None,
            history=training.history,
        )
    )
    reporter.checkpoint(training.step)


def _step_or_shrink(training: Training, stepper: Stepper, reporter: Reporter) -> None:
    """One step; with less memory than it needs, smaller patches from now on."""
    while True:
        try:
            batch = _arranged(training.batches.next_batch(), training.precision)
            progress = Progress(step=training.step, total_steps=training.total_steps or _FAR, seed=training.seed)
            stepper.step(batch, progress, training.precision.autocast(training.device))
            training.step += 1
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            stepper.optimizer.forget_gradients()
        # Outside of the handler: the traceback would keep the tensors of the failed step alive.
        if training.device.type == "cuda":
            torch.cuda.empty_cache()
        smaller = training.make_smaller()
        if smaller is None:
            raise OutOfMemoryError(
                "Not even the smallest patch fits into memory. Close other programs, or choose a method with one "
                "network (supervised), or a computer with more memory."
            )
        if stepper.group.size > 1:
            # The others wait somewhere in this step: there is no common place to go on from but the checkpoint.
            raise OutOfMemoryError(
                f"Memory did not suffice in one of the {stepper.group.size} processes. The round now has smaller "
                "patches: resume it from its last checkpoint."
            )
        training.batches = smaller
        reporter.warning(
            "Memory did not suffice: the training goes on with smaller patches; the result may be coarser."
        )


def _arranged(batch: Batch, precision: Precision) -> Batch:
    arranged = {name: precision.arrange(getattr(batch, name)) for name in ("labeled", "weak", "strong")}
    return replace(batch, **arranged)


class _Clock:
    """Seconds of training, and what is due when."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._last = self._losses = self._checkpoint = time.monotonic()
        self._recent: list[float] = []

    def tick(self) -> None:
        """A step is over."""
        now = time.monotonic()
        self._training.seconds += now - self._last
        # The first steps allocate memory and choose kernels: they say nothing about the others.
        if self._training.step > 2:
            self._recent = [*self._recent[-63:], now - self._last]
        self._last = now

    def resume(self) -> None:
        """Something that is not training is over."""
        self._last = time.monotonic()

    def step_seconds(self) -> float | None:
        """Mean of the last steps, None before enough are measured."""
        return sum(self._recent) / len(self._recent) if len(self._recent) >= _TIMED_STEPS - 2 else None

    def remaining(self) -> float | None:
        """Seconds to the end."""
        mean = self.step_seconds()
        if mean is None or self._training.total_steps is None:
            return None
        return mean * (self._training.total_steps - self._training.step)

    def losses_due(self) -> bool:
        """Now and then; reading them waits for the device."""
        now = time.monotonic()
        if now - self._losses < _SECONDS_BETWEEN_LOSSES:
            return False
        self._losses = now
        return True

    def checkpoint_due(self) -> bool:
        """At least once a minute."""
        now = time.monotonic()
        if now - self._checkpoint < self._training.settings.checkpoint_seconds:
            return False
        self._checkpoint = now
        return True


def _fit_into_budget(training: Training, clock: _Clock, reporter: Reporter) -> None:
    """Choose the number of steps once their time is known, and again where the computer turns out busier or freer."""
    if training.budget_seconds <= 0:
        return
    mean = clock.step_seconds()
    if mean is None and training.total_steps is None and training.seconds > training.budget_seconds:
        mean = training.seconds / training.step  # Nobody waits for a finer measurement of what is too long already.
    if mean is None or (training.total_steps is not None and training.step % 32):
        return
    left = max(0.0, training.budget_seconds - training.seconds)
    fitting = training.step + int(left / mean)
    if training.total_steps is None:
        if fitting < _LEAST_STEPS:
            need = _LEAST_STEPS * mean / 60
            raise SettingsError(
                f"The time budget holds {fitting} steps of {mean:.1f} s, too few to learn anything. "
                f"Choose at least {math.ceil(10 * need) / 10:.1f} minutes, or the preset quick."
            )
        training.total_steps = fitting
        reporter.log(f"A step takes {mean:.2f} s: {fitting} steps fit into the time budget.")
    elif abs(fitting - training.total_steps) > 0.05 * training.total_steps:
        training.total_steps = max(fitting, training.step + 1)
        reporter.log(f"A step now takes {mean:.2f} s: {training.total_steps} steps in all fit into the time budget.")


def _report_losses(training: Training, stepper: Stepper, reporter: Reporter) -> None:
    means = stepper.read_losses()
    if means:
        record = {"step": training.step, "seconds": round(training.seconds, 2), **means}
        training.history.append(record)
        reporter.metric(**record)


def _validation_steps(total_steps: int | None) -> set[int]:
    """A few points of the training, the end among them."""
    if total_steps is None:
        return set()
    return {round(total_steps * (i + 1) / _VALIDATIONS) for i in range(_VALIDATIONS)}


def _validate(training: Training, reporter: Reporter) -> None:
    assert training.validate is not None
    training.model.eval()
    scores = training.validate()
    training.model.train()
    if scores:
        mean = sum(scores.values()) / len(scores)
        record = {
            "step": training.step,
            "dice": mean,
            "dice_by_class": scores,
            "validation_cases": training.validation_cases,
        }
        training.history.append(record)
        reporter.metric(**record)
