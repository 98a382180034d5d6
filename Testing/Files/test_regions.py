"""Regions: where they are found, what they hold, in which order, and what they say.

Maps are made by hand: a bar of label 1 in background, certain everywhere but where a test makes it unsure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from barl.cohort import Label, LabelTable
from barl.errors import InputError, SettingsError
from barl.imaging import Geometry
from barl.inference.regions import Region, RegionSettings, find_regions

TABLE = LabelTable((Label(value=1, name="jaw", color=(9, 9, 9)), Label(value=7, name="canal", color=(99, 9, 9))))
SHAPE = (20, 24, 28)
KEYS = ["rank", "center_ras_mm", "bounds_ras_mm", "volume_mm3", "expected_error_mm3", "classes", "reason"]


def grid(
    shape: tuple[int, int, int] = SHAPE,
    spacing: float = 1.0,
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
) -> Geometry:
    return Geometry(size=shape[::-1], spacing_mm=(spacing,) * 3, origin_mm=(10, 20, 30), direction=direction)


@dataclass
class Maps:
    """A prediction that a test edits; by default a certain bar of jaw through the middle."""

    geometry: Geometry = field(default_factory=grid)

    def __post_init__(self) -> None:
        self.labels = np.zeros(self.geometry.shape, np.uint8)
        self.labels[8:12, 8:14] = 1
        self.rival = self.labels.copy()
        self.entropy = np.zeros(self.geometry.shape, np.uint8)
        self.disagreement = np.zeros(self.geometry.shape, np.uint8)

    def unsure(self, box: tuple[slice, ...], rival: int, level: int = 150) -> None:
        self.rival[box] = rival
        self.entropy[box] = level

    def regions(self, known: np.ndarray | None = None, **settings: float) -> list[Region]:
        return find_regions(
            self.labels,
            self.rival,
            self.entropy,
            self.disagreement,
            self.geometry,
            TABLE,
            RegionSettings(**settings),  # type: ignore[arg-type]
            known,
        )


@pytest.fixture
def maps() -> Maps:
    """A prediction that is certain everywhere."""
    return Maps()


def box(d: tuple[int, int], h: tuple[int, int], w: tuple[int, int]) -> tuple[slice, ...]:
    return slice(*d), slice(*h), slice(*w)


# What is found


def test_where_everything_is_certain_there_is_no_region(maps: Maps) -> None:
    assert maps.regions() == []


def test_an_empty_prediction_has_no_regions_and_is_no_error(maps: Maps) -> None:
    maps.labels[:] = 0
    maps.unsure(box((2, 5), (2, 5), (2, 5)), rival=1)
    assert maps.regions() == []


def test_an_unsure_place_is_one_region_of_exactly_its_voxels(maps: Maps) -> None:
    place = box((8, 10), (13, 16), (4, 8))
    maps.unsure(place, rival=1)
    maps.rival[maps.labels == 1] = 0
    (region,) = maps.regions()
    mask = np.zeros(SHAPE, bool)
    mask[place] = True
    assert np.array_equal(region.voxels, np.flatnonzero(mask))
    assert region.volume_mm3 == 24
    assert region.classes == (0, 1)


def test_disagreement_alone_makes_a_region_and_says_so(maps: Maps) -> None:
    place = box((9, 11), (9, 12), (4, 8))
    maps.rival[place], maps.disagreement[place] = 0, 200
    (region,) = maps.regions()
    assert region.reason.startswith("The branches disagree whether this is background or jaw.")


def test_pairs_of_classes_are_regions_of_their_own(maps: Maps) -> None:
    maps.unsure(box((8, 12), (8, 14), (4, 8)), rival=0)
    maps.unsure(box((8, 12), (8, 14), (8, 12)), rival=7)
    assert {region.classes for region in maps.regions()} == {(0, 1), (1, 7)}


def test_a_long_place_is_cut_into_pieces_no_longer_than_asked_for_and_nothing_is_lost(maps: Maps) -> None:
    place = box((9, 11), (9, 11), (0, 28))
    maps.unsure(place, rival=0)
    regions = maps.regions(extent_mm=9.0)
    lengths = [high - low for region in regions for low, high in region.bounds_ras_mm]
    assert len(regions) > 1
    assert max(lengths) <= 9
    assert sum(region.volume_mm3 for region in regions) == 2 * 2 * 28
    together = np.concatenate([region.voxels for region in regions])
    assert len(np.unique(together)) == len(together)


def test_tiny_places_are_dropped_by_their_volume_in_mm() -> None:
    for spacing, found in ((1.0, 1), (0.5, 0)):
        maps = Maps(grid(spacing=spacing))
        maps.unsure(box((9, 11), (9, 11), (4, 5)), rival=0)
        assert len(maps.regions(least_volume_mm3=2.0)) == found, spacing


def test_no_more_regions_than_asked_for(maps: Maps) -> None:
    for w in range(0, 28, 4):
        maps.unsure(box((9, 11), (9, 11), (w, w + 2)), rival=0)
    assert len(maps.regions(extent_mm=6.0)) == 7
    assert [region.rank for region in maps.regions(extent_mm=6.0, most=3)] == [1, 2, 3]


def a_doubtful_block(edge: int, spacing: float) -> Maps:
    """A block of jaw whose whole surface is unsure, on one of its six sides more than elsewhere."""
    maps = Maps(grid((edge + 16,) * 3, spacing))
    maps.labels[:] = 0
    maps.labels[8 : edge + 8, 8 : edge + 8, 8 : edge + 8] = 1
    maps.rival = 1 - maps.labels
    surface = np.zeros(maps.labels.shape, bool)
    surface[7 : edge + 9, 7 : edge + 9, 7 : edge + 9] = True
    surface[9 : edge + 7, 9 : edge + 7, 9 : edge + 7] = False
    maps.entropy[surface] = 150
    maps.entropy[7:9][surface[7:9]] = 200
    return maps


def test_a_model_that_doubts_all_surfaces_is_asked_about_the_worst_part_of_them() -> None:
    maps = a_doubtful_block(32, spacing=2.0)
    everything = maps.regions(most_of_shell=1.0, most=1000, extent_mm=20.0)
    asked = maps.regions(most_of_shell=0.04, most=1000, extent_mm=20.0)
    levels = np.concatenate([maps.entropy.reshape(-1)[region.voxels] for region in asked])
    assert sum(region.volume_mm3 for region in everything) > 5 * sum(region.volume_mm3 for region in asked)
    assert set(levels.tolist()) == {200}


def test_regions_of_a_large_structure_are_larger_so_that_they_are_not_too_many() -> None:
    edges = {}
    for spacing in (1.0, 3.0):
        first, *_ = a_doubtful_block(32, spacing).regions(most_of_shell=1.0)
        edges[spacing] = max(high - low for low, high in first.bounds_ras_mm)
    assert edges[1.0] <= 12
    assert 12 < edges[3.0] <= 0.2 * 32 * 3.0 + 3.0


# Where


@pytest.mark.parametrize(
    "direction",
    [(1, 0, 0, 0, 1, 0, 0, 0, 1), (-1, 0, 0, 0, 0, 1, 0, 1, 0), (0.8, -0.6, 0.0, 0.48, 0.64, -0.6, 0.36, 0.48, 0.8)],
    ids=["upright", "permuted", "oblique"],
)
def test_the_center_is_the_most_unsure_voxel_and_lies_within_the_bounds(direction: tuple[float, ...]) -> None:
    maps = Maps(grid(spacing=0.7, direction=tuple(map(float, direction))))
    maps.unsure(box((8, 12), (12, 16), (4, 9)), rival=1)
    maps.rival[maps.labels == 1] = 0
    maps.entropy[9, 13, 6] = 157
    (region,) = maps.regions()
    assert region.center_ras_mm == pytest.approx(maps.geometry.index_to_ras((9, 13, 6)))
    for value, (low, high) in zip(region.center_ras_mm, region.bounds_ras_mm, strict=True):
        assert low < value < high


def test_bounds_are_the_outer_edges_of_the_voxels_in_ras(maps: Maps) -> None:
    maps.unsure(box((8, 10), (9, 12), (4, 8)), rival=0)
    (region,) = maps.regions()
    # LPS origin (10, 20, 30): x = 10 + w, R = -x; y = 20 + h, A = -y.
    assert region.bounds_ras_mm == ((-17.5, -13.5), (-31.5, -28.5), (37.5, 39.5))


# In which order


def test_a_small_place_that_is_very_unsure_comes_before_a_large_one_that_is_hardly(maps: Maps) -> None:
    maps.unsure(box((8, 12), (8, 14), (0, 4)), rival=0, level=80)
    maps.unsure(box((9, 12), (9, 13), (20, 24)), rival=0, level=157)
    first, second = maps.regions(least_error=0.05)
    assert first.volume_mm3 < second.volume_mm3
    assert first.expected_error_mm3 > second.expected_error_mm3


def test_expected_error_is_that_of_two_classes_by_their_entropy(maps: Maps) -> None:
    error = 0.2
    nats = -(error * np.log(error) + (1 - error) * np.log(1 - error))
    maps.unsure(box((8, 10), (9, 12), (4, 8)), rival=0, level=round(250 * nats / np.log(3)))
    (region,) = maps.regions()
    assert region.expected_error_mm3 == pytest.approx(error * 24, rel=0.01)


def test_an_island_of_which_the_model_is_certain_ranks_before_an_unsure_border(maps: Maps) -> None:
    maps.unsure(box((8, 10), (9, 12), (4, 8)), rival=0, level=120)
    maps.labels[2:6, 2:5, 2:5] = 1
    island, border = maps.regions()
    assert "lie apart from the rest of jaw, which anatomy makes unlikely" in island.reason
    assert island.expected_error_mm3 == pytest.approx(0.5 * 36)
    assert border.reason.startswith("The border of jaw is unclear here.")


def test_a_hole_ranks_up_and_a_notch_that_leads_out_is_none(maps: Maps) -> None:
    maps.labels[4:16, 4:20, 4:24] = 1
    maps.labels[8:10, 8:12, 10:12] = 0
    (hole,) = maps.regions()
    assert hole.reason.startswith("A hole of 16 mm³ in jaw")
    maps.labels[8:10, 0:12, 10:12] = 0
    assert maps.regions() == []


def test_pieces_that_are_alike_as_teeth_are_none_of_them_islands(maps: Maps) -> None:
    maps.labels[:] = 0
    for w in range(0, 28, 7):
        maps.labels[8:12, 8:12, w : w + 3] = 7
    assert maps.regions() == []


def test_a_speck_of_one_structure_inside_another_is_told_with_both(maps: Maps) -> None:
    maps.labels[4:16, 4:20, 4:24] = 1
    maps.labels[0:3] = 7
    maps.labels[8:10, 8:12, 10:12] = 7
    (region,) = maps.regions()
    assert region.classes == (1, 7)
    assert "of canal lie apart from the rest of canal, inside jaw" in region.reason


def test_an_island_and_the_unsure_voxels_at_its_rim_are_one_region(maps: Maps) -> None:
    maps.labels[2:5, 2:5, 2:5] = 1
    maps.unsure(box((2, 5), (2, 5), (5, 6)), rival=1)
    (region,) = maps.regions()
    assert region.volume_mm3 == 27 + 9


def test_nobody_is_asked_twice_where_a_person_has_drawn(maps: Maps) -> None:
    maps.unsure(box((8, 12), (8, 14), (4, 8)), rival=0)
    maps.labels[2:5, 2:5, 2:5] = 1
    drawn = np.zeros(SHAPE, bool)
    assert [region.voxels for region in maps.regions(known=drawn)] != []
    drawn[2:5, 2:5, 2:5] = drawn[8:12, 8:14, 4:6] = True

    (region,) = maps.regions(known=drawn)

    left = np.zeros(SHAPE, bool)
    left[8:12, 8:14, 6:8] = True
    assert np.array_equal(region.voxels, np.flatnonzero(left))


# What it says


def test_the_reason_tells_what_is_in_question(maps: Maps) -> None:
    maps.unsure(box((8, 10), (8, 12), (4, 8)), rival=7)
    assert maps.regions()[0].reason.startswith("The model cannot tell jaw from canal here.")
    far = Maps()
    far.unsure(box((1, 4), (1, 4), (1, 4)), rival=7)
    assert far.regions()[0].reason.startswith("Nothing is labeled here, but it may be canal.")


def test_the_record_has_exactly_the_agreed_keys_and_is_json(maps: Maps) -> None:
    maps.unsure(box((8, 10), (9, 12), (4, 8)), rival=0)
    (record,) = (region.to_json() for region in maps.regions())
    assert list(record) == KEYS
    assert json.loads(json.dumps(record, allow_nan=False)) == record


# Always


@given(
    labels=arrays.arrays(np.uint8, (6, 7, 8), elements=st.sampled_from([0, 0, 1, 7])),
    levels=arrays.arrays(np.uint8, (6, 7, 8), elements=st.integers(0, 250)),
    rival=arrays.arrays(np.uint8, (6, 7, 8), elements=st.sampled_from([0, 1, 7])),
)
def test_whatever_the_maps_regions_are_ranked_apart_and_the_same_every_time(
    labels: np.ndarray, levels: np.ndarray, rival: np.ndarray
) -> None:
    geometry = grid((6, 7, 8), 0.9)
    given_maps = (labels, rival, levels, levels[::-1], geometry, TABLE)
    regions = find_regions(*given_maps)
    assert [region.rank for region in regions] == list(range(1, len(regions) + 1))
    errors = [round(region.expected_error_mm3, 4) for region in regions]
    assert errors == sorted(errors, reverse=True)
    assert len(regions) <= RegionSettings().most
    together = np.concatenate([region.voxels for region in regions]) if regions else np.zeros(0)
    assert len(np.unique(together)) == len(together)
    again = find_regions(*given_maps)
    assert [region.to_json() for region in again] == [region.to_json() for region in regions]


@pytest.mark.parametrize("shape", [(1, 1, 9), (1, 9, 1), (9, 1, 1), (1, 1, 1)])
def test_volumes_one_voxel_thick_are_no_trouble(shape: tuple[int, int, int]) -> None:
    maps = Maps(grid(shape))
    maps.labels[:] = 1
    maps.unsure((slice(None),) * 3, rival=0)
    assert sum(region.volume_mm3 for region in maps.regions(least_volume_mm3=0.5)) == maps.labels.size


def test_a_large_volume_is_searched_in_steps_and_small_islands_are_still_seen_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barl.inference.unlikely_pieces._SEARCHED_VOXELS", 20 * 24 * 28 // 8)
    maps = Maps()
    maps.labels[2:5, 2:5, 2:5] = 1
    # Joined to the bar by a bridge that every second voxel does not show.
    maps.labels[15:18, 9:13, 9:13] = 1
    maps.labels[12:15, 9, 9] = 1
    # Two corners that touch where only odd voxels are: one island, though the search sees two.
    maps.labels[2:4, 16:18, 2:4] = 1
    maps.labels[3:5, 17:19, 2:4] = 1
    regions = maps.regions()
    assert sorted(region.volume_mm3 for region in regions) == [14, 27]


def test_a_model_unsure_everywhere_is_asked_about_its_worst_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barl.inference.unsure_places._MOST_VOXELS", 500)
    maps = Maps()
    maps.unsure((slice(None),) * 3, rival=7, level=100)
    maps.entropy[4:12, 4:12, 4:12] = 150
    regions = maps.regions()
    assert regions
    assert all(maps.entropy.reshape(-1)[region.voxels].min() == 150 for region in regions)


# Wrong input


def test_a_prediction_without_uncertainty_is_told_so(maps: Maps) -> None:
    with pytest.raises(InputError, match=r"this prediction has none\. Predict the case again"):
        find_regions(maps.labels, maps.rival, None, None, maps.geometry, TABLE)


def test_arrays_of_another_grid_are_refused(maps: Maps) -> None:
    with pytest.raises(InputError, match=r"entropy must have the shape of the grid, \(20, 24, 28\), got \(2, 2, 2\)"):
        find_regions(maps.labels, maps.rival, np.zeros((2, 2, 2), np.uint8), maps.disagreement, maps.geometry, TABLE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"most": 0},
        {"least_error": 0},
        {"unlikely_share": 1},
        {"extent_mm": 0},
        {"least_volume_mm3": -1},
        {"most_of_shell": 0},
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        RegionSettings(**wrong)  # type: ignore[arg-type]
