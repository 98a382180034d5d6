"""Annotate, train, refine with a simulated annotator: ways to spend a person's time compared by what they cost.

Each strategy has a cohort of its own in the output folder, with the images of the given cohort, which is left as it
is. All begin with the same annotated cases and the same training; then every round corrects something and trains for
the same number of steps, anew or on from the weights before, so that only the annotation differs. Measured are cases
that no training sees.

    OUTPUT/simulation.json              what was asked for
    OUTPUT/cohorts/regions-0/           a strategy's cohort for seed 0; its rounds are ordinary jobs
    OUTPUT/points/regions-0-02.json     a finished round: skipped when the simulation goes on
    OUTPUT/curves.json .csv .html       all that is finished
"""

from barl.simulation.loops import measured_cases, simulate
from barl.simulation.settings import STRATEGIES, SimulationSettings

__all__ = ["STRATEGIES", "SimulationSettings", "measured_cases", "simulate"]
