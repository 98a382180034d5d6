"""What the page is made from: plain records, so that a test or a notebook can fill them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.cohort.labels import LabelTable
from barl.errors import SettingsError
from barl.evaluation.report import CaseScores


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A number over the training."""

    steps: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """One method's numbers."""

    name: str
    """Key, as in `ReportCase.predictions`."""

    title: str
    """What people call it."""

    scores: Sequence[CaseScores]
    """Of every case that was scored."""

    steps: int
    """Training steps."""

    seconds: float
    """Time of the training."""

    curves: Mapping[str, Curve] = field(default_factory=dict)
    """By what they show; curves of one name share a chart. A name beginning with "loss" is also drawn smoothed."""


@dataclass(frozen=True, kw_only=True)
class ReportCase:
    """One case to look at; all arrays (D, H, W), slices going up, rows going back."""

    case_id: str
    image: npt.NDArray[Any]
    truth: npt.NDArray[np.uint8]
    """Values of the label table, 255 where unknown."""

    predictions: Mapping[str, npt.NDArray[np.uint8]]
    """By method name."""

    spacing_dhw_mm: tuple[float, float, float]
    uncertainty: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """By method name, 0 to 1."""

    def __post_init__(self) -> None:
        for what, array in [("truth", self.truth), *self.predictions.items(), *self.uncertainty.items()]:
            if array.shape != self.image.shape:
                raise SettingsError(
                    f"Case {self.case_id}: {what} has the shape {array.shape}, the image {self.image.shape}. "
                    "Give all arrays on the image's grid."
                )


@dataclass(frozen=True, kw_only=True)
class Report:
    """The whole page."""

    title: str
    subtitle: str
    table: LabelTable
    methods: Sequence[MethodResult]
    """The first one is what the others are compared with."""

    cases: Sequence[ReportCase] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Short facts on the cohort, such as ``{"Volumes": "12"}``."""

    statements: Sequence[str] = ()
    """Sentences on what the numbers do and do not show; the page adds those it can tell itself."""

    def __post_init__(self) -> None:
        if not self.methods:
            raise SettingsError("A report needs at least one method, got none. Evaluate a method first.")
