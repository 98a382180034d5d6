"""What was checked once is not read again, until it changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from imaging_data import grid, make_cohort, some_voxels

from barl.cohort import Cohort, Modality
from barl.imaging import PreparedCache, Recipe, write_volume
from barl.imaging.sound_images import remember_sound, sound_cases

SHAPE = (9, 10, 11)


@pytest.fixture
def a_study(tmp_path: Path) -> Cohort:
    """Three cases."""
    return make_cohort(tmp_path, {f"P{n}": some_voxels(SHAPE, seed=n) for n in (1, 2, 3)}, grid(SHAPE))


def test_a_sound_image_stays_sound_until_it_changes(a_study: Cohort) -> None:
    assert sound_cases(a_study) == set()
    remember_sound(a_study, ["P1", "P2"])
    assert sound_cases(a_study) == {"P1", "P2"}
    write_volume(a_study.image_path("P2"), some_voxels(SHAPE, seed=9), grid(SHAPE))
    assert sound_cases(a_study) == {"P1"}


def test_what_a_training_prepared_is_sound_too(a_study: Cohort) -> None:
    remember_sound(a_study, ["P1"])
    PreparedCache(a_study, Recipe.for_modality(Modality.CBCT, (1.0, 0.5, 0.6))).image("P3")
    assert sound_cases(a_study) == {"P1", "P3"}


def test_a_case_that_left_the_cohort_and_a_damaged_note_are_no_hindrance(a_study: Cohort) -> None:
    note = a_study.folder / "cache" / "sound.json"
    remember_sound(a_study, ["P1"])
    note.write_text(note.read_text("utf-8").replace('"P1"', '"P9"'), "utf-8")
    assert sound_cases(a_study) == set()
    note.write_text("{", "utf-8")
    assert sound_cases(a_study) == set()
