"""What a case's segmentation starts from when it comes into the scene."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from barl.cohort import AnnotationVersion, Cohort, Coverage
from barl.errors import CohortError
from BARLSegmentLib.logic.CaseNodes import SEGMENTATION, CaseTag, tagOf
from BARLSegmentLib.logic.SceneTypes import Node


class Start(Enum):
    """What a loaded case starts from."""

    ANNOTATION = "annotation"
    PREDICTION = "prediction"
    LABELS = "labels"
    SCENE = "scene"
    """It was in the scene already."""


@dataclass(frozen=True, kw_only=True)
class LoadedCase:
    """A case in the scene."""

    caseId: str
    volumeNode: Node
    segmentationNode: Node
    start: Start
    coverage: Coverage
    """Of the annotation it starts from; complete for all others."""

    @property
    def isPrediction(self) -> bool:
        """Whether a prediction is being corrected that has not been saved yet."""
        tag = tagOf(self.segmentationNode)
        return tag is not None and tag.fromPrediction is not None


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """Where a case's segmentation comes from."""

    kind: Start
    path: Path | None = None
    version: AnnotationVersion | None = None
    """The newest annotation, also when the case starts from a prediction in spite of it."""

    @property
    def coverage(self) -> Coverage:
        """What the segmentation tells about."""
        if self.version is None or self.kind is Start.PREDICTION:
            return Coverage()
        return self.version.coverage

    def tag(self, cohort: Cohort, caseId: str) -> CaseTag:
        """The note on the segmentation's node."""
        predicted = self.path if self.kind is Start.PREDICTION else None
        return CaseTag(
            cohort=cohort.folder,
            caseId=caseId,
            part=SEGMENTATION,
            parent=self.version.number if self.version and not predicted else None,
            fromPrediction=predicted.relative_to(cohort.folder).as_posix() if predicted else None,
        )


def bestStart(cohort: Cohort, caseId: str) -> StartingPoint:
    """The newest annotation, else the newest prediction, else nothing.

    Raises:
        CohortError: there is no such case.
    """
    version = cohort.annotation(caseId)
    if version is not None:
        return StartingPoint(kind=Start.ANNOTATION, path=version.path, version=version)
    prediction = cohort.latest_prediction(caseId)
    return StartingPoint(kind=Start.PREDICTION if prediction else Start.LABELS, path=prediction)


def predictionStart(cohort: Cohort, caseId: str) -> StartingPoint:
    """The newest prediction, also of a case that is annotated.

    Raises:
        CohortError: there is no such case, or it is not predicted.
    """
    prediction = cohort.latest_prediction(caseId)
    if prediction is None:
        raise CohortError(f"Case {caseId} is not predicted yet. Train first.")
    return StartingPoint(kind=Start.PREDICTION, path=prediction, version=cohort.annotation(caseId))
