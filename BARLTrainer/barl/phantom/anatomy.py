"""One patient's jaw in numbers: everything random about the anatomy is drawn here and only applied elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barl.phantom.fields import Arch

CROWN_WIDTHS_MM = (5.4, 6.0, 7.0, 7.1, 7.2, 10.8, 10.3, 9.4)
"""Mesiodistal widths from the central incisor to the wisdom tooth."""


@dataclass(frozen=True, kw_only=True)
class Tooth:
    """One tooth; ``u`` and ``v`` are in the frame of the arch, ``z`` is the tip of its crown."""

    upper: bool
    position: int
    """0 is the central incisor, 7 the wisdom tooth."""
    u_mm: float
    v_mm: float
    z_mm: float
    width_mm: float
    depth_mm: float
    crown_mm: float
    root_mm: float
    tip: float
    """Slope of the axis along the arch (a tilted wisdom tooth has much)."""
    lean: float
    """Slope of the axis across the arch; positive: the crown leans outward."""
    metal: bool
    """Carries a filling or a crown of metal."""


@dataclass(frozen=True, kw_only=True)
class Canal:
    """The mandibular canal of one side, from the mental foramen back into the ramus."""

    side: int
    start_u_mm: float
    end_u_mm: float
    height_mm: float
    """Above the lower border, in the body of the mandible."""
    rise: float
    """Slope in the ramus."""
    radius_mm: float
    lateral_mm: float
    wall_hu: float
    """How much brighter its wall is than the bone around: often hardly at all."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The whole patient."""

    arch: Arch
    teeth: tuple[Tooth, ...]
    canals: tuple[Canal, ...]
    scale: float
    bottom_mm: float
    """Height of the lower border of the mandible above the first slice; below 0 it is cut off."""
    body_mm: float
    """Height of the body of the mandible at the teeth."""
    resorbed_mm: float
    """How much of that is lost where a tooth is missing."""
    thickness_mm: float
    ramus_u_mm: float
    shell_mm: float
    shell_hu: float
    trabecular_hu: float
    trabecular_spread_hu: float
    upper_crest_mm: float
    """Height of the upper alveolar crest above the lower border of the mandible."""
    cheek_mm: float
    lips_mm: float
    spine_y_mm: float
    hyoid_z_mm: float
    rotation_deg: tuple[float, float, float]
    """Roll, pitch and yaw of the head."""
    shift_mm: tuple[float, float]
    """How far the arch lies from the middle of the field of view, in x and y."""


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a patient: size, pose, arch, teeth, bone quality, canal."""
    scale = min(max(rng.normal(1.0, 0.055), 0.86), 1.14)
    arch = Arch(
        half_width_mm=scale * rng.uniform(23.0, 28.5),
        depth_mm=scale * rng.uniform(39.0, 46.0),
        power=rng.uniform(2.2, 3.2),
        asymmetry=rng.normal(0.0, 0.025),
    )
    body_mm = scale * rng.uniform(24.0, 31.0)
    bite_mm = rng.uniform(0.3, 1.5) if rng.random() < 0.6 else rng.uniform(3.0, 8.0)
    upper_tip_mm = body_mm + scale * 8.5 + bite_mm
    teeth = _draw_jaw(rng, scale, upper=False, tip_mm=body_mm + scale * 8.5)
    teeth += _draw_jaw(rng, scale, upper=True, tip_mm=upper_tip_mm)
    return Anatomy(
        arch=arch,
        teeth=tuple(teeth),
        canals=tuple(_draw_canal(rng, scale, side) for side in (-1, 1)),
        scale=scale,
        bottom_mm=rng.uniform(-5.0, 7.0),
        body_mm=body_mm,
        resorbed_mm=rng.uniform(0.5, 7.0),
        thickness_mm=scale * rng.uniform(10.5, 14.0),
        ramus_u_mm=scale * rng.uniform(50.0, 58.0),
        shell_mm=rng.uniform(1.3, 2.6),
        shell_hu=rng.uniform(1150.0, 1650.0),
        trabecular_hu=rng.uniform(250.0, 620.0),
        trabecular_spread_hu=rng.uniform(110.0, 260.0),
        upper_crest_mm=upper_tip_mm + scale * 7.8,
        cheek_mm=rng.uniform(15.0, 26.0),
        lips_mm=rng.uniform(9.0, 14.0),
        spine_y_mm=rng.uniform(66.0, 82.0),
        hyoid_z_mm=rng.uniform(-9.0, 3.0),
        rotation_deg=(rng.normal(0.0, 4.0), rng.normal(0.0, 6.0), rng.normal(0.0, 5.0)),
        shift_mm=(rng.normal(0.0, 2.0), rng.normal(0.0, 2.5)),
    )


def _draw_jaw(rng: np.random.Generator, scale: float, *, upper: bool, tip_mm: float) -> list[Tooth]:
    missing_share = rng.choice([0.0, 0.08, 0.2, 0.4], p=[0.25, 0.35, 0.25, 0.15])
    metal_share = rng.choice([0.0, 0.06, 0.2], p=[0.45, 0.35, 0.2])
    teeth = []
    for side in (-1, 1):
        edge_mm = rng.uniform(0.0, 0.5)
        for position, width in enumerate(CROWN_WIDTHS_MM):
            width_mm = scale * width * rng.normal(1.1 if upper and position < 2 else 1.0, 0.04)
            center = edge_mm + width_mm / 2
            edge_mm += width_mm + rng.uniform(-0.1, 0.35)
            gone = rng.random() < (0.65 if position == 7 else missing_share)
            if not gone:
                tooth = _draw_tooth(rng, scale, position, side * center, width_mm, upper=upper, tip_mm=tip_mm)
                teeth.append(tooth if rng.random() >= metal_share else _with_metal(tooth))
    return teeth


def _draw_tooth(
    rng: np.random.Generator, scale: float, position: int, u_mm: float, width_mm: float, *, upper: bool, tip_mm: float
) -> Tooth:
    impacted = position == 7 and not upper and rng.random() < 0.5
    sideways = -np.sign(u_mm) * rng.uniform(0.5, 1.1) if impacted else rng.normal(0.0, 0.07)
    sunk_mm = rng.uniform(5.0, 9.0) if impacted else abs(rng.normal(0.0, 0.7))
    return Tooth(
        upper=upper,
        position=position,
        u_mm=u_mm,
        v_mm=(2.2 if upper else 0.0) + rng.normal(0.0, 0.6),
        z_mm=tip_mm + sunk_mm * (1 if upper else -1),
        width_mm=width_mm,
        depth_mm=scale * (6.5, 6.4, 7.6, 8.0, 8.4, 10.2, 9.8, 9.2)[position] * rng.normal(1.0, 0.05),
        crown_mm=scale * (8.8, 8.8, 9.8, 8.4, 8.0, 7.5, 7.2, 6.8)[position] * rng.normal(1.0, 0.06),
        root_mm=scale * (12.0, 12.5, 15.5, 14.0, 14.0, 13.0, 12.0, 10.5)[position] * rng.normal(1.0, 0.09),
        tip=float(sideways),
        lean=rng.normal(0.22 if position < 3 else -0.08, 0.07),
        metal=False,
    )


def _with_metal(tooth: Tooth) -> Tooth:
    """Fillings and crowns of metal sit on the teeth that chew."""
    return tooth if tooth.position < 3 else Tooth(**{**vars(tooth), "metal": True})


def _draw_canal(rng: np.random.Generator, scale: float, side: int) -> Canal:
    return Canal(
        side=side,
        start_u_mm=scale * rng.uniform(23.0, 29.0),
        end_u_mm=scale * rng.uniform(66.0, 74.0),
        height_mm=scale * rng.uniform(6.0, 10.5),
        rise=rng.uniform(0.7, 1.2),
        radius_mm=scale * rng.uniform(1.35, 1.85),
        lateral_mm=rng.uniform(-1.8, 0.6),
        wall_hu=rng.choice([0.0, 150.0, 400.0]) * rng.uniform(0.6, 1.2),
    )
