"""What a training starts from: a cohort without errors, its cases prepared and placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from barl.cohort import Cohort, CoverageKind, Role
from barl.errors import CohortError, ImageError, OutOfMemoryError, SettingsError
from barl.imaging.audit import Finding, audit
from barl.imaging.cache import PreparedCache
from barl.imaging.sound_images import remember_sound, sound_cases
from barl.imaging.volumes import read_geometry
from barl.inference.devices import Precision, choose_device, choose_precision
from barl.inference.model_folder import read_card
from barl.methods.factory import make_method
from barl.methods.protocol import Method
from barl.training.cases import RoundData, read_case
from barl.training.job import TrainingJob, model_of_round
from barl.training.memory import SMALLEST_PATCH, Step, memory_limit_bytes
from barl.training.plan import Plan, make_plan, step_bytes
from barl.training.reporter import Reporter
from barl.training.resident import choose_store, total_bytes
from barl.training.validation import known_share

IN_THE_AIR = (
    "Case {case}: its annotation lies wholly in the air around the body, which is cut away, so the case counts as not "
    "annotated. Draw inside the body too."
)
_TOLD_ERRORS = 10


def refuse_before_round(cohort: Cohort, job: TrainingJob, progress: Callable[[int, int], None]) -> None:
    """Look for errors before there is a round, so that they leave no failed one behind; the round tells the warnings.

    Images in which nothing was found are not read again to check them.

    Args:
        cohort: what is to be trained on.
        job: the wish.
        progress: called with (cases done, cases in all) after each case.

    Raises:
        CohortError: with the errors in words.
        SettingsError: the memory allowed does not hold the smallest patch.
        OutOfMemoryError: the free memory does not.
    """
    findings = audit(cohort, known_good=_known_good(cohort), progress=progress)
    _refuse(findings, cohort)
    told = {finding.case_id for finding in findings}
    remember_sound(cohort, [case.id for case in cohort.cases if case.role is not Role.EXCLUDED and case.id not in told])
    _refuse_too_little_memory(cohort, job)


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


def fitting_plan(
    cohort: Cohort, job: TrainingJob, method: Method[Any], device: torch.device, precision: Precision
) -> Plan:
    """The plan of a new round; raises as :func:`barl.training.plan.make_plan`."""
    cases = [case for case in cohort.cases if case.role is not Role.EXCLUDED]
    return make_plan(
        job,
        cohort,
        [read_geometry(cohort.image_path(case.id)) for case in cases],
        device=device,
        precision=precision,
        networks=method.num_branches,
        needs_unlabeled=method.needs_unlabeled,
        before=None if job.from_round is None else read_card(model_of_round(cohort, job.from_round)),
    )


def _refuse_too_little_memory(cohort: Cohort, job: TrainingJob) -> None:
    device = choose_device(job.device)
    if device.type == "cuda" and job.memory_gib is None:
        return  # To ask a graphics card what is free takes some of it, for as long as this program runs.
    method = make_method(job.method, job.method_settings(), job.network())
    training, exact = job.training(), Precision(bf16=False, channels_last=False)
    patches = training.labeled_patches + (training.unlabeled_patches if method.needs_unlabeled else 0)
    most = Step(patches=patches, networks=method.num_branches, precision=exact).training_bytes(SMALLEST_PATCH)
    if most <= memory_limit_bytes(job.memory_gib, device):
        return  # Without reading the grid of every image, which takes long for many DICOM folders.
    try:
        fitting_plan(cohort, job, method, device, exact)
    except (SettingsError, OutOfMemoryError):
        if job.precision == "fp32":
            raise
        # Timing the precisions takes a second: only where the answer hangs on it.
        fitting_plan(cohort, job, method, device, choose_precision(device, job.precision))


def _known_good(cohort: Cohort) -> set[str]:
    """What was checked or prepared before; with an image missing, the audit tells which."""
    try:
        return sound_cases(cohort)
    except ImageError:
        return set()


def _told(finding: Finding, cohort: Cohort) -> str:
    words = f"{finding.message} {finding.advice}"
    if finding.case_id is None:
        return words
    whose = f"Case {finding.case_id}: "
    return whose + without_path(words.removeprefix(whose), cohort.image_path(finding.case_id))


def without_path(words: str, image: Path) -> str:
    """A message for logs and events: a file's path may hold a patient's name, the case id does not."""
    return words.replace(str(image), "its image")


def prepare(cohort: Cohort, plan: Plan, networks: int, device: torch.device, reporter: Reporter) -> RoundData:
    """Read, prepare and place all cases; what the cache holds already costs nothing.

    Raises:
        CohortError: there is no annotated training case.
    """
    cache = PreparedCache(cohort, plan.recipe)
    cases = [case for case in cohort.cases if case.role is not Role.EXCLUDED]
    reads = []
    for index, case in enumerate(cases):
        reporter.stage("preparing", index / len(cases))
        read = read_case(cache, case, cohort.annotation(case.id))
        if read.lies_in_the_air:
            reporter.warning(IN_THE_AIR.format(case=case.id), case=case.id)
        reads.append(read)
    data = RoundData(store=choose_store(sum(read.image.nbytes for read in reads), step_bytes(plan, networks), device))
    for read in reads:
        data.put(read)
    refuse_nothing_annotated(data, cohort)
    reporter.log(_summary(data))
    return data


def refuse_nothing_annotated(data: RoundData, cohort: Cohort, way_on: str = "") -> None:
    """A training needs something to learn from.

    Args:
        data: of the round.
        cohort: for the message.
        way_on: how it goes on after that; a sentence for the end of the message.

    Raises:
        CohortError: there is no annotated training case.
    """
    if not data.labeled:
        words = "has no annotated training case. Annotate at least one, or import a label file."
        raise CohortError(f"Cohort {cohort.name} {words} {way_on}".rstrip())


def _summary(data: RoundData) -> str:
    labeled, unlabeled, validation = data.labeled, data.unlabeled, data.validation
    gib = total_bytes(data.residents) / 2**30
    known = known_share([case.label for case in validation])
    return (
        f"{len(labeled)} annotated{_partly(data)}, {len(unlabeled) - len(labeled)} without annotation, "
        f"{len(validation)} for validation{'' if known == 1 else f' ({known:.2%} of their voxels known)'}; "
        f"{gib:.2f} GiB of voxels kept on {data.store}."
    )


def _partly(data: RoundData) -> str:
    """How many of the annotated training cases are annotated in part."""
    kinds = Counter(
        case.version.coverage.kind.value
        for case in data.cases.values()
        if case.version is not None and case.resident is not None and case.resident.label is not None
    )
    counts = [f"{kinds[kind.value]} by {kind.value}" for kind in (CoverageKind.SLICES, CoverageKind.SCRIBBLES)]
    told = [count for count in counts if not count.startswith("0 ")]
    return f" ({', '.join(told)})" if told else ""
