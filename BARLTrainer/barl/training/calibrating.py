"""Calibrate a trained model on the validation cases, which chose nothing and taught nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from barl.evaluation.calibration import LEAST_CASES, ShellSample, fit_temperatures, shell_sample
from barl.inference.calibration import Calibration
from barl.inference.predictor import Predictor
from barl.training.validation import ValidationCase


def calibrate(
    predictor: Predictor, cases: Sequence[ValidationCase], before_each: Callable[[], None] = lambda: None
) -> Calibration | None:
    """Temperatures from prepared validation cases; None with fewer than three that show a surface.

    Args:
        predictor: the trained model, on the grid of the cases.
        cases: with their annotations, complete or not.
        before_each: called before each case; may raise.
    """
    if len(cases) < LEAST_CASES:
        return None
    samples = []
    for case in cases:
        before_each()
        sample = _sample(predictor, case)
        if sample is not None:
            samples.append(sample)
    temperatures = fit_temperatures(samples)
    return None if temperatures is None else Calibration(temperatures=temperatures, cases=len(samples))


def too_few(cases: int) -> str:
    """Why a model stays uncalibrated."""
    return (
        f"The uncertainty stays uncalibrated: that needs {LEAST_CASES} annotated validation cases in which a border of "
        f"a structure shows, and there are {cases} for validation. Give more cases the role validation."
    )


def _sample(predictor: Predictor, case: ValidationCase) -> ShellSample | None:
    # Half precision: of a large volume with many classes all of them are held at once.
    slabs = [slab.probability.half().cpu() for slab in predictor.slabs(case.image)]
    spacing = predictor.card.recipe.spacing_dhw_mm or (1.0, 1.0, 1.0)
    return shell_sample(torch.cat(slabs, dim=1).numpy(), case.label, spacing)
