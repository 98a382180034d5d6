"""What a training starts from: a cohort without errors, its cases prepared and placed.

Shapes: C channels, D H W voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from barl.cohort import UNKNOWN, Cohort, Role
from barl.errors import CohortError, ImageError
from barl.imaging.audit import Finding, audit
from barl.imaging.cache import PreparedCache, prepared_cases
from barl.training.plan import Plan, step_bytes
from barl.training.reporter import Reporter
from barl.training.resident import ResidentCase, choose_store, labeled_case, total_bytes, unlabeled_case
from barl.training.validation import ValidationCase

_TOLD_ERRORS = 10


@dataclass(frozen=True, kw_only=True)
class RoundData:
    """The prepared cases by what they are for."""

    labeled: list[ResidentCase]
    unlabeled: list[ResidentCase]
    validation: list[ValidationCase]


def refuse_before_round(cohort: Cohort, progress: Callable[[int, int], None]) -> None:
    """Look for errors before there is a round, so that they leave no failed one behind; the round tells the warnings.

    Args:
        progress: called with (cases done, cases in all) after each case.

    Raises:
        CohortError: with the errors in words.
    """
    _refuse(audit(cohort, known_good=_known_good(cohort), progress=progress), cohort)


def refuse_errors(cohort: Cohort, reporter: Reporter) -> None:
    """No training starts on an error, also when the cohort has changed since the round was made; warnings are told.

    Raises:
        CohortError: with the errors in words.
    """
    findings = audit(
        cohort,
        known_good=_known_good(cohort),
        progress=lambda done, total: reporter.stage("checking", done / max(1, total)),
    )
    for finding in findings:
        if finding.severity != "error":
            reporter.warning(_told(finding, cohort), case=finding.case_id)
    _refuse(findings, cohort)


def _refuse(findings: Sequence[Finding], cohort: Cohort) -> None:
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        told = "\n".join(_told(finding, cohort) for finding in errors[:_TOLD_ERRORS])
        left = len(errors) - _TOLD_ERRORS
        more = f"\nand {left} more, which an audit of the cohort lists." if left > 0 else ""
        raise CohortError(f"The cohort has {len(errors)} error(s) that must be mended before training:\n{told}{more}")


def _known_good(cohort: Cohort) -> set[str]:
    """What an earlier round has prepared; with an image missing, the audit tells which."""
    try:
        return prepared_cases(cohort)
    except ImageError:
        return set()


def _told(finding: Finding, cohort: Cohort) -> str:
    words = f"{finding.message} {finding.advice}"
    if finding.case_id is None:
        return words
    return f"Case {finding.case_id}: {without_path(words, cohort.image_path(finding.case_id))}"


def without_path(words: str, image: Path) -> str:
    """A message for logs and events: a file's path may hold a patient's name, the case id does not."""
    return words.replace(str(image), "its image")


def prepare(cohort: Cohort, plan: Plan, networks: int, device: torch.device, reporter: Reporter) -> RoundData:
    """Read, prepare and place all cases; what the cache holds already costs nothing.

    Raises:
        CohortError: there is no annotated training case.
    """
    cache = PreparedCache(cohort, plan.recipe)
    data = RoundData(labeled=[], unlabeled=[], validation=[])
    cases = [case for case in cohort.cases if case.role is not Role.EXCLUDED]
    arrays = []
    for index, case in enumerate(cases):
        reporter.stage("preparing", index / len(cases))
        version = cohort.annotation(case.id)
        label = cache.labels(version) if version is not None else None
        if label is not None and (label == UNKNOWN).all():
            reporter.warning(
                f"Case {case.id}: its annotation lies wholly in the air around the body, which is cut away, so the "
                "case counts as not annotated. Draw inside the body too.",
                case=case.id,
            )
            label = None
        arrays.append((cache.image(case.id)[0], label))
    store = choose_store(sum(image.nbytes for image, _ in arrays), step_bytes(plan, networks), device)
    for case, (image, label) in zip(cases, arrays, strict=True):
        if case.role is Role.VALIDATION:
            if label is not None:
                data.validation.append(ValidationCase(case_id=case.id, image=image, label=label))
        elif label is not None:
            data.labeled.append(labeled_case(case.id, image, label, store))
            data.unlabeled.append(ResidentCase(case_id=case.id, image=data.labeled[-1].image))
        else:
            data.unlabeled.append(unlabeled_case(case.id, image, store))
    if not data.labeled:
        raise CohortError(
            f"Cohort {cohort.name} has no annotated training case. Annotate at least one, or import a label file."
        )
    gib = total_bytes([*data.labeled, *data.unlabeled]) / 2**30
    reporter.log(
        f"{len(data.labeled)} annotated, {len(data.unlabeled) - len(data.labeled)} without annotation, "
        f"{len(data.validation)} for validation; {gib:.2f} GiB of voxels kept on {store}."
    )
    return data
