"""The predictions at a round's end: whatever a person may still want to look at or correct."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from barl.cohort import UNKNOWN, AnnotationVersion, CaseState, Cohort, CoverageKind, Role
from barl.errors import InputError
from barl.imaging.annotations import load_annotation
from barl.inference.batch import Job, segment
from barl.inference.predictor import Predictor
from barl.inference.regions import Mask
from barl.training.preparation import without_path
from barl.training.reporter import Reporter


def predict_cases(predictor: Predictor, cohort: Cohort, folder: Path, reporter: Reporter) -> None:
    """Predict what nobody has fully annotated, and the validation cases.

    Raises:
        StopAskedError: the job is to stop; what is predicted stays.
    """
    cohort.reload()  # Roles may have changed while it trained.
    jobs = [
        Job(
            case=case.id,
            image=cohort.image_path(case.id),
            known=partial(_annotated, cohort, cohort.annotation(case.id), reporter),
        )
        for case in cohort.cases
        if case.role is not Role.EXCLUDED
        and (case.role is Role.VALIDATION or cohort.state(case.id) not in (CaseState.ANNOTATED, CaseState.ACCEPTED))
    ]
    for outcome in segment(predictor, jobs, folder, on_progress=lambda share, _: reporter.stage("predicting", share)):
        message = without_path(outcome.message, outcome.image)
        reporter.prediction(
            case=outcome.case, state=outcome.state, message=message, mean_uncertainty=outcome.mean_uncertainty
        )
        if outcome.state == "failed":
            reporter.warning(f"Case {outcome.case} could not be predicted: {message}", case=outcome.case)


def _annotated(cohort: Cohort, version: AnnotationVersion | None, reporter: Reporter) -> Mask | None:
    """Where a person has drawn already: no region asks for a second look there.

    A validation case that is complete has all its regions; they show where the model goes wrong.
    """
    if version is None or version.coverage.kind is CoverageKind.COMPLETE:
        return None
    try:
        known: Mask = load_annotation(cohort, version) != UNKNOWN
    except InputError as error:
        words = without_path(str(error), cohort.image_path(version.case_id))
        reporter.warning(
            f"Case {version.case_id}: annotation {version.number} cannot be read, so regions may be proposed where it "
            f"has answered already: {words}",
            case=version.case_id,
        )
        return None
    return known
