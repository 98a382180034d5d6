"""Corrections: a segmentation node becomes the next annotation version, and what is not saved yet survives a crash."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import slicer
import vtk

from barl.cohort import AnnotationVersion, Cohort, Coverage, CoverageKind
from barl.errors import CohortError, ImageError, InputError
from barl.imaging import Geometry, read_geometry, save_annotation
from barl.imaging.annotations import known_voxels
from BARLSegmentLib.logic.CaseNodes import IMAGE, SEGMENTATION, CaseTag, removeWithDisplay, taggedNodes, tagNode, tagOf
from BARLSegmentLib.logic.CohortLogic import versionOf
from BARLSegmentLib.logic.Drafts import Draft, Drafts, abandonedDrafts, newSession, removeDraft
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.Questions import EmptyClassesQuestion
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


@dataclass(frozen=True, kw_only=True)
class _Work:
    """A segmentation that is being corrected."""

    node: Node
    cohort: Cohort
    tag: CaseTag
    session: str
    """Names its drafts."""

    coverage: Coverage
    draftDue: float
    """When the next draft is written, in the clock's seconds."""

    lastTick: float
    unsaved: bool = False
    undrafted: bool = False


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
        self._clock = clock
        self._autosaveSeconds = autosaveSeconds
        self._drafts = Drafts(clock=clock)
        self._work: dict[str, _Work] = {}
        self._observations: list[tuple[Any, int]] = []
        self.author = author
        self.events: Observers[CorrectionEvent] = Observers()
        self._observe(scene, slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._onNodeGoes)
        self._observe(scene, slicer.vtkMRMLScene.StartCloseEvent, lambda node: self._draftAll())

    def cleanup(self) -> None:
        """Write drafts of all that is not saved, and stop looking at scene and nodes."""
        self._draftAll()
        for subject, observation in self._observations:
            subject.RemoveObserver(observation)
        self._observations.clear()
        self._work.clear()

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
        if segmentationNode.GetID() in self._work:
            return
        now = self._clock()
        self._work[segmentationNode.GetID()] = _Work(
            node=segmentationNode,
            cohort=cohort,
            tag=tag,
            session=newSession(),
            coverage=coverage or Coverage(),
            draftDue=now + self._autosaveSeconds,
            lastTick=now,
        )
        nodeId = segmentationNode.GetID()
        segmentation = slicer.vtkSegmentation
        for event in (
            segmentation.SourceRepresentationModified,
            segmentation.SegmentAdded,
            segmentation.SegmentRemoved,
            segmentation.SegmentModified,
            slicer.vtkMRMLSegmentationNode.SegmentationChangedEvent,
        ):
            # The node tells its segmentation's events on, also when it gets another one.
            self._observe(segmentationNode, event, lambda subject: self._onChanged(nodeId))

    def setCoverage(self, segmentationNode: Node, coverage: Coverage) -> None:
        """Say what a watched segmentation tells about; its next draft remembers."""
        self._change(segmentationNode.GetID(), coverage=coverage)

    def hasUnsavedChanges(self, segmentationNode: Node) -> bool:
        """Whether a watched segmentation was changed since it was loaded or saved."""
        work = self._work.get(segmentationNode.GetID())
        return work is not None and work.unsaved

    def tick(self) -> None:
        """Write the drafts that are due; call it every few seconds. One that fails is told to the observers."""
        now = self._clock()
        for nodeId, work in tuple(self._work.items()):
            # A clock that was set back would else put the next draft off by hours.
            due = work.undrafted and (now >= work.draftDue or now < work.lastTick)
            self._change(nodeId, lastTick=now)
            if due:
                self._draft(nodeId)

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
            CohortError: the node belongs to no case of this cohort.
            LockedError: another process is writing the cohort.
            StorageError: the folder cannot be written, or the disk is full; nothing was changed.
        """
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
        self._afterSaving(cohort, segmentationNode, tag, version, coverage)
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
        return abandonedDrafts(cohort, caseId, atWork={work.session for work in self._work.values()})

    def openDraft(self, cohort: Cohort, draft: Draft, volumeNode: Node) -> Node:
        """Bring a draft into the scene as a new segmentation of its case, watched and unsaved.

        The case's other segmentation leaves the scene; what was unsaved there is a draft by then. The work goes on as
        this program's own draft, and the old file goes once that is written.

        Raises:
            LabelError: the draft cannot be read.
        """
        node = addSegmentationFromFile(self._scene, f"{draft.caseId} draft", draft.path, cohort.labels, volumeNode)
        for other in taggedNodes(self._scene, cohort.folder, draft.caseId, SEGMENTATION):
            self._draftIfWatched(other)
            self._forget(other.GetID())
            removeWithDisplay(self._scene, other)
        tag = CaseTag(
            cohort=cohort.folder,
            caseId=draft.caseId,
            part=SEGMENTATION,
            parent=draft.parent,
            fromPrediction=draft.fromPrediction,
        )
        tagNode(node, tag)
        self.watch(cohort, node, coverage=draft.coverage)
        self._change(node.GetID(), unsaved=True, undrafted=True)
        self._draft(node.GetID())
        if not self._work[node.GetID()].undrafted:
            removeDraft(draft.path)
        return node

    def dropDraft(self, draft: Draft) -> None:
        """Delete a draft that nobody wants; raises StorageError when the folder cannot be written."""
        removeDraft(draft.path)

    def _afterSaving(
        self, cohort: Cohort, node: Node, tag: CaseTag, version: AnnotationVersion, coverage: Coverage
    ) -> None:
        saved = replace(tag, parent=version.number, fromPrediction=None)
        tagNode(node, saved)
        self._change(node.GetID(), tag=saved, coverage=coverage, unsaved=False, undrafted=False)
        work = self._work.get(node.GetID())
        try:
            if work is not None:
                self._drafts.discard(cohort, tag.caseId, work.session)
        except InputError as error:  # The version is safe; a draft that stays is offered once more.
            self.events.notify(CorrectionEvent(kind="draft failed", caseId=tag.caseId, message=str(error)))
        self.events.notify(CorrectionEvent(kind="saved", caseId=tag.caseId, message=f"Version {version.number} saved."))

    def _draftAll(self) -> None:
        for nodeId in tuple(self._work):
            if self._work[nodeId].undrafted:
                self._draft(nodeId)

    def _draftIfWatched(self, node: Node) -> None:
        work = self._work.get(node.GetID())
        if work is not None and work.undrafted:
            self._draft(node.GetID())

    def _draft(self, nodeId: str) -> None:
        """Write one draft; drawing must go on when that fails, so the observers are told."""
        work = self._work[nodeId]
        self._change(nodeId, draftDue=self._clock() + self._autosaveSeconds)
        try:
            self._drafts.write(
                work.cohort,
                work.tag.caseId,
                work.node,
                session=work.session,
                author=self.author,
                coverage=work.coverage,
                parent=work.tag.parent,
                fromPrediction=work.tag.fromPrediction,
            )
        except InputError as error:
            self.events.notify(CorrectionEvent(kind="draft failed", caseId=work.tag.caseId, message=str(error)))
            return
        self._change(nodeId, undrafted=False)
        self.events.notify(CorrectionEvent(kind="draft", caseId=work.tag.caseId))

    def _change(self, nodeId: str, **values: Any) -> None:
        if nodeId in self._work:
            self._work[nodeId] = replace(self._work[nodeId], **values)

    def _onChanged(self, nodeId: str) -> None:
        self._change(nodeId, unsaved=True, undrafted=True)

    def _onNodeGoes(self, node: Node) -> None:
        if node is None or node.GetID() not in self._work:
            return
        self._draftIfWatched(node)
        self._forget(node.GetID())

    def _forget(self, nodeId: str) -> None:
        work = self._work.pop(nodeId, None)
        if work is None:
            return
        gone = [pair for pair in self._observations if pair[0] is work.node]
        for subject, observation in gone:
            subject.RemoveObserver(observation)
        self._observations = [pair for pair in self._observations if pair not in gone]

    def _observe(self, subject: Any, event: int, function: Callable[[Any], None]) -> None:
        @vtk.calldata_type(vtk.VTK_OBJECT)  # type: ignore[untyped-decorator]
        def observeNode(caller: object, name: str, node: Any) -> None:
            function(node)

        def observe(caller: object, name: str) -> None:
            function(None)

        # Only the scene's events carry a node; a segmentation's carry texts.
        callback = observeNode if subject is self._scene else observe
        self._observations.append((subject, subject.AddObserver(event, callback)))


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
