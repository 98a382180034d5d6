"""The process behind a job folder: ``python -m barl.run_job FOLDER``."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

from barl.errors import BarlError, JobError, OutOfMemoryError
from barl.jobs import EventWriter, State, read_spec, read_status, write_status

logger = logging.getLogger(__name__)


def run(folder: Path) -> int:
    """Do what ``job.json`` asks for; the exit code is 0 when done, 1 when it failed, 2 when the input was wrong.

    Whatever goes wrong is in the status before the process ends: a watcher only reads files.
    """
    try:
        spec = read_spec(folder)
        if spec.kind != "train":
            raise JobError(f"{folder} asks for {spec.kind!r}; this version knows: train.")
        from barl.training.round import run_round  # torch takes seconds: a wrong folder is told at once

        run_round(folder)
    except BarlError as error:
        logger.error("%s", error)
        _note_failure(folder, str(error), type(error).__name__)
        return error.exit_code
    except MemoryError:
        logger.exception("out of memory")
        message = "Memory did not suffice. Close other programs, or choose a smaller preset."
        _note_failure(folder, message, "OutOfMemoryError")
        return OutOfMemoryError.exit_code
    except Exception as error:
        logger.exception("unexpected error")
        _note_failure(folder, f"Unexpected error: {error}. The log has the details; please report it.", "unexpected")
        return 1
    return 0


def _note_failure(folder: Path, message: str, kind: str) -> None:
    """Best effort: on a full disk even this may fail, and the watcher then sees a dead process."""
    try:
        EventWriter(folder).write("failed", message=message, error=kind)
        failed = replace(read_status(folder), state=State.FAILED, stage="failed", error=message, remaining_s=None)
        write_status(folder, failed.by_this_process())
    except (OSError, BarlError):
        logger.exception("the failure could not be written into %s", folder)


def main() -> None:
    """Entry of ``python -m barl.run_job``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if len(sys.argv) != 2:
        sys.exit("usage: python -m barl.run_job FOLDER")
    sys.exit(run(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
