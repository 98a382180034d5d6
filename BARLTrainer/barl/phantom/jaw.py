"""Soft tissue, bone and canal of the CBCT phantom, drawn from an `Anatomy`. Arrays are (D, H, W)."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt

from barl.phantom.anatomy import Anatomy, Canal
from barl.phantom.fields import Field, Mask, ramp, smooth_noise


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where every voxel lies: x, y, z in millimeters of the patient, u and v along and across the arch."""

    x: Field
    y: Field
    z: Field
    u: Field
    v: Field
    spacing_mm: float


def place(anatomy: Anatomy, shape: tuple[int, int, int], spacing_mm: float, rng: np.random.Generator) -> Frame:
    """Lay the patient into the field of view: shift, rotate, and bend a little."""
    depth, height, width = shape
    z = (np.arange(depth, dtype=np.float32) * spacing_mm - anatomy.bottom_mm)[:, None, None]
    y = (np.arange(height, dtype=np.float32) * spacing_mm - 13.0 - anatomy.shift_mm[1])[None, :, None]
    x = (np.arange(width, dtype=np.float32) * spacing_mm - width * spacing_mm / 2 - anatomy.shift_mm[0])[None, None, :]
    rotated = _rotation(anatomy.rotation_deg).astype(np.float32)
    middle = (0.0, 35.0, 20.0)
    points = [rotated[i, 0] * x + rotated[i, 1] * (y - 35.0) + rotated[i, 2] * (z - 20.0) + middle[i] for i in range(3)]
    bent = [p + _bend(points[(i + 1) % 3], points[(i + 2) % 3], rng) for i, p in enumerate(points)]
    u, v = anatomy.arch.frame(bent[0], bent[1])
    return Frame(x=bent[0], y=bent[1], z=bent[2], u=u, v=v, spacing_mm=spacing_mm)


