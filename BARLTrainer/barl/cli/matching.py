"""Label files and predictions found by name: ``P07_seg.nii.gz`` belongs to case ``P07``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from barl.cohort.images import absolute
from barl.cohort.layout import RESULT_MAPS, label_names
from barl.errors import InputError, LabelError

_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


def label_files(folder: Path) -> list[Path]:
    """The label files directly in a folder, by name; uncertainty maps and hidden files are none.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: check the path.")
    return sorted(path for path in folder.iterdir() if _is_label_file(path))


def label_files_by_case(
    folder: Path, case_ids: Iterable[str], images: Collection[Path] = ()
) -> tuple[list[tuple[str, Path]], list[Path]]:
    """Pairs of case and label file, and the files that belong to no case.

    Args:
        folder: where they are.
        case_ids: of the cohort.
        images: files that are no label files, though they may lie beside them and be named alike.

    Raises:
        LabelError: no file belongs to a case, or two belong to the same.
    """
    by_name = {case_id.casefold(): case_id for case_id in case_ids}
    matched: dict[str, Path] = {}
    unmatched: list[Path] = []
    for path in label_files(folder):
        if absolute(path) in images:
            continue
        case_id = next((by_name[name] for name in label_names(path) if name in by_name), None)
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


def _is_label_file(path: Path) -> bool:
    name = path.name.lower()
    return path.is_file() and not name.startswith(".") and name.endswith(_SUFFIXES) and not name.endswith(RESULT_MAPS)


def _nothing_matched(folder: Path, files: Sequence[Path], case_ids: Sequence[str]) -> str:
    seen = ", ".join(path.name for path in files[:5]) or "no label file"
    wanted = ", ".join(case_ids[:5]) or "none"
    return f"No label file in {folder} is named like a case. Cases: {wanted}. Found: {seen}. Rename the files."
