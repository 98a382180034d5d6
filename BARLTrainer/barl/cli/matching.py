"""Label files and predictions found by name: ``P07_seg.nii.gz`` belongs to case ``P07``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from barl.cohort.layout import RESULT_MAPS, case_id_from
from barl.errors import InputError, LabelError

_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_ADDED_WORDS = re.compile(r"([._-](seg|segmentation|label|labels|labelmap|mask|gt))+$", re.IGNORECASE)


def label_files(folder: Path) -> list[Path]:
    """The label files directly in a folder, by name; uncertainty maps and hidden files are none.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: check the path.")
    return sorted(path for path in folder.iterdir() if _is_label_file(path))


def label_files_by_case(folder: Path, case_ids: Iterable[str]) -> tuple[list[tuple[str, Path]], list[Path]]:
    """Pairs of case and label file, and the files that belong to no case.

    Raises:
        LabelError: no file belongs to a case, or two belong to the same.
    """
    by_name = {case_id.casefold(): case_id for case_id in case_ids}
    matched: dict[str, Path] = {}
    unmatched: list[Path] = []
    for path in label_files(folder):
        case_id = next((by_name[name] for name in names_of(path) if name in by_name), None)
        if case_id is None:
            unmatched.append(path)
        elif case_id in matched:
            raise LabelError(
                f"Case {case_id}: {matched[case_id].name} and {path.name} both belong to it. Leave one in {folder}."
            )
        else:
            matched[case_id] = path
    if not matched:
        raise LabelError(_nothing_matched(folder, unmatched, sorted(by_name.values())))
    return sorted(matched.items()), unmatched


def names_of(path: Path) -> tuple[str, str]:
    """What a label file may be called for: its whole name, and the name without an added word such as ``_seg``."""
    whole = case_id_from(path).casefold()
    return whole, _ADDED_WORDS.sub("", whole)


def _is_label_file(path: Path) -> bool:
    name = path.name.lower()
    return path.is_file() and not name.startswith(".") and name.endswith(_SUFFIXES) and not name.endswith(RESULT_MAPS)


def _nothing_matched(folder: Path, files: Sequence[Path], case_ids: Sequence[str]) -> str:
    seen = ", ".join(path.name for path in files[:5]) or "no label file"
    wanted = ", ".join(case_ids[:5]) or "none"
    return f"No label file in {folder} is named like a case. Cases: {wanted}. Found: {seen}. Rename the files."
