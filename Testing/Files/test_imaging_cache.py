"""The cache gives what preparing would give, however files change or break."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from imaging_data import grid, make_cohort, some_voxels

from barl.cohort import AnnotationVersion, Cohort, Coverage, Modality
from barl.errors import ImageError
from barl.imaging import (
    PreparedCache,
    Recipe,
    Volume,
    cache,
    prepare_image,
    prepare_labels,
    save_annotation,
    write_volume,
)

SHAPE = (12, 14, 16)
RECIPE = Recipe.for_modality(Modality.CBCT, (1.0, 0.5, 0.6))


@pytest.fixture
def a_study(tmp_path: Path) -> Cohort:
    """Two cases."""
    return make_cohort(tmp_path, {"P1": some_voxels(SHAPE), "P2": some_voxels(SHAPE, seed=2)}, grid(SHAPE))


@pytest.fixture
def preparations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one word whenever something is prepared."""
    made: list[str] = []
    image, labels = cache.prepare_image, cache.prepare_labels
    monkeypatch.setattr(cache, "prepare_image", lambda *given: (made.append("image"), image(*given))[1])
    monkeypatch.setattr(cache, "prepare_labels", lambda *given: (made.append("labels"), labels(*given))[1])
    return made


def annotate(cohort: Cohort, value: int = 1) -> AnnotationVersion:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:7, 4:9, 5:12] = value
    return save_annotation(cohort, "P1", labels, coverage=Coverage(), author="me")


def replace_image(cohort: Cohort, seed: int) -> None:
    write_volume(cohort.image_path("P1"), some_voxels(SHAPE, seed=seed), grid(SHAPE))


def expected(seed: int = 0) -> np.ndarray:
    return prepare_image(Volume(array=some_voxels(SHAPE, seed=seed), geometry=grid(SHAPE)), RECIPE).array


def test_an_image_is_prepared_once_and_mapped_afterwards(a_study: Cohort, preparations: list[str]) -> None:
    for _ in range(2):
        array, restore = PreparedCache(a_study, RECIPE).image("P1")
        assert isinstance(array, np.memmap)
        assert array.dtype == np.float16
        np.testing.assert_array_equal(array, expected())
        assert restore.geometry.shape == SHAPE
    assert preparations == ["image"]


