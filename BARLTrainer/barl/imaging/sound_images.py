"""Which images were read before and found sound, so that nobody reads a whole cohort twice to know it."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from barl.atomic import write_json
from barl.cohort import Cohort
from barl.errors import StorageError
from barl.imaging.cache import image_contents, prepared_cases


def remember_sound(cohort: Cohort, case_ids: Collection[str]) -> None:
    """Note that these cases' images, as they are now, were checked and nothing was found.

    Raises:
        ImageError: an image is missing.
    """
    with suppress(StorageError):  # A read-only folder only costs the next reader time.
        write_json(_note(cohort), image_contents(cohort, case_ids))


def sound_cases(cohort: Cohort) -> set[str]:
    """Cases whose image, as it is now, was checked before, or prepared for a training.

    Raises:
        ImageError: an image is missing.
    """
    noted = _read(_note(cohort))
    known = {case.id for case in cohort.cases} & noted.keys()
    present = image_contents(cohort, known)
    return prepared_cases(cohort) | {case_id for case_id in known if present[case_id] == noted[case_id]}


def _note(cohort: Cohort) -> Path:
    return cohort.folder / "cache" / "sound.json"


def _read(note: Path) -> dict[str, str]:
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
