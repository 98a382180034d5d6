"""From the wish, the cohort and the computer to numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from engine_doubles import on_cpu
from hypothesis import given
from hypothesis import strategies as st

from barl.cohort import Cohort, LabelTable, Modality
from barl.errors import JobError, NewerFormatError, OutOfMemoryError, SettingsError
from barl.imaging import Geometry
from barl.inference.model_folder import ModelCard
from barl.networks import STRIDE, Halvings, ResVNet, VNet
from barl.networks.network import NetworkSettings
from barl.presets import PRESETS
from barl.training.job import TrainingJob
from barl.training.memory import Step, memory_limit_bytes, smaller_patch
from barl.training.plan import Plan, fit_patch, make_plan, read_plan, write_plan
from barl.training.sides import names_a_side

CPU = torch.device("cpu")
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
QUICK = PRESETS["quick"].patch_voxels_cpu


def a_grid(size: tuple[int, int, int], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Geometry:
    """x, y, z."""
    return Geometry(size=size, spacing_mm=spacing, origin_mm=(0.0, 0.0, 0.0), direction=UPRIGHT)


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """A cohort whose labels tell no side."""
    labels = LabelTable.from_names(["jaw", "canal"])
    return Cohort.create(tmp_path / "cohort", name="K", modality=Modality.CBCT, labels=labels)


def planned(cohort: Cohort, grids: Sequence[Geometry], *, networks: int = 2, **wishes: Any) -> Plan:
    wishes = {"preset": "quick", "memory_gib": 64.0, **wishes}
    needs_unlabeled, before = wishes.pop("needs_unlabeled", True), wishes.pop("before", None)
    return make_plan(
        TrainingJob(**wishes),
        cohort,
        grids,
        device=CPU,
        precision=on_cpu(bf16=False),
        networks=networks,
        needs_unlabeled=needs_unlabeled,
        before=before,
    )


# Patches

SHAPES = st.tuples(*[st.integers(1, 400)] * 3)
SPACINGS = st.tuples(*[st.floats(0.2, 5)] * 3)


@given(SHAPES, SPACINGS, st.sampled_from([p.patch_voxels_cpu for p in PRESETS.values()]))
def test_a_patch_is_a_multiple_of_16_and_within_the_budget(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], most: int
) -> None:
    patch = fit_patch(shape, spacing, most, Halvings())
    assert all(extent % STRIDE == 0 and extent >= STRIDE for extent in patch)
    assert STRIDE**3 < math.prod(patch) <= most


@given(SHAPES, SPACINGS)
def test_a_patch_does_not_reach_beyond_a_volume_that_is_large_enough(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    patch = fit_patch(shape, spacing, QUICK, Halvings())
    if max(shape) >= 2 * STRIDE:
        assert all(extent <= max(STRIDE, size) for extent, size in zip(patch, shape, strict=True))


def test_a_patch_is_as_cubic_in_millimetres_as_the_volume_allows() -> None:
    assert fit_patch((200, 200, 200), (1, 1, 1), 48**3, Halvings()) == (48, 48, 48)
    assert fit_patch((200, 200, 200), (4, 1, 1), 48**3, Halvings()) == (16, 80, 80)
    assert fit_patch((20, 200, 200), (1, 1, 1), 48**3, Halvings()) == (16, 80, 80)


@pytest.mark.parametrize("network_class", [VNet, ResVNet])
@pytest.mark.parametrize("shape", [(5, 5, 5), (17, 20, 31), (1, 40, 3)])
@pytest.mark.parametrize("halvings", [Halvings(), Halvings((3, 0, 0)), Halvings((0, 0, 2))])
def test_networks_can_learn_from_the_patch_of_a_tiny_volume(
    network_class: type[VNet], shape: tuple[int, int, int], halvings: Halvings
) -> None:
    patch = fit_patch(shape, (1, 1, 1), QUICK, halvings)
    network = network_class(1, 2, NetworkSettings(base_filters=4, late_halvings=halvings.late))
    network(torch.randn(1, 1, *patch)).sum().backward()


def test_a_patch_of_thick_slices_needs_no_invented_ones() -> None:
    """Ten slices: halved four times a patch would need sixteen, halved twice it has eight of them."""
    assert fit_patch((10, 128, 128), (8, 1.5, 1.5), QUICK, Halvings())[0] == 16
    assert fit_patch((10, 128, 128), (8, 1.5, 1.5), QUICK, Halvings((2, 0, 0)))[0] == 8


def test_the_plan_halves_thick_slices_late_and_keeps_that(a_cohort: Cohort, tmp_path: Path) -> None:
    thick = planned(a_cohort, [a_grid((128, 128, 10), (1.5, 1.5, 8.0))])
    assert (thick.late_halvings, thick.patch_size_voxels[0]) == ((2, 0, 0), 8)
    write_plan(tmp_path, thick)
    assert read_plan(tmp_path) == thick
    assert thick.network(NetworkSettings(base_filters=8)) == NetworkSettings(base_filters=8, late_halvings=(2, 0, 0))


def test_the_plan_of_a_round_from_before_halves_all_axes_alike(a_cohort: Cohort, tmp_path: Path) -> None:
    write_plan(tmp_path, planned(a_cohort, [a_grid((128, 128, 10), (1.5, 1.5, 8.0))]))
    values = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    del values["late_halvings"]
    (tmp_path / "plan.json").write_text(json.dumps(values), encoding="utf-8")
    found = read_plan(tmp_path)
    assert found is not None
    assert found.late_halvings == (0, 0, 0)


def test_halvings_that_were_asked_for_are_taken(a_cohort: Cohort) -> None:
    grids = [a_grid((128, 128, 10), (1.5, 1.5, 8.0))]
    assert planned(a_cohort, grids, settings={"network.late_halvings": "0,0,0"}).late_halvings == (0, 0, 0)
    assert planned(a_cohort, grids, settings={"network.late_halvings": "1,0,0"}).patch_size_voxels[0] == 8


def test_patches_become_smaller_along_the_longest_axis_down_to_32() -> None:
    sizes, patch = [], (32, 64, 48)
    while patch is not None:
        sizes.append(patch)
        patch = smaller_patch(patch)
    assert sizes == [(32, 64, 48), (32, 48, 48), (32, 32, 48), (32, 32, 32)]
    assert smaller_patch((16, 32, 32)) is None


def test_networks_that_halve_late_take_more_memory_and_smaller_patches_fit_them() -> None:
    alike, late = (
        Step(patches=6, networks=2, precision=on_cpu(bf16=True), halvings=halvings)
        for halvings in (Halvings(), Halvings((2, 0, 0)))
    )
    fixed = alike.training_bytes((0, 0, 0))
    more = (late.training_bytes((8, 96, 96)) - fixed) / (alike.training_bytes((8, 96, 96)) - fixed)
    assert more == pytest.approx(1.7, abs=0.05)  # A V-Net keeps 309 bytes a voxel instead of 184.
    smaller = smaller_patch((8, 96, 96))
    assert smaller is not None
    assert Halvings((2, 0, 0)).fit(smaller)


# Spacing


def test_the_spacing_is_the_cohorts_median_where_volumes_are_small(a_cohort: Cohort) -> None:
    grids = [a_grid((60, 50, 40), (0.5, 0.6, s)) for s in (1.0, 1.2, 3.0)]
    assert planned(a_cohort, grids).spacing_mm == pytest.approx((1.2, 0.6, 0.5))


@pytest.mark.parametrize("preset", PRESETS)
def test_large_volumes_are_made_coarser_until_they_hold_few_enough_patches(a_cohort: Cohort, preset: str) -> None:
    plan = planned(a_cohort, [a_grid((600, 600, 450), (0.2, 0.2, 0.2))], preset=preset)
    kind = PRESETS[preset]
    voxels = 600 * 600 * 450 * 0.2**3 / math.prod(plan.spacing_mm)
    assert 0.85 < voxels / (kind.patch_voxels_cpu * kind.patches_per_volume) <= 1
    assert max(plan.spacing_mm) / min(plan.spacing_mm) < 1.06
    assert plan.recipe.spacing_dhw_mm == plan.spacing_mm


def test_the_finest_axis_gives_way_first(a_cohort: Cohort) -> None:
    plan = planned(a_cohort, [a_grid((512, 512, 60), (0.3, 0.3, 3.0))])
    assert plan.spacing_mm[0] == pytest.approx(3.0)
    assert plan.spacing_mm[1] > 0.4


def test_thorough_is_finer_than_quick(a_cohort: Cohort) -> None:
    grids = [a_grid((600, 600, 450), (0.2, 0.2, 0.2))]
    quick, thorough = (planned(a_cohort, grids, preset=name) for name in ("quick", "thorough"))
    assert max(thorough.spacing_mm) < min(quick.spacing_mm)
    assert math.prod(thorough.patch_size_voxels) > math.prod(quick.patch_size_voxels)


# Memory


def test_less_memory_gives_smaller_patches(a_cohort: Cohort) -> None:
    grids = [a_grid((200, 200, 200))]
    plans = [planned(a_cohort, grids, preset="thorough", memory_gib=gib) for gib in (64.0, 2.5)]
    assert math.prod(plans[1].patch_size_voxels) < math.prod(plans[0].patch_size_voxels)
    need = Step(patches=4, networks=2, precision=plans[1].precision).training_bytes(plans[1].patch_size_voxels)
    assert need <= 2.5 * 2**30


def test_who_allows_too_little_memory_is_told_how_much_is_enough(a_cohort: Cohort) -> None:
    grids = [a_grid((200, 200, 200))]
    with pytest.raises(SettingsError, match=r"only 0\.6 GiB are allowed\. Allow at least \d.*one network") as told:
        planned(a_cohort, grids, memory_gib=0.6)
    enough = float(re.findall(r"Allow at least (\S+) GiB", str(told.value))[0])
    assert planned(a_cohort, grids, memory_gib=enough).patch_size_voxels == (32, 32, 32)
    with pytest.raises(SettingsError, match="are allowed"):
        planned(a_cohort, grids, memory_gib=enough - 0.1)


def test_who_has_too_little_memory_free_is_told_what_to_close(
    a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barl.training.memory.psutil.virtual_memory", lambda: SimpleNamespace(available=2**30))
    with pytest.raises(OutOfMemoryError, match=r"only 0\.9 GiB are free\. Close other programs, or use") as told:
        planned(a_cohort, [a_grid((200, 200, 200))], memory_gib=None, networks=1)
    assert "one network" not in str(told.value)


def test_a_warm_start_keeps_to_the_memory_that_is_allowed(a_cohort: Cohort) -> None:
    grids = [a_grid((200, 200, 200))]
    before = card_of(planned(a_cohort, grids, preset="thorough"), a_cohort)
    again, less = (planned(a_cohort, grids, before=before, memory_gib=gib) for gib in (64.0, 2.5))
    assert (again.recipe, again.patch_size_voxels) == (before.recipe, before.patch_size_voxels)
    assert less.recipe == before.recipe
    assert math.prod(less.patch_size_voxels) < math.prod(before.patch_size_voxels)


def card_of(plan: Plan, cohort: Cohort) -> ModelCard:
    return ModelCard(
        method="barl",
        settings={},
        network=NetworkSettings(),
        labels=cohort.labels,
        recipe=plan.recipe,
        patch_size_voxels=plan.patch_size_voxels,
    )


def test_more_networks_patches_and_precision_take_more_memory() -> None:
    def need(patches: int, networks: int, *, bf16: bool) -> float:
        step = Step(patches=patches, networks=networks, precision=on_cpu(bf16=bf16))
        return step.training_bytes((32, 32, 32))

    assert need(2, 1, bf16=True) < need(2, 1, bf16=False) < need(4, 1, bf16=False) < need(4, 2, bf16=False)


def test_memory_is_what_was_asked_or_less_than_what_is_free() -> None:
    assert memory_limit_bytes(2.0, CPU) == 2 * 2**30
    assert 0 < memory_limit_bytes(None, CPU) < 2**44


# The batch


def test_without_unlabeled_terms_no_unlabeled_patches_are_drawn(a_cohort: Cohort) -> None:
    wishes: dict[str, Any] = {"settings": {"training.labeled_patches": 1, "training.unlabeled_patches": 3}}
    both = planned(a_cohort, [a_grid((64, 64, 64))], **wishes)
    alone = planned(a_cohort, [a_grid((64, 64, 64))], needs_unlabeled=False, **wishes)
    assert (both.labeled_patches, both.unlabeled_patches) == (1, 3)
    assert (alone.labeled_patches, alone.unlabeled_patches) == (1, 0)


def test_steps_are_taken_over_and_minutes_are_not_yet_steps(a_cohort: Cohort) -> None:
    assert planned(a_cohort, [a_grid((64, 64, 64))], steps=50).total_steps == 50
    assert planned(a_cohort, [a_grid((64, 64, 64))], minutes=5.0).total_steps is None


@pytest.mark.parametrize(
    ("names", "sided"),
    [
        (["jaw", "canal"], False),
        (["left kidney", "right kidney"], True),
        (["Hippocampus_L", "Hippocampus_R"], True),
        (["kidney-lt"], True),
        (["Right ventricle"], True),
        (["bright spot", "cleft", "leftover"], False),
        (["LeftCanal", "RightCanal"], True),
        (["11", "21", "36", "46"], True),
        (["Zahn 36"], True),
        (["tooth85"], True),
        (["canal_l"], True),
        (["ctx-lh-insula"], True),
        (["rh.amygdala"], True),
        (["ParotidL"], True),
        (["LKidney"], True),
        (["nerve (R)"], True),
        (["IAN sx", "IAN dx"], True),
        (["左侧"], True),
        (["tooth 3"], True),
        (["Backenzahn_30"], True),
        (["#14"], True),
        (["tooth K"], True),
        (["3", "14"], True),
        (["UR6"], True),
        (["tooth", "teeth", "Label 1"], False),
        (["A", "B", "dentin", "grade-2 crown"], False),
        (["40", "99"], False),
        (["T1 lesion", "grade 3", "layer 90"], False),
    ],
)
def test_labels_that_tell_a_side_are_never_mirrored(tmp_path: Path, names: list[str], sided: bool) -> None:
    assert names_a_side(names) == sided
    cohort = Cohort.create(tmp_path / "c", name="K", modality=Modality.MR, labels=LabelTable.from_names(names))
    assert planned(cohort, [a_grid((64, 64, 64))]).mirror_left_right is not sided


def test_mirroring_can_be_switched_off(a_cohort: Cohort) -> None:
    plan = planned(a_cohort, [a_grid((64, 64, 64))], settings={"views.mirror_left_right": "no"})
    assert plan.mirror_left_right is False


# On disk


@pytest.fixture
def a_plan(a_cohort: Cohort) -> Plan:
    """A plan for one volume."""
    return planned(a_cohort, [a_grid((64, 80, 90), (0.3, 0.4, 1.7))])


@pytest.mark.parametrize("total_steps", [None, 300])
def test_a_plan_comes_back_as_it_was_written(a_plan: Plan, tmp_path: Path, total_steps: int | None) -> None:
    plan = replace(a_plan, total_steps=total_steps)
    assert read_plan(tmp_path) is None
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", ", line 1: this is not valid JSON"),
        ("{", ", line 1: this is not valid JSON"),
        ("[]", ": expected an object"),
        ("{}", ": format_version must be a whole number, but it is missing"),
        ('{"format_version": "x"}', ": format_version must be a whole number, got 'x'"),
        ('{"format_version": 0}', ": format_version must be a whole number from 1 to 1, got 0"),
        ('{"format_version": 1}', " is damaged .* Start a new round"),
    ],
)
def test_a_damaged_plan_is_told_with_its_path(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "plan.json").write_text(content, encoding="utf-8")
    with pytest.raises(JobError, match=rf"plan\.json{told}"):
        read_plan(tmp_path)


def test_a_plan_of_a_newer_barl_is_refused(a_plan: Plan, tmp_path: Path) -> None:
    newer = {**a_plan.to_json(), "format_version": 2, "written_by": "7.0"}
    (tmp_path / "plan.json").write_text(json.dumps(newer), encoding="utf-8")
    with pytest.raises(NewerFormatError, match=r"plan\.json has format 2; .* Install BARL 7\.0 or newer"):
        read_plan(tmp_path)
