"""A label table from the command line or from a first label file."""

from __future__ import annotations

from pathlib import Path

from barl.cohort.labels import Label, LabelTable, default_color
from barl.errors import SettingsError


def parse_labels(text: str) -> LabelTable:
    """Read ``1=jaw,2=teeth`` or, with values counted from 1, ``jaw,teeth``.

    Raises:
        SettingsError: an entry is neither a name nor value=name.
    """
    labels = []
    for index, entry in enumerate(text.split(",")):
        left, equals, right = entry.partition("=")
        name = (right if equals else left).strip()
        value = left.strip() if equals else str(index + 1)
        if not name or not value.isdecimal() or any(sign in name for sign in "=;"):
            raise SettingsError(
                f"Labels must look like '1=jaw,2=teeth' or 'jaw,teeth', got {entry.strip()!r} in {text!r}."
            )
        labels.append(Label(value=int(value), name=name, color=default_color(index)))
    return LabelTable(tuple(labels))


def labels_from_file(path: Path) -> LabelTable:
    """The names, values and colors of a label file; values get names where the file has none.

    Raises:
        LabelError: the file cannot be read, or is no label file.
        SettingsError: nothing is drawn in the file.
    """
    found = labels_of_file(path)
    if not found:
        raise SettingsError(f"{path} holds no label to make a table from: draw something in it, or give --labels.")
    return LabelTable(found)


def labels_of_file(path: Path) -> tuple[Label, ...]:
    """The labels of a label file, none where nothing is drawn; raises as ``read_label_names``."""
    from barl.imaging.segmentations import read_label_names

    return tuple(Label(value=value, name=name, color=color) for value, name, color in read_label_names(path))
