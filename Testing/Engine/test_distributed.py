"""Processes that train together: the same mathematics as one with the whole batch, one that decides and writes."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from two_processes import APART, METHODS, STEPS, steps_of

from barl.errors import OutOfMemoryError, SettingsError
from barl.jobs import JobFolder, read_status
from barl.losses.reduction import totals
from barl.run_job import run
from barl.training.distributed import Group, Share, join
from barl.training.reporter import Failure, SilentReporter

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, str(Path(__file__).with_name("two_processes.py")), str(folder)]
    started = [
        subprocess.Popen(command, env=shared | {"RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        told = [process.communicate(timeout=200)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], told
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_a_process_without_others_exchanges_nothing() -> None:
    with join("cpu") as group:
        assert not torch.distributed.is_initialized()
        assert (group.size, group.leads, group.device) == (1, True, CPU)
        assert group.from_leader(5) == 5
        weight, scalar = torch.nn.Parameter(torch.ones(2)), torch.ones(())
        assert group.average([weight], [scalar])[0] is scalar
        assert weight.grad is None
        one, other = torch.ones(2), torch.ones(())
        assert totals(one, other)[0] is one


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shares_are_equal_and_make_up_the_whole(size: int) -> None:
    whole = list(range(6 * size))
    shares = [Share(rank, size) for rank in range(size)]
    assert [patch for share in shares for patch in share.of(whole)] == whole
    assert {len(share.of(whole)) for share in shares} == {shares[0].count(len(whole))} == {6}


def test_a_number_of_patches_is_filled_up_until_it_can_be_shared() -> None:
    assert [Share(0, 3).filled(patches) for patches in (0, 1, 3, 4)] == [0, 3, 3, 6]
    assert [Share().filled(patches) for patches in (0, 1, 5)] == [0, 1, 5]


def test_the_leaders_word_is_heard_by_all(both: list[dict[str, Any]]) -> None:
    assert [seen["word"] for seen in both] == [17, 17]
    assert [seen["before_joining"] for seen in both] == [False, False]


def test_sums_run_over_all_processes_and_their_gradient_is_that_of_the_whole(both: list[dict[str, Any]]) -> None:
    parts = [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([2.0, 4.0], requires_grad=True)]
    total = parts[0].square() + parts[1].square()
    (total.sum() / 7).backward()
    for seen, part in zip(both, parts, strict=True):
        assert torch.equal(seen["sums"]["total"], total.detach())
        assert float(seen["sums"]["count"]) == 7
        # The processes' gradients are averaged, so that each of them counts half.
        torch.testing.assert_close(seen["sums"]["gradient"], part.grad)


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_learn_as_one_with_the_double_batch(both: list[dict[str, Any]], name: str) -> None:
    alone = steps_of(name, Share())
    assert len(alone["losses"]) == STEPS
    for seen in both:
        for one, other in zip(seen["methods"][name]["losses"], alone["losses"], strict=True):
            assert one == pytest.approx(other, rel=1e-5)
        for key, value in alone["weights"].items():
            torch.testing.assert_close(seen["methods"][name]["weights"][key], value, rtol=1e-3, atol=1e-4)
    first, second = (seen["methods"][name]["weights"] for seen in both)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", APART)
def test_where_each_process_goes_its_own_way_weights_stay_equal_and_losses_are_shared(
    both: list[dict[str, Any]], name: str
) -> None:
    first, second = (seen["apart"][name] for seen in both)
    assert first["losses"] == second["losses"]
    assert len(first["losses"]) == STEPS
    assert all(math.isfinite(value) for step in first["losses"] for value in step.values())
    assert first["losses"][0] != first["losses"][-1]
    assert all(torch.equal(first["weights"][key], second["weights"][key]) for key in first["weights"])


def test_a_gradient_that_one_process_has_counts_half_and_all_start_from_the_leaders_weights(
    both: list[dict[str, Any]],
) -> None:
    first, second = (seen["uneven"] for seen in both)
    assert torch.equal(first["before"], second["before"])
    assert torch.equal(first["after"], second["after"])
    torch.testing.assert_close(first["before"] - first["after"], 0.01 * torch.tensor([3.0, 3.0, 2.5]))


def test_weights_and_gradients_with_the_channels_last_are_exchanged_as_they_are_counted(
    both: list[dict[str, Any]],
) -> None:
    first, second = (seen["channels_last"] for seen in both)
    assert torch.equal(first["weight"], second["weight"])
    for seen in (first, second):
        assert torch.equal(seen["gradient"], 1.5 * torch.arange(48.0).view(3, 2, 2, 2, 2))


def test_a_step_that_breaks_in_one_process_changes_no_weights_anywhere_and_all_say_so(
    both: list[dict[str, Any]],
) -> None:
    for seen in both:
        assert torch.equal(seen["uneven"]["broken"], seen["uneven"]["after"])
        assert seen["uneven"]["told"] == "DivergedError"


def test_only_the_leaders_clock_decides_how_many_steps_fit(both: list[dict[str, Any]]) -> None:
    leader, follower = (seen["budget"] for seen in both)
    assert leader["over"] is True
    assert leader["steps"] == follower["steps"] == pytest.approx(60, abs=2)
    assert [record["step"] for record in leader["history"] if "dice" in record] != []
    assert follower["history"] == []
    assert all(torch.equal(leader["weights"][key], follower["weights"][key]) for key in leader["weights"])


def test_a_wish_to_stop_stops_all_after_the_same_step(both: list[dict[str, Any]]) -> None:
    leader, follower = (seen["stopped"] for seen in both)
    assert leader["over"] is False
    assert leader["steps"] == follower["steps"] == 9


def test_a_change_of_the_cohort_holds_in_all_processes_from_the_same_step_on(both: list[dict[str, Any]]) -> None:
    for name in ("budget", "stopped"):
        assert [seen[name]["changes"] for seen in both] == [[("Fall ä: Ebene 3", 4)]] * 2


def test_what_one_process_ends_of_is_told_by_the_leader(both: list[dict[str, Any]]) -> None:
    told = ("OutOfMemoryError", "Memory did not suffice in one of the 2 processes.")
    assert [seen["end"] for seen in both] == [told, told]


def test_a_training_does_not_load_torchs_compiler_which_takes_time_and_memory_for_nothing(
    both: list[dict[str, Any]],
) -> None:
    assert [seen["compiler"] for seen in both] == [False, False]


# Devices


@pytest.fixture
def two_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun would start them, though the other one never comes."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("two_started")
def test_several_processes_cannot_share_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(SettingsError, match=r"2 processes .* has 1 CUDA devices.*nproc-per-node 1"), join("auto"):
        pass
    with (
        pytest.raises(SettingsError, match=r"device cuda:0 names one device.* Choose cuda, cpu or auto"),
        join("cuda:0"),
    ):
        pass


# Who writes


@pytest.mark.usefixtures("two_started")
def test_a_follower_that_fails_leaves_the_job_folder_to_the_leader(a_job: JobFolder) -> None:
    before = sorted(path.name for path in a_job.path.iterdir())
    assert run(a_job.path) == 2  # The job has no cohort.
    assert sorted(path.name for path in a_job.path.iterdir()) == before


def test_a_rank_without_other_processes_does_not_silence_a_job(
    a_job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "3")
    assert run(a_job.path) == 2
    assert read_status(a_job).state.value == "failed"


def test_a_silent_reporter_writes_nothing_and_never_stops(a_job: JobFolder) -> None:
    a_job.stop.touch()
    before = sorted(path.name for path in a_job.path.iterdir())
    with SilentReporter(a_job.path) as reporter:
        reporter.stage("checking")
        reporter.warning("careful")
        reporter.progress(1, 2, 3.0)
        assert not reporter.wants_stop()
    assert sorted(path.name for path in a_job.path.iterdir()) == before


@pytest.mark.parametrize(
    ("error", "kind", "code", "words"),
    [
        (SettingsError("steps must be 1 or more"), "SettingsError", 2, "steps must be 1 or more"),
        (MemoryError(), "OutOfMemoryError", OutOfMemoryError.exit_code, "Memory did not suffice"),
        (KeyError("x"), "unexpected", 1, "Unexpected error: 'x'"),
    ],
)
def test_an_error_has_words_a_kind_and_an_exit_code(error: Exception, kind: str, code: int, words: str) -> None:
    failure = Failure.of(error)
    assert (failure.kind, failure.exit_code) == (kind, code)
    assert words in failure.message


def test_a_group_of_one_leads() -> None:
    assert Group(CPU).leads
    assert Group(CPU, Share(0, 2)).leads
    assert not Group(CPU, Share(1, 2)).leads
