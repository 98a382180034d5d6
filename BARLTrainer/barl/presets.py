"""How thorough a training is: minutes, patch size, how fine the voxels may be. Known before torch is installed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Limits of a plan."""

    name: str

    minutes: float
    """Time for the training, where the user names none."""

    patch_voxels_cpu: int
    """Most voxels of a patch on a CPU."""

    patch_voxels_gpu: int
    """Most voxels of a patch on a GPU."""

    patches_per_volume: int
    """Volumes are made coarser until a typical one holds no more patches than this: a patch must see enough of the
    body to know where it is, and a prediction must not take hours."""


_ALL = (
    Preset(name="quick", minutes=10, patch_voxels_cpu=32 * 48 * 32, patch_voxels_gpu=80**3, patches_per_volume=48),
    Preset(name="standard", minutes=60, patch_voxels_cpu=48**3, patch_voxels_gpu=112 * 112 * 80, patches_per_volume=64),
    Preset(
        name="thorough", minutes=480, patch_voxels_cpu=64**3, patch_voxels_gpu=128 * 128 * 96, patches_per_volume=96
    ),
)

PRESETS = {preset.name: preset for preset in _ALL}
"""By name, the least thorough first."""


def preset_for(minutes: float) -> Preset:
    """The preset that fits the time for a training, where none is named."""
    return PRESETS["quick" if minutes <= 20 else "standard" if minutes <= 120 else "thorough"]
