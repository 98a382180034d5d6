"""Doubles and data of the engine tests: balls in noise, small methods, a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from barl.inference.devices import Precision
from barl.methods.factory import make_method
from barl.methods.protocol import Batch, LossTerms, Method, Progress
from barl.networks import NetworkSettings

PATCH = (16, 16, 32)
"""The smallest patch: instance normalization needs two voxels at stride 16."""

TINY = NetworkSettings(base_filters=4)


def on_cpu(*, bf16: bool) -> Precision:
    """A precision as somebody asked for it."""
    return Precision(bf16=bf16, channels_last=False, reason="as asked")


def tiny_method(name: str, settings: dict[str, Any] | None = None, network: NetworkSettings = TINY) -> Method[Any]:
    """A method of the catalog on tiny networks."""
    return make_method(name, settings or {}, network)


def built(name: str, settings: dict[str, Any] | None = None, *, seed: int = 0, classes: int = 2) -> tuple[Any, Any]:
    """A method on tiny networks, and its model."""
    torch.manual_seed(seed)
    method = tiny_method(name, settings)
    return method, method.build(1, classes)


def without_labels(batch: Batch) -> Batch:
    """Nobody annotated anything: only the unlabeled terms are left."""
    return replace(batch, label=torch.full_like(batch.label, 255))


def balls_in_noise(
    count: int, generator: torch.Generator, shape: Sequence[int] = PATCH, channels: int = 1, classes: int = 2
) -> tuple[Tensor, Tensor]:
    """Images (B, C, D, H, W), bright balls in noise, and their labels; class k is k times as bright."""
    middle = torch.tensor([(size - 1) / 2 for size in shape])
    axes = torch.meshgrid(*(torch.arange(size, dtype=torch.float32) for size in shape), indexing="ij")
    labels = []
    for _ in range(count):
        center = middle + 4 * (torch.rand(3, generator=generator) - 0.5)
        radius = 4.5 + 2 * float(torch.rand((), generator=generator))
        distance = sum((axis - place) ** 2 for axis, place in zip(axes, center, strict=True))
        shells = torch.ceil((1 - distance.sqrt() / radius) * (classes - 1))
        labels.append(shells.clamp(0, classes - 1).long())
    label = torch.stack(labels)
    noise = torch.randn(count, channels, *shape, generator=generator)
    return 1.5 * label.unsqueeze(1) + 0.7 * noise, label


class Balls:
    """An endless source of batches; its generator is all its state."""

    def __init__(self, seed: int = 0, *, shape: Sequence[int] = PATCH, channels: int = 1, classes: int = 2) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.kind = {"shape": shape, "channels": channels, "classes": classes}

    def next_batch(self) -> Batch:
        """Two labeled and two unlabeled patches."""
        images, labels = balls_in_noise(4, self.generator, **self.kind)
        weak = images[2:]
        strong = 1.2 * weak + 0.1 + 0.1 * torch.randn(weak.shape, generator=self.generator)
        return Batch(labeled=images[:2], label=labels[:2], weak=weak, strong=strong)


class LineMethod:
    """Fits a line: fast, and its loss reads the random numbers of torch, as dropout would."""

    num_branches = 1
    needs_unlabeled = False

    def build(self, in_channels: int, num_classes: int) -> nn.Module:
        return nn.Linear(2, 1)

    def training_step(self, model: nn.Module, batch: Batch, progress: Progress) -> LossTerms:
        x = batch.labeled.flatten(1)[:, :2]
        loss = (model(x + 0.01 * torch.rand(x.shape)) - x.sum(1, keepdim=True)).square().mean()
        return LossTerms(loss, {"fit": loss.detach()})

    def after_step(self, model: nn.Module, progress: Progress) -> None:
        return

    def predict(self, model: nn.Module, patch: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass
class Points:
    """Batches for :class:`LineMethod`; ``before`` is called with the number of the batch and may raise."""

    seed: int = 0
    before: Callable[[int], None] = lambda number: None
    number: int = 0
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    def next_batch(self) -> Batch:
        self.number += 1
        self.before(self.number)
        x = torch.randn(4, 1, 1, 1, 2, generator=self.generator)
        return Batch(labeled=x, label=torch.zeros(4, 1, 1, 2, dtype=torch.long), weak=x[:0], strong=x[:0])


class HandClock:
    """Stands in for the module ``time``; only tests move it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """Gradient of each parameter that has one which is not zero."""
    model.zero_grad(set_to_none=True)
    if loss.requires_grad:
        loss.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {name: gradient for name, gradient in found.items() if bool(gradient.any())}
