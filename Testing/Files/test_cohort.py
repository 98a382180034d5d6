"""The cohort folder: creating, opening, cases and roles."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from barl.cohort import Cohort, LabelTable, Modality, Role
from barl.errors import CohortError, ImageError, LockedError, NewerFormatError, StorageError


def _edit(cohort: Cohort, **changes: object) -> Path:
    path = cohort.folder / "cohort.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
    return path


def test_a_cohort_opened_again_is_the_same(a_cohort: Cohort, an_image: Path) -> None:
    a_cohort.add_case(an_image, role=Role.VALIDATION)

    again = Cohort.open(a_cohort.folder)

    assert again.record == a_cohort.record
    assert (again.name, again.modality, again.labels.names) == ("Zähne", Modality.CBCT, ("jaw", "teeth"))
    assert [(case.id, case.role) for case in again.cases] == [("P07", Role.VALIDATION)]


def test_a_second_cohort_in_the_same_folder_is_refused(a_cohort: Cohort) -> None:
    with pytest.raises(CohortError, match="holds a cohort already"):
        Cohort.create(a_cohort.folder, name="b", modality=Modality.MR, labels=LabelTable.from_names(["x"]))

    assert Cohort.open(a_cohort.folder).name == "Zähne"


def test_a_file_is_no_place_for_a_cohort(an_image: Path) -> None:
    with pytest.raises(CohortError, match="is a file"):
        Cohort.create(an_image, name="b", modality=Modality.MR, labels=LabelTable.from_names(["x"]))


@pytest.mark.parametrize(("name", "problem"), [("", "no cohort.json"), ("missing", "does not exist")])
def test_opening_what_is_no_cohort_says_why(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(CohortError, match=problem):
        Cohort.open(tmp_path / name)


def test_a_newer_cohort_is_refused_with_the_version_to_install(a_cohort: Cohort) -> None:
    _edit(a_cohort, format_version=2, written_by="3.1.0")

    with pytest.raises(NewerFormatError, match=r"Install BARL 3\.1\.0 or newer"):
        Cohort.open(a_cohort.folder)


def test_a_newer_cohort_is_not_overwritten_by_one_opened_before(a_cohort: Cohort, an_image: Path) -> None:
    path = _edit(a_cohort, format_version=2)
    before = path.read_bytes()

    with pytest.raises(NewerFormatError):
        a_cohort.add_case(an_image)

    assert path.read_bytes() == before


def test_a_damaged_cohort_file_is_told_with_its_line(a_cohort: Cohort) -> None:
    path = a_cohort.folder / "cohort.json"
    path.write_text(path.read_text("utf-8").replace('"modality": "CBCT",', '"modality" "CBCT",'), "utf-8")

    with pytest.raises(CohortError, match=r"cohort\.json, line 5: this is not valid JSON"):
        Cohort.open(a_cohort.folder)


def test_a_cohort_file_that_is_not_text_is_told_with_its_line(a_cohort: Cohort) -> None:
    (a_cohort.folder / "cohort.json").write_bytes(b'{\n"name": "\xff"}')

    with pytest.raises(CohortError, match="line 2: this is not UTF-8"):
        Cohort.open(a_cohort.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": "PET"}, r"modality must be one of 'CBCT', 'CT', 'MR', got 'PET'"),
        ({"name": 3}, "name must be a text, got 3"),
        ({"cases": [{"id": "a", "image": "x", "role": "test"}]}, r"cases\[0\]: role must be one of"),
        ({"cases": [{"id": "../a", "image": "x", "role": "training"}]}, "cannot be a case id"),
        ({"cases": [{"id": i, "image": i, "role": "training"} for i in "aA"]}, "two cases 'A'"),
        ({"labels": [{"value": 0, "name": "a", "color": [1, 2, 3]}]}, "from 1 to 254"),
        ({"labels": {}}, "labels must be a list"),
        ({"format_version": "1"}, "format_version must be a whole number"),
    ],
)
def test_an_entry_that_is_not_allowed_is_named(a_cohort: Cohort, changes: dict[str, object], message: str) -> None:
    _edit(a_cohort, **changes)

    with pytest.raises(CohortError, match=message):
        Cohort.open(a_cohort.folder)


def test_a_byte_order_mark_from_a_text_editor_does_no_harm(a_cohort: Cohort) -> None:
    path = a_cohort.folder / "cohort.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert Cohort.open(a_cohort.folder).name == "Zähne"


def test_an_image_outside_the_folder_stays_where_it_is(a_cohort: Cohort, an_image: Path) -> None:
    case = a_cohort.add_case(an_image)

    assert case.image == str(an_image)
    assert a_cohort.image_path("P07") == an_image


def test_an_image_inside_the_folder_moves_with_it(a_cohort: Cohort, tmp_path: Path) -> None:
    inside = a_cohort.folder / "images" / "Müller 1.nrrd"
    inside.parent.mkdir()
    inside.write_bytes(b"voxels")
    case = a_cohort.add_case(inside)
    shutil.move(a_cohort.folder, tmp_path / "moved")

    assert (case.id, case.image) == ("Müller_1", "images/Müller 1.nrrd")
    assert Cohort.open(tmp_path / "moved").image_path(case.id).read_bytes() == b"voxels"


def test_a_copied_image_is_independent_of_the_original(a_cohort: Cohort, an_image: Path) -> None:
    case = a_cohort.add_case(an_image, copy=True)
    an_image.write_bytes(b"changed")

    assert case.image == "images/P07.nii.gz"
    assert a_cohort.image_path("P07").read_bytes() == b"voxels"
    assert [path.name for path in (a_cohort.folder / "images").iterdir()] == ["P07.nii.gz"]


@pytest.mark.parametrize("copy", [False, True])
def test_a_dicom_folder_is_an_image(a_cohort: Cohort, tmp_path: Path, copy: bool) -> None:
    series = tmp_path / "series 1.2"
    (series / "sub").mkdir(parents=True)
    (series / "sub" / "IM0001").write_bytes(b"slice")

    case = a_cohort.add_case(series, copy=copy)

    assert case.id == "series_1.2"
    assert (a_cohort.image_path(case.id) / "sub" / "IM0001").read_bytes() == b"slice"


@pytest.mark.parametrize("name", ["missing.nrrd", "empty"])
def test_an_image_that_is_not_there_is_refused(a_cohort: Cohort, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ImageError, match=r"no image|empty"):
        a_cohort.add_case(tmp_path / name)
    assert a_cohort.cases == ()


def test_a_header_without_its_voxels_is_not_copied(a_cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "a.mhd").write_text("ElementDataFile = a.raw")

    with pytest.raises(CohortError, match="two files"):
        a_cohort.add_case(tmp_path / "a.mhd", copy=True)
    assert a_cohort.add_case(tmp_path / "a.mhd").id == "a"


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("name", ["P07.nrrd", "p07.mha"])
def test_two_images_of_one_name_need_ids(
    a_cohort: Cohort, an_image: Path, tmp_path: Path, name: str, copy: bool
) -> None:
    other = tmp_path / "other" / name
    other.parent.mkdir()
    other.write_bytes(b"other")
    a_cohort.add_case(an_image)

    with pytest.raises(CohortError, match="id of its own"):
        a_cohort.add_case(other, copy=copy)

    assert a_cohort.add_case(other, case_id="P07-b", copy=copy).id == "P07-b"
    assert [case.id for case in Cohort.open(a_cohort.folder).cases] == ["P07", "P07-b"]


def test_one_image_cannot_be_two_cases(a_cohort: Cohort, an_image: Path) -> None:
    a_cohort.add_case(an_image)

    with pytest.raises(CohortError, match="in the cohort already, as case 'P07'"):
        a_cohort.add_case(an_image, case_id="other")


def test_a_case_added_elsewhere_is_kept(a_cohort: Cohort, an_image: Path, tmp_path: Path) -> None:
    elsewhere = Cohort.open(a_cohort.folder)
    elsewhere.add_case(an_image)
    (tmp_path / "P08.nrrd").write_bytes(b"voxels")

    a_cohort.add_case(tmp_path / "P08.nrrd")
    elsewhere.set_role("P08", Role.EXCLUDED)

    assert [case.role for case in elsewhere.cases] == [Role.TRAINING, Role.EXCLUDED]


def test_an_unknown_case_is_told_with_the_known_ones(a_cohort: Cohort, an_image: Path) -> None:
    a_cohort.add_case(an_image)

    for call in (a_cohort.image_path, a_cohort.state, a_cohort.annotations, a_cohort.latest_prediction):
        with pytest.raises(CohortError, match=r"no case 'P99'. Its cases are P07"):
            call("P99")
    with pytest.raises(CohortError, match="P99"):
        a_cohort.set_role("P99", Role.EXCLUDED)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_that_cannot_be_written_loses_nothing(
    a_cohort: Cohort, an_image: Path, monkeypatch: pytest.MonkeyPatch, number: int, copy: bool
) -> None:
    real = os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == "cohort.json":
            raise OSError(number, os.strerror(number))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(StorageError):
            a_cohort.add_case(an_image, copy=copy)

    assert a_cohort.cases == Cohort.open(a_cohort.folder).cases == ()
    assert not any((a_cohort.folder / "images").glob("*"))
    assert a_cohort.add_case(an_image, copy=copy).id == "P07"


def test_a_read_only_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(StorageError, match="read-only"):
        Cohort.create(tmp_path / "new", name="a", modality=Modality.MR, labels=LabelTable.from_names(["x"]))


def test_a_locked_cohort_refuses_changes_and_can_still_be_read(
    a_cohort: Cohort, an_image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from barl.cohort import cohort, folder_lock

    monkeypatch.setattr(cohort, "folder_lock", lambda folder, what: folder_lock(folder, what=what, timeout_s=0))
    with folder_lock(a_cohort.folder, what="training"), pytest.raises(LockedError, match=f"process {os.getpid()}"):
        a_cohort.add_case(an_image)

    assert Cohort.open(a_cohort.folder).cases == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("P07.nii.gz", "P07"),
        ("P07.SEG.NRRD", "P07"),
        ("Ana María (2).mha", "Ana_María__2"),
        ("歯 1.nrrd", "歯_1"),
        ("..nrrd", "case"),
        ("-x.nii", "x"),
        ("con.nrrd", "case_con"),
        ("scan.v2", "scan"),
    ],
)
def test_a_file_name_becomes_an_id_that_is_a_folder_name_everywhere(
    a_cohort: Cohort, tmp_path: Path, name: str, expected: str
) -> None:
    (tmp_path / name).write_bytes(b"voxels")

    assert a_cohort.add_case(tmp_path / name).id == expected


def test_long_names_that_differ_at_the_end_become_different_ids(a_cohort: Cohort, tmp_path: Path) -> None:
    for end in "ab":
        (tmp_path / f"{'x' * 200}{end}.nrrd").write_bytes(b"voxels")

    ids = [a_cohort.add_case(tmp_path / f"{'x' * 200}{end}.nrrd").id for end in "ab"]

    assert [len(case_id) for case_id in ids] == [64, 64]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("case_id", ["", "a/b", "..", "a b", "NUL", "x" * 65, "-rf", "a."])
def test_an_id_that_is_no_folder_name_is_refused_with_one_that_is(
    a_cohort: Cohort, an_image: Path, case_id: str
) -> None:
    with pytest.raises(CohortError, match="would do"):
        a_cohort.add_case(an_image, case_id=case_id)
