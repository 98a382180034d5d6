"""What a simulation compares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from barl.errors import SettingsError
from barl.evaluation.annotator import ELSEWHERE
from barl.evaluation.cost_curves import EVERYTHING

STRATEGIES = ("regions", "slices", "cases", EVERYTHING)


@dataclass(frozen=True, kw_only=True)
class SimulationSettings:
    """What is compared."""

    strategies: tuple[str, ...] = STRATEGIES
    """``regions``: the highest-ranked regions of all cases; ``slices``: some slices of cases drawn by chance;
    ``cases``: whole cases drawn by chance; ``all``: everything at once, what the others are measured against."""

    seeds: tuple[int, ...] = (0,)
    """Of the first cases, the annotator's choices and the trainings."""

    rounds: int = 4
    """Corrections after the first training, each followed by a training."""

    start_cases: int = 2
    """Cases annotated before the first training."""

    start_slices: int | None = None
    """How many slices of each first case are drawn, along ``slice_axis``; None: the whole case. A complete first case
    costs as much as many corrections, and then hides what the strategies differ in."""

    cases_per_round: int = 2
    """With ``cases``: how many a round; with ``slices``: over how many a round's slices are spread."""

    slices_per_round: int = 8
    """With ``slices``."""

    slice_axis: int = 0
    """Array axis along which slices are counted."""

    regions_per_round: int = 20
    """With ``regions``: by expected error, of all cases or of the round's."""

    region_cases: int | None = None
    """With ``regions``: from how many cases a round they come, drawn by chance like those of ``cases``; None: from all.
    Few cases, reviewed in the places that need it and then accepted, are how a person works."""

    margin_mm: float = 2.0
    """With ``regions``: what is looked at around a region's box."""

    elsewhere: Literal["unknown", "accepted"] = "unknown"
    """With ``regions``: whether the rest of a prediction stays unknown or counts as right."""

    steps: int = 200
    """Of every training; with ``refine_steps`` of the first one."""

    refine_steps: int | None = None
    """Steps of every later training, which then goes on from the weights of the one before; None: each begins anew."""

    method: str = "barl"
    device: str = "auto"
    precision: str = "auto"
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the method and its training, as ``barl train --set`` takes them."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.strategies if name not in STRATEGIES]
        if unknown or not self.strategies:
            raise SettingsError(f"strategies must be some of {STRATEGIES}, got {self.strategies}")
        if len(set(self.seeds)) < max(1, len(self.seeds)) or min(self.seeds, default=-1) < 0:
            raise SettingsError(f"seeds must be different numbers from 0 on, got {self.seeds}")
        for name in ("rounds", "start_cases", "cases_per_round", "slices_per_round", "regions_per_round", "steps"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("start_slices", "region_cases", "refine_steps"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise SettingsError(f"{name} must be 1 or more, got {value}")
        if self.elsewhere not in ELSEWHERE:
            raise SettingsError(f"elsewhere must be one of {ELSEWHERE}, got {self.elsewhere!r}")
        if self.slice_axis not in (0, 1, 2):
            raise SettingsError(f"slice_axis must be 0, 1 or 2, got {self.slice_axis}")
        if not 0 <= self.margin_mm < 1000:
            raise SettingsError(f"margin_mm must be from 0 to 1000, got {self.margin_mm}")

    def rounds_of(self, strategy: str) -> int:
        """Trainings of a strategy after the first one. Everything needs one, but takes as many steps as the others."""
        return 1 if strategy == EVERYTHING and self.refine_steps is None else self.rounds

    def steps_of(self, number: int) -> int:
        """Steps of the training of a round; 0 is the first."""
        return self.steps if number == 0 or self.refine_steps is None else self.refine_steps

    def steps_until(self, number: int) -> int:
        """Steps that the weights of a round have learned in all."""
        return self.steps if self.refine_steps is None else self.steps + number * self.refine_steps
