"""The volumes of a batch as a table that a spreadsheet opens."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from barl.atomic import replacing

TABLE_FILE = "volumes.csv"


@dataclass(frozen=True, kw_only=True)
class VolumeRow:
    """What became of one volume."""

    case: str
    state: str
    """``done``, ``skipped`` (done before) or ``failed``."""

    volumesMl: Mapping[str, float]
    """By structure; empty when it failed."""

    meanUncertainty: float | None
    """0 to 1; None when it failed."""

    message: str
    """Why it failed, for people."""

    image: str


def writeVolumesTable(path: Path, rows: Sequence[VolumeRow]) -> None:
    """Write the rows as CSV; the file appears whole or not at all.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.volumesMl))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        # The mark at the beginning tells spreadsheets that letters outside ASCII are UTF-8.
        writer = csv.writer(file)
        writer.writerow(["case", "state", *(f"{name} (ml)" for name in names), "mean uncertainty", "message", "image"])
        for row in rows:
            volumes = [row.volumesMl.get(name, "") for name in names]
            uncertainty = "" if row.meanUncertainty is None else row.meanUncertainty
            writer.writerow([row.case, row.state, *volumes, uncertainty, row.message, row.image])
