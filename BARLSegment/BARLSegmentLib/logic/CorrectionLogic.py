"""Corrections: a segmentation node becomes the next annotation version, and what is not saved yet survives a crash."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from barl.cohort import AnnotationVersion, Cohort, Coverage, CoverageKind
from barl.errors import CohortError, ImageError, InputError
from barl.imaging import Geometry, read_geometry, save_annotation
from barl.imaging.annotations import known_voxels
from BARLSegmentLib.logic.Autosave import Autosave
from BARLSegmentLib.logic.CaseNodes import IMAGE, SEGMENTATION, CaseTag, taggedNodes, tagNode, tagOf
from BARLSegmentLib.logic.CohortLogic import versionOf
from BARLSegmentLib.logic.Drafts import Draft, abandonedDrafts, removeDraft
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.Questions import EmptyClassesQuestion
from BARLSegmentLib.logic.SceneEvents import removeWithParts
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.logic.SegmentationArrays import Labels, paintedLabels
from BARLSegmentLib.logic.SegmentationNodes import addSegmentationFromFile
from BARLSegmentLib.logic.VolumeNodes import geometryOf

AUTOSAVE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class CorrectionEvent:
    """Something that happened to the work on a case."""

    kind: Literal["saved", "draft", "draft failed", "restored"]
    caseId: str
    message: str = ""
    """For people; of a draft that failed, why."""


class CorrectionLogic:
    """Saves corrections, keeps drafts of what is not saved, and knows the versions there are.

    Args:
        scene: where the segmentations are.
        author: who draws, as a name or initials.
        clock: seconds since 1970.
        autosaveSeconds: how much work a crash may cost.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        author: str,
        clock: Callable[[], float] = time.time,
        autosaveSeconds: float = AUTOSAVE_SECONDS,
    ) -> None:
        self._scene = scene
        self.author = author
        self.events: Observers[CorrectionEvent] = Observers()
        self._autosave = Autosave(
            scene, author=lambda: self.author, clock=clock, seconds=autosaveSeconds, onDraft=self._onDraft
        )

    def cleanup(self) -> None:
        """Write drafts of all that is not saved, and stop looking at scene and nodes."""
        self._autosave.cleanup()

    def watch(self, cohort: Cohort, segmentationNode: Node, *, coverage: Coverage | None = None) -> None:
        """Keep drafts of a case's segmentation from now on.

        Args:
            cohort: the case's cohort.
            segmentationNode: was loaded by ``CohortLogic.loadCase``.
            coverage: what the drawing will tell about, as the user has chosen it.

        Raises:
            CohortError: the node belongs to no case of this cohort.
        """
        tag = _tagOfCase(cohort, segmentationNode)
        self._autosave.watch(cohort, segmentationNode, tag, coverage or Coverage())

    def setCoverage(self, segmentationNode: Node, coverage: Coverage) -> None:
        """Say what a watched segmentation tells about; its next draft remembers."""
        self._autosave.setCoverage(segmentationNode, coverage)

    def hasUnsavedChanges(self, segmentationNode: Node) -> bool:
        """Whether a watched segmentation was changed since it was loaded or saved."""
        return self._autosave.isUnsaved(segmentationNode)

    def tick(self) -> bool:
        """Begin the drafts that are due, and bring those on their way a step on; call it every few seconds.

        A step takes some milliseconds, for a thread does the writing. A draft that fails is told to the observers.

        Returns:
            Whether drafts are on their way: then call it again soon.
        """
        return self._autosave.tick()

    def secure(self, node: Node) -> None:
        """Write a draft of what a watched segmentation has unsaved: to be called before it is removed.

        Raises:
            InputError: it cannot be written; do not remove the segmentation.
        """
        self._autosave.secure(node)

    def saveVersion(
        self,
        cohort: Cohort,
        segmentationNode: Node,
        *,
        coverage: Coverage,
        source: str = "drawn",
        note: str = "",
        allowEmpty: bool = False,
        resample: bool = False,
        harden: bool = False,
    ) -> AnnotationVersion:
        """Save a case's segmentation as the next annotation version; the node only gets a note of the version.

        Args:
            cohort: the case's cohort.
            segmentationNode: was loaded by ``CohortLogic.loadCase``.
            coverage: which voxels the drawing tells about.
            source: ``drawn``, or ``accepted`` for a prediction that was found right.
            note: anything worth remembering.
            allowEmpty: the user has said that structures without a voxel are not in this image.
            resample: the user wants a segmentation of another grid brought onto the image's.
            harden: the user wants a segmentation under a transform saved where it is shown.

        Raises:
            Question: only the user can decide; nothing was changed. Its ``option`` names the argument to go on with.
            OverlappingSegmentsError: segments overlap; it says where.
            LabelError: a name outside the label table, nothing drawn, or not what the coverage says.
            ImageError: the case's image cannot be read, or the volume in the scene is no longer where it was.
            CohortError: the node belongs to no case of this cohort, or the case was taken out of it meanwhile.
            LockedError: another process is writing the cohort.
            StorageError: the folder cannot be written, or the disk is full; nothing was changed.
        """
        cohort.reload()
        tag = _tagOfCase(cohort, segmentationNode)
        volumeNode = next(iter(taggedNodes(self._scene, cohort.folder, tag.caseId, IMAGE)), None)
        image = read_geometry(cohort.image_path(tag.caseId))
        _refuseMoved(volumeNode, image, tag.caseId)
        painted = paintedLabels(
            segmentationNode,
            volumeNode,
            image,
            cohort.labels,
            caseId=tag.caseId,
            coverage=coverage,
            resample=resample,
            harden=harden,
        )
        if not allowEmpty:
            _askForEmptyClasses(cohort, tag.caseId, painted, coverage)
        version = save_annotation(
            cohort,
            tag.caseId,
            known_voxels(painted, coverage),
            coverage=coverage,
            author=self.author,
            source=source,
            from_prediction=tag.fromPrediction,
            parent=tag.parent,
            note=note,
        )
        self._afterSaving(segmentationNode, tag, version, coverage)
        return version

    def history(self, cohort: Cohort, caseId: str) -> tuple[AnnotationVersion, ...]:
        """All versions of a case with who and when, the newest first; raises as ``Cohort.annotations`` does."""
        return tuple(reversed(cohort.annotations(caseId)))

    def restoreVersion(self, cohort: Cohort, caseId: str, number: int) -> AnnotationVersion:
        """Make an earlier version the newest one again, as a copy; those in between stay.

        Raises:
            CohortError: no such case or version, or its file is gone.
            StorageError: the folder cannot be written, or the disk is full; nothing was changed.
        """
        old = versionOf(cohort, caseId, number)
        if not old.path.is_file():
            raise CohortError(f"Case {caseId}: the file of version {number} is gone. Choose another version.")
        version = cohort.add_annotation(
            caseId,
            lambda path: _copy(old.path, path),
            coverage=old.coverage,
            author=self.author,
            source=old.source,
            parent=number,
            from_prediction=old.from_prediction,
            note=f"Version {number} of {old.author} restored.",
        )
        self.events.notify(CorrectionEvent(kind="restored", caseId=caseId, message=version.note))
        return version

    def abandonedDrafts(self, cohort: Cohort, caseId: str | None = None) -> tuple[Draft, ...]:
        """Unsaved work whose program has ended or whose segmentation left the scene, newest first: to be offered."""
        return abandonedDrafts(cohort, caseId, atWork=self._autosave.sessions)

    def openDraft(self, cohort: Cohort, draft: Draft, volumeNode: Node) -> Node:
        """Bring a draft into the scene as a new segmentation of its case, watched and unsaved.

        The case's other segmentation leaves the scene; what was unsaved there is a draft by then. The work goes on as
        this program's own draft, and the old file goes once that is written.

        Raises:
            LabelError: the draft cannot be read.
            InputError: what is unsaved in the case's segmentation cannot be written as a draft; nothing was changed.
        """
        others = taggedNodes(self._scene, cohort.folder, draft.caseId, SEGMENTATION)
        for other in others:
            self.secure(other)
        node = addSegmentationFromFile(self._scene, f"{draft.caseId} draft", draft.path, cohort.labels, volumeNode)
        for other in others:
            removeWithParts(self._scene, other)
        tag = CaseTag(
            cohort=cohort.folder,
            caseId=draft.caseId,
            part=SEGMENTATION,
            parent=draft.parent,
            fromPrediction=draft.fromPrediction,
        )
        tagNode(node, tag)
        self.watch(cohort, node, coverage=draft.coverage)
        self._autosave.markUnsaved(node)
        try:
            self.secure(node)
            removeDraft(draft.path)
        except InputError as error:  # The old file stays then.
            self._onDraft(draft.caseId, str(error))
        return node

    def dropDraft(self, draft: Draft) -> None:
        """Delete a draft that nobody wants; raises StorageError when the folder cannot be written."""
        removeDraft(draft.path)

    def _afterSaving(self, node: Node, tag: CaseTag, version: AnnotationVersion, coverage: Coverage) -> None:
        saved = replace(tag, parent=version.number, fromPrediction=None)
        tagNode(node, saved)
        try:
            self._autosave.saved(node, saved, coverage)
        except InputError as error:  # The version is safe; a draft that stays is offered once more.
            self._onDraft(tag.caseId, str(error))
        self.events.notify(CorrectionEvent(kind="saved", caseId=tag.caseId, message=f"Version {version.number} saved."))

    def _onDraft(self, caseId: str, problem: str | None) -> None:
        kind: Literal["draft", "draft failed"] = "draft" if problem is None else "draft failed"
        self.events.notify(CorrectionEvent(kind=kind, caseId=caseId, message=problem or ""))


