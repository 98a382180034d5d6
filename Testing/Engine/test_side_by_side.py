"""Networks that run side by side give what they give one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from barl.methods.common.side_by_side import Pass, side_by_side

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    """As on the smallest computers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def networks() -> list[nn.Module]:
    """Two small networks that differ."""
    torch.manual_seed(0)
    return [nn.Sequential(nn.Conv3d(1, width, 3), nn.ReLU(), nn.Conv3d(width, 2, 1)) for width in (3, 5)]


def passes(networks: Sequence[nn.Module], x: Tensor) -> list[Pass]:
    """Each gives two outputs with gradients and one without."""

    def one(network: nn.Module) -> Pass:
        def run() -> list[Tensor]:
            seen = network(x)
            with torch.no_grad():
                return [seen, seen.square(), network(-x)]

        return run

    return [one(network) for network in networks]


def gradients(networks: Sequence[nn.Module], x: Tensor, *, in_turn: bool) -> list[Tensor]:
    """Of a loss that ties both networks together."""
    for network in networks:
        network.zero_grad()
    (a, _, other), (b, _, _) = side_by_side(passes(networks, x), CPU, in_turn=in_turn)
    assert not other.requires_grad
    ((a - b).square().mean() + (a * b.detach()).mean() + (a * other).mean()).backward()
    return [parameter.grad for network in networks for parameter in network.parameters() if parameter.grad is not None]


def test_outputs_and_gradients_are_those_of_one_after_the_other(networks: list[nn.Module]) -> None:
    x = torch.randn(2, 1, 6, 7, 8)
    in_turn = side_by_side(passes(networks, x), CPU, in_turn=True)
    at_once = side_by_side(passes(networks, x), CPU)
    for one, two in zip(in_turn, at_once, strict=True):
        torch.testing.assert_close(one, two)
    expected, found = (gradients(networks, x, in_turn=way) for way in (True, False))
    assert len(found) == 8
    torch.testing.assert_close(found, expected)


def test_a_network_that_the_loss_does_not_use_gets_no_gradient(networks: list[nn.Module]) -> None:
    (a, *_), _ = side_by_side(passes(networks, torch.randn(1, 1, 4, 4, 4)), CPU)
    a.sum().backward()
    assert all(parameter.grad is not None for parameter in networks[0].parameters())
    assert all(parameter.grad is None for parameter in networks[1].parameters())


def test_without_gradients_none_are_kept(networks: list[nn.Module]) -> None:
    with torch.no_grad():
        found = side_by_side(passes(networks, torch.randn(1, 1, 4, 4, 4)), CPU)
    assert not any(output.requires_grad for of_network in found for output in of_network)


def test_the_callers_precision_holds_in_every_thread(networks: list[nn.Module]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        (a, *_), (b, *_) = side_by_side(passes(networks, torch.randn(1, 1, 4, 4, 4)), CPU)
    assert a.dtype == b.dtype == torch.bfloat16
    (a.float() + b.float()).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for n in networks for p in n.parameters())


def test_both_run_at_once_each_with_its_share_of_the_cores() -> None:
    together, threads = threading.Barrier(2), []

    def run() -> list[Tensor]:
        together.wait(timeout=20)  # One after the other would wait here for ever.
        threads.append((threading.get_ident(), torch.get_num_threads()))
        return [torch.zeros(1)]

    side_by_side([run, run], CPU)
    assert len({ident for ident, _ in threads}) == 2
    assert [count for _, count in threads] == [1, 1]
    assert torch.get_num_threads() == 2


def test_the_ways_back_run_at_once_too() -> None:
    together, idents = threading.Barrier(2), set()

    class Meet(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            together.wait(timeout=20)
            idents.add(threading.get_ident())
            return gradient

    leaves = [torch.ones(2, requires_grad=True) for _ in range(2)]
    (a,), (b,) = side_by_side([lambda x=x: [Meet.apply(x)] for x in leaves], CPU)  # type: ignore[misc]
    (a * b).sum().backward()
    assert len(idents) == 2
    assert all(torch.equal(leaf.grad, torch.ones(2)) for leaf in leaves if leaf.grad is not None)


def test_an_error_in_one_reaches_the_caller_when_the_other_is_done() -> None:
    done = threading.Event()

    def fails() -> list[Tensor]:
        raise MemoryError("no room")

    def works() -> list[Tensor]:
        done.set()
        return [torch.zeros(1)]

    with pytest.raises(MemoryError, match="no room"):
        side_by_side([fails, works], CPU)
    assert done.is_set()


def test_one_core_runs_one_after_the_other_in_the_callers_thread() -> None:
    torch.set_num_threads(1)
    idents = []

    def run() -> list[Tensor]:
        idents.append(threading.get_ident())
        return [torch.zeros(1)]

    side_by_side([run, run], CPU)
    assert idents == [threading.get_ident()] * 2
