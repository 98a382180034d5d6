"""The loop around the step: resume, stop, memory, time, checkpoints, divergence."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from engine_doubles import PATCH, HandClock, LineMethod, Points, balls_in_noise, on_cpu, tiny_method

from barl.errors import DivergedError, OutOfMemoryError, SettingsError
from barl.jobs import EventReader, JobFolder, read_status, request_stop
from barl.methods.protocol import Batch
from barl.networks import NetworkSettings
from barl.training.checkpoint import CheckpointFile
from barl.training.distributed import Group, Share
from barl.training.loop import Training, train
from barl.training.reporter import Reporter
from barl.training.resident import labeled_case, unlabeled_case
from barl.training.sampler import Sampler, SamplerSettings
from barl.training.settings import TrainingSettings
from barl.training.views import Chance, ViewSettings

CPU = torch.device("cpu")
TOO_LITTLE = (
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to ..."
)


class KilledError(BaseException):
    """Ends a training as a killed process would: nobody catches it."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """The loop's time, moved by hand."""
    hand = HandClock()
    monkeypatch.setattr("barl.training.loop.time", hand)
    return hand


def a_training(
    before: Callable[[int], None] = lambda number: None,
    *,
    steps: int | None = 40,
    minutes: float = 0.0,
    seed: int = 0,
    **more: Any,
) -> Training:
    """A line to fit, with hooks into the batches."""
    torch.manual_seed(seed)
    method = LineMethod()
    return Training(
        method=method,
        model=method.build(1, 2),
        batches=Points(seed=seed, before=before),
        chance=Chance(seed, CPU),
        settings=TrainingSettings(),
        precision=on_cpu(bf16=False),
        device=CPU,
        total_steps=steps,
        budget_seconds=60 * minutes,
        **more,
    )


def run(training: Training, job: JobFolder) -> bool:
    return train(training, CheckpointFile(job.checkpoints), Reporter(job.path))


def events(job: JobFolder, kind: str) -> list[dict[str, Any]]:
    return [event for event in EventReader(job.path).read_new() if event["kind"] == kind]


def calls(*reactions: tuple[int, Callable[[], None]]) -> Callable[[int], None]:
    """What happens before which batch."""
    by_number = dict(reactions)
    return lambda number: by_number.get(number, lambda: None)()


def fail(error: BaseException) -> Callable[[], None]:
    def reaction() -> None:
        raise error

    return reaction


def test_a_training_takes_its_steps_and_ends_with_a_checkpoint(a_job: JobFolder) -> None:
    training = a_training()
    assert run(training, a_job) is True
    assert training.step == 40
    snapshot = CheckpointFile(a_job.checkpoints).read()
    assert snapshot is not None
    assert snapshot.step == 40
    assert torch.equal(snapshot.model["weight"], training.model.weight)
    assert training.history[-1]["step"] == 40
    assert events(a_job, "metric")[-1]["fit"] == pytest.approx(training.history[-1]["fit"])


def test_a_training_that_is_over_is_over_when_started_again(a_job: JobFolder) -> None:
    run(a_training(), a_job)
    again = a_training(calls((1, fail(AssertionError("no step is left")))))
    assert run(again, a_job) is True
    assert again.step == 40


# Resume


def images() -> list[np.ndarray]:
    made, labels = balls_in_noise(2, torch.Generator().manual_seed(4), (20, 24, 36))
    return [made.half().numpy(), labels.byte().numpy()]


def a_real_training(clock: HandClock, *, bf16: bool, killed_at: int | None = None, name: str = "barl") -> Training:
    """A method of the catalog with dropout, on drawn and turned patches; each step lasts longer than a checkpoint."""
    torch.manual_seed(0)
    method = tiny_method(name, network=NetworkSettings(base_filters=4, dropout=0.2))
    chance = Chance(0, CPU)
    made, labels = images()
    asked = SamplerSettings(
        patch_size_voxels=PATCH,
        spacing_mm=(1.0, 1.0, 1.0),
        labeled_patches=1,
        unlabeled_patches=1,
        foreground_share=0.5,
        least_foreground_share=0.5,
        views=ViewSettings(),
    )
    sampler = Sampler([labeled_case("A", made[0], labels[0], CPU)], [unlabeled_case("B", made[1], CPU)], asked, chance)
    numbers = itertools.count(1)

    class Timed:
        def next_batch(self) -> Batch:
            clock.now += 100
            if next(numbers) == killed_at:
                raise KilledError
            return sampler.next_batch()

    return Training(
        method=method,
        model=method.build(1, 2),
        batches=Timed(),
        chance=chance,
        settings=TrainingSettings(),
        precision=on_cpu(bf16=bf16),
        device=CPU,
        total_steps=6,
        budget_seconds=0.0,
    )


