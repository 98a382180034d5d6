"""The teeth of the CBCT phantom: crown and roots by profiles along the axis, enamel, dentin and pulp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from barl.phantom.anatomy import Anatomy, Tooth
from barl.phantom.fields import Field, Mask
from barl.phantom.jaw import Frame

ENAMEL_HU, DENTIN_HU, PULP_HU, LIGAMENT_HU, METAL_HU = 2350.0, 1450.0, 350.0, 250.0, 6000.0


@dataclass(frozen=True, kw_only=True)
class PaintedTeeth:
    """What the teeth add to the volume, arrays (D, H, W)."""

    mask: Mask
    metal: Mask


def paint_teeth(anatomy: Anatomy, frame: Frame, hu: Field) -> PaintedTeeth:
    """Draw every tooth into ``hu`` (in place) and tell where teeth and metal are."""
    mask, metal = np.zeros(hu.shape, bool), np.zeros(hu.shape, bool)
    near = np.flatnonzero((np.abs(frame.v) < 14.0) & (np.abs(frame.u) < 75.0))
    u, v, z = frame.u.ravel()[near], frame.v.ravel()[near], frame.z.ravel()[near]
    for tooth in anatomy.teeth:
        close = np.flatnonzero((np.abs(u - tooth.u_mm) < 16.0) & (np.abs(z - tooth.z_mm) < 30.0))
        voxels = near[close]
        axial, radial, level = _shape(tooth, u[close], v[close], z[close])
        inside = (radial < 1.0) & ~mask.flat[voxels]
        ligament = (radial < 1.0 + 0.9 / tooth.width_mm) & (axial > tooth.crown_mm) & ~mask.flat[voxels] & ~inside
        hu.flat[voxels[ligament]] = 0.4 * hu.flat[voxels[ligament]] + 0.6 * LIGAMENT_HU
        hu.flat[voxels[inside]] = _substance(tooth, axial[inside], level[inside])
        mask.flat[voxels[inside]] = True
        if tooth.metal:
            metal.flat[voxels[inside & (axial < 0.45 * tooth.crown_mm) & (level < 0.85)]] = True
    hu[metal] = METAL_HU
    return PaintedTeeth(mask=mask, metal=metal)


def _shape(tooth: Tooth, u: Field, v: Field, z: Field) -> tuple[Field, Field, Field]:
    """Distance along the axis from the tip (mm), distance from the nearest root axis and from the tooth's axis.

    Both distances are in shares of the local radius, so that 1 is the surface.
    """
    axial = (z - tooth.z_mm) if tooth.upper else (tooth.z_mm - z)
    across_u = u - tooth.u_mm + tooth.tip * (axial - tooth.crown_mm)
    across_v = v - tooth.v_mm + tooth.lean * (axial - tooth.crown_mm)
    crown, total = tooth.crown_mm, tooth.crown_mm + tooth.root_mm
    knots = [-0.01, 0.0, 0.15 * crown, 0.5 * crown, crown, crown + 0.4 * tooth.root_mm, total - 1.5, total]
    edge = 0.28 if tooth.position < 3 else 0.72
    factor_u = np.interp(axial, knots, [0.0, 0.72, 0.88, 1.0, 0.78, 0.68, 0.36, 0.05], left=0.0, right=0.0)
    factor_v = np.interp(axial, knots, [0.0, edge, edge + 0.1, 1.0, 0.88, 0.78, 0.4, 0.05], left=0.0, right=0.0)
    half_u = np.maximum(tooth.width_mm / 2 * factor_u, 1e-3)
    half_v = np.maximum(tooth.depth_mm / 2 * factor_v, 1e-3)
    level = (np.abs(across_u / half_u) ** 2.6 + np.abs(across_v / half_v) ** 2.6) ** (1 / 2.6)
    if tooth.position < 5:
        return axial, level, level
    below = np.clip((axial - crown - 2.5) / 2.0, 0.0, 1.0)
    offset = 0.26 * tooth.width_mm * below * (1.0 + 0.02 * (axial - crown))
    half_root = half_u * (1.0 - 0.45 * below)
    radial = ((np.abs(np.abs(across_u) - offset) / half_root) ** 2.6 + np.abs(across_v / half_v) ** 2.6) ** (1 / 2.6)
    return axial, np.where(below > 0, radial, level), level


def _substance(tooth: Tooth, axial: Field, level: Field) -> Field:
    enamel = (axial < 0.85 * tooth.crown_mm) & ((level > 0.7) | (axial < 1.4))
    pulp = (level < 0.27) & (axial > 0.4 * tooth.crown_mm)
    result: Field = np.where(enamel, ENAMEL_HU, np.where(pulp, PULP_HU, DENTIN_HU)).astype(np.float32)
    return result
