"""What a training step costs: ours against a plain reference, and against the bare passes of its networks.

    python Testing/Benchmarks/step_time.py --method mean_teacher barl --patch 64 64 48 --labeled 2 --unlabeled 2

Ours is the real sampler and the real stepper, all terms of the method at work. The reference is plain code in the
manner of public trainers, in this file: float32, contiguous tensors, loader workers that unpack whole compressed
volumes, turn and crop them with numpy, an average written in Python, every loss read at every step. `ua_mt` asks the
teacher eight times more for its uncertainty, as UA-MT's public trainer does; `mean_teacher` asks it once. The network
is the same V-Net everywhere. In the reference's favor, its workers live on; public trainers start new ones every epoch.

Every subject runs in a process of its own, so that its peak memory is its alone, and they take turns, a few steps each,
the others standing still: what else the computer does then falls on all of them. A ratio is the median over the turns.
On a CPU that is busy all the time, `--clock processor --threads 1` counts the seconds that a process was computing
instead of those that went by: of a reference without its loaders, of a checkpoint with what is written beside it.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peak_memory import peak_mib
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from barl.catalog import CARDS
from barl.imaging.foreground import normalized, percentile_clip
from barl.inference.devices import choose_device, choose_precision
from barl.jobs import share_cores
from barl.methods.factory import make_method
from barl.methods.protocol import Progress
from barl.networks import EncoderDecoder, NetworkSettings, Taps, VNet
from barl.networks.blocks import InstanceNormReLU
from barl.networks.latent import LatentDecoder, MaskEncoder
from barl.networks.latent_encoders import MappingEncoder, ResidualEncoder
from barl.phantom import make_case
from barl.training.checkpoint import CheckpointFile, Snapshot
from barl.training.freed_memory import freed_memory_kept
from barl.training.resident import ResidentCase, labeled_case, unlabeled_case
from barl.training.sampler import Sampler, SamplerSettings
from barl.training.settings import TrainingSettings
from barl.training.stepper import Stepper
from barl.training.views import Chance, ViewSettings

CLASSES = 4
VOLUMES = 4
REFERENCES = {
    "supervised": ("supervised",),
    "mean_teacher": ("ua_mt", "mean_teacher"),
    "uncertainty_mean_teacher": ("ua_mt",),
}
LATE = Progress(step=800, total_steps=1000)
"""All ramps are over: a step with all its terms."""

NETWORKS: dict[type[nn.Module], tuple[str, ...]] = {
    EncoderDecoder: ("forward", "taps"),
    MappingEncoder: ("forward",),
    ResidualEncoder: ("forward",),
    MaskEncoder: ("forward",),
    LatentDecoder: ("forward",),
}
"""Whose calls are the bare passes of a step, and how they are called."""

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}

Timed = dict[str, float]


def main() -> None:
    """Print the figures, or be one of the processes that are measured."""
    arguments = _arguments()
    if arguments.child:
        _serve(json.loads(arguments.child))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Whoever ends this ends the measured processes too.
    with tempfile.TemporaryDirectory() as folder:
        _make_volumes(Path(folder), tuple(arguments.volume))
        print(_heading(arguments), flush=True)
        for method in arguments.method:
            print(_report(method, Path(folder), arguments), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [card.name for card in CARDS]
    parser.add_argument("--method", nargs="+", choices=names, default=["mean_teacher", "barl"])
    parser.add_argument("--patch", type=int, nargs=3, default=(64, 64, 48), metavar=("D", "H", "W"))
    parser.add_argument("--volume", type=int, nargs=3, default=(96, 128, 128), metavar=("D", "H", "W"))
    parser.add_argument("--labeled", type=int, default=2)
    parser.add_argument("--unlabeled", type=int, default=2)
    parser.add_argument("--base", type=int, default=16, help="filters of the networks at full resolution")
    parser.add_argument("--repeats", type=int, default=4, help="steps in a turn; one more before them is not counted")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=2, help="loader processes of the reference")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _heading(arguments: argparse.Namespace) -> str:
    patch = " x ".join(map(str, arguments.patch))
    return (
        f"{arguments.labeled} labeled and {arguments.unlabeled} unlabeled patches of {patch}, {CLASSES} classes, "
        f"base {arguments.base}, {arguments.threads} threads, device {arguments.device}, {arguments.clock} seconds; "
        f"seed 0; "
        f"{platform.machine()}, torch {torch.__version__}, Python {platform.python_version()}; "
        f"load before {os.getloadavg()[0]:.1f}"
    )


def _make_volumes(folder: Path, shape: tuple[int, int, int]) -> None:
    """Phantoms as ours reads them, resident float16, and as the reference does, compressed float32."""
    for index in range(VOLUMES):
        array, label = make_case(index, shape)
        image = normalized(array, percentile_clip(array, -np.inf))
        np.savez(folder / f"resident_{index}.npz", image=image[np.newaxis], label=label)
        np.savez_compressed(folder / f"volume_{index}.npz", image=image.astype(np.float32), label=label)


# Subjects and what is made of their numbers


class Subject:
    """A process that is measured; it stands still while it is not its turn."""

    def __init__(self, **options: Any) -> None:
        command = [sys.executable, __file__, "--child", json.dumps(options)]
        environment = dict(os.environ)
        share_cores(environment)  # As barl itself starts a training.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def ask(self, what: str, count: int = 1) -> Any:
        """Let it do something, workers included, and hear what came of it."""
        assert self._process.stdin and self._process.stdout
        os.killpg(self._process.pid, signal.SIGCONT)
        self._process.stdin.write(f"{what} {count}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("a measured process has ended before it answered")
        os.killpg(self._process.pid, signal.SIGSTOP)
        return json.loads(answer)

    def end(self) -> None:
        """Stop it and its workers."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def _subjects(wanted: dict[str, dict[str, Any]]) -> Iterator[dict[str, Subject]]:
    there: dict[str, Subject] = {}
    try:
        for name, options in wanted.items():
            there[name] = Subject(**options)
        yield there
    finally:
        for subject in there.values():
            subject.end()


