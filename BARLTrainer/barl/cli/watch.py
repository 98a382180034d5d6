"""Watch a job: only its files are read, so watching may begin, end and begin again at any time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from barl import errors
from barl.cli.output import Output
from barl.cli.progress import clock
from barl.errors import BarlError, JobFailedError
from barl.jobs import EventReader, JobFolder, State, Status, launch, request_stop, wait

_WENT_WRONG = (State.FAILED, State.INTERRUPTED)
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_LINES = 10.0
_FULL_DISK_MB = 1.0
_TOLD = {"log", "warning", "annotation", "resumed"}
"""Events whose message a person wants to read while waiting."""


class _View(Protocol):
    def show(self, status: Status, metrics: Mapping[str, float]) -> None:
        """Show where the job stands."""


def launch_and_watch(job: JobFolder, out: Output, *, detach: bool) -> Status | None:
    """Start the job in its own process and watch it to its end; None when it was left to itself."""
    reader = _reader_of_what_comes(job)
    launch(job)
    if detach:
        return None
    out.note(f"Training in {escape(str(job.path))}. Ctrl-C stops it after the current step and keeps what it learned.")
    return _watch(job, out, reader, may_stop=True)


def watch(job: JobFolder, out: Output) -> Status | None:
    """Watch a job that runs by itself; Ctrl-C ends the watching, not the job."""
    return _watch(job, out, _reader_of_what_comes(job), may_stop=False)


def _reader_of_what_comes(job: JobFolder) -> EventReader:
    reader = EventReader(job)
    reader.read_new()
    return reader


def _watch(job: JobFolder, out: Output, reader: EventReader, *, may_stop: bool) -> Status | None:
    """Show progress until the job ends; Ctrl-C asks it to stop if it may, a second one leaves it alone."""
    asked = not may_stop
    metrics: dict[str, float] = {}
    with _view(out) as view:

        def show(status: Status) -> None:
            _tell(reader.read_new(), metrics, out)
            view.show(status, metrics)

        while True:
            try:
                return wait(job, poll_seconds=_SECONDS_BETWEEN_LOOKS, on_look=show)
            except KeyboardInterrupt:
                if asked:
                    return None
                asked = True
                request_stop(job)
                out.note("Stopping after the current step. Ctrl-C again leaves it running and returns to you.")


def conclude(job: JobFolder, status: Status | None, out: Output) -> None:
    """Say how it ended, and where to go from there.

    Raises:
        typer.Exit: with code 1 when the work failed or was interrupted, 2 when its input was wrong.
    """
    where = escape(str(job.path))
    if status is None:
        said = f"Running by itself. Watch it: barl jobs show {where} --follow"
        out.result({"job": job.path, "state": "running"}, said)
        return
    record: dict[str, Any] = {"job": job.path, "state": status.state, "step": status.step}
    record |= {"total_steps": status.total_steps, "predictions": job.predictions}
    if status.state not in _WENT_WRONG:
        out.result(record, *_farewell(job, status))
        return
    kind = _failure(job) if status.state is State.FAILED else JobFailedError
    message = status.error or _last_words(job)
    record |= {"error": {"type": kind.__name__, "message": message}, "log": job.log}
    out.result(record, f"[bold red]Error:[/] {escape(message)}", *_farewell(job, status))
    raise typer.Exit(kind.exit_code)


def _last_words(job: JobFolder) -> str:
    """Of a process that could not say why it ended."""
    free_mb = shutil.disk_usage(job.path).free / 1e6
    if free_mb < _FULL_DISK_MB:
        return f"The process ended without a word. The disk is full ({free_mb:.0f} MB free): free some space."
    return "The process ended without a word: it was killed, ran out of memory, or the computer was switched off."


def _failure(job: JobFolder) -> type[BarlError]:
    """The kind of error a job says it ended with."""
    failed = [event for event in EventReader(job).read_new() if event.get("kind") == "failed"]
    kind = getattr(errors, str(failed[-1].get("error")), None) if failed else None
    return kind if isinstance(kind, type) and issubclass(kind, BarlError) else JobFailedError


def _farewell(job: JobFolder, status: Status) -> list[str]:
    where = escape(str(job.path))
    reached = f" at step {status.step} of {status.total_steps}" if status.step else ""
    lines = [f"[bold]{status.state.value.capitalize()}[/]{reached}: {where}"]
    if status.state in _WENT_WRONG:
        lines.append(f"Log: {escape(str(job.log))}. Nothing that was drawn is lost.")
    if status.state is not State.FINISHED and any(_files(job.checkpoints)):
        mended = "Once that is mended, go on" if status.state is State.FAILED else "Go on"
        lines.append(f"{mended} from the last checkpoint: barl jobs resume {where}")
    elif status.state is not State.FINISHED:
        lines.append(f"There is no checkpoint yet. Begin again: barl jobs resume {where}; or start a new round.")
    elif any(_files(job.predictions)):
        lines.append(f"Predictions: {escape(str(job.predictions))}")
    return lines


def _files(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() else ()


def _tell(events: Iterable[Mapping[str, Any]], metrics: dict[str, float], out: Output) -> None:
    for event in events:
        if event.get("kind") == "metric":
            metrics.update(
                {key: value for key, value in event.items() if key in {"loss", "dice"} and value is not None}
            )
        elif event.get("kind") in _TOLD and event.get("message"):
            out.note(escape(str(event["message"])))


@contextmanager
def _view(out: Output) -> Iterator[_View]:
    if not out.side.is_terminal:
        yield _Lines(out)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rest]}"))
    with Progress(*columns, console=out.side) as bar:
        yield _Bar(bar)


class _Bar:
    """A bar that a terminal redraws."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("queued", total=100.0, rest="")

    def show(self, status: Status, metrics: Mapping[str, float]) -> None:
        """Redraw."""
        description = escape(status.stage or status.state.value)
        self._bar.update(
            self._task, completed=status.percent or 0.0, description=description, rest=_rest(status, metrics)
        )


class _Lines:
    """A line now and then, for logs and pipes."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._when = float("-inf")
        self._stage = self._last = ""

    def show(self, status: Status, metrics: Mapping[str, float]) -> None:
        """Print when the stage changes, and every few seconds when there is something new."""
        stage = status.stage or status.state.value
        if stage == self._stage and time.monotonic() - self._when < _SECONDS_BETWEEN_LINES:
            return
        line = f"{status.percent or 0:3.0f} % {stage} {_rest(status, metrics)}".rstrip()
        if line != self._last:
            self._out.note(escape(line))
        self._when, self._stage, self._last = time.monotonic(), stage, line


def _rest(status: Status, metrics: Mapping[str, float]) -> str:
    parts = [f"{name} {metrics[name]:.3f}" for name in ("loss", "dice") if name in metrics]
    if status.remaining_s is not None:
        parts.append(f"{clock(status.remaining_s)} left")
    return ", ".join(parts)