def _rotation(degrees: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    roll, pitch, yaw = np.deg2rad(degrees)
    about_y = np.array([[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)


def _bend(a: Field, b: Field, rng: np.random.Generator) -> Field:
    """A slow wave across two axes: no face is symmetric."""
    wave_a, wave_b = rng.uniform(30.0, 60.0, 2)
    phase_a, phase_b = rng.uniform(0.0, 2 * np.pi, 2)
    result: Field = (
        rng.uniform(0.3, 1.1) * np.sin(2 * np.pi * a / wave_a + phase_a) * np.sin(2 * np.pi * b / wave_b + phase_b)
    )
    return result


def soft_tissue(anatomy: Anatomy, frame: Frame, rng: np.random.Generator) -> Field:
    """Air, skin, fat, muscle, tongue, the space between the lips and the airway, in HU."""
    u, v, z, y = frame.u, frame.v, frame.z, frame.y
    thickness = anatomy.lips_mm + (anatomy.cheek_mm - anatomy.lips_mm) * ramp(np.abs(u), 12.0, 45.0)
    chin_z = -7.0 - 0.1 * np.clip(y, 0, 40)
    inside = (v < thickness) & (z > chin_z) | (y > 52.0)
    texture = smooth_noise(rng, u.shape, 2.5)
    hu: Field = np.where(inside, 45.0 + 30.0 * texture, -1000.0).astype(np.float32)
    fat = inside & (v > 6.0) & (smooth_noise(rng, u.shape, 4.0) > 0.2) & (v < thickness - 2.0)
    hu[fat] = -95.0 + 20.0 * texture[fat]
    tongue_z = anatomy.body_mm + 10.0 * anatomy.scale + 2.5 * smooth_noise(rng, u.shape, 9.0)
    oral = (v < -6.0) & (y < 50.0) & (np.abs(z - tongue_z - 0.25 * (v + 15)) < rng.uniform(-0.5, 2.5) + 1.2 * texture)
    vestibule = (np.abs(v - 6.5) < 0.8 + 0.9 * texture) & (np.abs(z - tongue_z) < rng.uniform(0.0, 7.0)) & (y < 40.0)
    width, depth = rng.uniform(7.0, 12.0), rng.uniform(4.0, 8.0)
    airway = (frame.x / width) ** 2 + ((y - anatomy.spine_y_mm + 9.0 + depth) / depth) ** 2 < 1.0
    hu[(oral | vestibule | airway) & inside] = -980.0
    return hu


def other_bone(anatomy: Anatomy, frame: Frame) -> Mask:
    """Bone that is not the jaw: the spine and the hyoid."""
    behind = (frame.y - anatomy.spine_y_mm - 8.0) / 9.0
    spine = (frame.x / 12.0) ** 2 + behind**2 < 1.0
    disc = np.abs((frame.z - 3.0 * anatomy.hyoid_z_mm) % 19.0 - 9.5) < 2.2
    ring = np.hypot(frame.x, 0.8 * (frame.y - 48.0))
    hyoid = (ring - 15.0) ** 2 + (frame.z - anatomy.hyoid_z_mm) ** 2 < 6.5
    result: Mask = (spine & ~disc) | (hyoid & (frame.y < 50.0))
    return result


def jaw_mask(anatomy: Anatomy, frame: Frame) -> Mask:
    """The bone of the mandible and of the alveolar part of the maxilla, teeth not yet cut out."""
    return _mandible(anatomy, frame) | _maxilla(anatomy, frame)


def _mandible(anatomy: Anatomy, frame: Frame) -> Mask:
    along, z = np.abs(frame.u), frame.z
    back = ramp(along, anatomy.ramus_u_mm - 6.0, anatomy.ramus_u_mm + 10.0)
    chin = 1.0 - ramp(along, 0.0, 16.0)
    bottom = -1.5 * chin + 3.0 * ramp(along, 25.0, 50.0) - 4.0 * ramp(along, 60.0, 75.0)
    rise = 2.4 * np.clip(along - anatomy.ramus_u_mm, 0.0, None)
    top = anatomy.body_mm - _resorbed(anatomy, frame.u, upper=False) + rise
    middle, half_height = (top + bottom) / 2, (top - bottom) / 2
    low = 1.0 - ramp(z, 2.0, 14.0)
    half_width = anatomy.thickness_mm / 2 * (1.0 - 0.38 * back) * (1.0 + 0.12 * low - 0.15 * chin)
    center = chin * low * 2.5 + (1.0 - chin) * 0.10 * (anatomy.body_mm * 0.6 - z) + 2.0 * back
    result: Mask = np.abs((frame.v - center) / half_width) ** 3 + np.abs((z - middle) / half_height) ** 4 < 1.0
    return result


def _maxilla(anatomy: Anatomy, frame: Frame) -> Mask:
    crest = anatomy.upper_crest_mm + _resorbed(anatomy, frame.u, upper=True)
    above = frame.z - crest
    half_width = anatomy.thickness_mm * 0.42 * np.clip(0.55 + above / 8.0, 0.0, 1.15)
    tuberosity = np.abs(frame.u) < anatomy.ramus_u_mm - 2.0
    alveolar = (above > 0) & (np.abs(frame.v - 1.0 + 0.12 * above) < half_width) & tuberosity
    palate = (np.abs(above - 11.0 + 0.012 * frame.v**2) < 1.3) & (frame.v < 0) & (frame.y < 42.0)
    return alveolar | palate


def _resorbed(anatomy: Anatomy, u: Field, *, upper: bool) -> Field:
    """Bone lost (mm) where no tooth stands, as a smooth function of the place on the arch."""
    axis = np.arange(-70.0, 70.0, 0.5)
    present = np.zeros_like(axis)
    for tooth in anatomy.teeth:
        if tooth.upper is upper:
            present = np.maximum(present, np.abs(axis - tooth.u_mm) < tooth.width_mm * 0.55)
    present[np.abs(axis) > 45.0 * anatomy.scale] = 1.0
    softened = np.convolve(np.pad(present, 8, mode="edge"), np.ones(17) / 17, mode="valid")
    lost = anatomy.resorbed_mm * (1.0 - softened)
    index = np.clip((u + 70.0) / 0.5, 0, len(axis) - 1).astype(np.intp)
    result: Field = lost.astype(np.float32)[index]
    return result


def bone_hu(anatomy: Anatomy, frame: Frame, mask: Mask, rng: np.random.Generator) -> Field:
    """HU inside ``mask``: a dense shell around trabeculae with marrow spaces."""
    depth = edt.edt(mask, anisotropy=(frame.spacing_mm,) * 3, black_border=False)
    shell_mm = anatomy.shell_mm * (1.0 + 0.25 * smooth_noise(rng, mask.shape, 6.0))
    grain = 0.7 * smooth_noise(rng, mask.shape, 1.0) + 0.7 * smooth_noise(rng, mask.shape, 3.0)
    inner = anatomy.trabecular_hu + anatomy.trabecular_spread_hu * grain
    outer = anatomy.shell_hu + 90.0 * grain
    share = ramp(depth - shell_mm, -0.6, 0.6)
    result: Field = np.clip(outer + share * (inner - outer), -80.0, None)
    return result


def canal_masks(anatomy: Anatomy, canal: Canal, frame: Frame) -> tuple[Mask, Mask]:
    """The canal and the wall around it (a shell of about a voxel)."""
    along = canal.side * frame.u
    back = np.clip(along - anatomy.ramus_u_mm + 8.0, 0.0, None)
    front = 1.0 - ramp(along, canal.start_u_mm, canal.start_u_mm + 7.0)
    height = canal.height_mm + canal.rise * back**1.15 * 0.8 + 2.5 * front
    sideways = canal.lateral_mm * ramp(along, canal.start_u_mm, canal.start_u_mm + 16.0) + 6.0 * front**2
    slope = np.gradient(np.asarray(canal.rise * np.linspace(0, 30, 31) ** 1.15 * 0.8))
    steep = np.interp(back, np.arange(31.0), slope)
    dz = (frame.z - height) / np.sqrt(1.0 + steep**2)
    radius = np.hypot(frame.v - sideways, dz)
    inside = (along > canal.start_u_mm) & (along < canal.end_u_mm)
    return inside & (radius < canal.radius_mm), inside & (radius < canal.radius_mm + 0.9)
