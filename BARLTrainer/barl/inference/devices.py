"""Which device computes, and in which precision: asked of the machine, not assumed."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from barl.errors import SettingsError

PRECISIONS = ("auto", "bf16", "fp32")
_WORTH_IT = 0.9
"""bfloat16 is chosen when it takes less than this share of float32's time."""

_CLEARLY_SLOWER = 1.2
"""Channels-last is chosen unless it takes this many times as long as the usual layout."""

_AMPERE = (8, 0)
"""First compute capability whose cuDNN convolves in bfloat16; older cards refuse it or take many times as long."""

_MEMORY_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",  # torch's words on Windows
    "could not allocate",
    "alloc_failed",  # CUDNN_STATUS_ALLOC_FAILED and its like
    "bad_alloc",
)


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Number format of the networks' passes, and the order of their tensors in memory."""

    bf16: bool
    channels_last: bool
    reason: str = ""
    """Why, for the log."""

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """The context in which networks run."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bf16)

    def place(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Move a network to the device in this memory order."""
        module = module.to(device)
        return module.to(memory_format=torch.channels_last_3d) if self.channels_last else module  # type: ignore[call-overload]

    def arrange(self, x: Tensor) -> Tensor:
        """Bring patches (B, C, D, H, W) into this memory order."""
        return x.contiguous(memory_format=torch.channels_last_3d) if self.channels_last else x


def choose_device(wish: str) -> torch.device:
    """The device that was asked for; ``auto`` is the first CUDA device, else the CPU.

    Raises:
        SettingsError: no such device here.
    """
    if wish == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if wish == "cpu":
        return torch.device("cpu")
    if wish.split(":")[0] == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        number = wish.partition(":")[2] or "0"
        if number.isdigit() and int(number) < count:
            return torch.device(f"cuda:{number}")
        here = f"cuda:0 to cuda:{count - 1}" if count else "no CUDA device"
        raise SettingsError(f"device {wish} is not there: this computer has {here}. Choose auto or cpu.")
    raise SettingsError(f"device must be auto, cpu, cuda or cuda:N, got {wish!r}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice; on a CPU, and from cuDNN, torch says so in a plain RuntimeError."""
    words = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in words for sign in _MEMORY_SIGNS)


def set_cpu_threads() -> None:
    """Use all cores this process may run on, or as many as OMP_NUM_THREADS says; once, before the first operation."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wish = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(wish) if wish.isdecimal() and int(wish) > 0 else cores)


def choose_precision(device: torch.device, wish: str = "auto") -> Precision:
    """The fastest precision that is right on this device.

    bfloat16 is tried and compared with float32 first: some releases of the libraries below compute wrong bfloat16
    convolutions. A probe takes about a second.

    Raises:
        SettingsError: ``wish`` is none of auto, bf16, fp32.
    """
    if wish not in PRECISIONS:
        raise SettingsError(f"precision must be one of {PRECISIONS}, got {wish!r}")
    gpu = device.type == "cuda"
    if wish != "auto":
        return Precision(bf16=wish == "bf16", channels_last=False, reason="as asked")
    if gpu and torch.cuda.get_device_capability(device) < _AMPERE:
        return Precision(bf16=False, channels_last=False, reason="this graphics card does not compute in bfloat16")
    error = _bf16_error(device)
    if error > 0.05:
        return Precision(bf16=False, channels_last=False, reason=f"bfloat16 is off by {error:.0%} on this device")
    if gpu:
        return Precision(bf16=True, channels_last=False, reason="bfloat16 agrees with float32")
    plain = _pass_seconds(device, bf16=False, channels_last=False)
    usual, last = (_pass_seconds(device, bf16=True, channels_last=layout) for layout in (False, True))
    # Both layouts give other rounding errors: a moment's load must not decide between two that are about as fast.
    channels_last = last < _CLEARLY_SLOWER * usual
    fast = last if channels_last else usual
    if fast < _WORTH_IT * plain:
        reason = f"bfloat16 is {plain / fast:.1f} times faster here"
        return Precision(bf16=True, channels_last=channels_last, reason=reason)
    return Precision(bf16=False, channels_last=False, reason="bfloat16 is not faster here")


def _bf16_error(device: torch.device) -> float:
    """Relative difference of a convolution's result and weight gradient from float32."""
    x, weight = _probe(device, size=16)
    results = []
    for bf16 in (False, True):
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            y = functional.conv3d(x, weight, padding=1)
        (gradient,) = torch.autograd.grad(y.float().square().mean(), weight)
        results.append((y.detach().float(), gradient))
    pairs = zip(results[1], results[0], strict=True)
    errors = [float((fast - exact).norm() / exact.norm()) for fast, exact in pairs]
    return max(e if e == e else 1.0 for e in errors)


def _pass_seconds(device: torch.device, *, bf16: bool, channels_last: bool, repeats: int = 5) -> float:
    x, weight = _probe(device, size=32)
    if channels_last:
        x = x.detach().contiguous(memory_format=torch.channels_last_3d).requires_grad_(True)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            y = functional.conv3d(x, weight, padding=1)
        torch.autograd.grad(y.float().mean(), (x, weight))
        times.append(time.perf_counter() - start)
    return median(times)


def _probe(device: torch.device, size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 32, size, size, size, generator=generator).to(device).requires_grad_(True)
    weight = (0.05 * torch.randn(32, 32, 3, 3, 3, generator=generator)).to(device).requires_grad_(True)
    return x, weight
