"""A synthetic CBCT scan of a jaw with its truth.

Each seed is another patient (size, arch, missing teeth, bone quality, pose) in another scan (noise, streaks from
metal, shading, field of view). The labels are what lies at the center of each voxel before the scanner blurs it.
Nothing in it knows any method: it is meant to be about as hard as a small clinical cohort, not to flatter anybody.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from barl.cohort.labels import Label, LabelTable
from barl.phantom.anatomy import Anatomy, draw_anatomy
from barl.phantom.fields import Field, Mask
from barl.phantom.jaw import Frame, bone_hu, canal_masks, jaw_mask, other_bone, place, soft_tissue
from barl.phantom.scanner import draw_scanner, field_of_view, scan
from barl.phantom.teeth import paint_teeth

SHAPE = (64, 96, 96)
SPACING_MM = 0.8

LABELS = LabelTable(
    # The colors in which DentalSegmentator shows mandible, lower teeth and mandibular canal in 3D Slicer.
    labels=(
        Label(value=1, name="jaw", color=(212, 161, 230)),
        Label(value=2, name="teeth", color=(235, 223, 180)),
        Label(value=3, name="canal", color=(216, 101, 79)),
    )
)


def make_case(
    seed: int, shape: tuple[int, int, int] = SHAPE, spacing_mm: float = SPACING_MM
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """Make one scan; the same seed gives the same scan.

    Args:
        seed: which patient.
        shape: (D, H, W) in voxels; slices go up, rows go back, columns go to the patient's left.
        spacing_mm: edge length of a voxel. The default field of view is 51 x 77 x 77 mm.

    Returns:
        The image (D, H, W), int16, about HU, and the labels (D, H, W), uint8 with the values of `LABELS`.
    """
    drawing, painting, scanning = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    anatomy = draw_anatomy(drawing)
    frame = place(anatomy, shape, spacing_mm, painting)
    hu, labels, metal = _paint(anatomy, frame, painting)
    scanner = draw_scanner(scanning)
    labels[~field_of_view(scanner, shape)] = 0
    return scan(scanner, hu, metal, scanning), labels


def _paint(anatomy: Anatomy, frame: Frame, rng: np.random.Generator) -> tuple[Field, npt.NDArray[np.uint8], Mask]:
    hu = soft_tissue(anatomy, frame, rng)
    jaw, other = jaw_mask(anatomy, frame), other_bone(anatomy, frame)
    bone = bone_hu(anatomy, frame, jaw | other, rng)
    hu = np.where(jaw | other, bone, hu)
    canal = np.zeros(hu.shape, bool)
    for one in anatomy.canals:
        inside, wall = canal_masks(anatomy, one, frame)
        hu[wall & jaw] += one.wall_hu
        hu[inside & jaw] = 0.35 * bone[inside & jaw].clip(-80.0, 700.0) + 20.0
        canal |= inside & jaw
    teeth = paint_teeth(anatomy, frame, hu)
    labels = np.zeros(hu.shape, np.uint8)
    labels[jaw] = LABELS.by_name("jaw").value
    labels[canal] = LABELS.by_name("canal").value
    labels[teeth.mask] = LABELS.by_name("teeth").value
    return hu, labels, teeth.metal
