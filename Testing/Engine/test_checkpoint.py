"""Checkpoints: whole or not there, and nothing in them that a later step can change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from barl.errors import JobError, NewerFormatError, StorageError
from barl.training.checkpoint import CheckpointFile, Snapshot
from barl.training.views import Chance

CPU = torch.device("cpu")


def a_snapshot(step: int = 7, *, size: int = 10, total_steps: int | None = 100) -> Snapshot:
    torch.manual_seed(step)
    parameter = torch.nn.Parameter(torch.randn(size))
    optimizer = torch.optim.SGD([parameter], lr=0.01, momentum=0.9)
    parameter.grad = torch.ones(size)
    optimizer.step()
    return Snapshot(
        step=step,
        total_steps=total_steps,
        seconds=12.5,
        model={"weight": parameter.data},
        optimizer=optimizer.state_dict(),
        chance=Chance(step, CPU).state(),
        torch_rng=torch.get_rng_state(),
        history=[{"step": 3, "loss": 0.25}],
    )


@pytest.fixture
def a_file(tmp_path: Path) -> CheckpointFile:
    """Where no checkpoint is yet."""
    return CheckpointFile(tmp_path / "Läufe" / "checkpoints")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """A drive on which no file may grow larger."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("total_steps", [100, None])
def test_what_is_read_is_what_was_written(a_file: CheckpointFile, total_steps: int | None) -> None:
    written = a_snapshot(total_steps=total_steps)
    a_file.write(written)
    a_file.wait()
    read = CheckpointFile(a_file.path.parent).read()
    assert read is not None
    assert same(vars(read), vars(written))


def test_asking_for_the_step_and_reading_opens_the_file_once(a_file: CheckpointFile) -> None:
    a_file.write(a_snapshot())
    a_file.wait()
    assert a_file.step() == 7
    a_file.path.unlink()
    read = a_file.read()
    assert read is not None
    assert same(vars(read), vars(a_snapshot()))
    assert a_file.read() is None


def test_what_was_read_for_the_step_gives_way_to_what_is_written_later(a_file: CheckpointFile) -> None:
    a_file.write(a_snapshot(1))
    a_file.wait()
    a_file.step()
    a_file.write(a_snapshot(2))
    a_file.wait()
    read = a_file.read()
    assert read is not None
    assert read.step == 2


def test_where_there_is_none_none_is_read(a_file: CheckpointFile) -> None:
    assert a_file.read() is None


def test_later_steps_do_not_change_what_is_being_written(a_file: CheckpointFile) -> None:
    snapshot = a_snapshot(size=200_000)
    before = snapshot.model["weight"].clone()
    a_file.write(snapshot)
    snapshot.model["weight"].zero_()
    snapshot.optimizer["state"][0]["momentum_buffer"].zero_()
    snapshot.history.append({"step": 9})
    a_file.wait()
    read = a_file.read()
    assert read is not None
    assert torch.equal(read.model["weight"], before)
    assert bool(read.optimizer["state"][0]["momentum_buffer"].any())
    assert len(read.history) == 1


def test_the_newest_one_counts_and_nothing_else_is_left(a_file: CheckpointFile) -> None:
    for step in (1, 2, 3):
        a_file.write(a_snapshot(step))
    a_file.wait()
    read = a_file.read()
    assert read is not None
    assert read.step == 3
    assert [path.name for path in a_file.path.parent.iterdir()] == ["last.pt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize(
    "go_on", [CheckpointFile.wait, lambda file: file.write(a_snapshot(3))], ids=["waiting", "the next one"]
)
def test_a_full_drive_is_told_on_going_on_and_the_checkpoint_before_stays(
    a_file: CheckpointFile, go_on: Callable[[CheckpointFile], None]
) -> None:
    a_file.write(a_snapshot(1))
    a_file.wait()
    with room_for(50_000):
        a_file.write(a_snapshot(2, size=1_000_000))
        with pytest.raises(StorageError, match=r"Cannot write .*last\.pt"):
            go_on(a_file)
    assert a_file.step() == 1
    assert [path.name for path in a_file.path.parent.iterdir()] == ["last.pt"]
    a_file.write(a_snapshot(4))
    a_file.wait()
    assert a_file.step() == 4


@pytest.mark.parametrize("content", [b"", b"some text", b"\x80\x02}q."])
def test_a_damaged_checkpoint_is_told_with_its_path(a_file: CheckpointFile, content: bytes) -> None:
    a_file.path.parent.mkdir(parents=True)
    a_file.path.write_bytes(content)
    with pytest.raises(JobError, match=r"last\.pt is damaged .* Start a new round"):
        a_file.read()


def test_a_truncated_checkpoint_is_told_with_its_path(a_file: CheckpointFile) -> None:
    a_file.write(a_snapshot(size=10_000))
    a_file.wait()
    a_file.path.write_bytes(a_file.path.read_bytes()[:-200])
    with pytest.raises(JobError, match=r"last\.pt is damaged \([^.]*\)\. Start a new round instead\.$"):
        a_file.read()


@pytest.mark.parametrize("value", [{"format_version": 1, "step": 3}, {"step": 3}, {"format_version": "x"}, [1]])
def test_a_file_that_is_no_checkpoint_is_told(a_file: CheckpointFile, value: Any) -> None:
    a_file.path.parent.mkdir(parents=True)
    torch.save(value, a_file.path)
    with pytest.raises(JobError, match=r"last\.pt is damaged"):
        a_file.read()


def test_a_checkpoint_of_a_newer_barl_is_refused(a_file: CheckpointFile) -> None:
    a_file.path.parent.mkdir(parents=True)
    torch.save({"format_version": 2, "future": 1}, a_file.path)
    with pytest.raises(NewerFormatError, match="newer BARL"):
        a_file.read()
