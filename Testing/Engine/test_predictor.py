"""From model folder and image file to result files: on the image's grid, and one failure never spoils the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from engine_doubles import PATCH, TINY, tiny_method
from torch import Tensor, nn

from barl.cohort import Label, LabelTable, Modality
from barl.errors import ImageError, InputError, NewerFormatError, OutOfMemoryError, StorageError
from barl.imaging import Geometry, Recipe, Volume, read_labels, read_volume, write_volume
from barl.inference import results
from barl.inference.batch import Job, Outcome, case_name, segment, segment_files
from barl.inference.devices import Precision
from barl.inference.model_folder import ModelCard, read_card, read_weights, write_model
from barl.inference.predictor import Prediction, Predictor
from barl.inference.results import ResultPaths

CPU = torch.device("cpu")
JAW_AND_CANAL = LabelTable(
    (Label(value=7, name="Kiefer ä", color=(200, 10, 10)), Label(value=3, name="canal", color=(10, 200, 10)))
)
OBLIQUE = (0.8, -0.6, 0.0, 0.48, 0.64, -0.6, 0.36, 0.48, 0.8)
GRIDS = {
    "upright": ((1.0, 1.0, 1.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
    "thick slices": ((0.5, 0.75, 3.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
    "oblique": ((0.9, 0.9, 1.4), OBLIQUE),
    "flipped": ((1.0, 1.2, 1.4), (-1, 0, 0, 0, 1, 0, 0, 0, -1)),
    "permuted": ((1.0, 1.2, 1.4), (0, 0, 1, 1, 0, 0, 0, 1, 0)),
    "permuted and flipped": ((0.7, 1.2, 1.4), (0, -1, 0, 0, 0, 1, -1, 0, 0)),
}


def a_card(spacing: tuple[float, float, float] | None = None, method: str = "supervised") -> ModelCard:
    recipe = Recipe(modality=Modality.CBCT, spacing_dhw_mm=spacing, normalization="percentile")
    return ModelCard(
        method=method, settings={}, network=TINY, labels=JAW_AND_CANAL, recipe=recipe, patch_size_voxels=PATCH
    )


def brighter_than_the_rest(windows: Tensor) -> Tensor:
    """Two branches that call bright voxels class 2, and what reaches beyond them class 0."""
    bright = 40 * (windows[:, 0] - 1)
    logits = torch.stack([-bright, torch.full_like(bright, -100), bright], dim=1)
    return torch.stack([logits, logits], dim=1)


def a_double(card: ModelCard | None = None, predict: Callable[[Tensor], Tensor] = brighter_than_the_rest) -> Predictor:
    return Predictor(card or a_card(), nn.Identity(), predict, CPU, Precision(bf16=False, channels_last=False))


def a_volume(
    shape: tuple[int, int, int] = (20, 26, 30), grid: str = "upright", *, seed: int = 0
) -> tuple[Volume, np.ndarray]:
    """A body in air with a bright box towards one corner, and where the box is."""
    spacing, direction = GRIDS[grid]
    geometry = Geometry(
        size=shape[::-1], spacing_mm=spacing, origin_mm=(-12.5, 30.25, 7.125), direction=tuple(map(float, direction))
    )
    chance = np.random.default_rng(seed)
    array = chance.normal(-1000, 20, shape)
    body = tuple(slice(size // 10, size - size // 10) for size in shape)
    array[body] += 1500
    box = tuple(slice(size // 5, size // 5 + max(1, size // 3)) for size in shape)
    array[box] = 1500
    inside = np.zeros(shape, bool)
    inside[box] = True
    return Volume(array=array.astype(np.int16), geometry=geometry), inside


def an_image(path: Path, grid: str = "upright", *, seed: int = 0) -> Path:
    volume, _ = a_volume(grid=grid, seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, volume.array, volume.geometry)
    return path


@pytest.fixture
def a_model(tmp_path: Path) -> Path:
    """A model folder of an untrained tiny network."""
    return a_model_in(tmp_path / "Modell 1")


def a_model_in(folder: Path, method: str = "supervised", seed: int = 0) -> Path:
    torch.manual_seed(seed)
    model = tiny_method(method).build(1, 3)
    write_model(folder, a_card(method=method), model.state_dict())
    return folder


# On the image's grid


@pytest.mark.parametrize("grid", GRIDS)
def test_without_resampling_every_voxel_is_labeled_in_its_place(grid: str) -> None:
    volume, inside = a_volume(grid=grid)
    prediction = a_double().predict(volume)
    assert prediction.geometry == volume.geometry
    assert np.array_equal(prediction.labels, np.where(inside, 3, 0))
    assert prediction.entropy.shape == prediction.disagreement.shape == volume.array.shape


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("spacing", [(0.8, 0.8, 0.8), (1.5, 1.3, 1.1)])
def test_resampled_predictions_come_back_to_their_place(grid: str, spacing: tuple[float, float, float]) -> None:
    volume, inside = a_volume(grid=grid)
    prediction = a_double(a_card(spacing)).predict(volume)
    assert prediction.labels.shape == volume.array.shape
    guess = prediction.labels == 3
    assert 2 * (guess & inside).sum() / (guess.sum() + inside.sum()) > 0.75
    centers = [np.argwhere(mask).mean(axis=0) for mask in (guess, inside)]
    assert np.abs(centers[0] - centers[1]).max() < 0.6


@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 30, 30), (40, 3, 17), (16, 16, 32)])
def test_volumes_smaller_than_a_patch_are_predicted_whole(shape: tuple[int, int, int]) -> None:
    volume, inside = a_volume(shape)
    prediction = a_double().predict(volume)
    assert np.array_equal(prediction.labels == 3, inside)


@pytest.mark.parametrize("grid", GRIDS)
def test_the_files_lie_exactly_on_the_images_grid(grid: str, tmp_path: Path) -> None:
    image = an_image(tmp_path / "P 07 ä.nii.gz", grid)
    (outcome,) = segment(a_double(a_card((1.2, 1.2, 1.2))), [Job(case="P 07 ä", image=image)], tmp_path / "out")
    assert outcome.state == "done"
    asked = sitk.ReadImage(str(image))
    for name in ("P 07 ä.seg.nrrd", "P 07 ä.uncertainty.nrrd", "P 07 ä.disagreement.nrrd"):
        got = sitk.ReadImage(str(tmp_path / "out" / name))
        assert got.GetSize() == asked.GetSize()
        for what in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(got, what)() == pytest.approx(getattr(asked, what)(), abs=1e-6), (name, what)


def test_maps_are_floats_from_0_to_1_and_labels_have_the_cohorts_names_and_values(tmp_path: Path) -> None:
    image = an_image(tmp_path / "P07.nrrd")
    list(segment(a_double(), [Job(case="P07", image=image)], tmp_path))
    for name in ("uncertainty", "disagreement"):
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"P07.{name}.nrrd")))
        assert values.dtype == np.float32
        assert 0 <= values.min() <= values.max() <= 1
    found = read_labels(tmp_path / "P07.seg.nrrd", JAW_AND_CANAL)
    assert set(np.unique(found.array)) == {0, 3}
    text = (tmp_path / "P07.seg.nrrd").read_bytes()[:4000].decode("utf-8", errors="ignore")
    assert "Kiefer ä" in text
    assert "canal" in text


def test_volumes_and_uncertainty_in_the_record_are_those_of_the_files(tmp_path: Path) -> None:
    image = an_image(tmp_path / "P07.nrrd", "thick slices")
    (outcome,) = segment(a_double(), [Job(case="P07", image=image)], tmp_path)
    record = json.loads((tmp_path / "P07.json").read_text(encoding="utf-8"))
    voxels = int(a_volume()[1].sum())
    assert record["volumes_ml"] == {"Kiefer ä": 0.0, "canal": pytest.approx(voxels * 0.5 * 0.75 * 3 / 1000, abs=1e-4)}
    assert outcome.volumes_ml == record["volumes_ml"]
    assert record["mean_uncertainty"] == outcome.mean_uncertainty == pytest.approx(0, abs=0.01)
    assert record["image"] == "P07.nrrd"


def test_mean_entropy_counts_what_is_labeled_or_unsure() -> None:
    labels = np.array([[[0, 0, 7, 7]]], np.uint8)
    levels = np.array([[[0, 100, 50, 150]]], np.uint8)
    geometry = Geometry(
        size=(4, 1, 1), spacing_mm=(1, 1, 1), origin_mm=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
    )
    some = Prediction(
        labels=labels, entropy=levels, disagreement=levels, rival=labels, geometry=geometry, table=JAW_AND_CANAL
    )
    assert some.mean_entropy() == pytest.approx((100 + 50 + 150) / 3 / 250)
    nothing = replace(some, labels=np.zeros_like(labels), entropy=np.zeros_like(levels))
    assert nothing.mean_entropy() == 0.0


def test_branches_that_contradict_each_other_show_in_both_maps() -> None:
    def contradict(windows: Tensor) -> Tensor:
        logits = torch.zeros(len(windows), 2, 3, *windows.shape[2:])
        logits[:, 0, 0] = logits[:, 1, 2] = 50
        return logits

    prediction = a_double(predict=contradict).predict(a_volume()[0])
    body = prediction.disagreement > 0
    assert set(np.unique(prediction.disagreement[body])) == {250}
    assert set(np.unique(prediction.entropy[body])) == {round(250 * np.log(2) / np.log(3))}


@pytest.mark.parametrize("method", ["supervised", "barl", "cross_pseudo"])
def test_a_model_read_back_predicts_what_the_written_one_did(tmp_path: Path, fp32: Precision, method: str) -> None:
    folder = a_model_in(tmp_path / "model", method)
    model = tiny_method(method).build(1, 3)
    model.load_state_dict(read_weights(folder, read_card(folder)))
    model.eval()
    other = Predictor(read_card(folder), model, lambda p: tiny_method(method).predict(model, p), CPU, fp32)
    volume, _ = a_volume((18, 20, 34))
    one, two = Predictor.load(folder, CPU, fp32).predict(volume), other.predict(volume)
    assert np.array_equal(one.labels, two.labels)
    assert np.array_equal(one.entropy, two.entropy)
    assert np.array_equal(one.disagreement, two.disagreement)
    # BARL's second branch begins as a copy of the first.
    assert bool(one.disagreement.any()) == (method == "cross_pseudo")


def test_voxels_that_are_no_number_are_refused() -> None:
    volume, _ = a_volume()
    broken = volume.array.astype(np.float32)
    broken[3, 4, 5] = np.nan
    with pytest.raises(ImageError, match="1 voxels that are not a finite number"):
        a_double().predict(replace(volume, array=broken))


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")]
)
def test_a_volume_that_does_not_fit_into_memory_is_told_so(error: Exception) -> None:
    def too_large(windows: Tensor) -> Tensor:
        raise error

    with pytest.raises(OutOfMemoryError, match=r"voxels does not fit into the memory of cpu\. Close"):
        a_double(predict=too_large).predict(a_volume()[0])


def remembering(sizes: list[int], most: int) -> Callable[[Tensor], Tensor]:
    """A double whose memory holds a few windows only, and that notes how many came."""

    def look(windows: Tensor) -> Tensor:
        sizes.append(len(windows))
        if len(windows) > most:
            raise RuntimeError("CUDA out of memory")
        return brighter_than_the_rest(windows)

    return look


def test_less_memory_than_a_pass_takes_means_fewer_windows_at_once_from_then_on() -> None:
    sizes: list[int] = []
    predictor = a_double(predict=remembering(sizes, most=2))
    predictor.windows_at_once = 8
    volume, inside = a_volume((50, 60, 100))
    assert np.array_equal(predictor.predict(volume).labels == 3, inside)
    assert sizes[:3] == [8, 4, 2]
    assert max(sizes[3:]) == 2
    assert predictor.windows_at_once == 2


def test_windows_together_give_what_each_gives_alone(fp32: Precision) -> None:
    volume, _ = a_volume((40, 40, 70))
    model = tiny_method("barl").build(1, 3).eval()
    predictor = Predictor(a_card(), model, lambda p: tiny_method("barl").predict(model, p), CPU, fp32)
    alone = predictor.predict(volume)
    predictor.windows_at_once = 3
    together = predictor.predict(volume)
    assert np.abs(alone.entropy.astype(int) - together.entropy).mean() < 0.1
    assert (alone.labels != together.labels).mean() < 1e-3


def test_a_prepared_array_that_cannot_be_written_to_is_read_all_the_same() -> None:
    array = np.zeros((1, *PATCH), np.float16)
    array.flags.writeable = False
    a_double().maps(array, PATCH)


def test_other_errors_of_a_network_are_not_taken_for_memory() -> None:
    def broken(windows: Tensor) -> Tensor:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        a_double(predict=broken).predict(a_volume()[0])


# The model folder


def test_a_card_comes_back_as_it_was_written(a_model: Path) -> None:
    card = read_card(a_model)
    assert len(card.weights_sha256) == 64
    assert replace(card, weights_sha256="") == a_card()


def test_a_folder_without_a_model_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model: model\.json is missing"):
        Predictor.load(tmp_path, CPU)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", ", line 1: this is not valid JSON"),
        ("{", ", line 1: this is not valid JSON"),
        ("[]", ": expected an object"),
        ('{"format_version": "new"}', ": format_version must be a whole number, got 'new'"),
        ('{"format_version": null}', ": format_version must be a whole number, got None"),
        ('{"format_version": 1}', " is damaged .* Copy the model folder again"),
    ],
)
def test_a_damaged_card_is_told_with_its_path(a_model: Path, content: str, told: str) -> None:
    (a_model / "model.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rf"model\.json{told}"):
        Predictor.load(a_model, CPU)


def edited(folder: Path, **values: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_a_card_of_a_newer_barl_is_refused(a_model: Path) -> None:
    edited(a_model, format_version=2, written_by="7.0")
    with pytest.raises(NewerFormatError, match=r"model\.json has format 2; .* Install BARL 7\.0 or newer"):
        Predictor.load(a_model, CPU)


def test_a_card_of_an_unknown_method_names_those_there_are(a_model: Path) -> None:
    edited(a_model, method="unet")
    with pytest.raises(InputError, match=r"cannot make the model's networks: method must be one of.*Use the BARL that"):
        Predictor.load(a_model, CPU)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"patch_size_voxels": [15, 32, 32]}, r"multiples of 16, got \(15, 32, 32\)"),
        ({"overlap": 1.0}, "overlap must be from 0 up to"),
        ({"overlap": -3.0}, "overlap must be from 0 up to"),
        ({"calibration": {"temperatures": [1.0], "cases": 3}}, "classes need as many temperatures, got 1"),
        ({"settings": None}, "not iterable"),
        ({"labels": []}, "at least one label"),
    ],
    ids=str,
)
def test_a_card_with_senseless_values_is_damaged(a_model: Path, values: dict[str, Any], told: str) -> None:
    edited(a_model, **values)
    with pytest.raises(InputError, match=rf"model\.json is damaged \(.*{told}.*\)\. Copy the model folder again"):
        Predictor.load(a_model, CPU)


def test_a_card_that_tells_of_another_network_is_refused(a_model: Path) -> None:
    edited(a_model, network={"base_filters": 8, "normalization": "instance", "dropout": 0.0})
    with pytest.raises(InputError, match=r"weights do not fit what model\.json says of the network\. Copy"):
        Predictor.load(a_model, CPU)


def keep_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [keep_half, flip_a_bit, lambda content: b"", lambda content: b"some text", lambda content: b"\x80\x02}q."]
)
def test_damaged_weights_are_told_with_their_path(a_model: Path, damage: Callable[[bytes], bytes]) -> None:
    path = a_model / "weights.pt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"weights\.pt cannot be read .* Copy the model folder again"):
        Predictor.load(a_model, CPU)


def test_missing_weights_are_told_with_their_path(a_model: Path) -> None:
    (a_model / "weights.pt").unlink()
    with pytest.raises(InputError, match=r"weights\.pt cannot be read"):
        Predictor.load(a_model, CPU)


def test_weights_of_another_model_are_refused(a_model: Path, tmp_path: Path) -> None:
    other = a_model_in(tmp_path / "other", seed=1)
    (a_model / "weights.pt").write_bytes((other / "weights.pt").read_bytes())
    with pytest.raises(InputError, match=r"not the weights that model\.json belongs to"):
        Predictor.load(a_model, CPU)


# Many files


def three_jobs(folder: Path) -> list[Job]:
    return [Job(case=f"P0{i}", image=an_image(folder / f"P0{i}.nii.gz", seed=i)) for i in range(3)]


def states(outcomes: list[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


def test_finished_volumes_are_skipped_on_a_second_call(tmp_path: Path) -> None:
    jobs = three_jobs(tmp_path)
    assert states(list(segment(a_double(), jobs, tmp_path / "out"))) == ["done"] * 3
    assert states(list(segment(a_double(), jobs, tmp_path / "out"))) == ["skipped"] * 3
    assert states(list(segment(a_double(), jobs, tmp_path / "out", overwrite=True))) == ["done"] * 3


def test_a_changed_image_is_done_again(tmp_path: Path) -> None:
    jobs = three_jobs(tmp_path)
    list(segment(a_double(), jobs, tmp_path / "out"))
    os.utime(jobs[1].image, (1, 1))
    assert states(list(segment(a_double(), jobs, tmp_path / "out"))) == ["skipped", "done", "skipped"]


def test_another_model_does_all_again(tmp_path: Path) -> None:
    jobs = three_jobs(tmp_path)
    list(segment(a_double(), jobs, tmp_path / "out"))
    other = a_double(replace(a_card(), weights_sha256="f" * 64))
    assert states(list(segment(other, jobs, tmp_path / "out"))) == ["done"] * 3


@pytest.mark.parametrize("suffix", ["seg.nrrd", "uncertainty.nrrd", "disagreement.nrrd", "json"])
def test_a_case_with_a_missing_file_is_done_again(tmp_path: Path, suffix: str) -> None:
    jobs = three_jobs(tmp_path)[:1]
    list(segment(a_double(), jobs, tmp_path / "out"))
    (tmp_path / "out" / f"P00.{suffix}").unlink()
    assert states(list(segment(a_double(), jobs, tmp_path / "out"))) == ["done"]


def test_a_failing_file_is_reported_and_the_rest_done(tmp_path: Path) -> None:
    jobs = three_jobs(tmp_path)
    jobs[0].image.write_text("not an image")
    jobs[1].image.unlink()
    outcomes = list(segment(a_double(), jobs, tmp_path / "out"))
    assert states(outcomes) == ["failed", "failed", "done"]
    assert "P00.nii.gz is a text file" in outcomes[0].message
    assert "P01.nii.gz does not exist" in outcomes[1].message
    assert {path.name.split(".")[0] for path in (tmp_path / "out").iterdir()} == {"P02"}


def test_a_volume_too_large_for_memory_is_reported_and_the_rest_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> Volume:
        if "P00" in path.name:
            raise MemoryError("Unable to allocate 90. GiB")
        return read_volume(path)

    monkeypatch.setattr("barl.inference.batch.read_volume", read)
    outcomes = list(segment(a_double(), three_jobs(tmp_path), tmp_path / "out"))
    assert states(outcomes) == ["failed", "done", "done"]
    assert "does not fit into memory" in outcomes[0].message


def test_a_failure_while_writing_leaves_no_case_that_seems_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, out = three_jobs(tmp_path)[:1], tmp_path / "out"
    list(segment(a_double(), jobs, out))

    def full(path: Path, *_: object) -> None:
        if "disagreement" in path.name:
            raise StorageError("The disk is full")
        write_volume(path, *_)

    monkeypatch.setattr(results, "write_volume", full)
    with pytest.raises(StorageError, match="full"):
        list(segment(a_double(), jobs, out, overwrite=True))
    assert not ResultPaths(out, "P00").record.exists()
    assert not [path for path in out.iterdir() if path.name.startswith(".tmp")]
    monkeypatch.undo()
    assert states(list(segment(a_double(), jobs, out))) == ["done"]


def test_an_output_folder_that_is_a_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StorageError, match="out"):
        list(segment(a_double(), three_jobs(tmp_path), tmp_path / "out"))


def test_progress_names_the_case_and_rises_to_one(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    list(segment(a_double(), three_jobs(tmp_path), tmp_path / "out", on_progress=lambda *what: told.append(what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert told[0] == (0.0, "P00 (1 of 3)")
    assert told[-1] == (1.0, "done")
    assert len(shares) > 8


def test_files_are_segmented_with_a_model_folder(a_model: Path, tmp_path: Path) -> None:
    images = [job.image for job in three_jobs(tmp_path / "in")[:2]]
    first = segment_files(a_model, images, tmp_path / "out", device="cpu")
    assert [(outcome.case, outcome.state) for outcome in first] == [("P00", "done"), ("P01", "done")]
    assert states(segment_files(a_model, images, tmp_path / "out", device="cpu")) == ["skipped"] * 2


@pytest.mark.parametrize("name", ["P00.seg.nrrd", "P00.uncertainty.nrrd", "P00.json"])
def test_files_that_somebody_else_wrote_are_not_replaced_unasked(a_model: Path, tmp_path: Path, name: str) -> None:
    images = [job.image for job in three_jobs(tmp_path / "in")[:2]]
    drawn = tmp_path / "out" / name
    drawn.parent.mkdir()
    drawn.write_text("by hand")
    with pytest.raises(InputError, match=rf"(?s)did not write.*{name}.*Choose another folder"):
        segment_files(a_model, images, tmp_path / "out", device="cpu")
    assert drawn.read_text() == "by hand"
    assert list(drawn.parent.iterdir()) == [drawn]
    assert states(segment_files(a_model, images, tmp_path / "out", device="cpu", overwrite=True)) == ["done"] * 2


def test_a_segmentation_that_was_corrected_in_place_is_not_replaced_unasked(a_model: Path, tmp_path: Path) -> None:
    images, out = [job.image for job in three_jobs(tmp_path / "in")[:2]], tmp_path / "out"
    segment_files(a_model, images, out, device="cpu")
    (out / "P01.seg.nrrd").write_bytes(b"corrected")
    assert states(segment_files(a_model, images, out, device="cpu")) == ["skipped"] * 2
    for image in images:
        os.utime(image, (1, 1))
    with pytest.raises(InputError, match=r"changed since:\n.*P01\.seg\.nrrd\n"):
        segment_files(a_model, images, out, device="cpu")
    assert (out / "P01.seg.nrrd").read_bytes() == b"corrected"


def test_what_a_killed_run_left_is_replaced(a_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, out = [job.image for job in three_jobs(tmp_path / "in")[:1]], tmp_path / "out"

    def killed(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        segment_files(a_model, images, out, device="cpu")
    monkeypatch.undo()
    assert (out / "P00.seg.nrrd").exists()
    assert states(segment_files(a_model, images, out, device="cpu")) == ["done"]
    assert not list(out.glob(".*"))


def test_two_images_of_one_name_are_refused_before_anything_is_done(a_model: Path, tmp_path: Path) -> None:
    images = [an_image(tmp_path / folder / name) for folder, name in (("a", "P07.nii.gz"), ("b", "p07.nrrd"))]
    with pytest.raises(InputError, match=r"Two images would write the same result .*a.P07\.nii\.gz and .*b.p07\.nrrd"):
        segment_files(a_model, images, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_nothing_to_segment_is_told(a_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to segment"):
        segment_files(a_model, [], tmp_path / "out", device="cpu")


@pytest.mark.parametrize(
    ("name", "case"),
    [("P07.nii.gz", "P07"), ("P.07.NRRD", "P.07"), ("Zähne 1.mha", "Zähne 1"), ("series.4", "series.4")],
)
def test_a_case_is_named_after_its_file(name: str, case: str) -> None:
    assert case_name(Path("somewhere") / name) == case