def _tagOfCase(cohort: Cohort, node: Node) -> CaseTag:
    tag = tagOf(node)
    if tag is None or tag.part != SEGMENTATION or tag.cohort != cohort.folder:
        raise CohortError(
            f"The segmentation {node.GetName()} belongs to no case of the cohort {cohort.name}. Load the case first, "
            "and correct the segmentation that comes with it."
        )
    cohort.case(tag.caseId)
    return tag


def _refuseMoved(volumeNode: Node | None, image: Geometry, caseId: str) -> None:
    """What is drawn on a volume that was moved in the scene would land elsewhere in the file."""
    if volumeNode is None or volumeNode.GetImageData() is None:
        return
    difference = geometryOf(volumeNode).difference_from(image)
    if difference:
        raise ImageError(
            f"Case {caseId}: the volume {volumeNode.GetName()} in the scene no longer lies where its file says: "
            f"{difference}. Undo that change of the volume (Volumes module, or harden its transform backwards), or "
            "load the case again."
        )


def _askForEmptyClasses(cohort: Cohort, caseId: str, painted: Labels, coverage: Coverage) -> None:
    if coverage.kind is CoverageKind.SCRIBBLES:
        return
    counts = sum((np.bincount(plane.ravel(), minlength=256) for plane in painted), np.zeros(256, np.intp))
    empty = tuple(label.name for label in cohort.labels.labels if not counts[label.value])
    if empty:
        raise EmptyClassesQuestion(caseId, empty)


def _copy(old: Path, path: Path) -> None:
    """As a writer of a version, which gives nothing back."""
    shutil.copyfile(old, path)
