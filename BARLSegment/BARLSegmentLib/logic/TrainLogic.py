"""Trainings of a cohort: begun, gone on with, stopped and found again. Slicer's own process never imports torch."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barl import presets
from barl.catalog import card
from barl.cohort import Cohort, Role
from barl.errors import BarlError, CohortError, InputError, JobError, SettingsError
from barl.jobs import JobFolder, JobSpec, State, Status, read_status, request_stop, write_spec, write_status
from barl.jobs.status import read_launched
from BARLSegmentLib.logic.JobProcesses import JobProcesses

KIND = "train"
PRESETS = tuple(presets.PRESETS)
"""Names of the presets."""

GRACE_SECONDS = 10.0
"""For a step and a checkpoint; who has more patience only asks."""

_MINUTES = (0.1, 60.0 * 24 * 14)
_MAY_RESUME = (State.STOPPED, State.INTERRUPTED, State.FAILED)


@dataclass(frozen=True, kw_only=True)
class TrainWish:
    """What a training is to be; the engine's ``TrainingJob`` has the same options and checks them once more."""

    method: str = "barl"
    minutes: float = 20.0
    """For the steps, 0.1 to two weeks; preparation and prediction come on top."""

    preset: str = ""
    """How fine the voxels and how large the patches may be: one of ``PRESETS``; empty for what fits the minutes."""

    fromRound: int | None = None
    """Start from the weights of this round."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""

    seed: int = 0
    predict: bool = True
    """Whether the round ends with predictions."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """The method's settings by name; ``training.``, ``network.`` and ``views.`` ones with that prefix."""

    def __post_init__(self) -> None:
        card(self.method)
        if self.preset and self.preset not in PRESETS:
            raise SettingsError(f"preset must be one of {PRESETS}, or empty, got {self.preset!r}.")
        least, most = _MINUTES
        if not least <= self.minutes <= most:
            raise SettingsError(f"minutes must be from {least:g} to {most:g} (two weeks), got {self.minutes:g}.")

    def payload(self, cohort: Cohort) -> dict[str, Any]:
        """As ``job.json`` holds it."""
        options = {
            "method": self.method,
            "minutes": self.minutes,
            "preset": self.preset or None,
            "from_round": self.fromRound,
            "device": self.device,
            "seed": self.seed,
            "predict": self.predict,
            "settings": dict(self.settings),
        }
        known = {key: value for key, value in options.items() if value is not None}
        return {"cohort": str(cohort.folder.resolve()), **known}


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """One training in a list."""

    folder: Path
    status: Status | None
    """None when it cannot be read."""

    problem: str = ""
    """Why it cannot be read, for people."""


