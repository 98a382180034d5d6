"""Which job or model a path on the command line means."""

from __future__ import annotations

from pathlib import Path

from barl.cohort import Cohort
from barl.errors import InputError, JobError
from barl.jobs import JobFolder

MODEL_CARD = "model.json"
"""Written last: a folder that has it holds a whole model."""


def chosen_job(path: Path) -> JobFolder:
    """The job folder itself, or the newest round of a cohort.

    Raises:
        JobError: it is neither.
    """
    if (path / "cohort.json").is_file():
        # A round without a job is from a program that was killed while making it.
        rounds = [folder for folder in Cohort.open(path).rounds() if JobFolder(folder).spec.is_file()]
        if not rounds:
            raise JobError(f"{path} has no round yet: start one with barl train {path}.")
        return JobFolder(rounds[-1])
    job = JobFolder(path)
    if not job.spec.is_file():
        raise JobError(f"{path} is no job folder: it holds no {job.spec.name}. See barl jobs list.")
    return job


def chosen_model(path: Path) -> Path:
    """The model folder itself, that of a round, or that of the newest round of a cohort that has one.

    Raises:
        InputError: there is no model.
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder: give a model folder, a round, or a cohort.")
    if (path / "cohort.json").is_file():
        for folder in reversed(Cohort.open(path).rounds()):
            if _holds_model(JobFolder(folder).model):
                return JobFolder(folder).model
        raise InputError(f"{path} has no trained model yet: start with barl train {path}.")
    if JobFolder(path).spec.is_file():
        if _holds_model(JobFolder(path).model):
            return JobFolder(path).model
        raise InputError(
            f"{path} holds no model yet: its training has not reached a checkpoint. See barl jobs show {path}."
        )
    if not _holds_model(path):
        raise InputError(f"{path} holds no {MODEL_CARD}: give a model folder, a round, or a cohort.")
    return path


def _holds_model(folder: Path) -> bool:
    return (folder / MODEL_CARD).is_file()
