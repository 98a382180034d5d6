"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from barl import atomic
from barl.atomic import replacing, write_json, write_text
from barl.errors import StorageError


def test_a_written_file_holds_the_text_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "new folder" / "ä.txt", "Zähne\n")

    assert (tmp_path / "new folder" / "ä.txt").read_bytes() == "Zähne\n".encode()
    assert len(list((tmp_path / "new folder").iterdir())) == 1


def test_an_error_while_writing_keeps_the_old_file_and_removes_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "labels.seg.nrrd"
    target.write_text("old")

    with pytest.raises(ValueError, match="broken"), replacing(target) as temporary:
        temporary.write_text("half")
        raise ValueError("broken")

    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_name_keeps_the_suffixes_that_choose_a_format(tmp_path: Path) -> None:
    with replacing(tmp_path / "0001.seg.nrrd") as temporary:
        assert temporary.name.endswith(".seg.nrrd")
        assert temporary.parent == tmp_path
        temporary.write_text("x")


@pytest.mark.parametrize(
    ("number", "word"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EACCES, "may not write")]
)
def test_what_the_system_refuses_is_told_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, word: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "a.json").write_text("old")
    monkeypatch.setattr(os, "replace", refuse)

    with pytest.raises(StorageError, match=word):
        write_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_being_read_on_windows_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, real = [PermissionError(errno.EACCES, "in use")] * 2, os.replace

    def busy_twice(source: Path, target: Path) -> None:
        if refusals:
            raise refusals.pop()
        real(source, target)

    monkeypatch.setattr(os, "replace", busy_twice)
    monkeypatch.setattr(atomic, "_BUSY_RETRIES", 5)

    write_text(tmp_path / "status.json", "new")

    assert (tmp_path / "status.json").read_text() == "new"


def test_numbers_that_are_not_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
