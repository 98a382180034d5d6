"""The cohort and the scene: made, opened, listed; a case shown, and the scene brought back to what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from barl.cohort import AnnotationVersion, Case, Cohort, LabelTable, Modality, Role
from barl.errors import CohortError, InputError, LabelError
from barl.imaging import read_volume
from barl.imaging.seg_nrrd import Layers, read_layers
from BARLSegmentLib.logic.CaseNodes import IMAGE, SEGMENTATION, CaseTag, taggedNodes, tagNode, tagOf, untagNode
from BARLSegmentLib.logic.CaseStart import LoadedCase, Start, StartingPoint, bestStart, predictionStart
from BARLSegmentLib.logic.CaseTable import CaseRow, Ranking, eachRow, rankingOfNewestRound
from BARLSegmentLib.logic.NewCohort import cohortFromVolumes, idsFor
from BARLSegmentLib.logic.NewCohortFiles import cohortFromFolder
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.SceneEvents import SceneEvents, removeWithParts
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.logic.SegmentationNodes import addEmptySegmentation, addSegmentation, addSegmentationFromFile
from BARLSegmentLib.logic.ShownLayers import ShownLayers, showAgain, shownLayers, showVolume, viewsThatShow
from BARLSegmentLib.logic.VolumeNodes import addVolumeNode


@dataclass(frozen=True, kw_only=True)
class CohortEvent:
    """Something that happened to the cohort or its cases in the scene."""

    kind: Literal["opened", "closed", "changed", "loaded", "unloaded", "lost"]
    """``lost``: somebody else removed a case's node."""

    caseId: str | None = None


