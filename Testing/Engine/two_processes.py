"""One of two processes that train together: ``python two_processes.py FOLDER``; its tests are in test_distributed.py.

What each process saw goes into ``FOLDER/<rank>.pt``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from engine_doubles import Balls, HandClock, LineMethod, Points, on_cpu, tiny_method
from torch import Tensor, nn

import barl.training.distributed
import barl.training.loop
from barl.errors import BarlError, OutOfMemoryError
from barl.jobs import JobSpec, request_stop, write_spec
from barl.losses.reduction import totals
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.training.checkpoint import CheckpointFile
from barl.training.distributed import Group, Share, join
from barl.training.loop import Training, train
from barl.training.reporter import Reporter, SilentReporter
from barl.training.settings import TrainingSettings
from barl.training.stepper import Stepper
from barl.training.views import Chance

METHODS: dict[str, dict[str, Any]] = {
    "supervised": {},
    "mean_teacher": {},
    # Noise and dropped channels are drawn in each process for its own patches. At the end of the ramp voxels lie on
    # the bound of certainty itself, where rounding decides.
    "uncertainty_mean_teacher": {"noise": 0.0, "dropout": 0.0, "ramp_share": 1.0},
    "cross_pseudo": {},
    # The contrast and the quantiles of entropy are those of each process.
    "dual_networks": {"contrast_weight": 0.0, "reliable_share": 1.0},
    # Its other parts compare what lies in different patches, and see only those of their process.
    "barl": {"region_weight": 0.0, "instance_weight": 0.0},
    "dtc": {},
    "dbisl": {},
    # Noise on the codes is drawn in each process for its own patches.
    "semigda": {"sampled_share": 0.0},
    # With as many labeled as unlabeled patches in each process the same pairs are mixed; with others they are not.
    "copy_paste": {},
}
APART: dict[str, dict[str, Any]] = {
    "barl": {"warmup_share": 0.0},
    "semigda": {"first_stage_share": 1.0},
    "copy_paste": {"pretraining_share": 1.0},
}
"""What each process does in its own way, with its own patches: instances and regions, noise, labeled patches in labeled
ones. Losses are others than in one process, weights stay equal."""

STEPS = 3
CPU = torch.device("cpu")


def steps_of(
    name: str, share: Share, group: Group | None = None, settings: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A few steps of a method on this share of the batches: losses and weights.

    Without settings: those with which a method is the same in several processes.

    Networks in float64: at the bottleneck few voxels are normalized, which turns float32's rounding into differences.
    """
    torch.manual_seed(0)
    method = tiny_method(name, METHODS[name] if settings is None else settings)
    stepper = Stepper(method, method.build(1, 2).double(), TrainingSettings(), CPU, group)
    balls, losses = Balls(seed=3, shape=(16, 32, 32)), []
    for number in range(STEPS):
        progress = Progress(step=number + STEPS, total_steps=2 * STEPS)  # Late enough for all terms of a method.
        stepper.step(part_of(balls.next_batch(), share), progress, contextlib.nullcontext())
        losses.append(stepper.read_losses())
    return {"losses": losses, "weights": stepper.model.state_dict()}


def part_of(batch: Batch, share: Share) -> Batch:
    """The share's patches; of labels, the first patch knows few voxels, so that means differ between processes."""
    batch.label[0, 4:] = 255
    images = {name: share.of(getattr(batch, name)).double() for name in ("labeled", "weak", "strong")}
    return Batch(**images, label=share.of(batch.label))


def sums_of_two(share: Share) -> dict[str, Tensor]:
    """Totals of numbers that differ, and what their gradient is after averaging."""
    own = torch.tensor([1.0, 2.0]) * (share.rank + 1)
    own.requires_grad_()
    total, count = totals(own.square(), torch.tensor(share.rank + 3))
    (total.sum() / count).backward()
    return {"total": total.detach(), "count": count.detach(), "gradient": own.grad / share.size}


