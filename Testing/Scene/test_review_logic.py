"""A person walks from region to region, accepts, takes back, and comes again the next day."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cohort_scene import Clock, ReadOnly
from scene_data import (
    CASE,
    REGIONS,
    Stage,
    addVolume,
    ballImage,
    draw,
    makeCohort,
    writePrediction,
)

from barl.atomic import write_json
from barl.cohort import CaseState, Cohort, Coverage
from barl.errors import CohortError, InputError, LabelError, StorageError
from BARLSegmentLib.logic.ResultLogic import ResultLogic, ShownPrediction
from BARLSegmentLib.logic.ReviewLogic import LONGEST_LOOK_S, ReviewLogic


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """A cohort whose only case has been predicted in round 1."""
    cohort = makeCohort(tmp_path)
    writePrediction(cohort.new_round() / "predictions", regions=REGIONS)
    return cohort


@pytest.fixture
def a_prediction(a_stage: Stage, a_cohort: Cohort) -> ShownPrediction:
    logic = ResultLogic(a_stage.scene)
    return logic.load(logic.newest(a_cohort, CASE) or Path(), CASE, imageNode=addVolume(a_stage.scene, ballImage()))


@pytest.fixture
def a_review(a_stage: Stage, a_prediction: ShownPrediction, a_clock: Clock) -> Iterator[ReviewLogic]:
    review = ReviewLogic(a_stage.scene, clock=a_clock)
    review.start(a_prediction)
    yield review
    review.cleanup()


@pytest.fixture
def reviews(a_stage: Stage, tmp_path: Path) -> Callable[..., ReviewLogic]:
    """Starts a review of a prediction with other regions."""

    def start(regions: list[dict[str, Any]] | None) -> ReviewLogic:
        folder = writePrediction(tmp_path / "other", regions=regions)
        review = ReviewLogic(a_stage.scene)
        review.start(ResultLogic(a_stage.scene).load(folder, CASE))
        return review

    return start


def _crossing(stage: Stage) -> np.ndarray:
    """Where the centers of the three views meet, in RAS mm."""
    assert stage.views is not None
    nodes = [view.node for view in stage.views.views.values()]
    centers = [[node.GetSliceToRAS().GetElement(row, 3) for row in range(3)] for node in nodes]
    assert np.allclose(centers, centers[0])
    return np.array(centers[0])


def test_next_goes_through_the_regions_by_rank_and_previous_goes_back(a_review: ReviewLogic) -> None:
    ranks = [region.rank if (region := a_review.next()) else None for _ in range(4)]

    assert ranks == [1, 2, 3, 1]
    a_review.goTo(2)
    assert (before := a_review.previous()) is not None
    assert before.rank == 1
    assert a_review.previous() is None
    assert a_review.region is before


def test_all_views_meet_at_the_region(a_stage: Stage, a_review: ReviewLogic) -> None:
    a_stage.withViews()

    a_review.goTo(2)

    np.testing.assert_allclose(_crossing(a_stage), REGIONS[1]["center_ras_mm"], atol=1e-6)


def test_views_and_marker_follow_the_transform_of_the_image(
    a_stage: Stage, a_prediction: ShownPrediction, a_review: ReviewLogic
) -> None:
    a_stage.withViews()
    transform = a_stage.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = transform.GetMatrixTransformToParent()
    matrix.SetElement(0, 3, 7.0)
    transform.SetMatrixTransformToParent(matrix)
    a_prediction.segmentationNode.SetAndObserveTransformNodeID(transform.GetID())

    a_review.goTo(1)

    np.testing.assert_allclose(_crossing(a_stage), np.add(REGIONS[0]["center_ras_mm"], (7.0, 0.0, 0.0)), atol=1e-6)
    bounds = np.zeros(6)
    marker = a_stage.scene.GetFirstNodeByName("Region to review")
    marker.GetRASBounds(bounds)
    assert np.isclose(bounds[:2].mean(), REGIONS[0]["center_ras_mm"][0] + 7.0)


def test_the_marker_is_seen_around_the_region_and_leaves_with_the_review(
    a_stage: Stage, a_prediction: ShownPrediction, a_review: ReviewLogic
) -> None:
    views = a_stage.withViews()
    views.show(addVolume(a_stage.scene, ballImage()))
    a_prediction.segmentationNode.GetDisplayNode().SetVisibility(False)
    a_review.goTo(1)
    with_marker = views.pixels()

    a_review.finish()
    without = views.pixels()

    cyan = _isCyan(with_marker)
    assert cyan.sum() > 100
    assert not _isCyan(without).any()
    # The view is centered on the region, so that its outline is too; its frame is 6 mm wide.
    rows, columns = np.nonzero(cyan[:, :160])
    assert abs(rows.mean() - 79.5) < 3
    assert abs(columns.mean() - 79.5) < 3


def test_the_picture_changes_where_the_views_jump_to(a_stage: Stage, a_review: ReviewLogic) -> None:
    views = a_stage.withViews()
    views.show(addVolume(a_stage.scene, ballImage()))
    a_review.goTo(1)
    first = views.pixels()

    a_review.goTo(3)

    assert (views.pixels() != first).any(axis=2).mean() > 0.02


def test_the_marker_is_neither_saved_nor_listed_and_may_be_deleted(a_stage: Stage, a_review: ReviewLogic) -> None:
    a_review.next()
    marker = a_stage.scene.GetFirstNodeByName("Region to review")
    assert marker.GetHideFromEditors()
    assert not marker.GetSaveWithScene()

    a_stage.scene.RemoveNode(marker)
    a_review.next()

    assert a_stage.scene.GetNumberOfNodesByClass("vtkMRMLModelNode") == 1


def test_progress_is_a_sentence(a_review: ReviewLogic, a_clock: Clock) -> None:
    assert a_review.progress.sentence == "3 regions, less than a minute so far"
    for _ in range(3):
        a_review.next()
        a_clock.now += 45.0

    assert a_review.progress.sentence == "region 3 of 3, 2 minutes so far"


def test_a_pause_and_a_clock_set_back_cost_no_time(a_review: ReviewLogic, a_clock: Clock) -> None:
    a_review.next()
    a_clock.now += LONGEST_LOOK_S + 1
    a_review.next()
    a_clock.now -= 7200.0
    a_review.next()
    a_clock.now += 61.0

    assert a_review.progress.seconds == 61.0


def test_observers_hear_of_each_step(a_review: ReviewLogic) -> None:
    heard: list[tuple[int, int]] = []
    remove = a_review.observers.add(lambda progress: heard.append((progress.rank, progress.accepted)))

    a_review.next()
    a_review.accept()
    a_review.undo()
    remove()
    a_review.next()

    assert heard == [(1, 0), (1, 1), (1, 0)]


def test_accepted_regions_are_skipped_and_known_again_the_next_day(
    a_stage: Stage, a_review: ReviewLogic, a_prediction: ShownPrediction, a_clock: Clock
) -> None:
    a_review.goTo(2)
    a_clock.now += 90.0
    a_review.accept()

    tomorrow = ReviewLogic(a_stage.scene, clock=a_clock)
    tomorrow.start(a_prediction)

    assert tomorrow.accepted == {2}
    assert tomorrow.progress.seconds == 90.0
    assert [region.rank if (region := tomorrow.next()) else None for _ in range(3)] == [1, 3, 1]
    tomorrow.cleanup()


def test_accepting_writes_one_file_and_changes_no_other(a_review: ReviewLogic, a_prediction: ShownPrediction) -> None:
    folder = a_prediction.files.folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    a_review.next()
    a_review.accept()

    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    review = json.loads(after.pop(f"{CASE}.review.json"))
    assert after == before
    assert (review["kind"], review["accepted"]) == ("review", [1])


def test_undo_takes_the_last_acceptance_back_on_disk_too(a_review: ReviewLogic, a_prediction: ShownPrediction) -> None:
    for _ in range(2):
        a_review.next()
        a_review.accept()
        a_review.accept()  # Twice is once.

    a_review.undo()

    assert json.loads(a_prediction.files.review.read_text("utf-8"))["accepted"] == [1]
    a_review.undo()
    assert not a_review.canUndo
    with pytest.raises(InputError, match="nothing to take back"):
        a_review.undo()


def test_an_accepted_case_is_a_version_that_says_so(
    a_review: ReviewLogic, a_cohort: Cohort, a_prediction: ShownPrediction
) -> None:
    version = a_review.acceptCase(a_cohort, "Dr. Müller")

    assert (version.number, version.source, version.author) == (1, "accepted", "Dr. Müller")
    assert version.from_prediction == f"rounds/0001/predictions/{CASE}.seg.nrrd"
    assert version.path.read_bytes() == a_prediction.files.segmentation.read_bytes()
    assert a_cohort.state(CASE) is CaseState.ACCEPTED


def test_an_accepted_case_is_taken_back_without_losing_its_number(a_review: ReviewLogic, a_cohort: Cohort) -> None:
    a_review.acceptCase(a_cohort, "M")

    a_review.undo()
    assert a_cohort.state(CASE) is CaseState.PREDICTED

    again = a_review.acceptCase(a_cohort, "M")
    assert again.number == 2
    assert [version.number for version in a_cohort.annotations(CASE)] == [2]


def test_an_accepted_case_has_no_box_and_is_looked_at_again_on_wish(a_review: ReviewLogic, a_cohort: Cohort) -> None:
    a_review.next()
    assert a_review.markerNode is not None

    a_review.acceptCase(a_cohort, "Anna")
    assert (a_review.markerNode, a_review.isCaseAccepted) == (None, True)
    a_review.undo()
    assert not a_review.isCaseAccepted

    a_review.next()
    assert a_review.markerNode is not None


def test_a_review_that_rests_goes_on_where_it_was(a_review: ReviewLogic) -> None:
    assert not a_review.hasPrevious
    a_review.goTo(2)
    assert a_review.hasPrevious

    a_review.rest()
    assert a_review.markerNode is None
    a_review.previous()

    assert a_review.region is not None
    assert a_review.region.rank == 1
    assert a_review.markerNode is not None


def test_an_acceptance_that_was_drawn_upon_is_not_taken_back(
    a_review: ReviewLogic, a_cohort: Cohort, a_prediction: ShownPrediction
) -> None:
    a_review.acceptCase(a_cohort, "M")
    source = a_prediction.files.segmentation
    drawn = a_cohort.add_annotation(CASE, lambda path: shutil.copyfile(source, path), coverage=Coverage(), author="N")

    with pytest.raises(CohortError, match="another version has been saved since"):
        a_review.undo()

    assert a_cohort.annotation(CASE) == drawn
    assert a_review.canUndo


def test_a_segmentation_that_was_drawn_on_is_not_accepted_as_the_prediction(
    a_review: ReviewLogic, a_cohort: Cohort, a_prediction: ShownPrediction
) -> None:
    node = a_prediction.segmentationNode
    draw(node, node.GetSegmentation().GetNthSegmentID(0))

    with pytest.raises(CohortError, match="Save it as a correction"):
        a_review.acceptCase(a_cohort, "M")

    assert a_cohort.annotations(CASE) == []


def test_a_structure_that_the_cohort_does_not_know_is_not_accepted(
    a_stage: Stage, a_cohort: Cohort, a_review: ReviewLogic
) -> None:
    record = a_cohort.folder / "cohort.json"
    content = json.loads(record.read_text("utf-8"))
    content["labels"][1]["name"] = "Krone"
    write_json(record, content)

    with pytest.raises(LabelError, match="no label 'Zähne 歯'"):
        a_review.acceptCase(Cohort.open(a_cohort.folder), "M")


def test_a_round_deleted_during_a_review_is_told_and_not_made_anew(
    a_review: ReviewLogic, a_cohort: Cohort, a_prediction: ShownPrediction
) -> None:
    a_review.next()
    shutil.rmtree(a_prediction.files.folder.parent)

    for accept in (a_review.accept, lambda: a_review.acceptCase(a_cohort, "M")):
        with pytest.raises(CohortError, match="it was deleted"):
            accept()

    assert not a_prediction.files.folder.exists()
    assert a_review.accepted == frozenset()
    assert a_review.next() is not None


def test_a_case_deleted_on_disk_while_shown_is_told_and_stays_on_the_screen(
    a_stage: Stage, a_review: ReviewLogic, a_cohort: Cohort, a_prediction: ShownPrediction
) -> None:
    record = a_cohort.folder / "cohort.json"
    write_json(record, json.loads(record.read_text("utf-8")) | {"cases": []})
    (a_cohort.folder / "images" / f"{CASE}.nrrd").unlink()

    with pytest.raises(CohortError, match="has no case"):
        a_review.acceptCase(a_cohort, "M")

    assert a_review.next() is not None
    assert a_prediction.segmentationNode.GetScene() is a_stage.scene


def test_a_case_that_was_predicted_anew_is_not_accepted_unseen(
    a_review: ReviewLogic, a_cohort: Cohort, a_prediction: ShownPrediction
) -> None:
    a_review.next()
    writePrediction(a_prediction.files.folder, regions=REGIONS[:1])

    with pytest.raises(CohortError, match="predicted anew"):
        a_review.accept()
    with pytest.raises(CohortError, match="predicted anew"):
        a_review.acceptCase(a_cohort, "M")


def test_a_review_of_an_earlier_prediction_counts_for_nothing(
    a_stage: Stage, a_review: ReviewLogic, a_prediction: ShownPrediction
) -> None:
    a_review.next()
    a_review.accept()
    writePrediction(a_prediction.files.folder, regions=REGIONS[:2])

    a_review.start(ResultLogic(a_stage.scene).load(a_prediction.files.folder, CASE))

    assert a_review.accepted == frozenset()


def test_another_case_of_that_name_is_never_written_over(a_review: ReviewLogic, a_prediction: ShownPrediction) -> None:
    """The record of a case called ``<case>.review`` has the name of a review."""
    write_json(a_prediction.files.review, {"format_version": 1, "case": f"{CASE}.review"})
    a_review.next()

    with pytest.raises(CohortError, match="another file of this name"):
        a_review.accept()

    assert json.loads(a_prediction.files.review.read_text("utf-8"))["case"] == f"{CASE}.review"


def test_a_full_disk_is_told_and_nothing_counts_as_accepted(
    a_review: ReviewLogic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: Any) -> None:
        raise StorageError("The disk is full.")

    a_review.next()
    monkeypatch.setattr("BARLSegmentLib.logic.ReviewRecord.write_json", refuse)

    with pytest.raises(StorageError):
        a_review.accept()

    assert a_review.accepted == frozenset()
    assert not a_review.canUndo


def test_an_empty_prediction_is_not_called_a_sure_one(a_stage: Stage, tmp_path: Path) -> None:
    folder = writePrediction(tmp_path / "other", regions=[])
    record = json.loads((folder / f"{CASE}.json").read_text(encoding="utf-8"))
    write_json(folder / f"{CASE}.json", record | {"volumes_ml": {"jaw": 0.0, "canal": 0.0}})
    review = ReviewLogic(a_stage.scene)

    review.start(ResultLogic(a_stage.scene).load(folder, CASE))

    assert review.progress.sentence == "no region to look at: the prediction is empty, no structure was found"
    review.cleanup()


def test_in_a_read_only_cohort_a_person_may_look_but_accept_nothing(
    a_review: ReviewLogic, a_cohort: Cohort, read_only: ReadOnly
) -> None:
    read_only(a_cohort.folder)
    a_review.next()

    for accept in (a_review.accept, lambda: a_review.acceptCase(a_cohort, "M")):
        with pytest.raises(StorageError, match="read-only: choose another folder"):
            accept()

    assert a_review.accepted == frozenset()
    assert a_cohort.annotations(CASE) == []
    assert not a_review.canUndo


def test_without_regions_a_review_says_why(reviews: Callable[..., ReviewLogic]) -> None:
    for regions, sentence in ((None, "no regions were computed"), ([], "sure everywhere")):
        review = reviews(regions)
        assert sentence in review.progress.sentence
        assert review.next() is None
        with pytest.raises(InputError, match="Go to a region first"):
            review.accept()
        review.cleanup()


def test_a_closed_scene_ends_the_review(a_stage: Stage, a_review: ReviewLogic, a_cohort: Cohort) -> None:
    a_review.next()

    a_stage.scene.Clear()

    assert a_review.region is None
    assert a_review.next() is None
    with pytest.raises(InputError, match="no prediction to accept"):
        a_review.acceptCase(a_cohort, "M")


def test_a_region_that_is_not_there_is_refused(a_review: ReviewLogic) -> None:
    with pytest.raises(InputError, match=r"no region 9: this prediction has 3"):
        a_review.goTo(9)


def _isCyan(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = (pixels[..., part].astype(int) for part in range(3))
    return (green > red + 100) & (blue > red + 100)
