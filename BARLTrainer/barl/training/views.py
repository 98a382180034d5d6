"""Weak and strong views: what is drawn by chance, and how it is applied.

Random numbers are drawn here and nowhere else, on the host and for whole batches, so that a replay, two branches, a
process with a part of the batch and a test see the same views on any device. Noise is drawn on the device, from a seed
for each patch.

Shapes: B patches, C channels, D H W voxels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from barl.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """How far views differ from the volume and from each other."""

    rotation_degrees: float = 15.0
    """Largest rotation around each axis."""

    scale: float = 0.15
    """Largest change of size, as a share."""

    stretch: float = 0.2
    """Largest change of size of one axis alone, as a share, on top of ``scale``; with ``bend`` two points of Dice on
    eight hippocampi (docs/lab-notes.md)."""

    affine_share: float = 0.75
    """Share of patches that are rotated and scaled at all."""

    bend: float = 0.8
    """Largest shift of a control point of an elastic deformation, as a share of the distance between control points,
    which are half a patch apart; 0 bends nothing."""

    bend_share: float = 0.75
    """Share of patches that are bent at all."""

    mirror_left_right: bool = True
    """Mirror half of the patches left to right; off where a label says left or right."""

    labeled_intensity: float = 0.6
    """Strength of the intensity change of labeled patches, as a share of the strong view's."""

    gamma: float = 0.4
    """Strong view: exponent from exp(-gamma) to exp(gamma), on intensities scaled to 0 ... 1."""

    contrast: float = 0.25
    """Strong view: contrast changes by up to this share."""

    brightness: float = 0.25
    """Strong view: shift of up to this many standard deviations of the volume."""

    noise: float = 0.1
    """Strong view: largest standard deviation of Gaussian noise, in standard deviations of the volume."""

    blur_share: float = 0.25
    """Strong view: share of patches seen at half resolution."""

    paste_share: float = 1.0
    """Strong view: share of patches that are mixed with a labeled patch (copy-paste). Methods without unlabeled terms
    have no strong view. All, as in the paper: mixing some was not tried."""

    paste_side: float = 0.67
    """Strong view: edges of the box that is mixed, as a share of the patch's; two thirds, as in the paper."""

    def __post_init__(self) -> None:
        if not 0 <= self.rotation_degrees <= 180:
            raise SettingsError(f"rotation_degrees must be from 0 to 180, got {self.rotation_degrees}")
        for name in (
            "scale",
            "stretch",
            "affine_share",
            "bend",
            "bend_share",
            "blur_share",
            "contrast",
            "labeled_intensity",
            "paste_share",
            "paste_side",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("gamma", "brightness", "noise"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")


class Chance:
    """Seeded numbers, drawn on the host."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.host = torch.Generator().manual_seed(seed)
        self.device = device
        """Where what was drawn is applied."""

    def uniform(self, low: float, high: float) -> float:
        """One number between the two."""
        return low + (high - low) * float(torch.rand((), generator=self.host))

    def many(self, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        """An array of such numbers, float32."""
        drawn: np.ndarray = torch.rand(shape, generator=self.host).numpy()
        return low + (high - low) * drawn

    def happens(self, share: float) -> bool:
        """True in this share of calls."""
        return self.uniform(0.0, 1.0) < share

    def index(self, count: int) -> int:
        """A whole number from 0 to count - 1."""
        return int(torch.randint(count, (), generator=self.host))

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"host": self.host.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on where ``state`` was taken."""
        self.host.set_state(state["host"].cpu())


def draw_affine(settings: ViewSettings, spacing_mm: tuple[float, float, float], chance: Chance) -> np.ndarray:
    """(3, 3) matrix from patch offsets to volume offsets, both in voxels (D, H, W).

    Rotation and scale act in millimetres, so that anisotropic voxels keep their shape.
    """
    matrix = np.eye(3)
    if chance.happens(settings.affine_share):
        limit = math.radians(settings.rotation_degrees)
        for axis in range(3):
            matrix = matrix @ _rotation(axis, chance.uniform(-limit, limit))
        matrix = matrix / math.exp(chance.uniform(-1, 1) * math.log1p(settings.scale))
        if settings.stretch:
            matrix = matrix / np.exp([chance.uniform(-1, 1) * math.log1p(settings.stretch) for _ in range(3)])
    if settings.mirror_left_right and chance.happens(0.5):
        matrix[:, 2] = -matrix[:, 2]
    spacing = np.array(spacing_mm)
    in_voxels: np.ndarray = (matrix * spacing) / spacing[:, None]
    return in_voxels


def _rotation(axis: int, angle: float) -> np.ndarray:
    i, j = [a for a in range(3) if a != axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[i, j], matrix[j, i] = -math.sin(angle), math.sin(angle)
    return matrix


BEND_POINTS = 5
"""Control points of an elastic deformation along each axis. The outer ones lie outside the patch."""

BEND_NUMBERS = 3 * BEND_POINTS**3
"""Their shifts along three axes."""


def draw_bend(settings: ViewSettings, patch: tuple[int, int, int], chance: Chance) -> np.ndarray | None:
    """(3, 5, 5, 5) float32 shifts of the control points along D, H and W, in voxels of the patch."""
    if not settings.bend or not chance.happens(settings.bend_share):
        return None
    shape = (3, BEND_POINTS, BEND_POINTS, BEND_POINTS)
    farthest = settings.bend * np.array(patch, np.float32) / (BEND_POINTS - 3)
    shifts: np.ndarray = chance.many(shape, -1.0, 1.0) * farthest[:, None, None, None]
    return shifts


def spline_weights(extent: int) -> np.ndarray:
    """(extent, 5) float32: how much each control point moves each voxel along an axis; rows sum to 1.

    Uniform cubic B-splines (de Boor 1978), as ITK's ``BSplineTransform`` uses them.
    """
    return _spline((np.arange(extent) + 0.5) / extent)


def bend_at(bend: np.ndarray, offset: np.ndarray, patch: tuple[int, int, int]) -> np.ndarray:
    """(3,) shift along D, H and W of the place at an offset from the patch's center, in voxels of the patch."""
    d, h, w = (_spline(np.array([place / extent + 0.5]))[0] for place, extent in zip(offset, patch, strict=True))
    shift: np.ndarray = np.einsum("cdhw,d,h,w->c", bend, d, h, w)
    return shift


def _spline(share: np.ndarray) -> np.ndarray:
    """(N, 5) weights of the control points at shares, 0 to 1, of a patch's edge."""
    distance = np.abs(share[:, None] * (BEND_POINTS - 3) + 1 - np.arange(BEND_POINTS)[None])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    weights: np.ndarray = np.where(distance < 1, near, far).astype(np.float32)
    return weights


@dataclass(frozen=True, kw_only=True)
class IntensityChange:
    """What chance has decided about the intensities of one patch."""

    coarse: bool
    """Seen at half resolution."""

    gamma: float
    """Exponent on intensities scaled to 0 ... 1."""

    contrast: float
    """Factor on the distance to the mean."""

    shift: float
    """In standard deviations of the volume."""

    sigma: float
    """Standard deviation of the noise, in those of the volume."""

    noise_seed: int

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """Those that the device needs."""
        return self.gamma, self.contrast, self.shift, self.sigma


def draw_intensity(settings: ViewSettings, chance: Chance, strength: float = 1.0) -> IntensityChange:
    """A patch's own change.

    Args:
        strength: 0 changes nothing, 1 is the full strong view.
    """
    return IntensityChange(
        coarse=chance.happens(settings.blur_share * strength),
        gamma=math.exp(chance.uniform(-settings.gamma, settings.gamma) * strength),
        contrast=1 + chance.uniform(-settings.contrast, settings.contrast) * strength,
        shift=chance.uniform(-settings.brightness, settings.brightness) * strength,
        sigma=chance.uniform(0, settings.noise) * strength,
        noise_seed=chance.index(2**62),
    )


def change_intensity(x: Tensor, changes: Sequence[IntensityChange], numbers: Tensor) -> Tensor:
    """The strong view: blur, contrast, brightness, gamma, noise; geometry stays.

    Args:
        x: (B, C, D, H, W) float32, normalized to standard deviation 1.
        changes: of each patch.
        numbers: (B, 4) the ``numbers`` of the changes, on the device of ``x``.
    """
    if len(x) == 0:
        return x
    x = _half_resolution(x, [change.coarse for change in changes])
    gamma, contrast, shift, sigma = (column.view(-1, 1, 1, 1, 1) for column in numbers.unbind(1))
    low = x.amin(dim=(1, 2, 3, 4), keepdim=True)
    extent = (x.amax(dim=(1, 2, 3, 4), keepdim=True) - low).clamp(min=1e-5)
    middle = x.mean(dim=(1, 2, 3, 4), keepdim=True)
    bent = ((x - low) / extent).pow_(gamma)
    changed = _noise(x, changes).mul_(sigma).add_((low - middle) * contrast + middle + shift)
    return changed.addcmul_(bent, extent * contrast)


def _half_resolution(x: Tensor, chosen: Sequence[bool]) -> Tensor:
    if not any(chosen):
        return x
    x = x.clone()
    for patch, wanted in zip(torch.split(x, 1), chosen, strict=True):
        if wanted:
            coarse = functional.avg_pool3d(patch, 2)
            patch.copy_(functional.interpolate(coarse, size=x.shape[2:], mode="trilinear", align_corners=False))
    return x


def _noise(x: Tensor, changes: Sequence[IntensityChange]) -> Tensor:
    """Standard normal noise of the same shape, the same for a patch in whatever batch it is."""
    generator, noise = torch.Generator(device=x.device), torch.empty_like(x)
    for patch, change in zip(noise, changes, strict=True):
        patch.normal_(generator=generator.manual_seed(change.noise_seed))
    return noise
