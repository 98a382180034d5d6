"""One step of gradient descent: what it does, and that a broken batch cannot spoil it."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import torch
from engine_doubles import Balls, LineMethod, Points, tiny_method
from torch import Tensor, nn

from barl.errors import DivergedError, SettingsError
from barl.methods.protocol import Batch, LossTerms, Progress
from barl.training.descent import Descent
from barl.training.schedule import learning_rate
from barl.training.settings import TrainingSettings
from barl.training.stepper import Stepper

CPU = torch.device("cpu")
PLAIN = TrainingSettings(learning_rate=0.01, momentum=0, weight_decay=0, clip_norm=1e9)


class SumMethod(LineMethod):
    """The loss is the sum of the weights times the mean of the labeled voxels: gradients known by hand."""

    def training_step(self, model: nn.Module, batch: Batch, progress: Progress) -> LossTerms:
        loss = batch.labeled.mean() * sum(p.sum() for p in model.parameters())
        return LossTerms(loss, {"height": batch.labeled.mean()})


def a_batch_of(value: float) -> Batch:
    x = torch.full((1, 1, 1, 1, 2), value)
    return Batch(labeled=x, label=torch.zeros(1, 1, 1, 2, dtype=torch.long), weak=x[:0], strong=x[:0])


def stepper_of(method: LineMethod, settings: TrainingSettings = PLAIN) -> Stepper:
    torch.manual_seed(0)
    return Stepper(method, method.build(1, 2), settings, CPU)


def step(stepper: Stepper, batch: Batch, number: int = 0, total: int = 100) -> None:
    stepper.step(batch, Progress(step=number, total_steps=total), contextlib.nullcontext())


def weights(stepper: Stepper) -> Tensor:
    return torch.cat([p.detach().flatten() for p in stepper.model.parameters()]).clone()


def momenta(stepper: Stepper) -> Tensor:
    states = stepper.optimizer.state_dict()["state"].values()
    return torch.cat([state["momentum_buffer"].flatten() for state in states]).clone()


def test_a_step_goes_down_the_gradient_by_the_learning_rate() -> None:
    stepper = stepper_of(SumMethod())
    before = weights(stepper)
    step(stepper, a_batch_of(2.0))
    torch.testing.assert_close(weights(stepper), before - 0.01 * 2)


def test_momentum_and_decay_are_those_of_the_settings() -> None:
    stepper = stepper_of(SumMethod(), replace(PLAIN, momentum=0.5, weight_decay=0.1))
    w0 = weights(stepper)
    step(stepper, a_batch_of(1.0), 0)
    step(stepper, a_batch_of(1.0), 0)
    v1 = 1 + 0.1 * w0
    w1 = w0 - 0.01 * v1
    torch.testing.assert_close(weights(stepper), w1 - 0.01 * (0.5 * v1 + 1 + 0.1 * w1))


def test_the_learning_rate_falls_to_zero_as_a_power() -> None:
    assert [learning_rate(0.01, done) for done in (-1, 0, 0.5, 1, 2)] == pytest.approx(
        [0.01, 0.01, 0.01 * 0.5**0.9, 0, 0]
    )
    stepper = stepper_of(SumMethod())
    before = weights(stepper)
    step(stepper, a_batch_of(1.0), 75, 100)
    torch.testing.assert_close(weights(stepper), before - 0.01 * 0.25**0.9)


def test_a_long_gradient_is_shortened() -> None:
    stepper = stepper_of(SumMethod(), replace(PLAIN, clip_norm=1.0))
    before = weights(stepper)
    step(stepper, a_batch_of(1000.0))
    assert float((weights(stepper) - before).norm()) == pytest.approx(0.01, rel=1e-4)


def test_losses_are_means_since_they_were_last_read() -> None:
    stepper = stepper_of(SumMethod())
    for value in (1.0, 3.0):
        step(stepper, a_batch_of(value))
    assert stepper.read_losses()["height"] == pytest.approx(2)
    step(stepper, a_batch_of(7.0))
    assert stepper.read_losses()["height"] == pytest.approx(7)
    assert stepper.read_losses() == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
@pytest.mark.parametrize("good_steps_before", [0, 3])
def test_a_broken_batch_leaves_weights_and_momentum_untouched(value: float, good_steps_before: int) -> None:
    stepper, points = stepper_of(LineMethod(), TrainingSettings()), Points()
    for number in range(good_steps_before):
        step(stepper, points.next_batch(), number)
    stepper.read_losses()
    litter = [torch.full((2,), 1e30) for _ in range(64)]
    del litter  # A momentum that nobody has set would find it.
    before, moving = weights(stepper), momenta(stepper)
    step(stepper, a_batch_of(value), good_steps_before)
    assert torch.equal(weights(stepper), before)
    assert torch.equal(momenta(stepper), moving)


@pytest.mark.parametrize("name", ["supervised", "mean_teacher", "barl"])
def test_a_broken_image_leaves_every_branch_finite_and_stops_the_training(name: str) -> None:
    torch.manual_seed(0)
    method = tiny_method(name)
    stepper, balls = Stepper(method, method.build(1, 2), TrainingSettings(), CPU), Balls()
    step(stepper, balls.next_batch(), 0)
    before = {name: value.clone() for name, value in stepper.model.state_dict().items() if "teacher" not in name}
    broken = balls.next_batch()
    broken.labeled[0, 0, 3, 3, 3] = float("nan")
    step(stepper, broken, 1)
    after = stepper.model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert all(torch.isfinite(value).all() for value in after.values())
    with pytest.raises(DivergedError):
        stepper.read_losses()


def test_divergence_is_told_at_the_next_reading_with_ways_out() -> None:
    stepper = stepper_of(LineMethod(), TrainingSettings())
    step(stepper, a_batch_of(float("nan")))
    step(stepper, a_batch_of(1.0))
    with pytest.raises(DivergedError, match=r"no longer a number.*audit.*training\.learning_rate, to 0\.01"):
        stepper.read_losses()


def test_the_step_after_a_broken_one_is_as_if_it_had_not_been() -> None:
    steppers = [stepper_of(LineMethod(), TrainingSettings()) for _ in range(2)]
    step(steppers[0], a_batch_of(float("nan")))
    for stepper in steppers:
        torch.manual_seed(3)
        step(stepper, a_batch_of(1.0))
    assert torch.equal(weights(steppers[0]), weights(steppers[1]))


def test_the_method_is_told_after_each_step() -> None:
    told: list[int] = []

    class Listening(SumMethod):
        def after_step(self, model: nn.Module, progress: Progress) -> None:
            told.append(progress.step)

    stepper = stepper_of(Listening())
    for number in (0, 1):
        step(stepper, a_batch_of(1.0), number)
    assert told == [0, 1]


def test_frozen_parameters_are_left_out() -> None:
    method = SumMethod()
    model = method.build(1, 2)
    model.bias.requires_grad_(False)
    before = model.bias.clone()
    stepper = Stepper(method, model, TrainingSettings(weight_decay=0.1), CPU)
    step(stepper, a_batch_of(1.0))
    assert torch.equal(model.bias, before)
    assert len(stepper.parameters) == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", 1.5),
        ("momentum", 1.0),
        ("weight_decay", -1.0),
        ("clip_norm", 0.0),
        ("checkpoint_seconds", 61.0),
        ("labeled_patches", 0),
        ("unlabeled_patches", 65),
        ("foreground_share", 1.1),
        ("least_foreground_share", -0.1),
    ],
)
def test_training_settings_outside_the_bounds_are_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{setting} must be .* got {value}"):
        TrainingSettings(**{setting: value})


def test_the_descent_is_that_of_torchs_optimizer_and_goes_on_from_its_checkpoints() -> None:
    torch.manual_seed(0)
    start = [torch.randn(3, 2), torch.randn(4), torch.randn(2)]
    ours, theirs = ([nn.Parameter(one.clone()) for one in start] for _ in range(2))
    optimizer = torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=0.01, fused=True)
    descent = Descent(ours, momentum=0.9, weight_decay=0.01)
    for number in range(6):
        if number == 3:  # A checkpoint of an older version, which had torch's optimizer.
            descent = Descent(ours, momentum=0.9, weight_decay=0.01)
            descent.load_state_dict(optimizer.state_dict())
        for parameters in (ours, theirs):
            torch.manual_seed(number)
            for parameter in parameters:
                parameter.grad = torch.randn_like(parameter)
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)
        optimizer.step()
        descent.step(0.1 / (1 + number), torch.zeros(()))
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_descent_leaves_weights_without_a_gradient_and_forgets_gradients() -> None:
    weight, still = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    descent = Descent([weight, still], momentum=0.9, weight_decay=0.1)
    descent.step(0.1, torch.zeros(()))
    weight.grad = torch.ones(2)
    descent.step(0.1, torch.zeros(()))
    assert weight.tolist() == pytest.approx([1 - 0.1 * 1.1] * 2)
    assert torch.equal(still, torch.ones(2))
    descent.forget_gradients()
    assert weight.grad is None


def test_a_descent_refuses_the_momentum_of_other_weights() -> None:
    other = Descent([nn.Parameter(torch.ones(3))], momentum=0.9, weight_decay=0).state_dict()
    with pytest.raises(ValueError, match="other parameters"):
        Descent([nn.Parameter(torch.ones(2))], momentum=0.9, weight_decay=0).load_state_dict(other)
