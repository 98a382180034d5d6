"""The cohort: a folder of cases, annotations and rounds, and the only state there is."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from barl.atomic import make_folder, storage_errors, write_json
from barl.cohort.annotations import Origin, passed_over, read_newest, read_versions, store
from barl.cohort.images import absolute, existing_image, noted_path, placed, staged_copy
from barl.cohort.labels import LabelTable, refuse_too_many
from barl.cohort.layout import (
    CohortLayout,
    case_id_from,
    checked_case_id,
    image_suffix,
    next_number,
    number_name,
    numbered,
    prediction_path,
    same_id,
)
from barl.cohort.lock import folder_lock
from barl.cohort.schema import (
    AnnotationVersion,
    Case,
    CaseState,
    CohortRecord,
    Coverage,
    CoverageKind,
    Modality,
    Role,
)
from barl.errors import CohortError


class Cohort:
    """A cohort folder.

    Cases are read when the cohort is opened and after each change made through it; ``reload`` reads them again.
    Everything else is looked up in the files each time. All writes hold the folder's lock.

    Example:
        >>> cohort = Cohort.open(Path("hippocampus"))  # doctest: +SKIP
        >>> [case.id for case in cohort.cases if cohort.state(case.id) is CaseState.UNLABELED]  # doctest: +SKIP
    """

    def __init__(self, folder: Path, record: CohortRecord) -> None:
        self._layout = CohortLayout(folder)
        self._record = record

    @classmethod
    def create(cls, folder: Path, *, name: str, modality: Modality, labels: LabelTable) -> Cohort:
        """Make a new cohort; the folder may exist and hold other things.

        Raises:
            CohortError: the folder holds a cohort already.
            LabelError: more structures than a network can tell apart.
            LockedError: another process is writing the folder.
            StorageError: the folder cannot be written.
        """
        refuse_too_many(labels)
        layout = CohortLayout(absolute(folder))
        if layout.folder.exists() and not layout.folder.is_dir():
            raise CohortError(f"{layout.folder} is a file. Choose a folder for the cohort.")
        with storage_errors(layout.folder):
            make_folder(layout.folder)
        record = CohortRecord(name=name, modality=modality, labels=labels)
        with folder_lock(layout.folder, what="creating a cohort"):
            if layout.record.exists():
                raise CohortError(f"{layout.folder} holds a cohort already. Open it, or choose another folder.")
            write_json(layout.record, record.to_json())
        return cls(layout.folder, record)

    @classmethod
    def open(cls, folder: Path) -> Cohort:
        """Open a cohort.

        Raises:
            CohortError: there is none, or cohort.json is damaged; the message names the line.
            NewerFormatError: a newer BARL wrote it.
        """
        layout = CohortLayout(absolute(folder))
        if not layout.record.is_file():
            problem = "is not a cohort: it has no cohort.json" if layout.folder.is_dir() else "does not exist"
            raise CohortError(f"{layout.folder} {problem}. Choose a cohort's folder, or create a cohort first.")
        return cls(layout.folder, CohortRecord.read(layout.record))

    def reload(self) -> None:
        """Read cohort.json again: another process may have added cases."""
        self._record = CohortRecord.read(self._layout.record)

    @property
    def folder(self) -> Path:
        """The cohort folder."""
        return self._layout.folder

    @property
    def record(self) -> CohortRecord:
        """What cohort.json said when it was last read."""
        return self._record

    @property
    def name(self) -> str:
        """The cohort's name."""
        return self._record.name

    @property
    def modality(self) -> Modality:
        """How the images were taken."""
        return self._record.modality

    @property
    def labels(self) -> LabelTable:
        """The structures to segment."""
        return self._record.labels

    @property
    def cases(self) -> tuple[Case, ...]:
        """All cases, in the order in which they were added."""
        return self._record.cases

    def case(self, case_id: str) -> Case:
        """The case with this id.

        Raises:
            CohortError: there is none.
        """
        return _find(self._record, case_id)

    def image_path(self, case_id: str) -> Path:
        """Where the case's image is."""
        return self.folder / self.case(case_id).image

    def add_case(
        self, image: Path, *, case_id: str | None = None, role: Role = Role.TRAINING, copy: bool = False
    ) -> Case:
        """Add an image file or a DICOM folder.

        Args:
            image: where it is now; without ``copy`` it must stay there.
            case_id: must not carry a patient's name; by default made from the file name.
            role: what the case is for.
            copy: copy the image into the cohort folder.

        Raises:
            CohortError: the id or the image is in the cohort already, or the id is not allowed.
            ImageError: there is no such image.
            LockedError: another process is writing the cohort.
            StorageError: the folder cannot be written, or the disk is full.
        """
        source = existing_image(image)
        case_id = case_id_from(source) if case_id is None else checked_case_id(case_id)
        case = Case(id=case_id, image=noted_path(source, self.folder), role=role)
        if not copy or source.is_relative_to(self.folder):
            self._change("adding a case", lambda record: _with_new(record, case, self.folder))
            return case
        self.reload()
        _with_new(self._record, case, self.folder)  # Refuse before a copy that may take minutes.
        target = self._layout.images / f"{case_id}{image_suffix(source)}"
        copied = replace(case, image=noted_path(target, self.folder))
        with staged_copy(source, target.parent) as staged, self._locked("adding a case"):
            record = _with_new(self._record, copied, self.folder)
            with placed(staged, target):
                self._write(record)
        return copied

    def set_role(self, case_id: str, role: Role) -> None:
        """Say what a case is for.

        Raises:
            CohortError: there is no such case.
            LockedError: another process is writing the cohort.
        """
        self._change("setting a role", lambda record: record.with_case(replace(_find(record, case_id), role=role)))

    def annotations(self, case_id: str) -> list[AnnotationVersion]:
        """All annotation versions of a case, oldest first.

        Raises:
            CohortError: there is no such case, or a version's json is damaged.
        """
        return read_versions(self._layout.annotations(self.case(case_id).id))

    def annotation(self, case_id: str) -> AnnotationVersion | None:
        """The newest annotation version of a case, or None."""
        return read_newest(self._layout.annotations(self.case(case_id).id))

    def add_annotation(
        self,
        case_id: str,
        write: Callable[[Path], None],
        *,
        coverage: Coverage,
        author: str,
        source: str = "drawn",
        parent: int | None = None,
        from_prediction: str | None = None,
        note: str = "",
    ) -> AnnotationVersion:
        """Save a new annotation version; the earlier ones stay.

        Args:
            case_id: whose annotation.
            write: writes the segmentation to the ``.seg.nrrd`` path it is given.
            coverage: which voxels are known.
            author: who drew it.
            source: ``drawn``, ``imported`` or ``accepted``.
            parent: the version it was drawn from; by default the newest one.
            from_prediction: the prediction it was made from, relative to the cohort folder.
            note: anything worth remembering.

        Raises:
            CohortError: there is no such case.
            LockedError: another process is writing the cohort.
            StorageError: the folder cannot be written, or the disk is full; nothing was changed.
        """
        folder = self._layout.annotations(self.case(case_id).id)
        newest = _newest_if_readable(folder) if parent is None else None
        origin = Origin(
            coverage=coverage,
            author=author,
            source=source,
            parent=newest.number if newest else parent,
            from_prediction=from_prediction,
            note=note,
        )
        return store(folder, write, origin, locked=self.folder)

    def passed_over(self, case_id: str) -> AnnotationVersion | None:
        """What another person saved just before the newest version, which was not drawn from it; None: nothing.

        Raises:
            CohortError: there is no such case.
        """
        return passed_over(self._layout.annotations(self.case(case_id).id))

    def state(self, case_id: str) -> CaseState:
        """How far a case is, by its newest annotation and the rounds' predictions."""
        newest = self.annotation(case_id)
        if newest is None:
            return CaseState.UNLABELED if self.latest_prediction(case_id) is None else CaseState.PREDICTED
        if newest.coverage.kind is not CoverageKind.COMPLETE:
            return CaseState.PARTLY_ANNOTATED
        return CaseState.ACCEPTED if newest.source == "accepted" else CaseState.ANNOTATED

    def rounds(self) -> list[Path]:
        """The folders of all trainings, oldest first."""
        return [path for path in numbered(self._layout.rounds) if path.is_dir()]

    def new_round(self) -> Path:
        """Make the folder of the next training."""
        with folder_lock(self.folder, what="starting a round"), storage_errors(self._layout.rounds):
            path = self._layout.rounds / number_name(next_number(self._layout.rounds, ""))
            path.mkdir(parents=True)
        return path

    def latest_prediction(self, case_id: str) -> Path | None:
        """The case's segmentation from the newest round that predicted it; its json, written last, says it is whole."""
        case = self.case(case_id)
        predictions = (prediction_path(path, case.id) for path in reversed(self.rounds()))
        return next((path for path in predictions if path.is_file() and _record(path, case.id).is_file()), None)

    def _change(self, what: str, change: Callable[[CohortRecord], CohortRecord]) -> None:
        with self._locked(what):
            self._write(change(self._record))

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        """Hold the lock, with cases as they are on disk now: not as this process read them earlier."""
        with folder_lock(self.folder, what=what):
            self.reload()
            yield

    def _write(self, record: CohortRecord) -> None:
        write_json(self._layout.record, record.to_json())
        self._record = record


