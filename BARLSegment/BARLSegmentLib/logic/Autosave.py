"""Segmentations that are being corrected: what is unsaved, and drafts of it every now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import slicer

from barl.cohort import Cohort, Coverage
from barl.errors import InputError
from BARLSegmentLib.logic.CaseNodes import CaseTag
from BARLSegmentLib.logic.Drafts import DraftedWork, Drafts, DraftWriting, newSession
from BARLSegmentLib.logic.DraftSnapshot import UnfitError
from BARLSegmentLib.logic.SceneEvents import SceneEvents
from BARLSegmentLib.logic.SceneTypes import Node, Scene


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
    changes: int = 0
    drafted: int = 0
    """How many of the changes are in a draft."""

    @property
    def isUndrafted(self) -> bool:
        """Whether there is something to write."""
        return self.drafted < self.changes


@dataclass(frozen=True, kw_only=True)
class _Writing:
    """A draft on its way."""

    draft: DraftWriting
    changes: int
    """How many are in it."""


class Autosave:
    """Watches segmentation nodes, and writes drafts of those that were changed, beside the work.

    A segmentation that leaves the scene, or whose scene closes, is drafted at once, and the window waits.

    Args:
        scene: where the nodes are.
        author: who draws now.
        clock: seconds since 1970.
        seconds: how much work a crash may cost.
        onDraft: told the case of each draft, and why it failed; None when it did not.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        author: Callable[[], str],
        clock: Callable[[], float],
        seconds: float,
        onDraft: Callable[[str, str | None], None],
    ) -> None:
        self._author = author
        self._clock = clock
        self._seconds = seconds
        self._onDraft = onDraft
        self._drafts = Drafts(clock=clock)
        self._work: dict[str, _Work] = {}
        self._writings: dict[str, _Writing] = {}
        self._observations: list[tuple[Node, int]] = []
        self._events = SceneEvents(scene, nodeGoing=self._onNodeGoes, closing=self._draftAll)

    def cleanup(self) -> None:
        """Write drafts of all that is not saved, and stop looking at scene and nodes."""
        self._draftAll()
        self._events.stop()
        for node, observation in self._observations:
            node.RemoveObserver(observation)
        self._observations.clear()
        self._work.clear()

    @property
    def sessions(self) -> set[str]:
        """Sessions of all that is watched."""
        return {work.session for work in self._work.values()}

    def watch(self, cohort: Cohort, node: Node, tag: CaseTag, coverage: Coverage) -> None:
        """Keep drafts of a segmentation from now on; once is enough."""
        nodeId, now = node.GetID(), self._clock()
        if nodeId in self._work:
            return
        self._work[nodeId] = _Work(
            node=node,
            cohort=cohort,
            tag=tag,
            session=newSession(),
            coverage=coverage,
            draftDue=now + self._seconds,
            lastTick=now,
        )
        segmentation = slicer.vtkSegmentation
        for event in (
            segmentation.SourceRepresentationModified,
            segmentation.SegmentAdded,
            segmentation.SegmentRemoved,
            segmentation.SegmentModified,
            slicer.vtkMRMLSegmentationNode.SegmentationChangedEvent,
        ):
            # The node tells its segmentation's events on, also when it gets another one.
            observation = node.AddObserver(event, lambda caller, name: self.markUnsaved(node))
            self._observations.append((node, observation))

    def forget(self, node: Node) -> None:
        """Keep no drafts of it any more; those that are written stay."""
        self._giveUp(node)
        self._work.pop(node.GetID(), None)
        gone = [pair for pair in self._observations if pair[0] is node]
        for _, observation in gone:
            node.RemoveObserver(observation)
        self._observations = [pair for pair in self._observations if pair not in gone]

    def setCoverage(self, node: Node, coverage: Coverage) -> None:
        """What its next draft remembers."""
        self._change(node, coverage=coverage)

    def isUnsaved(self, node: Node) -> bool:
        """Whether it was changed since it was loaded or saved."""
        work = self._work.get(node.GetID())
        return work is not None and work.unsaved

    def markUnsaved(self, node: Node) -> None:
        """It was changed."""
        work = self._work.get(node.GetID())
        if work is not None:
            self._change(node, unsaved=True, changes=work.changes + 1)

    def saved(self, node: Node, tag: CaseTag, coverage: Coverage) -> None:
        """It became a version: its draft goes.

        Raises:
            StorageError: the draft cannot be removed; it will be offered once more.
        """
        self._giveUp(node)
        work = self._work.get(node.GetID())
        if work is not None:
            self._change(node, tag=tag, coverage=coverage, unsaved=False, drafted=work.changes)
            self._drafts.discard(work.cohort, tag.caseId, work.session)

    def tick(self) -> bool:
        """Begin the drafts that are due, and bring those on their way a step on.

        Returns:
            Whether some are on their way: then it is to be called again soon.
        """
        now = self._clock()
        for work in tuple(self._work.values()):
            # A clock that was set back would else put the next draft off by hours.
            due = now >= work.draftDue or now < work.lastTick
            self._change(work.node, lastTick=now)
            if due and work.isUndrafted and work.node.GetID() not in self._writings:
                self._begin(work)
        for nodeId in tuple(self._writings):
            self._step(nodeId)
        return bool(self._writings)

    def secure(self, node: Node) -> None:
        """Write a draft of what is not in one yet, and wait for it.

        Raises:
            InputError: it cannot be written; the segmentation must not be removed.
        """
        work = self._work.get(node.GetID())
        if work is None or not work.isUndrafted:
            return
        self._giveUp(node)
        self._change(node, draftDue=self._clock() + self._seconds)
        self._drafts.write(work.cohort, work.node, self._remembered(work))
        self._change(node, drafted=work.changes)
        self._onDraft(work.tag.caseId, None)

    def _begin(self, work: _Work) -> None:
        self._change(work.node, draftDue=self._clock() + self._seconds)
        try:
            draft = self._drafts.begin(work.cohort, work.node, self._remembered(work))
        except InputError as error:
            self._onDraft(work.tag.caseId, str(error))
            return
        if draft is None:
            self._draftIfNeeded(work.node)
        else:
            self._writings[work.node.GetID()] = _Writing(draft=draft, changes=work.changes)

    def _step(self, nodeId: str) -> None:
        writing, work = self._writings[nodeId], self._work[nodeId]
        try:
            isThere = writing.draft.step()
        except UnfitError:
            del self._writings[nodeId]
            self._draftIfNeeded(work.node)
        except InputError as error:
            del self._writings[nodeId]
            self._onDraft(work.tag.caseId, str(error))
        else:
            if isThere:
                del self._writings[nodeId]
                self._change(work.node, drafted=writing.changes)
                self._onDraft(work.tag.caseId, None)

    def _giveUp(self, node: Node) -> None:
        writing = self._writings.pop(node.GetID(), None)
        if writing is not None:
            writing.draft.giveUp()

    def _remembered(self, work: _Work) -> DraftedWork:
        return DraftedWork(
            caseId=work.tag.caseId,
            session=work.session,
            author=self._author(),
            coverage=work.coverage,
            parent=work.tag.parent,
            fromPrediction=work.tag.fromPrediction,
        )

    def _draftAll(self) -> None:
        for work in tuple(self._work.values()):
            self._draftIfNeeded(work.node)

    def _draftIfNeeded(self, node: Node) -> None:
        """Drawing must go on when a draft fails, so that is only told."""
        try:
            self.secure(node)
        except InputError as error:
            self._onDraft(self._work[node.GetID()].tag.caseId, str(error))

    def _change(self, node: Node, **values: Any) -> None:
        if node.GetID() in self._work:
            self._work[node.GetID()] = replace(self._work[node.GetID()], **values)

    def _onNodeGoes(self, node: Node) -> None:
        if node.GetID() in self._work:
            self._draftIfNeeded(node)
            self.forget(node)
