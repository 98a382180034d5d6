"""Drafts: written every two minutes, left behind by a crash, offered at the next start."""

from __future__ import annotations

import resource
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from cohort_scene import GRID, Clock, annotate, drawing, paint, segmentVoxels

from barl.atomic import write_json
from barl.cohort import Cohort, Coverage, CoverageKind
from barl.errors import StorageError
from barl.imaging import load_annotation
from barl.imaging.seg_nrrd import read_layers
from BARLSegmentLib.logic import DraftFile as draftFile
from BARLSegmentLib.logic import Drafts as drafts
from BARLSegmentLib.logic.CaseStart import LoadedCase
from BARLSegmentLib.logic.CohortLogic import CohortLogic
from BARLSegmentLib.logic.CorrectionLogic import CorrectionEvent, CorrectionLogic
from BARLSegmentLib.logic.Drafts import Draft, abandonedDrafts
from BARLSegmentLib.logic.DraftSnapshot import DraftSnapshot

COMPLETE = Coverage()


@pytest.fixture
def a_logic(a_scene: Any, a_clock: Clock) -> Iterator[CorrectionLogic]:
    """Corrections by Zoë."""
    logic = CorrectionLogic(a_scene, author="Zoë", clock=a_clock)
    yield logic
    logic.cleanup()


@pytest.fixture
def a_watched_case(a_cohort_logic: CohortLogic, a_logic: CorrectionLogic, a_cohort: Cohort) -> LoadedCase:
    """A drawn case that is being corrected."""
    annotate(a_cohort, "P01")
    loaded = a_cohort_logic.loadCase("P01")
    a_logic.watch(a_cohort, loaded.segmentationNode, coverage=loaded.coverage)
    return loaded


def draw(case: LoadedCase) -> None:
    """One more voxel of canal."""
    mask = drawing() == 3
    mask[5, 5, 5] = True
    paint(case.segmentationNode, "canal", mask, case.volumeNode)


def autosave(logic: CorrectionLogic) -> None:
    """The panel's timer comes, and again soon for as long as it is told to."""
    end = time.monotonic() + 20.0
    while logic.tick():
        assert time.monotonic() < end
        time.sleep(0.001)


def draftFiles(cohort: Cohort) -> list[str]:
    return sorted(path.suffix for path in (cohort.folder / "drafts").rglob("*") if path.is_file())


def events(logic: CorrectionLogic) -> list[CorrectionEvent]:
    seen: list[CorrectionEvent] = []
    logic.events.add(seen.append)
    return seen


