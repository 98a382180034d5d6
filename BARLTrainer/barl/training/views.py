"""Weak and strong views: what is drawn by chance, and how it is applied.

Random numbers are drawn here and nowhere else, on the host, so that a replay, two branches and a test see the same
views on any device; only noise fields are drawn on the device.

Shapes: B patches, C channels, D H W voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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

    affine_share: float = 0.75
    """Share of patches that are rotated and scaled at all."""

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

    def __post_init__(self) -> None:
        if not 0 <= self.rotation_degrees <= 180:
            raise SettingsError(f"rotation_degrees must be from 0 to 180, got {self.rotation_degrees}")
        for name in ("scale", "affine_share", "blur_share", "contrast", "labeled_intensity"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("gamma", "brightness", "noise"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} must be 0 or more, got {getattr(self, name)}")


class Chance:
    """Seeded numbers: one generator on the host for choices, one on the device for noise fields."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.host = torch.Generator().manual_seed(seed)
        self.fields = torch.Generator(device=device).manual_seed(seed + 1)
        self.device = device

    def uniform(self, low: float, high: float) -> float:
        """One number between the two."""
        return low + (high - low) * float(torch.rand((), generator=self.host))

    def happens(self, share: float) -> bool:
        """True in this share of calls."""
        return self.uniform(0.0, 1.0) < share

    def index(self, count: int) -> int:
        """A whole number from 0 to count - 1."""
        return int(torch.randint(count, (), generator=self.host))

    def column(self, count: int, low: float, high: float) -> Tensor:
        """(count, 1, 1, 1, 1) numbers on the device, one a patch."""
        numbers = low + (high - low) * torch.rand(count, generator=self.host)
        return numbers.to(self.device).view(-1, 1, 1, 1, 1)

    def normal_like(self, x: Tensor) -> Tensor:
        """Standard normal noise of the same shape."""
        return torch.randn(x.shape, generator=self.fields, device=x.device, dtype=x.dtype)

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"host": self.host.get_state(), "fields": self.fields.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on where ``state`` was taken; on another kind of device the noise fields begin anew."""
        self.host.set_state(state["host"].cpu())
        if state["fields"].numel() == self.fields.get_state().numel():
            self.fields.set_state(state["fields"].cpu())


def draw_affine(settings: ViewSettings, spacing_mm: tuple[float, float, float], chance: Chance) -> Tensor:
    """(3, 3) matrix from patch offsets to volume offsets, both in voxels (D, H, W).

    Rotation and scale act in millimetres, so that anisotropic voxels keep their shape.
    """
    matrix = torch.eye(3, dtype=torch.float64)
    if chance.happens(settings.affine_share):
        for axis in range(3):
            limit = math.radians(settings.rotation_degrees)
            matrix = matrix @ _rotation(axis, chance.uniform(-limit, limit))
        matrix = matrix / math.exp(chance.uniform(-1, 1) * math.log1p(settings.scale))
    if settings.mirror_left_right and chance.happens(0.5):
        matrix[:, 2] = -matrix[:, 2]
    spacing = torch.tensor(spacing_mm, dtype=torch.float64)
    return (matrix * spacing) / spacing[:, None]


def _rotation(axis: int, angle: float) -> Tensor:
    i, j = [a for a in range(3) if a != axis]
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[i, j], matrix[j, i] = -math.sin(angle), math.sin(angle)
    return matrix


def change_intensity(x: Tensor, settings: ViewSettings, chance: Chance, strength: float = 1.0) -> Tensor:
    """The strong view: blur, contrast, brightness, gamma, noise; geometry stays.

    Args:
        x: (B, C, D, H, W) float32, normalized to standard deviation 1.
        strength: 0 changes nothing, 1 is the full strong view.
    """
    count = len(x)
    x = _half_resolution(x, [chance.happens(settings.blur_share * strength) for _ in range(count)])
    gamma = torch.exp(chance.column(count, -settings.gamma, settings.gamma) * strength)
    contrast = 1 + chance.column(count, -settings.contrast, settings.contrast) * strength
    shift = chance.column(count, -settings.brightness, settings.brightness) * strength
    sigma = chance.column(count, 0, settings.noise) * strength
    low = x.amin(dim=(1, 2, 3, 4), keepdim=True)
    extent = (x.amax(dim=(1, 2, 3, 4), keepdim=True) - low).clamp(min=1e-5)
    middle = x.mean(dim=(1, 2, 3, 4), keepdim=True)
    x = ((x - low) / extent).pow(gamma) * extent + low
    return (x - middle) * contrast + middle + shift + sigma * chance.normal_like(x)


def _half_resolution(x: Tensor, chosen: list[bool]) -> Tensor:
    if not any(chosen):
        return x
    rows = [index for index, wanted in enumerate(chosen) if wanted]
    coarse = functional.avg_pool3d(x[rows], 2)
    x = x.clone()
    x[rows] = functional.interpolate(coarse, size=x.shape[2:], mode="trilinear", align_corners=False)
    return x
