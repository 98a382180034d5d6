"""What a person has looked at, kept beside a prediction whose own files stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

from barl.atomic import write_json
from barl.errors import CohortError
from barl.records import Fields, format_stamp, read_fields
from BARLSegmentLib.logic.PredictionFiles import PredictionFiles

FORMAT_VERSION = 1
_KIND = "review"


@dataclass(frozen=True, kw_only=True)
class ReviewRecord:
    """The content of ``<case>.review.json``: a JSON object that is replaced as a whole.

    Its keys: ``format_version`` and ``written_by``; ``kind``, always ``review``, which tells it from the record of a
    case that happens to be called ``<case>.review``; ``prediction``, the SHA-256 of ``<case>.json``; ``accepted``, the
    ranks of the regions found right or put right; ``seconds``, how long the review has taken so far.
    """

    prediction: str
    """Which prediction was looked at: ranks mean nothing for another one."""

    accepted: frozenset[int] = frozenset()
    seconds: float = 0.0

    @classmethod
    def read(cls, files: PredictionFiles, prediction: str) -> ReviewRecord:
        """The review of this very prediction; an empty one when there is none, or when it is of an earlier prediction.

        Raises:
            CohortError: the file is damaged, or is none of ours.
            NewerFormatError: a newer BARL wrote it.
        """
        if not files.review.is_file():
            return cls(prediction=prediction)
        fields = read_fields(files.review, CohortError)
        _requireReview(fields, files)
        if fields.text("prediction") != prediction:
            return cls(prediction=prediction)
        accepted = frozenset(fields.integers("accepted"))
        return cls(prediction=prediction, accepted=accepted, seconds=max(0.0, fields.optional_number("seconds") or 0.0))

    def write(self, files: PredictionFiles) -> None:
        """Replace the file.

        Raises:
            CohortError: the prediction is gone or was made anew, or the file is none of ours; nothing was written.
            StorageError: the folder cannot be written, or the disk is full; what was there before is unchanged.
        """
        if files.fingerprint() != self.prediction:
            raise CohortError(
                f"Case {files.caseId} was predicted anew while this review was open. Nothing was changed. "
                "Load the case again to review the new prediction."
            )
        if files.review.is_file():
            _requireReview(read_fields(files.review, CohortError), files)
        content = {
            "kind": _KIND,
            "prediction": self.prediction,
            "accepted": sorted(self.accepted),
            "seconds": round(self.seconds, 1),
        }
        write_json(files.review, format_stamp(FORMAT_VERSION) | content)


def _requireReview(fields: Fields, files: PredictionFiles) -> None:
    if fields.values.get("kind") != _KIND:
        raise CohortError(
            f"{files.review} is not the review of case {files.caseId}, but another file of this name. "
            f"Rename the case that is called {files.caseId}.review, or move the file away."
        )
    fields.require_format(FORMAT_VERSION)
