"""``barl jobs list|show|stop|resume``: everything is read from the job folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from barl.cli.choose import chosen_job
from barl.cli.output import JsonFlag, Output, table
from barl.cli.progress import clock
from barl.cli.watch import conclude, launch_and_watch, watch
from barl.errors import InputError, JobError
from barl.jobs import (
    EventReader,
    JobFolder,
    State,
    Status,
    find_jobs,
    read_spec,
    read_status,
    request_stop,
    stop_and_wait,
)

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A job folder, or a cohort for its newest round.")]
_MAY_RESUME = (State.STOPPED, State.INTERRUPTED, State.FAILED)
_LAST_MESSAGES = 5
_UNREADABLE = "unreadable"


@app.command("list")
def list_jobs(
    root: Annotated[Path, typer.Argument(help="Where to look, e.g. a cohort.")] = Path(),
    as_json: JsonFlag = False,
) -> None:
    """List the jobs below a folder."""
    if not root.is_dir():
        raise JobError(f"{root} is not a folder: check the path.")
    rows = [(job, _readable_status(job)) for job in find_jobs(root)]
    shown = table("Jobs", "folder", "state", "done", "stage", "left")
    for job, status in rows:
        shown.add_row(escape(str(job.path)), *map(escape, _cells(status)))
    record = {"jobs": [{"job": job.path, **_facts(status)} for job, status in rows]}
    Output(as_json).result(record, shown if rows else f"No job below {escape(str(root))}.")


def _readable_status(job: JobFolder) -> Status | InputError:
    """One damaged job must not hide the others."""
    try:
        return read_status(job)
    except InputError as error:
        return error


def _cells(status: Status | InputError) -> tuple[str, str, str, str]:
    if isinstance(status, InputError):
        return _UNREADABLE, "", str(status), ""
    left = clock(status.remaining_s) if status.state.is_active else ""
    return status.state.value, f"{status.percent or 0:.0f} %", status.stage, left


@app.command("show")
def show(
    folder: Folder,
    follow: Annotated[bool, typer.Option("--follow", help="Watch it until it ends.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show where a job stands, what it was asked to do and what it said last."""
    job, out = chosen_job(folder), Output(as_json)
    if follow:
        conclude(job, watch(job, out), out)
        return
    spec, status = read_spec(job), read_status(job)
    events = EventReader(job).read_new()
    metrics = _newest_metrics(events)
    messages = [str(event["message"]) for event in events if event.get("message")][-_LAST_MESSAGES:]
    record = {"job": job.path, "kind": spec.kind, **_facts(status), "metrics": metrics, "messages": messages}
    shown = table("", "what", "")
    for name, value in {"kind": spec.kind, **_facts(status), **metrics}.items():
        if value is not None and value != "":
            shown.add_row(name.replace("_", " "), escape(_words(name, value)))
    out.result({**record, "payload": spec.payload}, f"[bold]{escape(str(job.path))}[/]", shown, *map(escape, messages))


@app.command("stop")
def stop(
    folder: Folder,
    now: Annotated[bool, typer.Option("--now", help="End it within seconds, even if it does not answer.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask a job to stop after its current step; it keeps what it learned."""
    job, out = chosen_job(folder), Output(as_json)
    state = read_status(job).state
    if not state.is_active:
        raise JobError(f"{job.path} does not run: it is {state.value}.")
    where = escape(str(job.path))
    if now:
        state = stop_and_wait(job)
        said = f"{where} is {state.value}."
    else:
        request_stop(job)
        state, said = (
            State.STOPPING,
            f"{where} stops after the current step. barl jobs show {where} --follow watches it.",
        )
    out.result({"job": job.path, "state": state}, said)


@app.command("resume")
def resume(
    folder: Folder,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Go on with a job that was stopped or interrupted, from its last checkpoint."""
    job, out = chosen_job(folder), Output(as_json)
    state = read_status(job).state
    if state.is_active:
        raise JobError(f"{job.path} runs already. Watch it with barl jobs show {job.path} --follow.")
    if state not in _MAY_RESUME:
        raise JobError(
            f"{job.path} is {state.value}: there is nothing to go on with. Start a new round with barl train."
        )
    conclude(job, launch_and_watch(job, out, detach=detach), out)


def _facts(status: Status | InputError) -> dict[str, Any]:
    if isinstance(status, InputError):
        return {"state": _UNREADABLE, "error": str(status)}
    return {
        "state": status.state.value,
        "percent": status.percent,
        "stage": status.stage,
        "step": status.step,
        "total_steps": status.total_steps,
        "remaining_s": status.remaining_s,
        "message": status.message,
        "error": status.error,
        "pid": status.pid,
    }


def _newest_metrics(events: list[dict[str, Any]]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for event in events:
        if event.get("kind") == "metric":
            numbers = {key: value for key, value in event.items() if isinstance(value, int | float)}
            metrics.update({key: value for key, value in numbers.items() if key not in {"time", "step", "seconds"}})
    return metrics


def _words(name: str, value: object) -> str:
    if name == "remaining_s" and isinstance(value, int | float):
        return clock(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
