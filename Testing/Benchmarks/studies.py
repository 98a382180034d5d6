"""Cohorts for learning benchmarks: which cases are annotated, which are not, which are held out.

The real volumes are not part of the project: unpack them anywhere and name the folder. Cases are taken in the order of
their names; for the left atrium that is the literature's order. Held-out cases are never shown to a training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from barl.cohort import Cohort, Coverage, Label, LabelTable, Modality, default_color
from barl.imaging.annotations import import_annotation
from barl.imaging.volumes import write_volume
from barl.inference.batch import case_name
from barl.phantom.cohort import centered_geometry
from barl.phantom.lesions import LESION_SHAPE, LESION_SPACING_MM, make_lesion_case


@dataclass(frozen=True, kw_only=True)
class Study:
    """A data set with its split."""

    name: str
    labels: tuple[str, ...]
    held_out: int
    """Cases at the end of the list that are only measured."""

    modality: Modality = Modality.MR


STUDIES = {
    study.name: study
    for study in (
        Study(name="hippocampus", labels=("anterior", "posterior"), held_out=40),
        Study(name="left_atrium_half", labels=("atrium",), held_out=16),
        Study(name="left_atrium", labels=("atrium",), held_out=16),
        Study(name="lesions", labels=("lesion",), held_out=16),
    )
}


LESION_CASES = 64
"""Heads of the study `lesions`, which is made and not downloaded."""


def provide(study: Study, data: Path) -> None:
    """Make the volumes of a synthetic study where they are missing; real ones must be there."""
    if study.name != "lesions" or len(list((data / "images").glob("*"))) == LESION_CASES:
        return
    for folder in ("images", "labels"):
        (data / folder).mkdir(parents=True, exist_ok=True)
    geometry = centered_geometry(LESION_SHAPE, LESION_SPACING_MM)
    for index in range(LESION_CASES):
        image, labels = make_lesion_case(index)
        name = f"head_{index:03d}.nrrd"
        write_volume(data / "labels" / name, labels, geometry)
        write_volume(data / "images" / name, image, geometry)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Image files by what they are for."""

    annotated: Sequence[Path]
    unlabeled: Sequence[Path]
    held_out: Sequence[Path]


def split(study: Study, data: Path, annotated: int) -> Split:
    """The first cases are annotated, the last ones held out."""
    images = sorted((data / "images").iterdir())
    if len(images) < study.held_out + annotated:
        raise SystemExit(f"{data}/images holds {len(images)} cases, too few for {study.name}: unpack all of them.")
    seen = images[: -study.held_out]
    return Split(annotated=seen[:annotated], unlabeled=seen[annotated:], held_out=images[-study.held_out :])


def label_file(image: Path) -> Path:
    """Where the true labels of an image lie."""
    return image.parent.parent / "labels" / image.name


def table(study: Study) -> LabelTable:
    """The study's labels, in the order of their values."""
    return LabelTable(
        labels=tuple(
            Label(value=index + 1, name=name, color=default_color(index)) for index, name in enumerate(study.labels)
        )
    )


def make_cohort(study: Study, parts: Split, folder: Path) -> Cohort:
    """The cohort of a study, made once."""
    if (folder / "cohort.json").is_file():
        return Cohort.open(folder)
    cohort = Cohort.create(folder, name=study.name, modality=study.modality, labels=table(study))
    for image in (*parts.annotated, *parts.unlabeled):
        cohort.add_case(image)
    for image in parts.annotated:
        import_annotation(cohort, case_name(image), label_file(image), coverage=Coverage(), author="benchmark")
    return cohort
