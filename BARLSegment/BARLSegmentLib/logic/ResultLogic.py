"""A prediction and its uncertainty as nodes of the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from barl.cohort import Cohort
from barl.errors import ImageError, LabelError
from BARLSegmentLib.logic.Grids import liesOnGrid
from BARLSegmentLib.logic.MapKind import MAP_ATTRIBUTE, MapKind
from BARLSegmentLib.logic.PredictionFiles import PredictionFiles
from BARLSegmentLib.logic.Regions import Region, foundNothing, readRegions
from BARLSegmentLib.logic.SceneEvents import removeWithParts
from BARLSegmentLib.logic.SceneTypes import Node, Scene

_LABELMAP = "Binary labelmap"


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownPrediction:
    """What of a prediction is in the scene. Nodes may be removed by the user at any time; the rest stays true."""

    files: PredictionFiles
    fingerprint: str
    """Which prediction it is, should the case be predicted again meanwhile."""

    segmentationNode: Node
    mapNode: Node | None
    """None when the prediction has no such map."""

    regions: tuple[Region, ...] | None
    """By rank; None when none were computed."""

    isEmpty: bool
    """Whether no structure was found."""

    missing: str
    """A sentence for the user when a part is not there, else empty."""

    contents: tuple[Any, ...]
    """What the segments were when they came in; see ``segmentContents``."""

    ownsSegmentation: bool
    """Whether the segmentation goes with the prediction."""

    @property
    def caseId(self) -> str:
        """The case it is of."""
        return self.files.caseId

    @property
    def isChanged(self) -> bool:
        """Whether a segment was drawn on, renamed, added or deleted since; colors do not count."""
        return self.segmentationNode.GetScene() is None or segmentContents(self.segmentationNode) != self.contents


class ResultLogic:
    """Brings predictions into a scene and takes them out again; files are only read.

    The nodes keep no file name, so that Slicer's *Save* never writes over a prediction in the cohort.

    Args:
        scene: a ``vtkMRMLScene``.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def newest(self, cohort: Cohort, caseId: str) -> Path | None:
        """The folder of the newest round that has predicted a case; None when none has.

        Raises:
            CohortError: there is no such case.
        """
        segmentation = cohort.latest_prediction(caseId)
        return None if segmentation is None else segmentation.parent

    def load(
        self,
        folder: Path,
        caseId: str,
        *,
        imageNode: Node | None = None,
        segmentationNode: Node | None = None,
        mapKind: MapKind = MapKind.UNCERTAINTY,
    ) -> ShownPrediction:
        """Add a segmentation node and a volume node to the scene; on an error it is as before.

        Args:
            folder: a folder with predictions, such as a round's.
            caseId: which one.
            imageNode: the volume it was predicted from: the new nodes get its place (parent transform, study in the
                subject hierarchy) and must lie on its grid.
            segmentationNode: a node that shows this prediction already; then none is added, and it stays when the
                prediction goes.
            mapKind: which map.

        Raises:
            CohortError: the prediction is not finished, or its record is damaged.
            NewerFormatError: a newer BARL wrote it.
            LabelError: the segmentation cannot be read, or lies on another grid than the image.
            ImageError: the map cannot be read, or lies on another grid than the image.
        """
        files = PredictionFiles(Path(folder), caseId)
        files.requireFinished()
        fingerprint, record = files.fingerprint(), files.readRecord()
        regions = readRegions(record)
        path = files.uncertainty if mapKind is MapKind.UNCERTAINTY else files.disagreement
        added: list[Node] = []
        try:
            if segmentationNode is None:
                added.append(self._addSegmentation(files))
            if path.is_file():
                added.append(self._addMap(path, caseId, mapKind))
            for node in added:
                _place(self._scene, node, imageNode, caseId)
        except (LabelError, ImageError):
            for node in added:
                removeWithParts(self._scene, node)
            raise
        shown = added[0] if segmentationNode is None else segmentationNode
        return ShownPrediction(
            files=files,
            fingerprint=fingerprint,
            segmentationNode=shown,
            mapNode=added[-1] if path.is_file() else None,
            regions=regions,
            isEmpty=foundNothing(record),
            missing="" if path.is_file() else f"Case {caseId} was predicted without a map of its {mapKind.value}.",
            contents=segmentContents(shown),
            ownsSegmentation=segmentationNode is None,
        )

    def remove(self, shown: ShownPrediction) -> None:
        """Remove the nodes that ``load`` added; what the user has removed already is no error."""
        removeWithParts(self._scene, shown.mapNode)
        if shown.ownsSegmentation:
            removeWithParts(self._scene, shown.segmentationNode)

    def _addSegmentation(self, files: PredictionFiles) -> Node:
        node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", self._name(f"{files.caseId} prediction"))
        storage = slicer.vtkMRMLSegmentationStorageNode()
        storage.SetFileName(str(files.segmentation))
        if not storage.ReadData(node) or node.GetSegmentation().GetSourceRepresentationName() != _LABELMAP:
            removeWithParts(self._scene, node)
            raise LabelError(_unreadable(files.segmentation))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetVisibility2DFill(False)  # Outlines leave the map to be seen, and are drawn sooner.
        return node

    def _addMap(self, path: Path, caseId: str, kind: MapKind) -> Node:
        node = self._scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", self._name(f"{caseId} {kind.value}"))
        display = self._scene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
        # Before there are voxels, or Slicer makes a histogram of all of them to choose a range.
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, 1.0)
        node.SetAndObserveDisplayNodeID(display.GetID())
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        if not storage.ReadData(node) or node.GetImageData() is None:
            removeWithParts(self._scene, node)
            raise ImageError(_unreadable(path))
        node.SetAttribute(MAP_ATTRIBUTE, kind.value)
        return node

    def _name(self, wanted: str) -> str:
        return str(self._scene.GenerateUniqueName(wanted))


def segmentContents(segmentationNode: Node) -> tuple[Any, ...]:
    """What tells whether a segmentation has been changed: its segments, and when their voxels last were."""
    segmentation = segmentationNode.GetSegmentation()
    segments = [(name, segmentation.GetSegment(name)) for name in segmentation.GetSegmentIDs()]
    return tuple((name, one.GetName(), one.GetLabelValue(), _drawn(one)) for name, one in segments)


def _drawn(segment: Any) -> int:
    labelmap = segment.GetRepresentation(_LABELMAP)
    return 0 if labelmap is None else int(labelmap.GetMTime())


def _place(scene: Scene, node: Node, imageNode: Node | None, caseId: str) -> None:
    """Tie a node to its image.

    Raises:
        LabelError: the segmentation lies on another grid.
        ImageError: the map does.
    """
    if imageNode is None:
        return
    isSegmentation = node.IsA("vtkMRMLSegmentationNode")
    if not liesOnGrid(node, imageNode):
        error = LabelError if isSegmentation else ImageError
        raise error(
            f"Case {caseId}: the prediction does not lie on the grid of the volume {imageNode.GetName()}. "
            "Show the volume that was predicted, or predict this one."
        )
    if isSegmentation:
        node.SetReferenceImageGeometryParameterFromVolumeNode(imageNode)
    node.SetAndObserveTransformNodeID(imageNode.GetTransformNodeID())
    hierarchy = scene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(imageNode) if hierarchy is not None else 0
    if item:
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), hierarchy.GetItemParent(item))


def _unreadable(path: Path) -> str:
    return f"{path} cannot be read; it may be cut short or damaged. Copy it again, or predict the case again."