def _report(method: str, folder: Path, arguments: argparse.Namespace) -> str:
    names = ("patch", "labeled", "unlabeled", "base", "threads", "device", "workers", "clock")
    common = {name: getattr(arguments, name) for name in names} | {"folder": str(folder)}
    wanted = {"ours": {"kind": "ours", "method": method, **common}}
    wanted |= {kind: {"kind": kind, **common} for kind in REFERENCES.get(method, ())}
    turns: list[dict[str, float]] = []
    with _subjects(wanted) as subjects:
        for _ in range(arguments.turns):
            turns.append(_turn(subjects, arguments.repeats))
        memory = {name: subject.ask("memory") for name, subject in subjects.items()}
        ours = subjects["ours"]
        for turn in turns:
            turn |= _medians("bare ", ours.ask("steps_and_passes", arguments.repeats))
        stall = ours.ask("checkpoint")
    return "\n".join([*_table(method, turns, memory), *_shares(turns, stall)])


def _turn(subjects: dict[str, Subject], repeats: int) -> dict[str, float]:
    return {
        key: value
        for name, subject in subjects.items()
        for key, value in _medians(f"{name} ", subject.ask("steps", repeats)).items()
    }


def _medians(prefix: str, rows: list[Timed]) -> dict[str, float]:
    """Of all but the first row, which comes after a rest."""
    return {prefix + key: statistics.median(row[key] for row in rows[1:]) for key in rows[0]}


def _median(turns: list[dict[str, float]], of: Callable[[dict[str, float]], float]) -> float:
    return statistics.median(of(turn) for turn in turns)