class TrainLogic:
    """Works on cohort and job folders only; a ``MonitorLogic`` shows what becomes of a job.

    Args:
        processes: how processes are started and ended.
    """

    def __init__(self, processes: JobProcesses) -> None:
        self._processes = processes

    def start(self, cohort: Cohort, wish: TrainWish) -> Path:
        """Make the next round and start its process, which checks the cohort first; returns the job folder.

        Raises:
            CohortError: nothing is annotated, or the round to start from has no model; there is no new round.
            JobError: another training of the cohort is going on, or the Python is not there; there is no new round.
            StorageError: the cohort cannot be written; there is no new round.
        """
        cohort.reload()
        _refuseNothingAnnotated(cohort)
        _refuseMissingModel(cohort, wish)
        running = self.activeJob(cohort)
        if running is not None:
            raise JobError(
                f"Cohort {cohort.name} is being trained already, in round {running.name}. "
                "Wait until it is done, or stop it first."
            )
        folder = cohort.new_round()
        try:
            write_spec(folder, JobSpec(kind=KIND, payload=wish.payload(cohort)))
            write_status(folder, Status(state=State.QUEUED, stage="queued", percent=0.0))
            self._processes.launch(folder)
        except BarlError:
            shutil.rmtree(folder, ignore_errors=True)  # Half a round would be taken for the newest one.
            raise
        return folder

    def resume(self, folder: Path) -> None:
        """Go on with a job that was stopped or interrupted, from its last checkpoint.

        Raises:
            JobError: it runs, it is finished, or its process is just ending.
            NewerFormatError: a newer BARL wrote it.
            StorageError: the folder cannot be written.
        """
        state = read_status(folder).state
        if state not in _MAY_RESUME:
            raise JobError(f"{folder} is {state.value}: there is nothing to go on with. Start a new training.")
        if self.isEnding(folder):  # Launching would wait for it, and the window with it.
            raise JobError(f"The process of {folder} is just ending. Try again in a few seconds.")
        self._processes.launch(folder)

    def isEnding(self, folder: Path) -> bool:
        """Whether a job has said its last word, and its process is still on its way out: some seconds as a rule."""
        process = read_launched(folder)
        return process is not None and process.is_alive and not read_status(folder).state.is_active

    def askToStop(self, folder: Path) -> None:
        """Ask a job to save its state and stop, however long that takes.

        Raises:
            JobError: it does not run.
            StorageError: the folder cannot be written.
        """
        self._requireActive(folder)
        request_stop(folder)

    def stop(self, folder: Path, graceSeconds: float = GRACE_SECONDS) -> None:
        """Ask a job to stop, and end its processes when it has not within the grace. Returns at once.

        What follows is seen in the job's files: ``stopped`` when it obeyed, ``interrupted`` when it had to be ended.
        It happens also when Slicer is closed in the meantime.

        Raises:
            JobError: it does not run.
            StorageError: the folder cannot be written.
        """
        self.askToStop(folder)
        self._processes.end(folder, graceSeconds)

    def jobs(self, cohort: Cohort) -> list[JobSummary]:
        """All trainings of a cohort, oldest first; one that cannot be read does not hide the others."""
        return [_summary(folder) for folder in cohort.rounds() if JobFolder(folder).spec.is_file()]

    def activeJob(self, cohort: Cohort) -> Path | None:
        """The newest training that goes on, also when another program or an earlier Slicer has started it."""
        active = [job.folder for job in self.jobs(cohort) if job.status is not None and job.status.state.is_active]
        return active[-1] if active else None

    def discard(self, folder: Path) -> None:
        """Delete a round that has learned nothing, such as one that was refused because of an error in the cohort.

        Raises:
            JobError: it goes on, or it has a checkpoint, a model or predictions.
            NewerFormatError: a newer BARL wrote it.
        """
        job = JobFolder(folder)
        kept = [part.name for part in (job.checkpoints, job.model, job.predictions) if part.exists()]
        if read_status(job).state.is_active or kept:
            has = ", ".join(kept) or "a running process"
            raise JobError(f"{folder} has {has} and is not deleted. Delete the folder yourself if you want it gone.")
        shutil.rmtree(folder)

    def _requireActive(self, folder: Path) -> None:
        state = read_status(folder).state
        if not state.is_active:
            raise JobError(f"{folder} does not run: it is {state.value}.")


def _summary(folder: Path) -> JobSummary:
    try:
        return JobSummary(folder=folder, status=read_status(folder))
    except InputError as error:
        return JobSummary(folder=folder, status=None, problem=str(error))


def _refuseNothingAnnotated(cohort: Cohort) -> None:
    training = [case.id for case in cohort.cases if case.role is Role.TRAINING]
    if not any(cohort.annotation(caseId) for caseId in training):
        raise CohortError(
            f"Cohort {cohort.name} has no annotated training case, so there is nothing to learn from. "
            "Annotate two to five cases, or some of their slices."
        )


def _refuseMissingModel(cohort: Cohort, wish: TrainWish) -> None:
    if wish.fromRound is None:
        return
    rounds = {int(path.name): path for path in cohort.rounds()}
    folder = rounds.get(wish.fromRound)
    if folder is None or not (JobFolder(folder).model / "model.json").is_file():
        there = ", ".join(map(str, rounds)) or "none yet"
        raise CohortError(f"Round {wish.fromRound} of {cohort.name} has no model to start from. Rounds: {there}.")
