"""From the wish, the cohort and the computer to numbers: spacing, patch, batch, steps.

The plan is written into the round; a resumed training reads it instead of planning again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from barl.atomic import write_json
from barl.cohort import Cohort
from barl.errors import JobError
from barl.imaging.geometry import Geometry
from barl.imaging.preprocess import Recipe, choose_spacing
from barl.inference.devices import Precision
from barl.inference.model_folder import ModelCard
from barl.inference.sliding_window import Size
from barl.networks import Halvings, NetworkSettings, halvings_for
from barl.presets import PRESETS
from barl.records import format_stamp, read_fields
from barl.training.job import TrainingJob
from barl.training.memory import Step, patch_within
from barl.training.sides import names_a_side

FORMAT_VERSION = 1
_NEW_ROUND = "Start a new round instead."
Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done; nothing here is decided twice."""

    recipe: Recipe
    spacing_mm: Triple
    """D, H, W of the prepared grid."""

    late_halvings: tuple[int, ...]
    """Of the networks, see :class:`barl.networks.Halvings`."""

    patch_size_voxels: Size
    labeled_patches: int
    unlabeled_patches: int
    precision: Precision
    total_steps: int | None
    """None until the time of a step has been measured."""

    mirror_left_right: bool

    def to_json(self) -> dict[str, Any]:
        """Write as plain values."""
        return format_stamp(FORMAT_VERSION) | {
            "recipe": self.recipe.to_json(),
            "spacing_mm": list(self.spacing_mm),
            "late_halvings": list(self.late_halvings),
            "patch_size_voxels": list(self.patch_size_voxels),
            "labeled_patches": self.labeled_patches,
            "unlabeled_patches": self.unlabeled_patches,
            "precision": asdict(self.precision),
            "total_steps": self.total_steps,
            "mirror_left_right": self.mirror_left_right,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Plan:
        """Read what :meth:`to_json` wrote."""
        return cls(
            recipe=Recipe.from_json(value["recipe"]),
            spacing_mm=_triple(value["spacing_mm"]),
            late_halvings=_size(value.get("late_halvings", (0, 0, 0))),  # Absent from rounds of earlier versions.
            patch_size_voxels=_size(value["patch_size_voxels"]),
            labeled_patches=int(value["labeled_patches"]),
            unlabeled_patches=int(value["unlabeled_patches"]),
            precision=Precision(**value["precision"]),
            total_steps=value["total_steps"],
            mirror_left_right=bool(value["mirror_left_right"]),
        )

    def network(self, wished: NetworkSettings) -> NetworkSettings:
        """The settings of the networks, with what was left to the plan."""
        return replace(wished, late_halvings=self.late_halvings)


def make_plan(
    job: TrainingJob,
    cohort: Cohort,
    geometries: Sequence[Geometry],
    *,
    device: torch.device,
    precision: Precision,
    networks: int,
    needs_unlabeled: bool,
    before: ModelCard | None = None,
) -> Plan:
    """Fit a training to the cohort and the computer.

    Args:
        job: the wish.
        cohort: modality and label table.
        geometries: grids of the cohort's images.
        device: where the training runs.
        precision: of its passes.
        networks: how many networks a step trains or asks.
        needs_unlabeled: without, no unlabeled patches are drawn.
        before: the model that a warm start begins with. It sees the volumes as its weights have learned them.

    Raises:
        SettingsError: the memory allowed does not hold the smallest patch.
        OutOfMemoryError: the free memory does not.
    """
    training = job.training()
    labeled, unlabeled = training.labeled_patches, training.unlabeled_patches if needs_unlabeled else 0
    if before is None:
        recipe, halvings, patch = _fresh(job, cohort, geometries, device)
    else:
        recipe, halvings, patch = before.recipe, before.network.halvings, before.patch_size_voxels
    assert recipe.spacing_dhw_mm is not None
    step = Step(patches=labeled + unlabeled, networks=networks, precision=precision, halvings=halvings)
    return Plan(
        recipe=recipe,
        spacing_mm=recipe.spacing_dhw_mm,
        late_halvings=halvings.late,
        patch_size_voxels=patch_within(patch, step, job.memory_gib, device),
        labeled_patches=labeled,
        unlabeled_patches=unlabeled,
        precision=precision,
        total_steps=job.steps,
        mirror_left_right=job.views().mirror_left_right and not names_a_side(cohort.labels.names),
    )


def _fresh(
    job: TrainingJob, cohort: Cohort, geometries: Sequence[Geometry], device: torch.device
) -> tuple[Recipe, Halvings, Size]:
    preset = PRESETS[job.effective_preset]
    budget = preset.patch_voxels_gpu if device.type == "cuda" else preset.patch_voxels_cpu
    spacing, shape = _coarse_enough(geometries, budget * preset.patches_per_volume)
    wished = job.network()
    halvings = wished.halvings if wished.late_halvings else halvings_for(spacing)
    return Recipe.for_modality(cohort.modality, spacing), halvings, fit_patch(shape, spacing, budget, halvings)


def fit_patch(shape: Size, spacing_mm: Triple, most_voxels: int, halvings: Halvings) -> Size:
    """The largest patch within a typical volume that the networks can halve, as cubic in millimetres as it allows.

    Rounded down: a window that reaches beyond the volume sees invented voxels, and predicts worse for it.

    Args:
        shape: of a typical volume.
        spacing_mm: D, H, W.
        most_voxels: of a patch.
        halvings: of the networks: 16 voxels along an axis become one, less where it is halved late.
    """
    steps = halvings.shrink()
    patch = [max(step, extent // step * step) for step, extent in zip(steps, shape, strict=True)]
    while math.prod(patch) > most_voxels:
        longest = max((a for a in range(3) if patch[a] > steps[a]), key=lambda a: patch[a] * spacing_mm[a])
        patch[longest] -= steps[longest]
    if math.prod(patch) == math.prod(steps):
        # Instance normalization needs more than one voxel at the deepest level.
        longest = max(range(3), key=lambda a: shape[a])
        patch[longest] = 2 * steps[longest]
    return _size(patch)


def step_bytes(plan: Plan, networks: int) -> float:
    """About how much memory the plan's training takes, without the volumes."""
    patches = plan.labeled_patches + plan.unlabeled_patches
    step = Step(patches=patches, networks=networks, precision=plan.precision, halvings=Halvings(plan.late_halvings))
    return step.training_bytes(plan.patch_size_voxels)


def _coarse_enough(geometries: Sequence[Geometry], most_voxels: int) -> tuple[Triple, Size]:
    """The cohort's spacing, coarser where a typical volume would hold too many voxels, and that volume's shape."""
    spacing = choose_spacing(geometries)
    extents = [
        np.array(g.canonical_orientation().permute(g.shape)) * g.canonical_orientation().permute(g.spacing_dhw_mm)
        for g in geometries
    ]
    extent = np.median(extents, axis=0)
    while np.prod(extent / spacing) > most_voxels:
        # The finest axis first: a coarse slice distance is rarely the one to give way.
        finest = int(np.argmin(spacing))
        spacing = _triple([s * 1.05 if axis == finest else s for axis, s in enumerate(spacing)])
    return spacing, _size([max(1, round(float(e / s))) for e, s in zip(extent, spacing, strict=True)])


def write_plan(folder: Path, plan: Plan) -> None:
    """Write ``plan.json`` into the round."""
    write_json(folder / "plan.json", plan.to_json())


def read_plan(folder: Path) -> Plan | None:
    """The plan of a round, None where it has none yet.

    Raises:
        NewerFormatError: a newer BARL wrote it.
        JobError: it is damaged.
    """
    path = folder / "plan.json"
    if not path.is_file():
        return None
    fields = read_fields(path, JobError, _NEW_ROUND)
    fields.require_format(FORMAT_VERSION)
    try:
        return Plan.from_json(fields.values)
    except (ValueError, KeyError, TypeError) as error:
        raise JobError(f"{path} is damaged ({error}). {_NEW_ROUND}") from error


def _size(values: Sequence[int]) -> Size:
    depth, height, width = (int(value) for value in values)
    return depth, height, width


def _triple(values: Sequence[float]) -> Triple:
    depth, height, width = (float(value) for value in values)
    return depth, height, width