def _spread(turns: list[dict[str, float]], of: Callable[[dict[str, float]], float]) -> str:
    values = [of(turn) for turn in turns]
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _table(method: str, turns: list[dict[str, float]], memory: dict[str, float]) -> list[str]:
    lines = [
        f"\n| {method} | seconds a step | times ours | peak memory, MiB | times ours |",
        "|---|---|---|---|---|",
    ]
    for name in memory:
        seconds = _median(turns, lambda turn, name=name: turn[f"{name} step"])
        ratio = _spread(turns, lambda turn, name=name: turn[f"{name} step"] / turn["ours step"])
        lines.append(
            f"| {name if name == 'ours' else f'plain {name}'} | {seconds:.3f} | {ratio} | "
            f"{memory[name]:.0f} | {memory[name] / memory['ours']:.2f} |"
        )
    return lines


def _shares(turns: list[dict[str, float]], stall: Timed) -> list[str]:
    bare = _spread(turns, lambda turn: turn["bare step"] / turn["bare passes"])
    plain = _spread(turns, lambda turn: turn["bare plain_passes"] / turn["bare step"])
    sampling = _median(turns, lambda turn: turn["ours sampling"] / turn["ours step"])
    passes = _median(turns, lambda turn: turn["bare passes"])
    step = _median(turns, lambda turn: turn["bare step"])
    return [
        f"\n- a step against the bare passes of its networks ({passes:.3f} s): {bare} times",
        f"- those passes in float32, contiguous, against a step: {plain} times",
        f"- sampling and augmenting: {sampling:.1%} of a step",
        f"- a checkpoint: {stall['held']:.3f} s before the next step begins, and {stall['beside']:.3f} s more for the "
        f"{stall['steps']:.0f} steps while it is written: {(stall['held'] + stall['beside']) / step:.2f} steps in all",
    ]


# Inside the processes


def _serve(options: dict[str, Any]) -> None:
    """Do what is asked on standard input, answer in JSON on standard output."""
    torch.set_num_threads(options["threads"])
    torch.manual_seed(0)
    before = peak_mib(torch.device("cpu"))
    device = choose_device(options["device"])
    subject: Ours | Reference = Ours(options, device) if options["kind"] == "ours" else Reference(options, device)
    with freed_memory_kept(device) if isinstance(subject, Ours) else nullcontext():  # As the training loop does.
        _answer(subject, options, device, before)


def _answer(subject: Ours | Reference, options: dict[str, Any], device: torch.device, before: float) -> None:
    for line in sys.stdin:
        what, count = line.split()
        answer: Any
        if what == "memory":
            answer = peak_mib(device) - (before if device.type == "cpu" else 0)
        elif what == "checkpoint":
            answer = subject.checkpoint(Path(options["folder"]))  # type: ignore[union-attr]
        else:
            answer = [getattr(subject, what)() for _ in range(int(count) + 1)]
        print(json.dumps(answer), flush=True)


def _seconds(device: torch.device, clock: Callable[[], float], work: Callable[[], Any]) -> float:
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


# Ours


@dataclass(frozen=True)
class Pass:
    """One call of a network."""

    network: nn.Module
    how: str
    given: tuple[Any, ...]
    """Tensors without gradient, tuples of them, and modules."""

    with_gradient: bool


