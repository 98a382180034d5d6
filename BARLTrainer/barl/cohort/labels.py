"""The label table: which value means which structure, for the life of the cohort."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from barl.errors import LabelError
from barl.records import Fields

BACKGROUND = 0
UNKNOWN = 255
"""In an array: not annotated, ignored by every supervised loss and every metric."""

BACKGROUND_NAME = "Background"
"""The segment that holds painted background in a scribbles annotation; no label may be called so."""

_PALETTE = ((128, 174, 128), (241, 214, 145), (177, 122, 101), (111, 184, 210), (216, 101, 79), (221, 130, 101))


@dataclass(frozen=True, kw_only=True)
class Label:
    """One structure."""

    value: int
    """Voxel value, 1 to 254."""

    name: str
    """As the clinician calls it; unique without regard to case and spaces around it."""

    color: tuple[int, int, int]
    """Red, green, blue, each 0 to 255."""

    terminology: str = ""
    """Slicer's terminology entry, as text."""

    def __post_init__(self) -> None:
        if not BACKGROUND < self.value < UNKNOWN:
            raise LabelError(
                f"Label {self.name!r}: the value must be from 1 to 254 (0 is background, 255 means not annotated), "
                f"got {self.value}. Give it another value."
            )
        if not _key(self.name) or not self.name.isprintable():
            raise LabelError(f"Label {self.value} has no readable name, got {self.name!r}. Give it a name.")
        if _key(self.name) == _key(BACKGROUND_NAME):
            raise LabelError(f"Label {self.value} may not be called {self.name!r}: background is value 0 already.")
        if len(self.color) != 3 or not all(0 <= part <= 255 for part in self.color):
            raise LabelError(f"Label {self.name!r}: a color is three numbers from 0 to 255, got {self.color}.")

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "value": self.value,
            "name": self.name,
            "color": list(self.color),
            "terminology": self.terminology,
        }


MOST_LABELS = 31
"""Structures of a cohort; with background that is what the networks can tell apart."""


def refuse_too_many(table: LabelTable) -> None:
    """Tell before anything is drawn that no network could learn it all.

    Raises:
        LabelError: more than 31 structures.
    """
    if len(table.labels) > MOST_LABELS:
        raise LabelError(
            f"A cohort has at most {MOST_LABELS} structures, got {len(table.labels)}. Join some of them into one, or "
            "make two cohorts of the same images. If the list was taken from a file, check that it is no image."
        )


@dataclass(frozen=True)
class LabelTable:
    """The structures of a cohort, in the order in which the network gives them.

    The network's class of a label is its position plus one; class 0 is background.
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise LabelError("A label table needs at least one label. Name the structures to segment.")
        _refuse_repeated("value", self.values)
        _refuse_repeated("name", [_key(name) for name in self.names])

    @classmethod
    def from_names(cls, names: Iterable[str]) -> LabelTable:
        """A table with values 1, 2, ... and default colors."""
        return cls(
            tuple(Label(value=index + 1, name=name, color=default_color(index)) for index, name in enumerate(names))
        )

    @classmethod
    def from_json(cls, data: Any, where: str = "the label table") -> LabelTable:
        """The table that ``to_json`` gave.

        Raises:
            LabelError: an entry is missing, of the wrong type, or not allowed.
        """
        table = Fields({"labels": data}, where, LabelError)
        with table.located():
            return cls(tuple(_label(row) for row in table.children("labels")))

    def to_json(self) -> list[dict[str, Any]]:
        """A JSON list."""
        return [label.to_json() for label in self.labels]

    @property
    def values(self) -> tuple[int, ...]:
        """Voxel values, without background."""
        return tuple(label.value for label in self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """Names, without background."""
        return tuple(label.name for label in self.labels)

    @property
    def num_classes(self) -> int:
        """Classes of the network, background included."""
        return len(self.labels) + 1

    @property
    def class_values(self) -> tuple[int, ...]:
        """The voxel value of each network class: ``(0, v1, v2, ...)``."""
        return (BACKGROUND, *self.values)

    def by_name(self, name: str) -> Label:
        """The label of this name, without regard to case.

        Raises:
            LabelError: there is none.
        """
        return self._one(name, [label for label in self.labels if _key(label.name) == _key(name)])

    def by_value(self, value: int) -> Label:
        """The label of this voxel value.

        Raises:
            LabelError: there is none.
        """
        return self._one(value, [label for label in self.labels if label.value == value])

    def _one(self, wanted: object, found: list[Label]) -> Label:
        if found:
            return found[0]
        known = ", ".join(f"{label.value} {label.name}" for label in self.labels)
        raise LabelError(f"The cohort has no label {wanted!r}; its labels are {known}.")


def default_color(index: int) -> tuple[int, int, int]:
    """A color for the label at a position: soft anatomical ones first, then hues far apart."""
    if index < len(_PALETTE):
        return _PALETTE[index]
    hue = index * 0.618034 % 1.0  # The golden ratio keeps neighbors apart however many there are.
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.55, 0.85))
    return red, green, blue


def _label(row: Fields) -> Label:
    color = row.integers("color")
    if len(color) != 3:
        raise LabelError(f"{row.where}: color must be three numbers from 0 to 255, got {list(color)}.")
    with row.located():
        return Label(
            value=row.integer("value"),
            name=row.text("name"),
            color=(color[0], color[1], color[2]),
            terminology=row.text("terminology", ""),
        )


def _key(name: str) -> str:
    return name.strip().casefold()


def _refuse_repeated(what: str, items: Iterable[object]) -> None:
    seen: set[object] = set()
    for item in items:
        if item in seen:
            raise LabelError(f"Two labels have the {what} {item!r}. Give each label a {what} of its own.")
        seen.add(item)
