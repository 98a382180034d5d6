"""Which case next: worth by doubt, no two alike first, a reason for each, the same list every time. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from barl.cohort import Cohort, Coverage, LabelTable, Modality, Role
from barl.errors import CohortError
from barl.imaging import Geometry, Volume, save_annotation, write_volume
from barl.ranking import RankedCase, next_cases, write_ranking
from barl.ranking.features import FEATURES, image_features, measure, standardized
from barl.ranking.order import diverse_order

LABELS = LabelTable.from_names(["jaw", "canal"])


def grid(shape: tuple[int, int, int], spacing: float = 0.5) -> Geometry:
    return Geometry(
        size=shape[::-1], spacing_mm=(spacing,) * 3, origin_mm=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
    )


def a_scan(seed: int, shape: tuple[int, int, int] = (12, 14, 16), noise: float = 20.0) -> np.ndarray:
    array = np.random.default_rng(seed).normal(-1000, noise, shape)
    array[2:10, 2:12, 2:14] += 1400 + 200 * np.indices((8, 10, 12)).sum(axis=0) / 27
    return array.astype(np.int16)


@pytest.fixture
def a_study(tmp_path: Path) -> Cohort:
    """Six scans: A to D alike, E much larger, F noisy; none annotated, none predicted."""
    cohort = Cohort.create(tmp_path / "Studie ä", name="S", modality=Modality.CBCT, labels=LABELS)
    for number, name in enumerate("ABCDEF"):
        shape = (24, 28, 32) if name == "E" else (12, 14, 16)
        array = a_scan(number, shape, noise=200 if name == "F" else 20)
        path = tmp_path / "images" / f"{name}.nrrd"
        path.parent.mkdir(exist_ok=True)
        write_volume(path, array, grid(shape))
        cohort.add_case(path, case_id=name)
    return cohort


def annotate(cohort: Cohort, *case_ids: str) -> None:
    for case_id in case_ids:
        labels = np.zeros((12, 14, 16), np.uint8)
        labels[4:8, 4:8, 4:8] = 1
        save_annotation(cohort, case_id, labels, coverage=Coverage(), author="test")


def predict(cohort: Cohort, **doubts: dict[str, float | None] | None) -> None:
    """Leave what a round leaves: a segmentation and a record for each case."""
    folder = cohort.new_round() / "predictions"
    folder.mkdir()
    for case_id, doubt in doubts.items():
        (folder / f"{case_id}.seg.nrrd").write_bytes(b"labels")
        record: dict[str, Any] = {"case": case_id} if doubt is None else {"case": case_id, "doubt": doubt}
        (folder / f"{case_id}.json").write_text(json.dumps(record), encoding="utf-8")


def ids(ranked: list[RankedCase]) -> list[str]:
    return [one.case_id for one in ranked]


def test_what_a_round_leaves_is_the_ranking_of_its_predictions(a_study: Cohort) -> None:
    predict(a_study, A={"jaw": 0.1, "canal": 0.1}, B={"jaw": 0.9, "canal": 0.9}, C={"jaw": 0.2, "canal": 0.2})
    folder = a_study.rounds()[-1]
    write_ranking(a_study, folder)

    kept = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))

    assert kept["format_version"] == 1
    assert [(row["case"], row["rank"], row["reason"]) for row in kept["cases"]] == [
        (one.case_id, one.rank, one.reason) for one in next_cases(a_study)
    ]
    assert kept["cases"][0]["case"] == "B"


# Before any model


def test_before_any_model_the_typical_image_comes_first_and_the_odd_ones_next(a_study: Cohort) -> None:
    ranked = next_cases(a_study)
    assert [one.rank for one in ranked] == [1, 2, 3, 4, 5, 6]
    assert ranked[0].case_id in "ABCD"
    assert "most typical" in ranked[0].reason
    assert set(ids(ranked[1:3])) == {"E", "F"}
    large = next(one for one in ranked if one.case_id == "E")
    assert "differs most in" in large.reason


def test_what_is_annotated_already_need_not_be_covered_again(a_study: Cohort) -> None:
    annotate(a_study, "A")
    ranked = next_cases(a_study)
    assert "A" not in ids(ranked)
    assert set(ids(ranked[:2])) == {"E", "F"}
    assert ranked[-1].score < ranked[0].score


def test_validation_and_excluded_cases_are_not_proposed(a_study: Cohort) -> None:
    a_study.set_role("E", Role.VALIDATION)
    a_study.set_role("F", Role.EXCLUDED)
    assert set(ids(next_cases(a_study))) == set("ABCD")


def test_a_cohort_that_is_all_annotated_has_no_next_case(a_study: Cohort) -> None:
    for case_id in "EF":
        a_study.set_role(case_id, Role.EXCLUDED)
    annotate(a_study, *"ABCD")
    assert next_cases(a_study) == []


# With predictions


def test_the_doubtful_case_comes_first_and_says_which_structure_it_is(a_study: Cohort) -> None:
    predict(a_study, **{name: {"jaw": 0.5, "canal": 0.9 if name == "C" else 0.4} for name in "ABCDEF"})
    first = next_cases(a_study)[0]
    assert first.case_id == "C"
    assert first.predicted
    assert first.reason.startswith("canal: the most unsure tenth of its border is 90% unsure, the usual being 40%.")


def test_a_small_structure_in_doubt_is_not_lost_among_certain_ones(a_study: Cohort, tmp_path: Path) -> None:
    labels = LabelTable.from_names([*(f"tooth {n}" for n in range(1, 31)), "canal"])
    many = Cohort.create(tmp_path / "many", name="M", modality=Modality.CBCT, labels=labels)
    for name in "ABC":
        many.add_case(a_study.image_path(name), case_id=name)
    certain = dict.fromkeys(labels.names, 0.3)
    predict(many, A=certain, B=certain | {"canal": 1.0}, C=dict.fromkeys(labels.names, 0.35))
    assert next_cases(many)[0].case_id == "B"


def test_a_structure_that_is_missed_where_others_have_it_is_doubtful(a_study: Cohort) -> None:
    predict(a_study, **{name: {"jaw": 0.5, "canal": None if name == "D" else 0.4} for name in "ABCDEF"})
    first = next_cases(a_study)[0]
    assert first.case_id == "D"
    assert first.reason.startswith("No canal was found, though 5 of 6 predictions have it.")


def test_a_structure_that_most_cases_lack_is_not_missed(a_study: Cohort) -> None:
    predict(a_study, **{name: {"jaw": 0.5 if name != "B" else 0.6, "canal": None} for name in "ABCDEF"})
    ranked = next_cases(a_study)
    assert ranked[0].case_id == "B"
    assert not any("No canal" in one.reason for one in ranked)


def test_a_copy_of_the_first_case_comes_last_however_doubtful(a_study: Cohort, tmp_path: Path) -> None:
    copy = tmp_path / "images" / "G.nrrd"
    copy.write_bytes(a_study.image_path("C").read_bytes())
    a_study.add_case(copy, case_id="G")
    predict(a_study, **{name: {"jaw": 0.9 if name in "CG" else 0.5, "canal": 0.5} for name in "ABCDEFG"})
    ranked = next_cases(a_study)
    assert (ranked[0].case_id, ranked[-1].case_id) == ("C", "G")
    assert "Much like C, so it comes later." in ranked[-1].reason


def test_the_newest_round_counts(a_study: Cohort) -> None:
    for doubtful in "AB":
        predict(a_study, **{name: {"jaw": 0.9 if name == doubtful else 0.4, "canal": 0.4} for name in "ABCDEF"})
    assert next_cases(a_study)[0].case_id == "B"


def test_a_case_that_no_model_has_seen_is_ranked_by_its_image_and_says_so(a_study: Cohort) -> None:
    predict(a_study, **{name: {"jaw": 0.5, "canal": 0.4} for name in "ABCD"}, F=None)
    ranked = {one.case_id: one for one in next_cases(a_study)}
    for name in "EF":
        assert not ranked[name].predicted
        assert "Not predicted yet, so only its image counts." in ranked[name].reason
        assert ranked[name].score > 0


# Stable and safe


def test_equal_cohorts_give_equal_lists_from_the_cache_too(a_study: Cohort) -> None:
    first = next_cases(a_study)
    assert (a_study.folder / "cache" / ".features" / "A.json").is_file()
    assert next_cases(Cohort.open(a_study.folder)) == first


def test_features_in_the_cache_are_read_and_follow_a_changed_image(a_study: Cohort) -> None:
    before = image_features(a_study, "A")
    note = a_study.folder / "cache" / ".features" / "A.json"
    kept = json.loads(note.read_text(encoding="utf-8"))
    note.write_text(json.dumps(kept | {"features": dict.fromkeys(FEATURES, 7.0)}), encoding="utf-8")
    assert image_features(a_study, "A") == dict.fromkeys(FEATURES, 7.0)
    write_volume(a_study.image_path("A"), a_scan(9, noise=100), grid((12, 14, 16)))
    after = image_features(a_study, "A")
    assert after["detail"] > 1.5 * before["detail"]


def test_an_image_that_is_gone_is_last_with_the_reason_and_without_its_path(a_study: Cohort) -> None:
    a_study.image_path("B").unlink()
    ranked = next_cases(a_study)
    assert ranked[-1].case_id == "B"
    assert ranked[-1].reason.startswith("Cannot be ranked. Its image does not exist.")
    assert len(ranked) == 6


def test_a_damaged_record_is_told(a_study: Cohort) -> None:
    predict(a_study, A={"jaw": "much"})  # type: ignore[dict-item]
    with pytest.raises(CohortError, match=r"A\.seg\.nrrd has a doubt that is no"):
        next_cases(a_study)


def test_progress_counts_the_images(a_study: Cohort) -> None:
    told: list[tuple[int, int]] = []
    next_cases(a_study, most=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 6) for n in range(1, 7)]


# Features and order


def test_features_do_not_depend_on_the_scanners_scale_or_on_how_the_axes_are_stored() -> None:
    array = a_scan(0)
    plain = measure(Volume(array=array, geometry=grid(array.shape)), Modality.CBCT)
    scaled = measure(Volume(array=(array * 2.0 + 500).astype(np.float32), geometry=grid(array.shape)), Modality.CBCT)
    flipped = Geometry(
        size=array.shape[::-1], spacing_mm=(0.5,) * 3, origin_mm=(0, 0, 0), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    )
    turned = measure(Volume(array=np.ascontiguousarray(array[:, ::-1, ::-1]), geometry=flipped), Modality.CBCT)
    assert list(plain) == list(FEATURES)
    assert scaled == pytest.approx(plain, rel=1e-3)
    assert turned == pytest.approx(plain, rel=1e-6)
    assert plain["width_mm"] == 8.0


def test_one_odd_image_stands_out_and_equal_ones_do_not_differ() -> None:
    row = dict.fromkeys(FEATURES, 1.0)
    scaled = standardized([row, row, row, row | {"contrast": 5.0}])
    assert not scaled[:3].any()
    assert np.flatnonzero(scaled[3]).tolist() == [list(FEATURES).index("contrast")]


numbers = st.floats(-4, 4, allow_nan=False, width=32)


@given(st.integers(1, 7), st.integers(0, 3), st.data())
def test_every_case_is_placed_once_and_novelty_stays_between_0_and_1(
    count: int, known: int, data: st.DataObject
) -> None:
    worth = data.draw(arrays.arrays(np.float64, count, elements=st.floats(0, 1)))
    features = data.draw(arrays.arrays(np.float64, (count, 3), elements=numbers))
    others = data.draw(arrays.arrays(np.float64, (known, 3), elements=numbers))
    places = diverse_order(worth, features, others)
    assert sorted(place.index for place in places) == list(range(count))
    assert all(0 <= place.novelty <= 1 for place in places)
    assert (places[0].nearest is None) == (known == 0)


def test_equal_worth_gives_the_farthest_first_order() -> None:
    features = np.array([[0.0], [0.1], [10.0], [4.0]])
    places = diverse_order(np.ones(4), features, np.array([[0.0]]))
    assert [place.index for place in places] == [2, 3, 1, 0]
    assert places[0].nearest == 4
    assert places[2].nearest == 4