class Ours:
    """Sampler, method and stepper as a training uses them."""

    def __init__(self, options: dict[str, Any], device: torch.device) -> None:
        self.device, self.clock = device, CLOCKS[options["clock"]]
        self.precision = choose_precision(device)
        self.method = make_method(options["method"], {}, NetworkSettings(base_filters=options["base"]))
        self.model = self.precision.place(self.method.build(1, CLASSES), device)
        self.chance = Chance(0, device)
        self.sampler = Sampler(*_resident(Path(options["folder"]), device), self._sampling(options), self.chance)
        self.stepper = Stepper(self.method, self.model, TrainingSettings(), device)
        self.model.train()

    def _sampling(self, options: dict[str, Any]) -> SamplerSettings:
        return SamplerSettings(
            patch_size_voxels=tuple(options["patch"]),
            spacing_mm=(0.8, 0.8, 0.8),
            labeled_patches=options["labeled"],
            unlabeled_patches=options["unlabeled"] if self.method.needs_unlabeled else 0,
            foreground_share=TrainingSettings().foreground_share,
            least_foreground_share=TrainingSettings().least_foreground_share,
            views=ViewSettings(),
        )

    def steps(self) -> Timed:
        """One step, and how much of it went into its patches."""
        drawn: list[Any] = []
        sampling = self._seconds(lambda: drawn.append(self.sampler.next_batch()))
        rest = self._seconds(lambda: self._learn(drawn[0]))
        return {"step": sampling + rest, "sampling": sampling}

    def steps_and_passes(self) -> Timed:
        """One step, then the bare passes of its networks twice: as they are run, and plainly."""
        passes: list[Pass] = []
        batch = self._arranged(self.sampler.next_batch())
        with _noting(passes), self.precision.autocast(self.device):
            self.method.training_step(self.model, batch, LATE)
        whole = self.steps()["step"]
        bare = self._seconds(lambda: self._replay(passes, bf16=self.precision.bf16))
        plain = _plainly(passes)
        return {
            "step": whole,
            "passes": bare,
            "plain_passes": self._seconds(lambda: self._replay(plain, bf16=False)),
        }

    def checkpoint(self, folder: Path) -> Timed:
        """What a checkpoint costs beyond the steps that are taken meanwhile."""
        usual = statistics.median(self.steps()["step"] for _ in range(5))
        file = CheckpointFile(folder)
        held = self._seconds(lambda: self._write(file))
        beside = [self.steps()["step"]]
        while file._pending is not None and not file._pending.done():
            beside.append(self.steps()["step"])
        file.wait()
        return {"held": held, "steps": len(beside), "beside": sum(beside) - usual * len(beside)}

    def _seconds(self, work: Callable[[], Any]) -> float:
        return _seconds(self.device, self.clock, work)

    def _learn(self, batch: Any) -> None:
        self.stepper.step(self._arranged(batch), LATE, self.precision.autocast(self.device))

    def _arranged(self, batch: Any) -> Any:
        names = ("labeled", "weak", "strong")
        return replace(batch, **{name: self.precision.arrange(getattr(batch, name)) for name in names})

    def _write(self, file: CheckpointFile) -> None:
        self.stepper.read_losses()
        file.write(
            Snapshot(
                step=LATE.step,
                total_steps=LATE.total_steps,
                seconds=0.0,
                model=self.model.state_dict(),
                optimizer=self.stepper.optimizer.state_dict(),
                chance=self.chance.state(),
                torch_rng=torch.get_rng_state(),
            )
        )

    def _replay(self, passes: list[Pass], *, bf16: bool) -> None:
        """The same calls in the same order, one backward pass of the mean of what they give."""
        means = []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            for one in passes:
                with torch.set_grad_enabled(one.with_gradient):
                    result = getattr(one.network, one.how)(*one.given)
                if one.with_gradient:
                    means += [tensor.float().mean() for tensor in _tensors(result)]
        for one in passes:
            one.network.zero_grad(set_to_none=True)
        torch.stack(means).sum().backward()


@contextmanager
def _noting(passes: list[Pass]) -> Iterator[None]:
    """Note each call of a network."""

    def noting(how: str, original: Any) -> Any:
        def call(self: nn.Module, *given: Any) -> Any:
            learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
            passes.append(Pass(self, how, _each(given, Tensor.detach, lambda module: module), learns))
            return original(self, *given)

        return call

    originals = {(cls, how): getattr(cls, how) for cls, ways in NETWORKS.items() for how in ways}
    for (cls, how), original in originals.items():
        setattr(cls, how, noting(how, original))
    try:
        yield
    finally:
        for (cls, how), original in originals.items():
            setattr(cls, how, original)