def _record(prediction: Path, case_id: str) -> Path:
    return prediction.with_name(f"{case_id}.json")


def _newest_if_readable(folder: Path) -> AnnotationVersion | None:
    """A damaged version must not keep a new one from being saved: that is how it is mended."""
    try:
        return read_newest(folder)
    except CohortError:
        return None


def _find(record: CohortRecord, case_id: str) -> Case:
    for case in record.cases:
        if case.id == case_id:
            return case
    close = difflib.get_close_matches(case_id.casefold(), [case.id.casefold() for case in record.cases], n=1)
    meant = next((f" Did you mean {case.id}?" for case in record.cases if [case.id.casefold()] == close), "")
    raise CohortError(f"The cohort {record.name!r} has no case {case_id!r}.{meant} Its cases are {_some_ids(record)}.")


def _with_new(record: CohortRecord, case: Case, folder: Path) -> CohortRecord:
    for known in record.cases:
        if (folder / known.image) == (folder / case.image):
            raise CohortError(f"The image {folder / case.image} is in the cohort already, as case {known.id!r}.")
        if same_id(known.id, case.id):
            raise CohortError(
                f"Two images cannot both be case {case.id!r}: {folder / known.image} is, and "
                f"{folder / case.image} would be. Give the new one an id of its own, or rename its file."
            )
    return record.with_case(case)


def _some_ids(record: CohortRecord) -> str:
    ids = [case.id for case in record.cases[:10]]
    more = f" and {len(record.cases) - 10} more" if len(record.cases) > 10 else ""
    return (", ".join(ids) + more) if ids else "none yet"
