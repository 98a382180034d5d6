"""A prediction and its uncertainty as nodes of the scene."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barl.cohort import Cohort
from barl.errors import ImageError, LabelError
from barl.imaging import Volume, read_volume
from barl.imaging.seg_nrrd import Layers, read_layers
from BARLSegmentLib.logic.MapKind import MAP_ATTRIBUTE, SEGMENTATION_ROLE, MapKind
from BARLSegmentLib.logic.PredictionFiles import PredictionFiles
from BARLSegmentLib.logic.Regions import Region, foundNothing, readRegions
from BARLSegmentLib.logic.SceneEvents import removeWithParts
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.logic.SegmentationNodes import BINARY_LABELMAP, addSegmentation
from BARLSegmentLib.logic.VolumeNodes import addVolumeNode, belongTo, geometryOf


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
    def roundNumber(self) -> int | None:
        """Number of the round that made it; None for a prediction outside a round."""
        name = self.files.segmentation.parents[1].name
        return int(name) if name.isdigit() else None

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
        layers, volume = _read(files, mapKind, withSegmentation=segmentationNode is None)
        if imageNode is not None:
            _refuseOtherGrid(caseId, imageNode, layers, volume)
        # Nothing can be wrong any more, so that no node has to go again.
        mapNode = None if volume is None else self._addMap(caseId, mapKind, volume, imageNode)
        shown: Node = segmentationNode
        if layers is not None:
            shown = addSegmentation(self._scene, f"{caseId} prediction", layers, None, imageNode)
        if mapNode is not None and shown is not None:
            mapNode.SetNodeReferenceID(SEGMENTATION_ROLE, shown.GetID())
        return ShownPrediction(
            files=files,
            fingerprint=fingerprint,
            segmentationNode=shown,
            mapNode=mapNode,
            regions=regions,
            isEmpty=foundNothing(record),
            missing="" if mapNode is not None else f"Case {caseId} was predicted without a map of its {mapKind.value}.",
            contents=segmentContents(shown),
            ownsSegmentation=segmentationNode is None,
        )

    def remove(self, shown: ShownPrediction) -> None:
        """Remove the nodes that ``load`` added; what the user has removed already is no error."""
        removeWithParts(self._scene, shown.mapNode)
        if shown.ownsSegmentation:
            removeWithParts(self._scene, shown.segmentationNode)

    def _addMap(self, caseId: str, kind: MapKind, volume: Volume, imageNode: Node | None) -> Node:
        node = addVolumeNode(self._scene, volume, f"{caseId} {kind.value}", shown=(0.0, 1.0))
        node.SetAttribute(MAP_ATTRIBUTE, kind.value)
        if imageNode is not None:
            belongTo(self._scene, node, imageNode)
        return node


def segmentContents(segmentationNode: Node) -> tuple[Any, ...]:
    """What tells whether a segmentation has been changed: its segments, and when their voxels last were."""
    segmentation = segmentationNode.GetSegmentation()
    segments = [(name, segmentation.GetSegment(name)) for name in segmentation.GetSegmentIDs()]
    return tuple((name, one.GetName(), one.GetLabelValue(), _drawn(one)) for name, one in segments)


def _drawn(segment: Any) -> int:
    labelmap = segment.GetRepresentation(BINARY_LABELMAP)
    return 0 if labelmap is None else int(labelmap.GetMTime())


def _read(files: PredictionFiles, kind: MapKind, *, withSegmentation: bool) -> tuple[Layers | None, Volume | None]:
    """Segmentation and map, each None where there is none; one is read beside the other."""
    path = files.uncertainty if kind is MapKind.UNCERTAINTY else files.disagreement
    try:
        with ThreadPoolExecutor(1) as beside:
            layers = beside.submit(read_layers, files.segmentation) if withSegmentation else None
            volume = read_volume(path) if path.is_file() else None
        return layers.result() if layers else None, volume
    except (LabelError, ImageError) as error:
        raise type(error)(f"Case {files.caseId}: {error} If that does not help, predict the case again.") from error


def _refuseOtherGrid(caseId: str, imageNode: Node, layers: Layers | None, volume: Volume | None) -> None:
    grid = geometryOf(imageNode)
    what = (
        f"Case {caseId}: the prediction does not lie on the grid of the volume {imageNode.GetName()}. "
        "Show the volume that was predicted, or predict this one."
    )
    if layers is not None and layers.geometry.difference_from(grid):
        raise LabelError(what)
    if volume is not None and volume.geometry.difference_from(grid):
        raise ImageError(what)
