"""Lists of structures to start a cohort from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from barl.cohort import LabelTable, Modality


@dataclass(frozen=True, kw_only=True)
class LabelPreset:
    """A named label table for a kind of image."""

    name: str
    modality: Modality
    labels: LabelTable


def readPresets(path: Path) -> list[LabelPreset]:
    """The presets of the module's own JSON file.

    Raises:
        LabelError: an entry is missing or not allowed; it says where.
    """
    rows = json.loads(path.read_text(encoding="utf-8"))["presets"]
    return [
        LabelPreset(
            name=row["name"],
            modality=Modality(row["modality"]),
            labels=LabelTable.from_json(row["labels"], f"{path.name}, {row['name']}"),
        )
        for row in rows
    ]
