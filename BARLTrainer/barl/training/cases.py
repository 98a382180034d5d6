"""The cases of a round in memory: what each is for, and which annotation it goes by.

Reading a case takes seconds and may happen in a thread; taking what was read into the round takes no time, so that a
running training can change a case between two steps.

Shapes: C channels, D H W voxels.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from barl.cohort import UNKNOWN, AnnotationVersion, Case, Role
from barl.imaging.cache import PreparedCache
from barl.training.resident import ClassPlaces, ResidentCase, choose_store, class_places, resident_tensor
from barl.training.validation import ValidationCase


@dataclass(frozen=True, kw_only=True)
class ReadCase:
    """One case as the cache holds it, not yet part of the round."""

    case_id: str
    role: Role
    version: AnnotationVersion | None
    """The newest annotation; None where there is none."""

    image: np.ndarray
    """(C, D, H, W) float16."""

    label: np.ndarray | None
    """(D, H, W) uint8 class index, 255 where not annotated; None where nothing is known."""

    places: tuple[ClassPlaces, ...] = ()
    """Where the classes are, of an annotated training case."""

    @property
    def lies_in_the_air(self) -> bool:
        """Whether all that is annotated was cut away with the air around the body."""
        return self.version is not None and self.label is None


def read_case(cache: PreparedCache, case: Case, version: AnnotationVersion | None) -> ReadCase:
    """Read a case, which prepares it where the cache does not hold it yet.

    Raises:
        LabelError: the annotation cannot be read, or does not fit the table or the image.
        ImageError: the image cannot be read or has voxels that are not finite.
        StorageError: the cache cannot be written, or the disk is full.
    """
    label = None if version is None else cache.labels(version)
    if label is not None and (label == UNKNOWN).all():
        label = None
    return ReadCase(
        case_id=case.id,
        role=case.role,
        version=version,
        image=cache.image(case.id)[0],
        label=label,
        places=class_places(label) if label is not None and case.role is Role.TRAINING else (),
    )


@dataclass(frozen=True, kw_only=True)
class PlacedCase:
    """One case of the round."""

    role: Role
    version: AnnotationVersion | None
    resident: ResidentCase | None = None
    """Of a training case."""

    validation: ValidationCase | None = None
    """Of an annotated validation case."""


@dataclass(kw_only=True)
class RoundData:
    """All cases of the round, in the cohort's order."""

    store: torch.device
    """Where voxels are kept."""

    cases: dict[str, PlacedCase] = field(default_factory=dict)

    @property
    def residents(self) -> list[ResidentCase]:
        """The training cases."""
        return [case.resident for case in self.cases.values() if case.resident is not None]

    @property
    def labeled(self) -> list[ResidentCase]:
        """Training cases with an annotation, whole or in part."""
        return [case for case in self.residents if case.label is not None]

    @property
    def unlabeled(self) -> list[ResidentCase]:
        """All training cases: for the unlabeled terms, annotated ones belong to them too."""
        return [ResidentCase(case_id=case.case_id, image=case.image) for case in self.residents]

    @property
    def validation(self) -> list[ValidationCase]:
        """Annotated validation cases."""
        return [case.validation for case in self.cases.values() if case.validation is not None]

    def put(self, read: ReadCase) -> None:
        """Take a case in, or replace what is known of it; one that is read again keeps its image."""
        if read.role is Role.TRAINING:
            resident = ResidentCase(
                case_id=read.case_id,
                image=self._image(read),
                label=None if read.label is None else self._stored(read.label),
                places=read.places,
            )
            self.cases[read.case_id] = PlacedCase(role=read.role, version=read.version, resident=resident)
            return
        validation = None
        if read.label is not None:
            validation = ValidationCase(case_id=read.case_id, image=read.image, label=read.label)
        self.cases[read.case_id] = PlacedCase(role=read.role, version=read.version, validation=validation)

    def remove(self, case_id: str) -> None:
        """The case takes no part any more."""
        self.cases.pop(case_id, None)

    def classes(self) -> set[int]:
        """Classes of which the training cases know a voxel, background among them."""
        return {places.value for case in self.labeled for places in case.places if places.count}

    def fingerprint(self) -> int:
        """Equal where the same voxels may be drawn."""
        cases = [(c.case_id, c.shape, [p.count for p in c.places]) for c in (*self.labeled, *self.unlabeled)]
        return zlib.crc32(repr(cases).encode())

    def _image(self, read: ReadCase) -> Tensor:
        held = self.cases.get(read.case_id)
        return self._stored(read.image) if held is None or held.resident is None else held.resident.image

    def _stored(self, array: np.ndarray) -> Tensor:
        """On the store, or in the host's memory where the store has become full."""
        return resident_tensor(array, choose_store(array.nbytes, 0.0, self.store))
