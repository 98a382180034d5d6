"""The process behind a job folder: ``python -m barl.run_job FOLDER``."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

from barl.errors import BarlError, JobError
from barl.jobs import EventWriter, State, read_spec, read_status, write_status
from barl.training.reporter import Failure, rank

logger = logging.getLogger(__name__)


def run(folder: Path) -> int:
    """Do what ``job.json`` asks for; the exit code is 0 when done, 1 when it failed, 2 when the input was wrong.

    Whatever goes wrong is in the status before the process ends: a watcher only reads files. Of several processes the
    first one writes it.
    """
    try:
        spec = read_spec(folder)
        # torch takes seconds: a wrong folder is told at once
        if spec.kind == "train":
            from barl.training.round import run_round

            run_round(folder)
        elif spec.kind == "predict":
            from barl.training.prediction_job import run_predictions

            run_predictions(folder)
        else:
            raise JobError(f"{folder} asks for {spec.kind!r}; this version knows: train, predict.")
    except Exception as error:
        failure = Failure.of(error)
        if isinstance(error, BarlError):
            logger.error("%s", error)
        else:
            logger.exception("unexpected error")
        if rank() == 0:
            _note_failure(folder, failure)
        return failure.exit_code
    return 0


def _note_failure(folder: Path, failure: Failure) -> None:
    """Best effort: on a full disk even this may fail, and the watcher then sees a dead process."""
    try:
        EventWriter(folder).write("failed", message=failure.message, error=failure.kind)
        failed = replace(
            read_status(folder), state=State.FAILED, stage="failed", error=failure.message, remaining_s=None
        )
        write_status(folder, failed.by_this_process())
    except (OSError, BarlError):
        logger.exception("the failure could not be written into %s", folder)


def main() -> None:
    """Entry of ``python -m barl.run_job``."""
    level = logging.INFO if rank() == 0 else logging.WARNING  # All processes of a job write into one log.
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if len(sys.argv) != 2:
        sys.exit("usage: python -m barl.run_job FOLDER")
    sys.exit(run(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
