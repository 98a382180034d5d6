"""A round's model copied to where a person wants it; done in short steps, so that no window waits for a slow drive."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Generator
from pathlib import Path

from barl.atomic import storage_errors, temporary_name
from barl.cohort import Cohort
from barl.errors import InputError, JobError, StorageError
from barl.jobs import JobFolder
from barl.records import read_fields

CARD, WEIGHTS = "model.json", "weights.pt"
_BLOCK = 4 * 1024 * 1024
"""Bytes a step: a tenth of a second on a slow USB stick."""


def exportFolder(cohort: Cohort, number: int, chosen: Path) -> Path:
    """The folder that the model of a round is written to, inside the one that was chosen."""
    name = "".join(each if each.isalnum() or each in "-_" else "_" for each in cohort.name).strip("_")
    return chosen / f"{name or 'cohort'}-round-{number:04d}"


def exporting(roundFolder: Path, target: Path) -> Generator[float, None, None]:
    """Copy a round's model; each step yields the share that is done.

    The folder appears whole or not at all. An earlier export of the same model is replaced; anything else is kept.

    Args:
        roundFolder: the round.
        target: the folder to be made.

    Raises:
        JobError: the round has no whole model.
        StorageError: the target is something else than an earlier export of this model, lies in the round itself,
            cannot be written, or the disk is full.
    """
    model = JobFolder(roundFolder).model
    digest = _digestOf(model)
    if digest is None:
        raise JobError(f"{roundFolder} has no model: its training did not get that far. Choose a finished round.")
    _refuseForeign(target, roundFolder, digest)
    temporary = target.with_name(temporary_name())
    try:
        with storage_errors(target):
            temporary.mkdir(parents=True)
            found = yield from _copying(model, temporary)
            if found != digest:
                raise JobError(
                    f"{model / WEIGHTS} is not what {CARD} says: it is damaged, or was being written just now. "
                    "Try again; if it stays, train anew."
                )
            _takePlace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copying(model: Path, temporary: Path) -> Generator[float, None, str]:
    """Copy the files of a model; returns the digest of the weights that were copied."""
    files = [path for path in sorted(model.iterdir()) if path.is_file() and not path.name.startswith(".")]
    total, done, digest = sum(path.stat().st_size for path in files), 0, hashlib.sha256()
    for path in files:
        with path.open("rb") as source, (temporary / path.name).open("wb") as copy:
            while block := source.read(_BLOCK):
                copy.write(block)
                if path.name == WEIGHTS:
                    digest.update(block)
                done += len(block)
                yield done / max(1, total)
            copy.flush()
            os.fsync(copy.fileno())
    return digest.hexdigest()


def _takePlace(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    former = target.with_name(temporary_name())
    target.rename(former)
    temporary.rename(target)
    shutil.rmtree(former, ignore_errors=True)


def _refuseForeign(target: Path, roundFolder: Path, digest: str) -> None:
    if roundFolder.resolve() in [target.resolve(), *target.resolve().parents]:
        raise StorageError(f"{target} lies in the round itself and would go with it. Choose a folder outside.")
    with storage_errors(target):
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            return
        names = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if names != {CARD, WEIGHTS} or _digestOf(target) != digest:
        raise StorageError(
            f"{target} is there already and holds something else. Choose another folder, or move it away."
        )


def _digestOf(model: Path) -> str | None:
    """The digest of the weights that a model's card speaks of; None where there is no card that can be read."""
    path = model / CARD
    if not path.is_file():
        return None
    try:
        return read_fields(path, InputError).text("weights_sha256")
    except InputError:
        return None
