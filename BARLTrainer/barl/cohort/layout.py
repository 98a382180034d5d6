"""Where things are in a cohort folder, and how a case gets its id from a file name."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from barl.errors import CohortError

MAX_ID_LENGTH = 64
SEGMENTATION_SUFFIX = ".seg.nrrd"

_IMAGE_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nrrd", ".nhdr", ".nii", ".mha", ".mhd", ".hdr", ".img", ".dcm")
_WINDOWS_DEVICES = {"CON", "PRN", "AUX", "NUL"} | {f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10)}

_ADDED_WORDS = re.compile(r"([._-](seg|segmentation|label|labels|labelmap|mask|gt))+$", re.IGNORECASE)

RANKING_FILE = "ranking.json"
"""In a round's folder: which cases to annotate next."""

RESULT_MAPS = (".uncertainty.nrrd", ".disagreement.nrrd")
"""Ends of the names of the maps that a prediction leaves beside its segmentation."""


@dataclass(frozen=True)
class CohortLayout:
    """The paths of a cohort folder."""

    folder: Path

    @property
    def record(self) -> Path:
        """Name, modality, label table and cases."""
        return self.folder / "cohort.json"

    @property
    def images(self) -> Path:
        """Copied images."""
        return self.folder / "images"

    @property
    def rounds(self) -> Path:
        """One job folder a training."""
        return self.folder / "rounds"

    @property
    def cache(self) -> Path:
        """Preprocessed arrays; may be deleted at any time."""
        return self.folder / "cache"

    def annotations(self, case_id: str) -> Path:
        """The annotation versions of a case."""
        return self.folder / "annotations" / case_id


def prediction_path(round_folder: Path, case_id: str) -> Path:
    """Where a round keeps its prediction of a case."""
    return round_folder / "predictions" / f"{case_id}{SEGMENTATION_SUFFIX}"


def numbered(folder: Path, suffix: str = "") -> list[Path]:
    """The entries named ``0001<suffix>``, ``0002<suffix>``, ... by number; empty when there is no such folder."""
    if not folder.is_dir():
        return []
    found = [(_number(path, suffix), path) for path in folder.iterdir()]
    return [path for number, path in sorted(found) if number > 0]


def next_number(folder: Path, *suffixes: str) -> int:
    """One more than the highest number that any entry with one of the suffixes carries."""
    return max((_number(path, suffix) for suffix in suffixes for path in numbered(folder, suffix)), default=0) + 1


def number_name(number: int) -> str:
    """The name of a version or a round: ``0003``."""
    return f"{number:04d}"


def image_suffix(path: Path) -> str:
    """The part of an image's file name that tells its format; empty for a DICOM folder."""
    if path.is_dir():
        return ""
    name = path.name.lower()
    known = next((suffix for suffix in _IMAGE_SUFFIXES if name.endswith(suffix)), path.suffix)
    return path.name[len(path.name) - len(known) :]


def case_id_from(image: Path) -> str:
    """A case id from an image's file name: letters of any script, digits, ``.``, ``_`` and ``-``, at most 64."""
    name = unicodedata.normalize("NFC", image.name.removesuffix(image_suffix(image)))
    cleaned = "".join(character if _allowed(character) else "_" for character in name).strip("._-") or "case"
    if len(cleaned) > MAX_ID_LENGTH:  # Long names often differ at the end only.
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        cleaned = f"{cleaned[: MAX_ID_LENGTH - 9]}_{digest}"
    return f"case_{cleaned}" if _is_device(cleaned) else cleaned


def label_names(path: Path) -> tuple[str, str]:
    """What a label file may be called for: its whole name, and the name without an added word such as ``_seg``."""
    whole = case_id_from(path).casefold()
    return whole, _ADDED_WORDS.sub("", whole)


def checked_case_id(case_id: str) -> str:
    """Refuse an id that could not be a folder's name on every system.

    Raises:
        CohortError: it is empty, too long, or has characters that are not allowed.
    """
    case_id = unicodedata.normalize("NFC", case_id)
    ends_well = case_id[:1] not in (".", "-") and case_id[-1:] != "."
    if 0 < len(case_id) <= MAX_ID_LENGTH and all(map(_allowed, case_id)) and ends_well and not _is_device(case_id):
        return case_id
    raise CohortError(
        f"{case_id!r} cannot be a case id. Use 1 to {MAX_ID_LENGTH} letters, digits, '.', '_' or '-', "
        f"not beginning with '.' or '-' and not ending with '.'; {case_id_from(Path(case_id or 'case'))!r} would do."
    )


def same_id(one: str, other: str) -> bool:
    """Whether two ids would be one folder on a file system that ignores case."""
    return one.casefold() == other.casefold()


def _allowed(character: str) -> bool:
    return character in "._-" or unicodedata.category(character)[0] in "LMN"


def _is_device(name: str) -> bool:
    return name.split(".", maxsplit=1)[0].upper() in _WINDOWS_DEVICES


def _number(path: Path, suffix: str) -> int:
    stem = path.name.removesuffix(suffix)
    whole = path.name == stem + suffix and len(stem) >= 4 and stem.isascii() and stem.isdigit()
    return int(stem) if whole else 0
