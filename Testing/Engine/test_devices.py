"""Which device, which precision, and what counts as too little memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from barl.errors import SettingsError
from barl.inference import devices
from barl.inference.devices import Precision, choose_device, choose_precision, is_out_of_memory, set_cpu_threads

CPU = torch.device("cpu")
GiveGpus = Callable[[int], None]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> GiveGpus:
    """Pretends that the computer has so many CUDA devices."""

    def give(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return give


@pytest.mark.parametrize(
    ("count", "wish", "device"),
    [
        (0, "auto", "cpu"),
        (2, "auto", "cuda:0"),
        (2, "cpu", "cpu"),
        (2, "cuda", "cuda:0"),
        (2, "cuda:1", "cuda:1"),
    ],
)
def test_the_device_is_the_one_asked_for_or_the_first(gpus: GiveGpus, count: int, wish: str, device: str) -> None:
    gpus(count)
    assert str(choose_device(wish)) == device


@pytest.mark.parametrize(
    ("count", "wish", "told"),
    [
        (0, "cuda", r"device cuda is not there: this computer has no CUDA device\. Choose auto or cpu"),
        (0, "cuda:1", "this computer has no CUDA device"),
        (2, "cuda:2", "this computer has cuda:0 to cuda:1"),
        (2, "cuda:-1", "cuda:-1 is not there"),
        (2, "cuda:x", "cuda:x is not there"),
        (2, "mps", r"device must be auto, cpu, cuda or cuda:N, got 'mps'"),
        (2, "", "got ''"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    gpus: GiveGpus, count: int, wish: str, told: str
) -> None:
    gpus(count)
    with pytest.raises(SettingsError, match=told):
        choose_device(wish)


@pytest.mark.parametrize(("wish", "bf16"), [("bf16", True), ("fp32", False)])
def test_a_precision_asked_for_is_taken_without_a_probe(monkeypatch: pytest.MonkeyPatch, wish: str, bf16: bool) -> None:
    monkeypatch.setattr(devices, "_bf16_error", lambda device: pytest.fail("probed"))
    assert choose_precision(CPU, wish).bf16 is bf16


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"precision must be one of \('auto', 'bf16', 'fp32'\), got 'fp16'"):
        choose_precision(CPU, "fp16")


@pytest.mark.parametrize(
    ("error", "plain", "fast", "bf16", "reason"),
    [
        (0.004, 1.0, 0.4, True, "2.5 times faster"),
        (0.004, 1.0, 0.95, False, "not faster"),
        (0.004, 1.0, 3.0, False, "not faster"),
        (0.6, 1.0, 0.1, False, "off by 60%"),
    ],
)
def test_bfloat16_is_chosen_where_it_is_right_and_faster(
    monkeypatch: pytest.MonkeyPatch, error: float, plain: float, fast: float, bf16: bool, reason: str
) -> None:
    monkeypatch.setattr(devices, "_bf16_error", lambda device: error)
    monkeypatch.setattr(devices, "_pass_seconds", lambda device, *, bf16, channels_last: fast if bf16 else plain)
    chosen = choose_precision(CPU)
    assert chosen.bf16 is bf16
    assert reason in chosen.reason


def test_the_probe_finds_a_wrong_result(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices._bf16_error(CPU) < 0.05
    right = devices.functional.conv3d

    def wrong(x: torch.Tensor, *args: object, **more: object) -> torch.Tensor:
        y = right(x, *args, **more)
        return y * float("nan") if torch.is_autocast_enabled("cpu") else y

    monkeypatch.setattr(devices.functional, "conv3d", wrong)
    assert devices._bf16_error(CPU) >= 1


def test_precision_rules_number_format_and_memory_order() -> None:
    fast = Precision(bf16=True, channels_last=True)
    conv = fast.place(nn.Conv3d(4, 4, 3, padding=1), CPU)
    x = fast.arrange(torch.randn(1, 4, 8, 8, 8))
    assert conv.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert x.is_contiguous(memory_format=torch.channels_last_3d)
    with fast.autocast(CPU):
        assert conv(x).dtype == torch.bfloat16
    plain = Precision(bf16=False, channels_last=False)
    with plain.autocast(CPU):
        assert conv(plain.arrange(x)).dtype == torch.float32


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("could not allocate workspace"), True),
        (RuntimeError("The size of tensor a must match the size of tensor b"), False),
        (ValueError("no memory of this"), False),
    ],
)
def test_too_little_memory_is_told_from_other_errors(error: Exception, memory: bool) -> None:
    assert is_out_of_memory(error) is memory


def test_a_real_refusal_of_memory_is_recognized() -> None:
    with pytest.raises((RuntimeError, MemoryError)) as refusal:
        torch.empty(2**55)
    assert is_out_of_memory(refusal.value)


def test_all_cores_this_process_may_use_are_used_unless_fewer_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    set_cpu_threads()
    assert torch.get_num_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    set_cpu_threads()
    assert torch.get_num_threads() == 2


def test_the_faster_memory_order_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_bf16_error", lambda device: 0.0)
    seconds = {(False, False): 1.0, (True, False): 0.5, (True, True): 0.3}
    monkeypatch.setattr(devices, "_pass_seconds", lambda device, *, bf16, channels_last: seconds[bf16, channels_last])
    assert choose_precision(CPU).channels_last is True
    seconds[True, True] = 0.55  # Within what a moment's load can do: results must not depend on it.
    assert choose_precision(CPU).channels_last is True
    seconds[True, True] = 0.65
    assert choose_precision(CPU).channels_last is False
