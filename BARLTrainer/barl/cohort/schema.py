"""What is in a cohort's files: cohort.json and the sidecar of each annotation version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from barl.cohort.labels import LabelTable
from barl.cohort.layout import checked_case_id, same_id
from barl.errors import CohortError
from barl.records import Fields, format_stamp, read_fields

FORMAT_VERSION = 1
_ANNOTATE_AGAIN = "Annotate or import the case again, or correct the file in a text editor."
SOURCES = ("drawn", "imported", "accepted")
"""How an annotation came about: by hand, from a file, or as a prediction found right."""


class Modality(str, Enum):
    """How the images were taken; decides normalization."""

    CBCT = "CBCT"
    CT = "CT"
    MR = "MR"


class Role(str, Enum):
    """What a case is for."""

    TRAINING = "training"
    VALIDATION = "validation"
    EXCLUDED = "excluded"


class CoverageKind(str, Enum):
    """How much of an image an annotation tells about."""

    COMPLETE = "complete"
    SLICES = "slices"
    SCRIBBLES = "scribbles"


class CaseState(str, Enum):
    """How far a case is; derived from files, never stored."""

    UNLABELED = "unlabeled"
    PARTLY_ANNOTATED = "partly annotated"
    ANNOTATED = "annotated"
    PREDICTED = "predicted"
    ACCEPTED = "accepted"


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which voxels of an annotation are known."""

    kind: CoverageKind = CoverageKind.COMPLETE

    axis: int | None = None
    """With ``slices``: the array axis the slices are counted along (0 slice, 1 row, 2 column)."""

    def __post_init__(self) -> None:
        if (self.kind is CoverageKind.SLICES) != (self.axis is not None):
            raise CohortError("An axis belongs to the coverage 'slices', and only to it.")
        if self.axis not in (None, 0, 1, 2):
            raise CohortError(f"The axis of the annotated slices must be 0, 1 or 2, got {self.axis}.")

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"kind": self.kind.value, "axis": self.axis}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One volume of the cohort."""

    id: str

    image: str
    """Relative to the cohort folder, with forward slashes, or absolute."""

    role: Role = Role.TRAINING

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"id": self.id, "image": self.image, "role": self.role.value}


@dataclass(frozen=True, kw_only=True)
class CohortRecord:
    """The content of cohort.json."""

    name: str
    modality: Modality
    labels: LabelTable
    cases: tuple[Case, ...] = ()
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return format_stamp(self.format_version) | {
            "name": self.name,
            "modality": self.modality.value,
            "labels": self.labels.to_json(),
            "cases": [case.to_json() for case in self.cases],
        }

    @classmethod
    def from_json(cls, data: Any, where: str = "cohort.json") -> CohortRecord:
        """The record that ``to_json`` gave.

        Raises:
            CohortError: an entry is missing or not allowed.
            NewerFormatError: a newer BARL wrote it.
        """
        return _record(Fields(data, where, CohortError))

    @classmethod
    def read(cls, path: Path) -> CohortRecord:
        """Read cohort.json; raises as ``from_json`` does, naming file and line."""
        return _record(read_fields(path, CohortError))

    def with_case(self, case: Case) -> CohortRecord:
        """The record with a case more, or with the case of this id replaced."""
        if all(known.id != case.id for known in self.cases):
            return replace(self, cases=(*self.cases, case))
        return replace(self, cases=tuple(case if known.id == case.id else known for known in self.cases))


@dataclass(frozen=True, kw_only=True)
class AnnotationVersion:
    """One saved annotation of a case; never overwritten."""

    case_id: str
    number: int
    path: Path
    coverage: Coverage
    author: str
    created: str
    """ISO 8601, UTC."""

    parent: int | None
    """The version it was drawn from."""

    from_prediction: str | None
    """The prediction it was corrected or accepted from, relative to the cohort folder."""

    source: str
    content_hash: str
    """SHA-256 of the segmentation file."""

    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON object; case, number and path are told by where the file is."""
        return format_stamp(FORMAT_VERSION) | {
            "coverage": self.coverage.to_json(),
            "author": self.author,
            "created": self.created,
            "parent": self.parent,
            "from_prediction": self.from_prediction,
            "source": self.source,
            "content_hash": self.content_hash,
            "note": self.note,
        }

    @classmethod
    def read(cls, sidecar: Path, *, case_id: str, number: int, path: Path) -> AnnotationVersion:
        """Read a sidecar.

        Raises:
            CohortError: it is damaged; the message names file and line.
            NewerFormatError: a newer BARL wrote it.
        """
        fields = read_fields(sidecar, CohortError, _ANNOTATE_AGAIN)
        fields.require_format(FORMAT_VERSION)
        return cls(
            case_id=case_id,
            number=number,
            path=path,
            coverage=_coverage(fields.child("coverage")),
            author=fields.text("author"),
            created=fields.text("created"),
            parent=fields.optional_integer("parent"),
            from_prediction=fields.optional_text("from_prediction"),
            source=fields.text("source"),
            content_hash=fields.text("content_hash"),
            note=fields.text("note", ""),
        )


def _coverage(fields: Fields) -> Coverage:
    with fields.located():
        return Coverage(kind=fields.choice("kind", CoverageKind), axis=fields.optional_integer("axis"))


def _record(fields: Fields) -> CohortRecord:
    fields.require_format(FORMAT_VERSION)
    with fields.located():
        labels = LabelTable.from_json(fields.values.get("labels"), where=fields.where)
    return CohortRecord(
        name=fields.text("name"),
        modality=fields.choice("modality", Modality),
        labels=labels,
        cases=_cases(fields),
    )


def _case(row: Fields) -> Case:
    image = row.text("image")
    if not image:
        raise CohortError(f"{row.where}: image must be a path, got ''. {row.advice}")
    with row.located():
        return Case(id=checked_case_id(row.text("id")), image=image, role=row.choice("role", Role))


def _cases(fields: Fields) -> tuple[Case, ...]:
    cases: list[Case] = []
    for row in fields.children("cases"):
        case = _case(row)
        if any(same_id(case.id, known.id) for known in cases):
            raise CohortError(f"{row.where}: there are two cases {case.id!r}. Give one of them another id.")
        cases.append(case)
    return tuple(cases)
