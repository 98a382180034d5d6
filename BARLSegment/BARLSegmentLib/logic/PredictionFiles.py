"""The files of one predicted case, as Slicer's process may know them: the engine's own page of them imports torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from barl.errors import CohortError
from barl.records import Fields, read_fields

FORMAT_VERSION = 1


@dataclass(frozen=True)
class PredictionFiles:
    """Where the parts of a prediction are; ``barl.inference.results`` writes all but the review."""

    folder: Path
    caseId: str

    @property
    def segmentation(self) -> Path:
        """Labels with the cohort's names and colors, on the image's grid."""
        return self.folder / f"{self.caseId}.seg.nrrd"

    @property
    def uncertainty(self) -> Path:
        """Entropy, 0 sure to 1 unsure."""
        return self.folder / f"{self.caseId}.uncertainty.nrrd"

    @property
    def disagreement(self) -> Path:
        """Disagreement of the branches, 0 to 1."""
        return self.folder / f"{self.caseId}.disagreement.nrrd"

    @property
    def record(self) -> Path:
        """Volumes, scores and regions; written last, so that a prediction without it is not finished."""
        return self.folder / f"{self.caseId}.json"

    @property
    def review(self) -> Path:
        """Which regions a person has accepted; see ``ReviewRecord``."""
        return self.folder / f"{self.caseId}.review.json"

    def requireFinished(self) -> None:
        """Refuse what is no finished prediction.

        Raises:
            CohortError: the record or the segmentation is not there.
        """
        if not (self.record.is_file() and self.segmentation.is_file()):
            raise CohortError(
                f"Case {self.caseId} has no finished prediction in {self.folder}: the round has not come to it yet, or "
                "it was deleted. Nothing was changed. Wait for the round, choose another one, or train again."
            )

    def readRecord(self) -> Fields:
        """What the record says.

        Raises:
            CohortError: it is missing or damaged; the message names the line.
            NewerFormatError: a newer BARL wrote it.
        """
        fields = read_fields(self.record, CohortError)
        fields.require_format(FORMAT_VERSION)
        return fields

    def fingerprint(self) -> str:
        """What tells this prediction from a later one of the same case: SHA-256 of its record.

        Raises:
            CohortError: the prediction is not there any more.
        """
        self.requireFinished()
        return hashlib.sha256(self.record.read_bytes()).hexdigest()