class CohortLogic:
    """One cohort at a time, in one scene.

    Nodes that the user had loaded are never renamed or removed. What the slice views showed comes back, except in
    views where the user has chosen another volume in the meantime.

    Args:
        scene: the scene to show cases in.
        ranking: which cases want a look first; by default what the newest round left.
        beforeRemoval: called with each node before any is removed, such as ``CorrectionLogic.secure``; when it raises,
            all stay.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        ranking: Ranking = rankingOfNewestRound,
        beforeRemoval: Callable[[Node], None] = lambda node: None,
    ) -> None:
        self._scene = scene
        self._ranking = ranking
        self._beforeRemoval = beforeRemoval
        self._cohort: Cohort | None = None
        self._before: tuple[ShownLayers, ...] | None = None
        self._removing = False
        self.events: Observers[CohortEvent] = Observers()
        self._events = SceneEvents(scene, nodeRemoved=self._onNodeRemoved, closed=self._onSceneClosed)

    def cleanup(self) -> None:
        """Close the cohort and stop looking at the scene."""
        try:
            self.close()
        finally:
            self._events.stop()

    @property
    def cohort(self) -> Cohort:
        """The open cohort.

        Raises:
            CohortError: none is open.
        """
        if self._cohort is None:
            raise CohortError("No cohort is open. Open a cohort's folder, or create a cohort first.")
        return self._cohort

    @property
    def isOpen(self) -> bool:
        """Whether there is a cohort."""
        return self._cohort is not None

    def open(self, folder: Path | str) -> Cohort:
        """Open a cohort; the one that was open before is closed first.

        Raises:
            CohortError: there is none in the folder, or cohort.json is damaged; the open one stays open.
            NewerFormatError: a newer BARL wrote it; the open one stays open.
        """
        return self._switchTo(Cohort.open(Path(folder)))

    def createFromFolder(
        self,
        folder: Path | str,
        images: Path | str,
        *,
        name: str,
        modality: Modality,
        labels: LabelTable,
        copy: bool = False,
        onProgress: Callable[[float, str], None] = lambda share, message: None,
    ) -> Cohort:
        """Make a cohort of all volumes in a folder, and open it.

        Args:
            folder: where the cohort goes; it may exist and hold other things.
            images: the folder with volumes: files, or a folder for each DICOM series.
            name: what people call it.
            modality: how the images were taken.
            labels: the structures to segment.
            copy: copy the images into the cohort; otherwise they must stay where they are.
            onProgress: share done, 0 to 1, and what is being done.

        Raises:
            CohortError: there is a cohort already, or two images would be the same case.
            ImageError: there are no images, or some cannot be read; the message names them, nothing was made.
            StorageError: the folder cannot be written, or the disk is full.
        """
        cohort = cohortFromFolder(
            Path(folder), Path(images), name=name, modality=modality, labels=labels, copy=copy, onProgress=onProgress
        )
        return self._switchTo(cohort)

    def createFromVolumes(
        self,
        folder: Path | str,
        volumeNodes: Sequence[Node],
        *,
        name: str,
        modality: Modality,
        labels: LabelTable,
        caseIds: Sequence[str] | None = None,
    ) -> Cohort:
        """Make a cohort of volumes that are loaded, and open it. The nodes only get a note of which case they are.

        Args:
            folder: where the cohort goes; the voxels are written there.
            volumeNodes: scalar volumes.
            name: what people call it.
            modality: how the images were taken.
            labels: the structures to segment.
            caseIds: an id for each, without patients' names; by default made from the nodes' names.

        Raises:
            CohortError: there is a cohort already, or two volumes would be the same case.
            ImageError: no volumes, or one is under a transform, is no scalar volume, or is sheared.
            StorageError: the folder cannot be written, or the disk is full.
        """
        ids = idsFor(volumeNodes) if caseIds is None else tuple(caseIds)
        cohort = cohortFromVolumes(Path(folder), volumeNodes, ids, name=name, modality=modality, labels=labels)
        self._switchTo(cohort)
        self.lend(dict(zip(ids, volumeNodes, strict=True)))
        return cohort

    def lend(self, volumeNodes: Mapping[str, Node]) -> None:
        """Use volumes that the user has loaded for cases of the open cohort; they get a note of it, and nothing else.

        Args:
            volumeNodes: by case id.

        Raises:
            CohortError: no cohort is open, or it has no such case.
        """
        for caseId, node in volumeNodes.items():
            case = self.cohort.case(caseId)
            tagNode(node, CaseTag(cohort=self.cohort.folder, caseId=case.id, part=IMAGE, lent=True))

    def addCase(self, image: Path | str, *, role: Role = Role.TRAINING, copy: bool = False) -> Case:
        """Add one more image to the open cohort; raises as ``Cohort.add_case`` does."""
        case = self.cohort.add_case(Path(image), role=role, copy=copy)
        self.events.notify(CohortEvent(kind="changed", caseId=case.id))
        return case

    def setRole(self, caseId: str, role: Role) -> None:
        """Say what a case is for; raises as ``Cohort.set_role`` does."""
        self.cohort.set_role(caseId, role)
        self.events.notify(CohortEvent(kind="changed", caseId=caseId))

    def table(self) -> tuple[CaseRow, ...]:
        """The case table as the files are now: what other programs added is there, too.

        Raises:
            CohortError: no cohort is open, its folder is gone, or cohort.json became unreadable.
        """
        return tuple(self.eachRow())

    def eachRow(self) -> Iterator[CaseRow]:
        """The case table a line at a time, for whoever must not wait for all; raises as ``table``."""
        self.requireFolder()
        self.cohort.reload()
        return eachRow(self.cohort, self._ranking)

    def requireFolder(self) -> None:
        """Refuse to take a drive that is gone for a cohort in which nothing was ever drawn.

        Raises:
            CohortError: no cohort is open, or its folder is gone.
        """
        if not self.cohort.folder.is_dir():
            raise CohortError(
                f"{self.cohort.folder} is gone. Check that its drive is connected, or open another cohort."
            )

    def loadCase(self, caseId: str) -> LoadedCase:
        """Bring a case into the scene and show it in the slice views.

        It starts from its newest annotation, else from the newest prediction as a new segmentation, else from empty
        segments with the label table's colors and terminology. What is in the scene already is not loaded again.

        Raises:
            CohortError: no cohort is open, its folder is gone, or it has no such case.
            ImageError: the image cannot be read; the scene is unchanged.
            LabelError: the annotation or prediction cannot be read; the scene is unchanged.
        """
        self.requireFolder()
        start = bestStart(self.cohort, caseId)
        present = self.segmentationNodeOf(caseId)
        tag = tagOf(present) if present is not None else None
        if tag is not None:
            kind = Start.PREDICTION if tag.fromPrediction is not None else start.kind
            start = replace(start, kind=kind)
        return self._load(caseId, start, present)

    def loadPrediction(self, caseId: str) -> LoadedCase:
        """Bring a case with its newest prediction into the scene, to be looked at and corrected; also an annotated one.

        A segmentation of the case that is in the scene leaves it, as from ``unloadCase``; the image stays.

        Raises:
            CohortError: no cohort is open, its folder is gone, it has no such case, or the case is not predicted.
            ImageError: the image cannot be read.
            LabelError: the prediction cannot be read.
            InputError: what is unsaved in the segmentation cannot be kept; the scene is unchanged.
        """
        self.requireFolder()
        start = predictionStart(self.cohort, caseId)
        others = taggedNodes(self._scene, self.cohort.folder, caseId, SEGMENTATION)
        if others:
            self._removeNodes(others, keepLent=True)
            self.events.notify(CohortEvent(kind="unloaded", caseId=caseId))
        try:
            return self._load(caseId, start, None)
        except LabelError as error:
            raise LabelError(f"Case {caseId}: {error} If that does not help, predict the case again.") from error

    def _load(self, caseId: str, start: StartingPoint, present: Node | None) -> LoadedCase:
        """Read what is not there yet, and show it."""
        before, volumeNode = shownLayers(self._scene), self.volumeNodeOf(caseId)
        with self._undoneOnError(), ThreadPoolExecutor(1) as beside:
            # The image takes longest to read; the segmentation is read meanwhile.
            layers = beside.submit(read_layers, start.path) if present is None and start.path is not None else None
            volumeNode = volumeNode or self._addImage(caseId)
            read = layers.result() if layers else None
            node = present or self._addSegmentation(caseId, volumeNode, start, read)
        self._before = before if self._before is None else self._before
        showVolume(self._scene, volumeNode)
        self.events.notify(CohortEvent(kind="loaded", caseId=caseId))
        return LoadedCase(
            caseId=caseId,
            volumeNode=volumeNode,
            segmentationNode=node,
            start=start.kind if present is None else Start.SCENE,
            coverage=start.coverage,
        )

    def loadVersion(self, caseId: str, number: int) -> Node:
        """Bring an earlier annotation version into the scene as a further segmentation, to look at.

        Raises:
            CohortError: no such case or version.
            LabelError: it cannot be read.
        """
        volumeNode = self.volumeNodeOf(caseId) or self.loadCase(caseId).volumeNode
        version = versionOf(self.cohort, caseId, number)
        name = f"{caseId} version {number}"
        return addSegmentationFromFile(self._scene, name, version.path, self.cohort.labels, volumeNode)

    def volumeNodeOf(self, caseId: str) -> Node | None:
        """The node that shows a case's image; None when the case is not in the scene."""
        return next(iter(taggedNodes(self._scene, self.cohort.folder, caseId, IMAGE)), None)

    def segmentationNodeOf(self, caseId: str) -> Node | None:
        """The node in which a case is corrected; None when the case is not in the scene."""
        return next(iter(taggedNodes(self._scene, self.cohort.folder, caseId, SEGMENTATION)), None)

    def loadedCases(self) -> tuple[str, ...]:
        """Ids of the cases that can be corrected in the scene now."""
        nodes = taggedNodes(self._scene, self.cohort.folder, part=SEGMENTATION)
        return tuple(tag.caseId for node in nodes if (tag := tagOf(node)) is not None)

    def unloadCase(self, caseId: str) -> None:
        """Take a case out of the scene; nodes that the user had loaded stay."""
        self._removeNodes(taggedNodes(self._scene, self.cohort.folder, caseId), keepLent=True)
        self.events.notify(CohortEvent(kind="unloaded", caseId=caseId))

    def restoreScene(self) -> None:
        """Take all cases out of the scene and show what was shown before the first one came."""
        nodes = [] if self._cohort is None else taggedNodes(self._scene, self._cohort.folder)
        ours = viewsThatShow(self._scene, [node.GetID() for node in nodes])
        self._removeNodes(nodes, keepLent=False)
        showAgain(self._scene, [shown for shown in self._before or () if shown.view in ours])
        self._before = None

    def close(self) -> None:
        """Close the cohort; the scene is as it was before its first case was loaded."""
        if self._cohort is None:
            return
        self.restoreScene()
        self._cohort = None
        self.events.notify(CohortEvent(kind="closed"))

    def _switchTo(self, cohort: Cohort) -> Cohort:
        self.close()
        self._cohort = cohort
        self.events.notify(CohortEvent(kind="opened"))
        return cohort

    def _addImage(self, caseId: str) -> Node:
        node = addVolumeNode(self._scene, read_volume(self.cohort.image_path(caseId)), caseId)
        tagNode(node, CaseTag(cohort=self.cohort.folder, caseId=caseId, part=IMAGE))
        return node

    def _addSegmentation(self, caseId: str, volumeNode: Node, start: StartingPoint, layers: Layers | None) -> Node:
        name = f"{caseId} from prediction" if start.kind is Start.PREDICTION else f"{caseId} annotation"
        if layers is None:
            node = addEmptySegmentation(self._scene, name, self.cohort.labels, volumeNode)
        else:
            node = addSegmentation(self._scene, name, layers, self.cohort.labels, volumeNode)
        tagNode(node, start.tag(self.cohort, caseId))
        return node

    @contextmanager
    def _undoneOnError(self) -> Iterator[None]:
        """Remove what was added when the rest fails."""
        before = {node.GetID() for node in taggedNodes(self._scene, self.cohort.folder)}
        try:
            yield
        except InputError:
            added = [node for node in taggedNodes(self._scene, self.cohort.folder) if node.GetID() not in before]
            self._removeNodes(added, keepLent=True)
            raise

    def _removeNodes(self, nodes: list[Node], *, keepLent: bool) -> None:
        for node in nodes:
            self._beforeRemoval(node)
        self._removing = True
        try:
            for node in nodes:
                tag = tagOf(node)
                if tag is not None and tag.lent:
                    if not keepLent:
                        untagNode(node)
                else:
                    removeWithParts(self._scene, node)
        finally:
            self._removing = False

    def _onNodeRemoved(self, node: Node) -> None:
        tag = tagOf(node)
        if self._removing or tag is None or self._cohort is None or tag.cohort != self._cohort.folder:
            return
        self.events.notify(CohortEvent(kind="lost", caseId=tag.caseId))

    def _onSceneClosed(self) -> None:
        """What the views showed before is gone, too: nobody wants it back in the next scene."""
        self._before = None


def versionOf(cohort: Cohort, caseId: str, number: int) -> AnnotationVersion:
    """One annotation version of a case.

    Raises:
        CohortError: no such case or version; the message names those that are there.
    """
    versions = cohort.annotations(caseId)
    for version in versions:
        if version.number == number:
            return version
    known = ", ".join(str(version.number) for version in versions) or "none yet"
    raise CohortError(f"Case {caseId} has no version {number}; its versions are {known}.")