class HalfMethod(LineMethod):
    """Its second process learns the bias too, and breaks at step 1."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def training_step(self, model: nn.Module, batch: Batch, progress: Progress) -> LossTerms:
        loss = 3 * model.weight.sum()
        if self.rank == 1:
            loss = loss + 5 * model.bias.sum()
        if self.rank == 1 and progress.step == 1:
            loss = loss * torch.nan
        return LossTerms(loss, {"fit": loss.detach()})


def uneven_steps(group: Group) -> dict[str, Any]:
    """One step with a gradient that only one process has, then one that is broken in one process."""
    method, settings = HalfMethod(group.share.rank), TrainingSettings(learning_rate=0.01, momentum=0, weight_decay=0)
    torch.manual_seed(group.share.rank)  # Unequal on purpose: the leader's weights count.
    stepper = Stepper(method, method.build(1, 2), settings, CPU, group)
    group.same_weights(stepper.model)
    seen = {"before": _weights(stepper)}
    for number, name in enumerate(("after", "broken")):
        stepper.step(Points().next_batch(), Progress(step=number, total_steps=10**6), contextlib.nullcontext())
        seen[name] = _weights(stepper)
    try:
        stepper.read_losses()
    except BarlError as error:
        seen["told"] = type(error).__name__
    return seen


def channels_last(group: Group) -> dict[str, Tensor]:
    """Weights and gradients that do not lie in memory as they are counted."""
    torch.manual_seed(group.share.rank)
    layer = nn.Conv3d(2, 3, 2, bias=False).to(memory_format=torch.channels_last_3d)
    group.same_weights(layer)
    numbers = torch.arange(48.0).view(3, 2, 2, 2, 2) * (group.share.rank + 1)
    layer.weight.grad = numbers.contiguous(memory_format=torch.channels_last_3d)
    group.average([layer.weight], [])
    return {"weight": layer.weight.detach(), "gradient": layer.weight.grad}


def _weights(stepper: Stepper) -> Tensor:
    return torch.cat([p.detach().flatten() for p in stepper.model.parameters()]).clone()


class Words:
    """A cohort that changes after the leader's fourth step; notes what each process hears, and at which step."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.step: Callable[[], int] = lambda: 0

    def take(self, step: int) -> str:
        words = "Fall ä: Ebene 3" if step == 4 else ""
        self.heard += [(words, step)] if words else []
        return words

    def follow(self, words: str) -> None:
        self.heard.append((words, self.step()))


def training_in_two(folder: Path, group: Group, *, stop_at: int | None = None) -> dict[str, Any]:
    """The loop, with a time budget that only the leader can measure and a wish to stop that only the leader reads."""
    clock = HandClock()
    barl.training.loop.time = clock

    def before(number: int) -> None:
        clock.now += 1 if group.leads else 7
        if group.leads and number == stop_at:
            request_stop(folder)

    torch.manual_seed(0)
    method, words = LineMethod(), Words()
    training = Training(
        method=method,
        model=method.build(1, 2),
        batches=Points(before=before),
        chance=Chance(0, CPU),
        settings=TrainingSettings(),
        precision=on_cpu(bf16=False),
        device=CPU,
        total_steps=None,
        budget_seconds=60,
        validate=lambda: {"jaw": 0.5},
        changes=words,
        group=group,
    )
    words.step = lambda: training.step
    reporter = Reporter(folder) if group.leads else SilentReporter(folder)
    over = train(training, CheckpointFile(folder / "checkpoints"), reporter)
    if group.leads:
        group.from_leader(barl.training.distributed.OVER)
    seen = {"over": over, "steps": training.step, "history": training.history, "changes": words.heard}
    return seen | {"weights": training.model.state_dict()}


def one_fails(group: Group) -> None:
    """The follower runs out of memory while the leader waits for it."""
    if group.leads:
        group.average([], [torch.zeros(())])
    raise OutOfMemoryError("Memory did not suffice in one of the 2 processes.")


def main(folder: Path) -> None:
    """All that is asked of two processes; starting them takes longer than all of it."""
    torch.set_num_threads(1)
    barl.training.distributed._SECONDS_TO_WRITE = 0.0
    seen: dict[str, Any] = {"before_joining": torch.distributed.is_initialized()}
    try:
        with join("cpu") as group:
            share = group.share
            if group.leads:
                for name in ("budget", "stopped"):
                    write_spec(folder / name, JobSpec(kind="train", payload={}))
            seen["word"] = group.from_leader(17 + share.rank)
            seen["sums"] = sums_of_two(share)
            seen["methods"] = {name: steps_of(name, share, group) for name in METHODS}
            seen["apart"] = {name: steps_of(name, share, group, settings) for name, settings in APART.items()}
            seen["uneven"] = uneven_steps(group)
            seen["channels_last"] = channels_last(group)
            seen["budget"] = training_in_two(folder / "budget", group)
            seen["stopped"] = training_in_two(folder / "stopped", group, stop_at=9)
            one_fails(group)
    except BarlError as error:
        seen["end"] = (type(error).__name__, str(error))
    seen["compiler"] = "torch._dynamo" in sys.modules
    torch.save(seen, folder / f"{share.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
