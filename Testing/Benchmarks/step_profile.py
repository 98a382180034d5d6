"""Where the time of a training step goes: torch's profiler over a few steps of one method.

    OMP_NUM_THREADS=1 python Testing/Benchmarks/step_profile.py mean_teacher --patch 64 64 48 --labeled 2 --unlabeled 2

The steps are those of ``step_time.py``; the profiler itself makes them a little longer. The last line holds the
arithmetic of the convolutions against the processor's time for it, and against what a product of large bfloat16
matrices reaches: the distance to the limit. With more than one thread it would mean nothing, and is left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from step_time import NETWORKS, Ours, _make_volumes
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

from barl.training.freed_memory import freed_memory_kept

STAGES = ("sampling", "networks forward", "losses", "backward", "update")


def main() -> None:
    """Print both tables."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, freed_memory_kept(torch.device("cpu")):
        _make_volumes(Path(folder), (96, 128, 128))
        options = {name: getattr(arguments, name) for name in ("method", "patch", "labeled", "unlabeled")}
        ours = Ours({**options, "base": 16, "folder": folder, "clock": "wall"}, torch.device("cpu"))
        for _ in range(3):
            ours.steps()
        processor, clock = time.process_time(), time.perf_counter()
        with _named(ours), profile(activities=[ProfilerActivity.CPU]) as seen:
            for _ in range(arguments.steps):
                with record_function("step"):
                    ours.steps()
            share = (time.process_time() - processor) / (time.perf_counter() - clock)
        print(_table(seen, arguments.steps))
        if arguments.threads == 1:
            print(_reached(seen, ours, arguments.steps, share))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--patch", type=int, nargs=3, default=(32, 48, 32), metavar=("D", "H", "W"))
    parser.add_argument("--labeled", type=int, default=4)
    parser.add_argument("--unlabeled", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


@contextmanager
def _named(ours: Ours) -> Iterator[None]:
    """Let the stages of a step carry their names in the profile."""
    with ExitStack() as stack:
        stack.enter_context(_naming(ours.sampler, "next_batch", "sampling"))
        stack.enter_context(_naming(ours.method, "training_step", "forward and losses"))
        stack.enter_context(_naming(ours.stepper, "_update", "update"))
        stack.enter_context(_naming(Tensor, "backward", "backward"))
        for kind, ways in NETWORKS.items():
            for way in ways:
                stack.enter_context(_naming(kind, way, "networks forward"))
        yield


@contextmanager
def _naming(owner: Any, attribute: str, name: str) -> Iterator[None]:
    original: Callable[..., Any] = getattr(owner, attribute)

    def named(*given: Any, **options: Any) -> Any:
        with record_function(name):
            return original(*given, **options)

    own = attribute in vars(owner)
    setattr(owner, attribute, named)
    try:
        yield
    finally:
        setattr(owner, attribute, original) if own else delattr(owner, attribute)


def _table(seen: profile, steps: int) -> str:
    events = {event.key: event for event in seen.key_averages()}
    seconds = {name: events[name].cpu_time_total / 1e6 / steps for name in events if not name.startswith("aten")}
    seconds["losses"] = seconds["forward and losses"] - seconds["networks forward"]
    lines = [f"{steps} steps of {seconds['step']:.3f} s", "", "| stage | share of a step |", "|---|---|"]
    lines += [f"| {name} | {seconds[name] / seconds['step']:.1%} |" for name in STAGES]
    alone = sorted(events.values(), key=lambda event: -event.self_cpu_time_total)
    operations = [event for event in alone if event.key.startswith(("aten", "_"))][:14]
    lines += ["", "| operation, without what it calls | share of a step | times a step |", "|---|---|---|"]
    for event in operations:
        share = event.self_cpu_time_total / 1e6 / steps / seconds["step"]
        lines.append(f"| {event.key} | {share:.1%} | {event.count / steps:.0f} |")
    return "\n".join(lines)


def _reached(seen: profile, ours: Ours, steps: int, share: float) -> str:
    """What convolutions compute in a second of the processor, of which a share was ours, and what it can."""
    batch = ours.sampler.next_batch()
    with FlopCounterMode(display=False) as counter:
        ours._learn(batch)
    events = {event.key: event for event in seen.key_averages()}
    spent = (
        sum(events[name].cpu_time_total for name in ("aten::convolution", "aten::convolution_backward")) / 1e6 / steps
    )
    done = counter.get_total_flops() / 1e9
    best = _of_matrices()
    return (
        f"\n{done:.0f} GFLOP a step in {spent:.3f} s of convolutions: {done / spent:.0f} GFLOP/s, "
        f"{done / spent / best:.0%} of the {best:.0f} of a product of matrices"
    )


def _of_matrices(size: int = 2048, repeats: int = 5) -> float:
    """GFLOP/s of a bfloat16 product, the best of some."""
    one = torch.randn(size, size, dtype=torch.bfloat16)
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        one @ one
        seconds.append(time.process_time() - start)
    return 2 * size**3 / 1e9 / min(seconds)


if __name__ == "__main__":
    main()