def _plainly(passes: list[Pass]) -> list[Pass]:
    copies: dict[int, nn.Module] = {}

    def plain(module: nn.Module) -> nn.Module:
        if id(module) not in copies:
            usual = _usual_layers(copy.deepcopy(module))
            copies[id(module)] = usual.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return copies[id(module)]

    def given(one: Pass) -> tuple[Any, ...]:
        return _each(one.given, lambda tensor: tensor.float().contiguous(), plain)

    return [replace(one, network=plain(one.network), given=given(one)) for one in passes]


def _each(given: Any, of_tensor: Callable[[Tensor], Tensor], of_module: Callable[[nn.Module], nn.Module]) -> Any:
    """The same arguments with each tensor and each module replaced."""
    if isinstance(given, Tensor):
        return of_tensor(given)
    if isinstance(given, nn.Module):
        return of_module(given)
    return tuple(_each(part, of_tensor, of_module) for part in given) if isinstance(given, tuple) else given


def _tensors(result: Any) -> list[Tensor]:
    """All that a network gave."""
    if isinstance(result, Tensor):
        return [result]
    parts = result.logits if isinstance(result, Taps) else result
    return [tensor for part in parts for tensor in _tensors(part)]


def _resident(folder: Path, device: torch.device) -> tuple[list[ResidentCase], list[ResidentCase]]:
    """Half of the volumes are annotated; all of them belong to the unlabeled ones."""
    labeled, unlabeled = [], []
    for index in range(VOLUMES):
        with np.load(folder / f"resident_{index}.npz") as arrays:
            image, label = arrays["image"], arrays["label"]
        unlabeled.append(unlabeled_case(str(index), image, device))
        if index < VOLUMES // 2:
            labeled.append(labeled_case(str(index), image, label, device))
    return labeled, unlabeled


# The reference: plain code in the manner of public trainers


