"""A prediction found right becomes an annotation version that says so; and the way back."""

from __future__ import annotations

import shutil
from pathlib import Path

from barl.atomic import storage_errors
from barl.cohort import AnnotationVersion, Cohort, Coverage, folder_lock
from barl.errors import CohortError
from BARLSegmentLib.logic.ResultLogic import ShownPrediction

SOURCE = "accepted"


def acceptPrediction(cohort: Cohort, shown: ShownPrediction, author: str) -> AnnotationVersion:
    """Add a version with the very file of the prediction, complete, with the source ``accepted``.

    Args:
        cohort: where the case is.
        shown: what the person has looked at.
        author: who accepts it.

    Raises:
        CohortError: the case or the prediction is not there any more, it was predicted anew, or the segmentation was
            changed since it came into the scene.
        LabelError: the prediction has a structure that the cohort's label table does not know.
        LockedError: another process is writing the cohort.
        StorageError: the cohort cannot be written, or the disk is full.
    """
    cohort.reload()
    cohort.case(shown.caseId)
    _refuseChanged(shown)
    segmentation = shown.segmentationNode.GetSegmentation()
    for name in segmentation.GetSegmentIDs():
        cohort.labels.by_name(segmentation.GetSegment(name).GetName())

    def copy(path: Path) -> None:
        shutil.copyfile(shown.files.segmentation, path)

    return cohort.add_annotation(
        shown.caseId,
        copy,
        coverage=Coverage(),
        author=author,
        source=SOURCE,
        from_prediction=_noted(shown.files.segmentation, cohort.folder),
    )


def withdrawAcceptance(cohort: Cohort, version: AnnotationVersion) -> None:
    """Take an acceptance back: the version's sidecar is renamed, so that it is no version any more.

    Its segmentation stays as ``0003.seg.nrrd`` and its sidecar as ``0003.withdrawn.json``; the number is not given
    again, and the version before is the newest one. Nothing that was drawn can be taken back in this way.

    Raises:
        CohortError: it was not an acceptance, or a newer version has been saved since.
        LockedError: another process is writing the cohort.
        StorageError: the cohort cannot be written.
    """
    sidecar = version.path.with_name(version.path.name.replace(".seg.nrrd", ".json"))
    with folder_lock(cohort.folder, what="withdrawing an acceptance"):
        newest = cohort.annotation(version.case_id)
        if newest != version or newest.source != SOURCE:
            raise CohortError(
                f"Case {version.case_id}: the acceptance cannot be taken back, because another version has been saved "
                "since. Nothing was changed. Restore an earlier version from the history instead."
            )
        with storage_errors(sidecar):
            sidecar.replace(sidecar.with_name(f"{sidecar.stem}.withdrawn.json"))


def _refuseChanged(shown: ShownPrediction) -> None:
    caseId = shown.caseId
    if shown.files.fingerprint() != shown.fingerprint:
        raise CohortError(
            f"Case {caseId} was predicted anew since it came into the scene. Nothing was changed. "
            "Load the case again and look at the new prediction."
        )
    if shown.isChanged:
        raise CohortError(
            f"Case {caseId}: the segmentation was changed since it came into the scene, so it is no longer the "
            "prediction. Nothing was changed in the cohort. Save it as a correction instead."
        )


def _noted(path: Path, folder: Path) -> str:
    """How a sidecar names the prediction: relative inside the cohort, absolute elsewhere."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
