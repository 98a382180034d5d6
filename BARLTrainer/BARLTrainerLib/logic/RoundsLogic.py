"""The trainings of a cohort: listed, gone on with, stopped; looks are short, however much there is to read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from barl.cohort import Cohort, Role
from barl.errors import InputError, JobError
from barl.jobs import JobFolder, read_spec, read_status
from BARLSegmentLib.logic.TrainLogic import TrainLogic
from BARLTrainerLib.logic.RoundHistory import RoundHistory
from BARLTrainerLib.logic.RoundRow import RoundRow


class RoundsLogic:
    """Reads rounds from their files; a timer of the panel calls ``look``.

    Args:
        train: goes on with a round, or stops it.

    Attributes:
        rows: the rounds, the newest first.
        histories: scores and losses of each round's folder, as far as they are read.
    """

    def __init__(self, train: TrainLogic) -> None:
        self._train = train
        self._cohort: Cohort | None = None
        self._cases = 0
        self.rows: tuple[RoundRow, ...] = ()
        self.histories: dict[Path, RoundHistory] = {}

    def show(self, cohort: Cohort | None) -> None:
        """Turn to a cohort."""
        self._cohort = cohort
        self.histories.clear()
        self.refresh()

    def refresh(self) -> None:
        """List the rounds anew; those that are known are not read from the beginning again."""
        folders = list(reversed(self._cohort.rounds())) if self._cohort is not None else []
        self._cases = _annotatedValidationCases(self._cohort) if self._cohort is not None else 0
        self.histories = {folder: self.histories.get(folder) or RoundHistory(folder) for folder in folders}
        self.rows = tuple(self._scored(_row(folder)) for folder in folders)

    def look(self) -> bool:
        """See how active rounds stand and read a bounded part of the events.

        Returns:
            Whether another look would find more at once.
        """
        hasMore = self._readOn()
        self.rows = tuple(self._scored(_row(row.folder) if row.isActive else row) for row in self.rows)
        return hasMore

    @property
    def isAnyActive(self) -> bool:
        """Whether looking again later makes sense."""
        return any(row.isActive for row in self.rows)

    def resume(self, row: RoundRow) -> None:
        """Go on with a round from its last checkpoint.

        Raises:
            JobError: it, or another training of the cohort, is running; or it is finished.
            NewerFormatError: a newer BARL wrote it.
            StorageError: the folder cannot be written.
        """
        running = self._train.activeJob(self._cohort) if self._cohort is not None else None
        if running is not None:
            raise JobError(
                f"Round {int(running.name)} of this cohort is being trained. Wait until it is done, or stop it."
            )
        self._train.resume(row.folder)
        self.refresh()

    def stop(self, row: RoundRow) -> None:
        """Ask a round to save its state and stop; it is ended when it does not answer. Returns at once.

        Raises:
            JobError: it does not run.
            StorageError: the folder cannot be written.
        """
        self._train.stop(row.folder)

    def _readOn(self) -> bool:
        for history in self.histories.values():
            try:
                if history.readOn():
                    return True
            except OSError:  # The row tells it: its status cannot be read either.
                continue
        return False

    def _scored(self, row: RoundRow) -> RoundRow:
        scores = self.histories[row.folder].scores
        last = scores[-1] if scores else None
        noted = last.cases if last is not None else None
        return replace(row, score=last, validationCases=self._cases if noted is None else noted)


def _row(folder: Path) -> RoundRow:
    row = RoundRow(number=int(folder.name), folder=folder)
    try:
        row = replace(row, asked=read_spec(folder).payload)
        status = read_status(folder)
    except (InputError, OSError) as error:
        return replace(row, problem=str(error))
    hasModel = (JobFolder(folder).model / "model.json").is_file()
    return replace(row, state=status.state, percent=status.percent, problem=status.error or "", hasModel=hasModel)


def _annotatedValidationCases(cohort: Cohort) -> int:
    cases = [case.id for case in cohort.cases if case.role is Role.VALIDATION]
    return sum(_isAnnotated(cohort, case) for case in cases)


def _isAnnotated(cohort: Cohort, case: str) -> bool:
    try:
        return cohort.annotation(case) is not None
    except InputError:  # A damaged one counts for nothing here; the cohort's check tells it.
        return False