class PlainVolumes(Dataset):  # type: ignore[type-arg]
    """Unpack a whole volume, turn and mirror it, then crop."""

    def __init__(self, folder: Path, patch: tuple[int, int, int]) -> None:
        self.files = sorted(folder.glob("volume_*.npz"))
        self.patch = patch

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with np.load(self.files[index]) as arrays:
            image, label = arrays["image"], arrays["label"]
        turns, axis = np.random.randint(0, 4), np.random.randint(0, 2)
        image, label = (np.flip(np.rot90(a, turns), axis=axis).copy() for a in (image, label))
        missing = [max(0, extent - size) for extent, size in zip(self.patch, image.shape, strict=True)]
        margin = [(m // 2, m - m // 2) for m in missing]
        image, label = np.pad(image, margin), np.pad(label, margin)
        corner = [np.random.randint(0, size - p + 1) for size, p in zip(image.shape, self.patch, strict=True)]
        cut = tuple(slice(first, first + extent) for first, extent in zip(corner, self.patch, strict=True))
        return torch.from_numpy(image[cut][np.newaxis].copy()), torch.from_numpy(label[cut].astype(np.int64))


class UsualNormReLU(nn.InstanceNorm3d):
    """torch's own layers, which keep what they give for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) to the same shape."""
        return functional.relu(super().forward(x), inplace=True)


def _usual_layers(network: nn.Module) -> nn.Module:
    for part in network.modules():
        if isinstance(part, InstanceNormReLU):
            part.__class__ = UsualNormReLU
    return network


class Reference:
    """A supervised network, a mean teacher, or UA-MT with its eight uncertainty passes."""

    def __init__(self, options: dict[str, Any], device: torch.device) -> None:
        self.kind, self.device, self.clock = options["kind"], device, CLOCKS[options["clock"]]
        self.labeled = options["labeled"]
        self.passes = 8 if self.kind == "ua_mt" else 0
        settings = NetworkSettings(base_filters=options["base"], dropout=0.5)
        self.student = _usual_layers(VNet(1, CLASSES, settings)).to(device)
        self.teacher = _usual_layers(VNet(1, CLASSES, settings)).to(device)
        for parameter in self.teacher.parameters():
            parameter.detach_()
        self.optimizer = torch.optim.SGD(self.student.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        self.log: list[list[float]] = []
        unlabeled = 0 if self.kind == "supervised" else options["unlabeled"]
        batches = _PlainBatches(options["labeled"], unlabeled)
        volumes = PlainVolumes(Path(options["folder"]), tuple(options["patch"]))
        self.batches = iter(DataLoader(volumes, batch_sampler=batches, num_workers=options["workers"]))

    def steps(self) -> Timed:
        """One step with its share of loading."""
        return {"step": _seconds(self.device, self.clock, self._step)}

    def _step(self) -> None:
        volume, label = (part.to(self.device) for part in next(self.batches))
        output = self.student(volume)
        soft = torch.softmax(output, dim=1)
        ce = functional.cross_entropy(output[: self.labeled], label[: self.labeled])
        dice = _plain_dice(soft[: self.labeled], label[: self.labeled])
        supervised, agreement = 0.5 * (ce + dice), torch.zeros((), device=self.device)
        if self.kind != "supervised":
            agreement = self._agreement(volume[self.labeled :], soft[self.labeled :])
        loss = supervised + 0.1 * agreement
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.kind != "supervised":
            for average, parameter in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
                average.data.mul_(0.99).add_(parameter.data, alpha=0.01)
        self.log.append([loss.item(), ce.item(), dice.item(), agreement.item()])

    def _agreement(self, unlabeled: Tensor, soft: Tensor) -> Tensor:
        with torch.no_grad():
            belief = torch.softmax(self.teacher(unlabeled + _noise(unlabeled)), dim=1)
        distance = (soft - belief) ** 2
        if not self.passes:
            return distance.mean()
        twice = unlabeled.repeat(2, 1, 1, 1, 1)
        guesses = torch.zeros([self.passes * len(unlabeled), CLASSES, *unlabeled.shape[2:]], device=self.device)
        for index in range(self.passes // 2):
            with torch.no_grad():
                guesses[len(twice) * index : len(twice) * (index + 1)] = self.teacher(twice + _noise(twice))
        guesses = torch.softmax(guesses, dim=1)
        mean = guesses.reshape(self.passes, len(unlabeled), CLASSES, *unlabeled.shape[2:]).mean(dim=0)
        uncertainty = -1.0 * torch.sum(mean * torch.log(mean + 1e-6), dim=1, keepdim=True)
        mask = (uncertainty < 0.75 * np.log(CLASSES)).float()
        return torch.sum(mask * distance) / (2 * torch.sum(mask) + 1e-16)


class _PlainBatches:
    """Endless batches of labeled volumes first, then unlabeled ones."""

    def __init__(self, labeled: int, unlabeled: int) -> None:
        self.counts = (labeled, unlabeled)

    def __iter__(self) -> Iterator[list[int]]:
        half = VOLUMES // 2
        while True:
            first, second = (np.random.randint(0, half, count).tolist() for count in self.counts)
            yield first + [half + index for index in second]


def _noise(x: Tensor) -> Tensor:
    return torch.clamp(torch.randn_like(x) * 0.1, -0.2, 0.2)


def _plain_dice(soft: Tensor, label: Tensor) -> Tensor:
    losses = []
    for index in range(1, CLASSES):
        score, target = soft[:, index], (label == index).float()
        overlap, size = torch.sum(score * target), torch.sum(score * score) + torch.sum(target * target)
        losses.append(1 - (2 * overlap + 1e-5) / (size + 1e-5))
    return torch.stack(losses).mean()


if __name__ == "__main__":
    main()