def test_unchanged_files_are_not_hashed_again(a_study: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_study.image_path("P1")
    os.utime(path, (1_000_000, 1_000_000))
    PreparedCache(a_study, RECIPE).image("P1")
    monkeypatch.setattr("barl.imaging.fingerprints.hash_file", lambda path: pytest.fail(f"hashed {path}"))
    PreparedCache(a_study, RECIPE).image("P1")


def test_a_changed_image_is_noticed_also_with_its_old_size_and_time(a_study: Cohort) -> None:
    prepared = PreparedCache(a_study, RECIPE)
    prepared.image("P1")
    path = a_study.image_path("P1")
    before = path.stat()
    replace_image(a_study, seed=1)
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * max(0, before.st_size - len(content)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    np.testing.assert_array_equal(prepared.image("P1")[0], expected(seed=1))
    assert len(list((a_study.folder / "cache" / "P1").glob("image-*.npy"))) == 1


def test_a_changed_image_is_noticed_by_its_time_alone(a_study: Cohort) -> None:
    path, prepared = a_study.image_path("P1"), PreparedCache(a_study, RECIPE)
    for seed in (0, 1):  # Long ago, so that size and time are trusted.
        replace_image(a_study, seed)
        os.utime(path, (1_000_000 + seed, 1_000_000 + seed))
        np.testing.assert_array_equal(prepared.image("P1")[0], expected(seed))


def test_another_recipe_has_its_own_entry(a_study: Cohort, preparations: list[str]) -> None:
    other = Recipe.for_modality(Modality.MR, None)
    assert PreparedCache(a_study, RECIPE).image("P1")[0].shape != PreparedCache(a_study, other).image("P1")[0].shape
    PreparedCache(a_study, RECIPE).image("P1")
    assert preparations == ["image", "image"]


@pytest.mark.parametrize("harm", ["truncate", "flip a bit", "no sidecar", "broken sidecar", "empty"])
def test_a_damaged_entry_is_made_again(a_study: Cohort, harm: str) -> None:
    PreparedCache(a_study, RECIPE).image("P1")
    entry = next((a_study.folder / "cache" / "P1").glob("image-*.npy"))
    content = entry.read_bytes()
    if harm == "truncate":
        entry.write_bytes(content[:-100])
    elif harm == "flip a bit":
        entry.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    elif harm == "empty":
        entry.write_bytes(b"")
    elif harm == "no sidecar":
        entry.with_suffix(".json").unlink()
    else:
        entry.with_suffix(".json").write_text('{"bytes": ')
    np.testing.assert_array_equal(PreparedCache(a_study, RECIPE).image("P1")[0], expected())


def test_the_folder_may_be_deleted_while_in_use(a_study: Cohort) -> None:
    prepared, version = PreparedCache(a_study, RECIPE), annotate(a_study)
    array, _ = prepared.image("P1")
    labels = prepared.labels(version)
    shutil.rmtree(a_study.folder / "cache")
    np.testing.assert_array_equal(array, expected())
    np.testing.assert_array_equal(prepared.labels(version), labels)
    np.testing.assert_array_equal(prepared.image("P1")[0], expected())


def test_labels_are_classes_on_the_prepared_grid_and_made_once(a_study: Cohort, preparations: list[str]) -> None:
    version = annotate(a_study, value=3)
    for _ in range(2):
        labels = PreparedCache(a_study, RECIPE).labels(version)
    image, restore = PreparedCache(a_study, RECIPE).image("P1")
    assert labels.shape == image.shape[1:]
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[3:7, 4:9, 5:12] = 3
    np.testing.assert_array_equal(labels, prepare_labels(drawn, restore.geometry, restore, a_study.labels))
    assert sorted(preparations) == ["image", "labels"]


def test_a_newer_annotation_or_image_gives_new_labels(a_study: Cohort, preparations: list[str]) -> None:
    prepared = PreparedCache(a_study, RECIPE)
    first = np.array(prepared.labels(annotate(a_study)))
    newer = annotate(a_study, value=2)
    assert not np.array_equal(prepared.labels(newer), first)
    replace_image(a_study, seed=5)
    prepared.labels(newer)
    assert preparations.count("labels") == 3


def test_pruning_keeps_what_is_asked_for(a_study: Cohort, preparations: list[str]) -> None:
    prepared = PreparedCache(a_study, RECIPE)
    prepared.image("P1"), prepared.image("P2")
    assert prepared.prune(keep=["P1"]) > prepared.image("P1")[0].nbytes
    assert preparations == ["image", "image"]
    prepared.image("P2")
    assert preparations == ["image", "image", "image"]


def test_an_unusable_image_is_told_with_its_case(a_study: Cohort) -> None:
    broken = some_voxels(SHAPE).astype(np.float32)
    broken[0, 0, 0] = np.nan
    write_volume(a_study.image_path("P1"), broken, grid(SHAPE))
    with pytest.raises(ImageError, match=r"Case P1: .*1 voxels that are not a finite number"):
        PreparedCache(a_study, RECIPE).image("P1")
    a_study.image_path("P2").unlink()
    with pytest.raises(ImageError, match="does not exist"):
        PreparedCache(a_study, RECIPE).image("P2")


def test_prepared_cases_are_those_whose_present_image_was_prepared(a_study: Cohort) -> None:
    assert cache.prepared_cases(a_study) == set()
    PreparedCache(a_study, RECIPE).image("P1")
    assert cache.prepared_cases(a_study) == {"P1"}
    replace_image(a_study, seed=9)
    assert cache.prepared_cases(a_study) == set()