def losses(training: Training) -> list[tuple[int, float]]:
    return [(record["step"], record["loss"]) for record in training.history]


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", ["mean_teacher", "barl"])
def test_a_killed_and_resumed_training_equals_an_uninterrupted_one_bit_for_bit(
    a_job: JobFolder, tmp_path: Any, clock: HandClock, name: str, bf16: bool
) -> None:
    whole = a_real_training(clock, bf16=bf16, name=name)
    train(whole, CheckpointFile(tmp_path / "whole"), Reporter(a_job.path))

    killed, checkpoints = a_real_training(clock, bf16=bf16, name=name, killed_at=4), CheckpointFile(a_job.checkpoints)
    with pytest.raises(KilledError):
        train(killed, checkpoints, Reporter(a_job.path))
    checkpoints.wait()
    resumed = a_real_training(clock, bf16=bf16, name=name)
    torch.manual_seed(77)
    assert run(resumed, a_job) is True

    assert losses(resumed) == losses(whole)
    assert [step for step, _ in losses(whole)] == [1, 2, 3, 4, 5, 6]
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key
    assert torch.equal(whole.chance.state()["host"], resumed.chance.state()["host"])


# Stop


def test_a_wish_to_stop_saves_and_the_next_run_goes_on(a_job: JobFolder) -> None:
    stopped = a_training(calls((10, lambda: request_stop(a_job.path))))
    assert run(stopped, a_job) is False
    assert stopped.step == 10
    assert read_status(a_job.path).state.value == "stopping"
    a_job.stop.unlink()
    resumed = a_training()
    resumed.batches.generator = stopped.batches.generator  # A sampler's is in chance, which the checkpoint holds.
    assert run(resumed, a_job) is True
    whole = a_training()
    train(whole, CheckpointFile(a_job.path / "whole"), Reporter(a_job.path))
    assert torch.equal(resumed.model.weight, whole.model.weight)


def test_a_stop_before_the_time_of_a_step_is_known_does_not_end_the_training(
    a_job: JobFolder, clock: HandClock
) -> None:
    def before(number: int) -> None:
        clock.now += 1
        if number == 2 and not a_job.checkpoints.exists():
            request_stop(a_job.path)

    assert run(a_training(before, steps=None, minutes=1), a_job) is False
    a_job.stop.unlink()
    resumed = a_training(before, steps=None, minutes=1)
    assert run(resumed, a_job) is True
    assert resumed.step == pytest.approx(60, abs=3)


# Divergence


def a_poisoned_training(at: int) -> Training:
    training = a_training()
    good = training.batches.next_batch

    def next_batch() -> Batch:
        batch = good()
        if training.step == at:
            batch.labeled[0] = float("nan")
        return batch

    training.batches.next_batch = next_batch
    return training


def test_a_loss_that_is_no_number_stops_and_keeps_weights_and_checkpoint_from_before(
    a_job: JobFolder, clock: HandClock
) -> None:
    training = a_poisoned_training(at=25)
    poisoned = training.batches.next_batch

    def next_batch() -> Batch:
        clock.now += 5
        return poisoned()

    training.batches.next_batch = next_batch
    checkpoints = CheckpointFile(a_job.checkpoints)
    with pytest.raises(DivergedError):
        train(training, checkpoints, Reporter(a_job.path))
    checkpoints.wait()
    assert torch.isfinite(training.model.weight).all()
    snapshot = checkpoints.read()
    assert snapshot is not None
    assert 10 <= snapshot.step <= 25
    assert torch.isfinite(snapshot.model["weight"]).all()


def test_a_loss_broken_in_the_last_step_is_noticed_too(a_job: JobFolder) -> None:
    with pytest.raises(DivergedError):
        run(a_poisoned_training(at=39), a_job)
    assert CheckpointFile(a_job.checkpoints).read() is None


# Memory


