"""One loop after the other: annotate, train, measure."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from barl.atomic import storage_errors, temporary_name, write_json
from barl.cohort import UNKNOWN, AnnotationVersion, Cohort, CoverageKind, Role, prediction_path
from barl.errors import InputError, JobFailedError
from barl.evaluation.annotator import Cost, Desk
from barl.evaluation.cost_curves import Point
from barl.evaluation.metrics import score_case
from barl.imaging.annotations import load_annotation, save_annotation
from barl.imaging.segmentations import Labels, read_labels
from barl.imaging.volumes import read_geometry
from barl.jobs import State, Status, launch, read_status, request_stop, wait
from barl.simulation.choices import Drawing, by_chance, choose, first_drawing
from barl.simulation.settings import SimulationSettings
from barl.training.job import create

_AUTHOR = "simulated"
_POLL_SECONDS = 0.25
_START = "start"
_SEEDS_APART = 1_000_003


class Study:
    """What all loops have in common."""

    def __init__(
        self,
        source: Cohort,
        truth: Mapping[str, Path],
        output: Path,
        settings: SimulationSettings,
        measured: Sequence[str],
        spare: Sequence[str],
    ) -> None:
        self.source = source
        self.truth = truth
        self.output = output
        self.settings = settings
        self.measured = measured
        self.spare = spare

    def loop(self, strategy: str, seed: int, say: Callable[[str], None]) -> Iterator[Point]:
        """One strategy with one seed: a point for each training."""
        spent = Cost()
        for number in range(self.settings.rounds_of(strategy) + 1):
            name = f"{strategy}-{seed}-{number:02d}"
            path = self.output / "points" / f"{name}.json"
            if path.is_file():
                point = Point.read(path)
            else:
                say(f"{strategy}, seed {seed}, round {number}")
                point = self._round(strategy, seed, number, spent, say)
                write_json(path, point.to_json())
            spent = point.cost
            yield point

    def _round(self, strategy: str, seed: int, number: int, spent: Cost, say: Callable[[str], None]) -> Point:
        """Annotate, train, measure; each part is skipped where it is done."""
        if number == 0:
            cohort, cost = self._start(seed)
            self._train(cohort, seed, 0, lambda message: say(f"{_START}: {message}"))
        else:
            cohort = self._own(strategy, seed)
            cost = spent + self._annotate(cohort, strategy, seed, number)
            self._train(cohort, seed, number, lambda message: say(f"{strategy}, round {number}: {message}"))
        dice = self._measure(cohort, number)
        by_case = [fmean(scores.values()) for scores in dice.values() if scores]
        classes = {name: [scores[name] for scores in dice.values() if name in scores] for name in cohort.labels.names}
        return Point(
            strategy=strategy,
            seed=seed,
            round=number,
            cost=cost,
            dice=fmean(by_case) if by_case else 0.0,
            dice_by_class={name: fmean(values) for name, values in classes.items() if values},
            steps=self.settings.steps_until(number),
        )

    def _start(self, seed: int) -> tuple[Cohort, Cost]:
        """The cohort that all strategies of a seed begin with, and what annotating its first cases cost."""
        folder = self.output / "cohorts" / f"{_START}-{seed}"
        if not (folder / "cohort.json").is_file():
            with _appearing(folder) as made:
                self._make(made)
        cohort = Cohort.open(folder)
        first = by_chance(self.spare, seed, 0)[: self.settings.start_cases]
        return cohort, self._draw(cohort, 0, dict.fromkeys(first, first_drawing(self.settings, seed)))

    def _make(self, folder: Path) -> None:
        source = self.source
        cohort = Cohort.create(folder, name=source.name, modality=source.modality, labels=source.labels)
        for case in source.cases:
            if case.role is not Role.EXCLUDED:
                role = Role.VALIDATION if case.id in self.measured else Role.TRAINING
                cohort.add_case(source.image_path(case.id), case_id=case.id, role=role)

    def _own(self, strategy: str, seed: int) -> Cohort:
        folder = self.output / "cohorts" / f"{strategy}-{seed}"
        if not folder.exists():
            with _appearing(folder) as made:
                shutil.copytree(self.output / "cohorts" / f"{_START}-{seed}", made, dirs_exist_ok=True)
        return Cohort.open(folder)

    def _annotate(self, cohort: Cohort, strategy: str, seed: int, number: int) -> Cost:
        left = [case_id for case_id in self.spare if not _is_complete(self._before(cohort, case_id, number))]
        predictions = cohort.rounds()[number - 1] / "predictions"
        return self._draw(cohort, number, choose(self.settings, strategy, seed, number, left, predictions))

    def _draw(self, cohort: Cohort, number: int, choices: Mapping[str, Drawing]) -> Cost:
        """Save each correction once, also when a killed simulation goes on; the cost is the same every time."""
        cost, note = Cost(), _note(number)
        for case_id, draw in choices.items():
            correction = draw(self._desk(cohort, case_id, number))
            cost += correction.cost
            newest = cohort.annotation(case_id)
            if newest is None or newest.note != note:
                save_annotation(
                    cohort,
                    case_id,
                    correction.annotation,
                    coverage=correction.coverage,
                    author=_AUTHOR,
                    note=note,
                )
        return cost

    def _before(self, cohort: Cohort, case_id: str, number: int) -> AnnotationVersion | None:
        """The annotation from before this round."""
        earlier = [version for version in cohort.annotations(case_id) if version.note != _note(number)]
        return earlier[-1] if earlier else None

    def _desk(self, cohort: Cohort, case_id: str, number: int) -> Desk:
        geometry = read_geometry(cohort.image_path(case_id))
        truth = self._truth(cohort, case_id)
        shown: Labels = np.zeros_like(truth)
        if number:
            predicted = prediction_path(cohort.rounds()[number - 1], case_id)
            shown = read_labels(predicted, cohort.labels).array if predicted.is_file() else shown
        version = self._before(cohort, case_id, number)
        known = None if version is None else load_annotation(cohort, version)
        coverage = None if version is None else version.coverage
        return Desk(truth=truth, shown=shown, geometry=geometry, known=known, coverage=coverage)

    def _truth(self, cohort: Cohort, case_id: str) -> Labels:
        labels = read_labels(self.truth[case_id], cohort.labels, unknown_value=UNKNOWN)
        difference = labels.geometry.difference_from(read_geometry(cohort.image_path(case_id)))
        if difference:
            raise InputError(
                f"Case {case_id}: the true labels do not lie on the image's grid ({difference}). Resample them onto "
                "the image, or leave the case out."
            )
        return labels.array

    def _train(self, cohort: Cohort, seed: int, number: int, say: Callable[[str], None]) -> None:
        """The round's training, from the beginning or from where it was cut short.

        Raises:
            JobFailedError: it failed.
        """
        rounds = cohort.rounds()
        folder = rounds[number] if len(rounds) > number else create(cohort.folder, self._wish(rounds, seed))
        if read_status(folder).state in (State.RUNNING, State.STOPPING):
            _wait(folder, say)  # It outlived the call that was cut short.
        if read_status(folder).state is State.FINISHED:
            return
        launch(folder)
        status = _wait(folder, say)
        if status.state is not State.FINISHED:
            raise JobFailedError(
                f"The training {folder} ended as {status.state.value}: {status.error or 'see its log'}"
            )

    def _wish(self, rounds: Sequence[Path], seed: int) -> dict[str, Any]:
        """Of the training after these rounds."""
        asked, number = self.settings, len(rounds)
        goes_on = asked.refine_steps is not None and number > 0
        return {
            "method": asked.method,
            "steps": asked.steps_of(number),
            "from_round": int(rounds[-1].name) if goes_on else None,
            # Whoever goes on must not see the patches of the first training again.
            "seed": seed + _SEEDS_APART * number if goes_on else seed,
            "preset": "quick",
            "device": asked.device,
            "precision": asked.precision,
            "settings": asked.settings,
        }

    def _measure(self, cohort: Cohort, number: int) -> dict[str, dict[str, float]]:
        """Dice by case and class of the measured cases."""
        dice = {}
        for case_id in self.measured:
            truth = self._truth(cohort, case_id)
            path = prediction_path(cohort.rounds()[number], case_id)
            if not path.is_file():
                raise JobFailedError(f"Case {case_id} was not predicted: {path} is not there. See the round's log.")
            guess = read_labels(path, cohort.labels)
            scores = score_case(guess.array, truth, table=cohort.labels, spacing_dhw_mm=guess.geometry.spacing_dhw_mm)
            dice[case_id] = {score.name: score.dice for score in scores if score.dice is not None}
        return dice


def _wait(folder: Path, say: Callable[[str], None]) -> Status:
    """Until a training ends; Ctrl-C stops it too."""
    try:
        return wait(
            folder, poll_seconds=_POLL_SECONDS, on_look=lambda one: say(f"{one.stage} {one.percent or 0:.0f} %")
        )
    except KeyboardInterrupt:
        request_stop(folder)
        raise


def _note(number: int) -> str:
    return f"simulated annotator, round {number}"


def _is_complete(version: AnnotationVersion | None) -> bool:
    return version is not None and version.coverage.kind is CoverageKind.COMPLETE


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder that is there when it is whole."""
    made = folder.with_name(temporary_name())
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield made
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
