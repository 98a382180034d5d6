"""Where the command line starts, and where every error becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape

import barl
from barl.cli import annotate, cohort, demo, doctor, evaluate, jobs, methods, predict, ranking, simulate, train
from barl.cli.output import Output
from barl.errors import BarlError

INTERRUPTED = 130
"""What shells expect after Ctrl-C."""

_HEAVY = ("torch",)
"""What may be missing where only cohorts are kept."""

app = typer.Typer(
    help="Segment a whole cohort of volumes from a few annotated ones. Not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cohort.app.command("annotate")(annotate.annotate)
cohort.app.command("audit")(annotate.audit)
cohort.app.command("next")(ranking.next_case)
app.command("demo")(demo.demo)
app.add_typer(cohort.app, name="cohort", help="Make, fill and check a cohort: the folder that holds everything.")
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("simulate")(simulate.simulate)
app.add_typer(jobs.app, name="jobs", help="See, stop and go on with trainings.")
app.command("methods")(methods.methods)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"barl {barl.__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the full error; works with every command.")] = False,
) -> None:
    """Options of ``barl`` itself; main() reads --debug, so that it may stand anywhere."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 1 the work failed, 2 the input was wrong.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    _survive_odd_characters()
    out = Output(as_json="--json" in given)
    if undecodable := [one for one in given if one.encode("utf-8", "replace").decode() != one]:
        message = f"{undecodable[0]!a} has letters that cannot be read. Rename the file or folder."
        return _refuse(out, "InputError", message, 2)
    try:
        code: Any = app(given, prog_name="barl", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _refuse(out, "Interrupted", "Stopped at your request.", INTERRUPTED)
    except BarlError as error:
        if debug:
            traceback.print_exc()
        return _refuse(out, type(error).__name__, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a message, the log gets the rest
        if isinstance(error, ModuleNotFoundError) and error.name in _HEAVY:
            message = f"{error.name} is not installed, and this needs it. See barl doctor."
            return _refuse(out, "MissingPackage", message, 1)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            message = f"The path is too long: {error.filename}. Use a shorter name, or a folder nearer to the root."
            return _refuse(out, "StorageError", message, 2)
        return _usage(out, error) if hasattr(error, "format_message") else _unexpected(out, error, debug)
    return code if isinstance(code, int) else 0


def _survive_odd_characters() -> None:
    """A console that cannot show a character shows a question mark instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _refuse(out: Output, kind: str, message: str, code: int) -> int:
    if out.as_json:
        out.result({"error": {"type": kind, "message": message}})
    else:
        out.note(f"[bold red]Error:[/] {escape(message)}")
    return code


def _usage(out: Output, error: Any) -> int:
    """What typer says of wrong options; typer has brought click under two names, so it is known by its method."""
    message = str(error.format_message())
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        if not out.as_json:
            out.note(escape(message))
            return 2
        message = "Which command? See barl --help."
    elif context is not None:
        said = message.rstrip(".")
        message = f"{said}{'' if said.endswith('?') else '.'} See {context.command_path} --help."
    return _refuse(out, "UsageError", message, 2)


def _unexpected(out: Output, error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exc()
        return _refuse(out, type(error).__name__, str(error), 1)
    handle, path = tempfile.mkstemp(prefix="barl-error-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        log.write(f"barl {barl.__version__}, Python {sys.version}\n\n{traceback.format_exc()}")
    message = f"Something unexpected happened ({type(error).__name__}: {error}). Details: {path}"
    return _refuse(out, type(error).__name__, message, 1)