def crash(logic: CorrectionLogic, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the next program finds: the process that wrote the drafts is gone."""
    monkeypatch.setattr(drafts.Process, "is_alive", property(lambda process: False))


def test_two_minutes_after_a_change_there_is_a_draft(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    a_clock.now += 500
    autosave(a_logic)
    assert draftFiles(a_cohort) == []  # Nothing was changed.

    draw(a_watched_case)
    assert a_logic.hasUnsavedChanges(a_watched_case.segmentationNode)
    autosave(a_logic)
    assert draftFiles(a_cohort) == [".json", ".nrrd"]


def test_a_draft_is_not_written_again_before_two_minutes_are_over(
    a_logic: CorrectionLogic, a_clock: Clock, a_watched_case: LoadedCase
) -> None:
    seen = events(a_logic)
    for seconds in (60, 60, 60, 59, 1):
        draw(a_watched_case)
        a_clock.now += seconds
        autosave(a_logic)

    assert [event.kind for event in seen] == ["draft", "draft"]


def test_a_clock_that_is_set_back_does_not_put_drafts_off(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    draw(a_watched_case)
    a_clock.now -= 3600
    autosave(a_logic)

    assert draftFiles(a_cohort) == [".json", ".nrrd"]


def test_renaming_and_recoloring_a_segment_are_changes(a_logic: CorrectionLogic, a_watched_case: LoadedCase) -> None:
    assert not a_logic.hasUnsavedChanges(a_watched_case.segmentationNode)

    a_watched_case.segmentationNode.GetSegmentation().GetNthSegment(0).SetName("renamed")

    assert a_logic.hasUnsavedChanges(a_watched_case.segmentationNode)


def test_a_segmentation_that_is_replaced_as_by_undo_is_still_watched(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    node = a_watched_case.segmentationNode
    other = slicer.vtkSegmentation()
    other.DeepCopy(node.GetSegmentation())
    assert not a_logic.hasUnsavedChanges(node)

    node.SetAndObserveSegmentation(other)
    assert a_logic.hasUnsavedChanges(node)
    a_logic.saveVersion(a_cohort, node, coverage=COMPLETE)
    draw(a_watched_case)
    assert a_logic.hasUnsavedChanges(node)


def test_a_saved_version_takes_the_draft_away(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    draw(a_watched_case)
    a_clock.now += 121
    autosave(a_logic)

    a_logic.saveVersion(a_cohort, a_watched_case.segmentationNode, coverage=COMPLETE)

    assert not (a_cohort.folder / "drafts" / "P01").exists()
    assert not a_logic.hasUnsavedChanges(a_watched_case.segmentationNode)


def test_the_work_of_a_crashed_program_is_offered_and_goes_on(
    a_logic: CorrectionLogic,
    a_clock: Clock,
    a_cohort: Cohort,
    a_watched_case: LoadedCase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a_logic.setCoverage(a_watched_case.segmentationNode, Coverage(kind=CoverageKind.SLICES, axis=0))
    draw(a_watched_case)
    a_clock.now += 121
    autosave(a_logic)
    assert a_logic.abandonedDrafts(a_cohort) == ()  # It is at work.
    crash(a_logic, monkeypatch)
    (draft,) = abandonedDrafts(a_cohort)
    assert (draft.caseId, draft.author, draft.parent) == ("P01", "Zoë", 1)
    assert draft.coverage.kind is CoverageKind.SLICES

    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    cohortLogic, corrections = CohortLogic(scene), CorrectionLogic(scene, author="Max", clock=a_clock)
    cohortLogic.open(a_cohort.folder)
    loaded = cohortLogic.loadCase("P01")
    node = corrections.openDraft(a_cohort, draft, loaded.volumeNode)

    assert cohortLogic.segmentationNodeOf("P01") is node
    assert segmentVoxels(node, "canal", loaded.volumeNode)[5, 5, 5]
    assert corrections.hasUnsavedChanges(node)
    assert not draft.path.exists()  # It goes on as a draft of the program that runs now.
    assert draftFiles(a_cohort) == [".json", ".nrrd"]
    version = corrections.saveVersion(a_cohort, node, coverage=COMPLETE)
    assert (version.parent, load_annotation(a_cohort, version)[5, 5, 5]) == (1, 3)
    assert draftFiles(a_cohort) == []
    corrections.cleanup()
    cohortLogic.cleanup()


def test_a_draft_nobody_wants_can_be_dropped(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_watched_case: LoadedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(a_watched_case)
    a_logic.cleanup()  # The program ends without saving.
    crash(a_logic, monkeypatch)
    (draft,) = abandonedDrafts(a_cohort, "P01")

    a_logic.dropDraft(draft)

    assert abandonedDrafts(a_cohort) == ()
    assert draftFiles(a_cohort) == []


def test_a_draft_of_another_computer_is_not_offered(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_watched_case: LoadedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(a_watched_case)
    a_logic.cleanup()
    crash(a_logic, monkeypatch)
    monkeypatch.setattr(drafts.socket, "gethostname", lambda: "elsewhere")

    assert abandonedDrafts(a_cohort) == ()


def test_a_segmentation_that_is_removed_or_closed_leaves_a_draft(
    a_scene: Any, a_logic: CorrectionLogic, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    draw(a_watched_case)

    a_scene.RemoveNode(a_watched_case.segmentationNode)

    assert draftFiles(a_cohort) == [".json", ".nrrd"]
    autosave(a_logic)


def test_work_that_left_the_scene_unsaved_is_offered_at_once_and_never_overwritten(
    a_cohort_logic: CohortLogic,
    a_logic: CorrectionLogic,
    a_clock: Clock,
    a_cohort: Cohort,
    a_watched_case: LoadedCase,
) -> None:
    draw(a_watched_case)
    a_cohort_logic.unloadCase("P01")

    again = a_cohort_logic.loadCase("P01")
    a_logic.watch(a_cohort, again.segmentationNode)
    paint(again.segmentationNode, "jaw", drawing() == 2, again.volumeNode)
    a_clock.now += 121
    autosave(a_logic)

    (draft,) = a_logic.abandonedDrafts(a_cohort)
    node = a_logic.openDraft(a_cohort, draft, again.volumeNode)
    assert segmentVoxels(node, "canal", again.volumeNode)[5, 5, 5]
    assert len(a_logic.abandonedDrafts(a_cohort)) == 1  # What was drawn in the meantime is offered in its turn.


def test_a_draft_of_another_program_that_runs_is_not_offered(
    a_logic: CorrectionLogic, a_cohort: Cohort, a_watched_case: LoadedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(a_watched_case)
    a_logic.cleanup()
    assert len(abandonedDrafts(a_cohort)) == 1

    monkeypatch.setattr(drafts.Process, "current", classmethod(lambda cls: cls(2, 0.0)))

    assert abandonedDrafts(a_cohort) == ()


def test_closing_the_scene_leaves_a_draft(
    a_scene: Any, a_logic: CorrectionLogic, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    draw(a_watched_case)

    a_scene.Clear(False)

    assert draftFiles(a_cohort) == [".json", ".nrrd"]
    autosave(a_logic)


def test_a_full_disk_during_autosave_is_told_and_keeps_the_draft_before(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    draw(a_watched_case)
    a_clock.now += 121
    autosave(a_logic)
    (before,) = (a_cohort.folder / "drafts" / "P01").glob("*.nrrd")
    content, seen = before.read_bytes(), events(a_logic)
    draw(a_watched_case)
    a_clock.now += 121

    limits, room = resource.getrlimit(resource.RLIMIT_FSIZE), len(content) - 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))  # A file may hold no more, as on a full disk.
    try:
        autosave(a_logic)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert [event.kind for event in seen] == ["draft failed"]
    assert "Cannot write" in seen[0].message
    assert before.read_bytes() == content
    assert draftFiles(a_cohort) == [".json", ".nrrd"]
    a_clock.now += 121
    autosave(a_logic)  # There is room again.
    assert seen[-1].kind == "draft"


def test_a_cohort_that_cannot_be_written_is_told_and_drawing_goes_on(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    (a_cohort.folder / "drafts").write_text("in the way")
    seen = events(a_logic)
    draw(a_watched_case)
    a_clock.now += 121
    autosave(a_logic)

    assert [event.kind for event in seen] == ["draft failed"]
    assert a_logic.hasUnsavedChanges(a_watched_case.segmentationNode)


def test_work_that_cannot_be_drafted_is_not_taken_out_of_the_scene(
    a_scene: Any, a_logic: CorrectionLogic, a_cohort: Cohort
) -> None:
    cohortLogic = CohortLogic(a_scene, beforeRemoval=a_logic.secure)
    cohortLogic.open(a_cohort.folder)
    case = cohortLogic.loadCase("P01")
    a_logic.watch(a_cohort, case.segmentationNode)
    (a_cohort.folder / "drafts").write_text("in the way")
    draw(case)

    for leave in (lambda: cohortLogic.unloadCase("P01"), cohortLogic.close):
        with pytest.raises(StorageError):
            leave()
        assert cohortLogic.segmentationNodeOf("P01") is case.segmentationNode

    a_logic.saveVersion(a_cohort, case.segmentationNode, coverage=COMPLETE, allowEmpty=True)
    cohortLogic.cleanup()


def test_a_cohort_that_was_deleted_while_shown_is_not_made_anew(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase
) -> None:
    shutil.rmtree(a_cohort.folder)
    seen = events(a_logic)
    draw(a_watched_case)
    a_clock.now += 121
    autosave(a_logic)

    assert [event.kind for event in seen] == ["draft failed"]
    assert "is gone" in seen[0].message
    assert not a_cohort.folder.exists()


def test_overlapping_and_unknown_segments_are_in_the_draft_as_they_are(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase, a_scene: Any
) -> None:
    node = a_watched_case.segmentationNode
    node.GetSegmentation().AddEmptySegment("x", "neu ß")
    node.GetSegmentation().SeparateSegmentLabelmap("x")
    paint(node, "neu ß", drawing() > 0, a_watched_case.volumeNode)
    a_clock.now += 121
    autosave(a_logic)

    (path,) = (a_cohort.folder / "drafts").rglob("*.seg.nrrd")
    draft = Draft(
        caseId="P01",
        path=path,
        author="Zoë",
        saved="2026-01-01T00:00:00+00:00",
        coverage=COMPLETE,
        parent=1,
        fromPrediction=None,
        process=drafts.Process(1, 0.0),
        host="here",
    )
    volumeNode = a_watched_case.volumeNode
    opened = a_logic.openDraft(a_cohort, draft, volumeNode)

    assert np.array_equal(segmentVoxels(opened, "neu ß", volumeNode), drawing() > 0)
    assert np.array_equal(segmentVoxels(opened, "jaw", volumeNode), drawing() == 1)


def test_a_draft_of_a_newer_version_or_a_torn_one_is_left_alone(a_cohort: Cohort) -> None:
    folder = a_cohort.folder / "drafts" / "P01"
    folder.mkdir(parents=True)
    for name in ("newer", "torn"):
        (folder / f"{name}.seg.nrrd").write_bytes(b"voxels")
    write_json(folder / "newer.json", {"format_version": 99})
    (folder / "torn.json").write_text("{")
    (folder / "alone.json").write_text("{}")

    assert abandonedDrafts(a_cohort) == ()
    assert len(list(folder.iterdir())) == 5


def test_the_window_waits_for_no_draft_and_drawing_goes_on(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase, monkeypatch: Any
) -> None:
    monkeypatch.setattr("BARLSegmentLib.logic.DraftSnapshot.STEP_BYTES", 1)  # A step is one slice.
    draw(a_watched_case)
    a_clock.now += 121
    assert a_logic.tick()
    assert draftFiles(a_cohort) == []

    mask = drawing() == 3
    mask[2, 2, 2] = True
    paint(a_watched_case.segmentationNode, "canal", mask, a_watched_case.volumeNode)
    autosave(a_logic)

    (path,) = (a_cohort.folder / "drafts").rglob("*.seg.nrrd")
    voxels, geometry = read_layers(path).arrays, read_layers(path).geometry
    shift = np.rint((np.linalg.inv(GRID.index_to_lps) @ geometry.index_to_lps)[:3, 3]).astype(int)[::-1]
    place = tuple(slice(first, first + size) for first, size in zip(shift, voxels[0].shape, strict=True))
    assert np.array_equal(np.any(voxels, axis=0), (mask | (drawing() > 0))[place])


def test_a_draft_on_its_way_does_not_come_after_the_version(
    a_logic: CorrectionLogic, a_clock: Clock, a_cohort: Cohort, a_watched_case: LoadedCase, monkeypatch: Any
) -> None:
    begun, goesOn = threading.Event(), threading.Event()

    def waitFirst(content: Any) -> str:
        begun.set()
        assert goesOn.wait(20.0)
        return ""

    monkeypatch.setattr("BARLSegmentLib.logic.DraftFile._header", waitFirst)
    draw(a_watched_case)
    a_clock.now += 121
    while not begun.is_set():
        a_logic.tick()

    a_logic.saveVersion(a_cohort, a_watched_case.segmentationNode, coverage=COMPLETE)
    goesOn.set()
    waitForThreads()

    assert draftFiles(a_cohort) == []


def test_what_leaves_the_scene_is_drafted_as_it_is_then(
    a_scene: Any,
    a_logic: CorrectionLogic,
    a_clock: Clock,
    a_cohort: Cohort,
    a_watched_case: LoadedCase,
    monkeypatch: Any,
) -> None:
    begun, goesOn = threading.Event(), threading.Event()
    header = draftFile._header

    def waitFirst(content: Any) -> str:
        if not begun.is_set():
            begun.set()
            assert goesOn.wait(20.0)
        return header(content)

    monkeypatch.setattr(draftFile, "_header", waitFirst)
    draw(a_watched_case)
    a_clock.now += 121
    while not begun.is_set():
        a_logic.tick()
    one = np.zeros_like(drawing(), bool)
    one[1, 1, 1] = True
    paint(a_watched_case.segmentationNode, "jaw", one, a_watched_case.volumeNode)

    a_scene.RemoveNode(a_watched_case.segmentationNode)
    goesOn.set()
    waitForThreads()

    (path,) = (a_cohort.folder / "drafts").rglob("*.seg.nrrd")
    layers = read_layers(path)
    jaw = next(one for one in layers.segments if one.name == "jaw")
    assert np.count_nonzero(layers.arrays[jaw.layer] == jaw.value) == 1


def test_a_draft_holds_what_slicers_own_file_would(a_watched_case: LoadedCase, tmp_path: Path) -> None:
    node = a_watched_case.segmentationNode
    node.GetSegmentation().AddEmptySegment("x", "neu ß")
    node.GetSegmentation().SeparateSegmentLabelmap("x")
    paint(node, "neu ß", drawing() > 0, a_watched_case.volumeNode)
    folder = tmp_path
    snapshot = DraftSnapshot(node)
    while not snapshot.step():
        pass
    assert snapshot.content is not None

    draftFile.writeDraftFile(folder / "ours.seg.nrrd", snapshot.content, draftFile.Wanted())
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(folder / "its.seg.nrrd"))
    assert storage.WriteData(node)

    ours, its = read_layers(folder / "ours.seg.nrrd"), read_layers(folder / "its.seg.nrrd")
    assert ours.segments == its.segments
    assert [np.count_nonzero(layer) for layer in ours.arrays] == [np.count_nonzero(layer) for layer in its.arrays]


def waitForThreads() -> None:
    """Until no draft is being written."""
    for thread in threading.enumerate():
        if thread.name.startswith("barl-write"):
            thread.join(20.0)
