"""From region to region through a prediction, until it is right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import slicer

from barl.cohort import AnnotationVersion, Cohort
from barl.errors import InputError
from BARLSegmentLib.logic.Acceptance import acceptPrediction, withdrawAcceptance
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.RegionMarker import RegionMarker
from BARLSegmentLib.logic.Regions import Region
from BARLSegmentLib.logic.ResultLogic import ShownPrediction
from BARLSegmentLib.logic.ReviewRecord import ReviewRecord
from BARLSegmentLib.logic.SceneEvents import SceneEvents
from BARLSegmentLib.logic.SceneTypes import Node, Scene

LONGEST_LOOK_S = 300.0
"""A longer silence is a pause: time at lunch is no time of review."""


@dataclass(frozen=True, kw_only=True)
class ReviewProgress:
    """Where a review stands."""

    rank: int
    """Of the region looked at; 0 when none is."""

    total: int
    accepted: int
    seconds: float
    """Spent on this prediction so far, also on earlier days, pauses left out."""

    isComputed: bool
    """Whether regions were computed for this prediction at all."""

    isEmpty: bool = False
    """Whether the prediction found no structure."""

    @property
    def sentence(self) -> str:
        """For the user, such as ``region 3 of 12, 2 minutes so far``."""
        if not self.isComputed:
            return "no regions were computed for this prediction"
        if self.isEmpty:
            return "no region to look at: the prediction is empty, no structure was found"
        if self.total == 0:
            return "no region to look at: the prediction is sure everywhere"
        place = f"region {self.rank} of {self.total}" if self.rank else f"{self.total} regions"
        return f"{place}, {_minutes(self.seconds)} so far"


class ReviewLogic:
    """Walks through the regions of one prediction, and keeps on disk which were accepted.

    In the scene it moves the slice views and a marker of its own. Segmentations are never changed, so that the segment
    editor's undo reaches as far back as before; what was accepted is taken back with ``undo``.

    Args:
        scene: a ``vtkMRMLScene``.
        clock: seconds that only their differences matter of; one that is set back costs no time.

    Attributes:
        observers: told the progress after each step.
    """

    def __init__(self, scene: Scene, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._scene = scene
        self._clock = clock
        self._marker = RegionMarker(scene)
        self._shown: ShownPrediction | None = None
        self._record = ReviewRecord(prediction="")
        self._region: Region | None = None
        self._looked = 0.0
        self._undo: list[Callable[[], None]] = []
        self._version: AnnotationVersion | None = None
        self._events = SceneEvents(scene, closing=self.finish)
        self.observers: Observers[ReviewProgress] = Observers()

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions by rank; empty also when none were computed."""
        return self._shown.regions or () if self._shown is not None else ()

    @property
    def region(self) -> Region | None:
        """The one looked at."""
        return self._region

    @property
    def accepted(self) -> frozenset[int]:
        """Ranks of the accepted regions."""
        return self._record.accepted

    @property
    def hasPrevious(self) -> bool:
        """Whether there is a region before the one looked at."""
        return bool(self._before())

    @property
    def isCaseAccepted(self) -> bool:
        """Whether the prediction was accepted as a whole, and that was not taken back."""
        return self._version is not None

    @property
    def markerNode(self) -> Node | None:
        """The box around the region looked at; None while there is none in the scene."""
        return self._marker.node

    @property
    def canUndo(self) -> bool:
        """Whether something was accepted that ``undo`` takes back."""
        return bool(self._undo)

    @property
    def progress(self) -> ReviewProgress:
        """Where the review stands now."""
        return ReviewProgress(
            rank=0 if self._region is None else self._region.rank,
            total=len(self.regions),
            accepted=len(self.accepted & {region.rank for region in self.regions}),
            seconds=self._record.seconds + self._sinceLooked(),
            isComputed=self._shown is not None and self._shown.regions is not None,
            isEmpty=self._shown is not None and self._shown.isEmpty,
        )

    def start(self, shown: ShownPrediction) -> None:
        """Review a prediction, from where an earlier review of it was left.

        Raises:
            CohortError: what an earlier review left is damaged.
            NewerFormatError: a newer BARL left it.
        """
        record = ReviewRecord.read(shown.files, shown.fingerprint)
        self.finish()
        self._shown, self._record, self._looked = shown, record, self._clock()
        self._tell()

    def next(self) -> Region | None:
        """Look at the next region that is not accepted, after the last one at the first; None when none is left."""
        after = 0 if self._region is None else self._region.rank
        waiting = [region for region in self.regions if region.rank not in self.accepted]
        others = [region for region in waiting if region.rank > after] + waiting
        return self._look(others[0]) if others else None

    def previous(self) -> Region | None:
        """Look at the region before this one, accepted or not; None when there is none."""
        before = self._before()
        return self._look(before[-1]) if before else None

    def goTo(self, rank: int) -> Region:
        """Look at a region.

        Raises:
            InputError: there is none of this rank.
        """
        for region in self.regions:
            if region.rank == rank:
                return self._look(region)
        raise InputError(f"There is no region {rank}: this prediction has {len(self.regions)}.")

    def accept(self) -> None:
        """Note on disk that the region looked at is right now.

        Raises:
            InputError: no region is looked at.
            CohortError: the prediction is gone, or was made anew; nothing was changed.
            StorageError: the folder cannot be written, or the disk is full; nothing was changed.
        """
        if self._region is None:
            raise InputError("There is no region to accept. Go to a region first.")
        rank = self._region.rank
        if rank not in self.accepted:
            self._keep(self.accepted | {rank})
            self._undo.append(lambda: self._keep(self.accepted - {rank}))
        self._tell()

    def acceptCase(self, cohort: Cohort, author: str) -> AnnotationVersion:
        """Make the prediction, as it is on disk, the case's next annotation version, with the source ``accepted``.

        Args:
            cohort: where the case is.
            author: who accepts it.

        Raises:
            InputError: no prediction is reviewed.
            CohortError: see ``acceptPrediction``; nothing was changed.
            LabelError: the label table does not know one of its structures.
            LockedError: another process is writing the cohort.
            StorageError: the cohort cannot be written, or the disk is full.
        """
        if self._shown is None:
            raise InputError("There is no prediction to accept. Load a case with a prediction first.")
        version = self._version = acceptPrediction(cohort, self._shown, author)
        self._undo.append(lambda: self._withdraw(cohort, version))
        self.rest()
        self._tell()
        return version

    def undo(self) -> None:
        """Take the last acceptance back, of a region or of the case.

        Raises:
            InputError: nothing was accepted.
            CohortError: it cannot be taken back any more; nothing was changed.
            StorageError: the folder cannot be written; nothing was changed.
        """
        if not self._undo:
            raise InputError("There is nothing to take back: no region and no case was accepted since the case came.")
        self._undo[-1]()
        self._undo.pop()
        self._tell()

    def setMarkerVisible(self, isVisible: bool) -> None:
        """Hide the box around the region, such as from who draws there, or bring it back."""
        self._marker.setVisible(isVisible)

    def rest(self) -> None:
        """The person has done with the case: the box goes. Whoever goes to a region once more sees it again."""
        self._marker.remove()

    def finish(self) -> None:
        """Look at no prediction any more; called before another one, and when the scene closes."""
        self._marker.remove()
        self._version = None
        self._shown = self._region = None
        self._record = ReviewRecord(prediction="")
        self._undo.clear()

    def cleanup(self) -> None:
        """End the review and watch the scene no longer; called when the module goes."""
        self.finish()
        self._events.stop()

    def _before(self) -> list[Region]:
        return [region for region in self.regions if self._region is not None and region.rank < self._region.rank]

    def _look(self, region: Region) -> Region:
        self._spend()
        self._region = region
        place = self._place()
        self._marker.show(region, None if place is None else place.GetTransformNodeID())
        center = list(region.centerRasMm)
        if place is not None:
            place.TransformPointToWorld(region.centerRasMm, center)
        slicer.vtkMRMLSliceNode.JumpAllSlices(self._scene, *center, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
        self._tell()
        return region

    def _place(self) -> Node | None:
        """A node that is where the image is, should that be under a transform; None when all were removed."""
        shown = self._shown
        nodes = () if shown is None else (shown.segmentationNode, shown.mapNode)
        return next((node for node in nodes if node is not None and node.GetScene() is not None), None)

    def _keep(self, accepted: frozenset[int]) -> None:
        """Write the review; it counts only once it is on disk."""
        assert self._shown is not None
        record = replace(self._record, accepted=accepted, seconds=self._record.seconds + self._sinceLooked())
        record.write(self._shown.files)
        self._record, self._looked = record, self._clock()

    def _withdraw(self, cohort: Cohort, version: AnnotationVersion) -> None:
        withdrawAcceptance(cohort, version)
        self._version = None

    def _spend(self) -> None:
        self._record = replace(self._record, seconds=self._record.seconds + self._sinceLooked())
        self._looked = self._clock()

    def _sinceLooked(self) -> float:
        if self._shown is None:
            return 0.0
        passed = self._clock() - self._looked
        return passed if 0.0 <= passed <= LONGEST_LOOK_S else 0.0

    def _tell(self) -> None:
        self.observers.notify(self.progress)


def _minutes(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes == 0:
        return "less than a minute"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"