@pytest.mark.parametrize(
    "error", [RuntimeError(TOO_LITTLE), MemoryError(), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_without_enough_memory_the_training_goes_on_smaller_and_says_so(a_job: JobFolder, error: Exception) -> None:
    smaller = Points(seed=5)
    training = a_training(calls((4, fail(error))), make_smaller=lambda: smaller)
    assert run(training, a_job) is True
    assert training.step == 40
    assert smaller.number == 37
    (warning,) = events(a_job, "warning")
    assert "Memory did not suffice" in warning["message"]
    assert "smaller" in warning["message"]


def test_memory_may_run_out_several_times(a_job: JobFolder) -> None:
    again = calls((1, fail(RuntimeError(TOO_LITTLE))))
    sizes = iter([Points(before=again), Points(before=again), Points()])
    training = a_training(again, make_smaller=lambda: next(sizes))
    assert run(training, a_job) is True
    assert len(events(a_job, "warning")) == 3


def test_when_not_even_the_smallest_patch_fits_the_way_out_is_told(a_job: JobFolder) -> None:
    training = a_training(calls((4, fail(RuntimeError(TOO_LITTLE)))))
    with pytest.raises(OutOfMemoryError, match=r"Not even the smallest patch fits.*\(supervised\)"):
        run(training, a_job)
    assert training.step == 3


def test_one_of_several_processes_without_memory_ends_the_training_and_says_how_to_go_on(a_job: JobFolder) -> None:
    made: list[Points] = []

    def smaller() -> Points:
        made.append(Points())
        return made[-1]

    before = calls((4, fail(RuntimeError(TOO_LITTLE))))
    training = a_training(before, make_smaller=smaller, group=Group(CPU, Share(0, 2)))
    with pytest.raises(OutOfMemoryError, match=r"one of the 2 processes.* smaller patches: resume it from its last"):
        run(training, a_job)
    assert len(made) == 1
    assert events(a_job, "warning") == []


def test_other_errors_are_not_taken_for_memory(a_job: JobFolder) -> None:
    training = a_training(calls((4, fail(RuntimeError("shapes do not match")))), make_smaller=Points)
    with pytest.raises(RuntimeError, match="shapes"):
        run(training, a_job)


# Time


def test_the_time_budget_chooses_the_number_of_steps(a_job: JobFolder, clock: HandClock) -> None:
    def second(number: int) -> None:
        clock.now += 1.0

    training = a_training(second, steps=None, minutes=2)
    assert run(training, a_job) is True
    assert training.step == pytest.approx(120, abs=2)
    assert training.seconds == pytest.approx(120, abs=2)
    assert re.search(r"A step takes 1\.00 s: 1\d\d steps fit", events(a_job, "log")[0]["message"])


@pytest.mark.parametrize(("later", "steps"), [(2.0, (115, 128)), (0.5, (285, 305))])
def test_a_busier_or_freer_computer_changes_the_number_of_steps(
    a_job: JobFolder, clock: HandClock, later: float, steps: tuple[int, int]
) -> None:
    def second(number: int) -> None:
        clock.now += 1.0 if number <= 60 else later

    training = a_training(second, steps=None, minutes=3)
    assert run(training, a_job) is True
    assert steps[0] <= training.step <= steps[1]
    assert training.seconds == pytest.approx(180, rel=0.08)
    assert any("now takes" in event["message"] for event in events(a_job, "log"))


def test_a_fixed_number_of_steps_does_not_depend_on_time(a_job: JobFolder, clock: HandClock) -> None:
    def slow(number: int) -> None:
        clock.now += 1000

    training = a_training(slow, steps=12)
    run(training, a_job)
    assert training.step == 12


def test_a_budget_too_short_to_learn_anything_names_one_that_would_do(a_job: JobFolder, clock: HandClock) -> None:
    def slow(number: int) -> None:
        clock.now += 10

    with pytest.raises(SettingsError, match=r"holds \d+ steps of 10\.0 s.* at least (\d+\.\d) minutes") as told:
        run(a_training(slow, steps=None, minutes=1), a_job)
    enough = float(re.search(r"at least (\d+\.\d)", str(told.value)).group(1))  # type: ignore[union-attr]
    other = JobFolder(a_job.path.parent / "0002")
    assert run(a_training(slow, steps=None, minutes=enough + 0.1), other) is True


def test_a_resumed_training_does_not_get_its_budget_again(a_job: JobFolder, clock: HandClock) -> None:
    def second(number: int) -> None:
        clock.now += 1

    def second_until_stopped(number: int) -> None:
        clock.now += 1
        if number == 50:
            request_stop(a_job.path)

    assert run(a_training(second_until_stopped, steps=None, minutes=2), a_job) is False
    a_job.stop.unlink()
    clock.now += 5000
    resumed = a_training(second, steps=None, minutes=2)
    assert run(resumed, a_job) is True
    assert resumed.step == pytest.approx(120, abs=3)
    assert resumed.seconds == pytest.approx(120, abs=3)


@pytest.mark.parametrize("seconds", [0.2, 7.0, 20.0])
@pytest.mark.parametrize("steps", [None, 60])
def test_a_crash_costs_at_most_a_minute(
    a_job: JobFolder, clock: HandClock, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int | None
) -> None:
    def before(number: int) -> None:
        clock.now += seconds

    saved: list[float] = [clock.now]
    monkeypatch.setattr(Reporter, "checkpoint", lambda self, step: saved.append(clock.now))
    run(a_training(before, steps=steps, minutes=0.0 if steps else 1 + seconds), a_job)
    assert max(b - a for a, b in itertools.pairwise(saved)) <= max(60, 45 + seconds)


# Validation


def test_validation_comes_five_times_in_evaluation_mode_and_does_not_count_as_training(
    a_job: JobFolder, clock: HandClock
) -> None:
    modes: list[bool] = []

    def before(number: int) -> None:
        clock.now += 1
        assert training.model.training

    def validate() -> dict[str, float]:
        modes.append(training.model.training)
        clock.now += 500
        return {"jaw": 0.5, "canal": 0.7}

    training = a_training(before, validate=validate)
    run(training, a_job)
    assert modes == [False] * 5
    assert training.seconds == pytest.approx(40)
    scored = [record for record in training.history if "dice" in record]
    assert [record["step"] for record in scored] == [8, 16, 24, 32, 40]
    assert scored[0]["dice"] == pytest.approx(0.6)


def test_progress_reaches_the_status_with_remaining_time(a_job: JobFolder, clock: HandClock) -> None:
    def before(number: int) -> None:
        clock.now += 2

    run(a_training(before), a_job)
    told = events(a_job, "progress")
    assert told[0]["total_steps"] == 40
    status = read_status(a_job.path)
    assert status.stage == "training"
    assert status.percent <= 90
