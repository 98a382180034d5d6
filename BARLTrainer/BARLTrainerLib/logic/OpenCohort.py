"""The cohort that all sections of the module show."""

from __future__ import annotations

from pathlib import Path

from barl.cohort import Cohort
from BARLSegmentLib.logic.Observers import Observers


class OpenCohort:
    """Holds a cohort, and tells when it is another one.

    Attributes:
        cohort: the cohort; None before one was opened.
        changed: told the cohort that is open now.
    """

    def __init__(self) -> None:
        self.cohort: Cohort | None = None
        self.changed: Observers[Cohort] = Observers()

    def open(self, folder: Path) -> Cohort:
        """Open the cohort in a folder; the one from before stays open when that fails.

        Raises:
            CohortError: there is none, or it is damaged.
            NewerFormatError: a newer BARL wrote it.
        """
        cohort = Cohort.open(folder)
        self.cohort = cohort
        self.changed.notify(cohort)
        return cohort
