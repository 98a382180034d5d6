"""Annotations and roles that change while a training runs: taken between two steps, by all processes at once.

The leader's thread looks and reads (``watch.py``). Between two steps the leader takes what is ready and tells the
others, which read the same cases from the cache before they take that step too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from barl.cohort import AnnotationVersion, Case, Cohort, Role
from barl.errors import JobError
from barl.imaging.audit import NO_BACKGROUND, PAINT_BACKGROUND
from barl.imaging.cache import PreparedCache
from barl.imaging.preprocess import Recipe
from barl.training.cases import PlacedCase, ReadCase, RoundData, read_case
from barl.training.preparation import IN_THE_AIR, refuse_nothing_annotated
from barl.training.reporter import Reporter
from barl.training.watch import Change, CohortWatch, News, Trouble, WatchThread

_KEPT = "What was learned so far is kept: resume the training to go on from there."


class LiveCases:
    """The cases of a running round.

    Args:
        cohort: where changes come from.
        recipe: how cases are prepared.
        data: what the batches are drawn from; changed in place.
        reporter: is told of every change.
        refresh: called after changes, to draw from the new cases.
    """

    def __init__(
        self, cohort: Cohort, recipe: Recipe, data: RoundData, reporter: Reporter, refresh: Callable[[], None]
    ) -> None:
        self._cohort = cohort
        self._recipe = recipe
        self._data = data
        self._reporter = reporter
        self._refresh = refresh
        self.ready: Callable[[], list[News]] = list
        """Gives what is new; nothing unless somebody looks."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look for changes until the block ends."""
        thread = WatchThread(CohortWatch(self._cohort, self._recipe, self._data.cases))
        self.ready = thread.ready
        with thread.running():
            yield

    def take(self, step: int) -> str:
        """Let what has changed hold from this step on.

        Returns:
            What other processes have to know for :meth:`follow`; empty where nothing has changed.

        Raises:
            CohortError: no annotated training case is left.
        """
        news = self.ready()
        if not news:
            return ""
        for trouble in (one for one in news if isinstance(one, Trouble)):
            self._reporter.warning(trouble.message, **({"case": trouble.case_id} if trouble.case_id else {}))
        changes = [one for one in news if isinstance(one, Change)]
        before = self._data.classes()
        for change in changes:
            self._apply(change, step)
        refuse_nothing_annotated(self._data, self._cohort, _KEPT)
        self._warn_of_lost_classes(before)
        self._refresh()
        return json.dumps({"cases": [_words(one) for one in changes], "fingerprint": self._data.fingerprint()})

    def follow(self, words: str) -> None:
        """Do what the leader has done, by its words.

        Raises:
            JobError: the cohort was changed again in the meantime.
        """
        told = json.loads(words)
        cache = PreparedCache(self._cohort, self._recipe)
        for entry in told["cases"]:
            if entry["role"] is None:
                self._data.remove(entry["case"])
            else:
                self._data.put(self._read(cache, entry))
        if self._data.fingerprint() != told["fingerprint"]:
            raise _changed_again()
        self._refresh()

    def _apply(self, change: Change, step: int) -> None:
        before = self._data.cases.get(change.case_id)
        if change.read is None:
            self._data.remove(change.case_id)
        else:
            self._data.put(change.read)
            self._warn_of_label(change.read)
        after = self._data.cases.get(change.case_id)
        self._reporter.annotation(
            f"Case {change.case_id}: {_told(before, after)}, from step {step + 1} on.",
            case=change.case_id,
            version=None if after is None or after.version is None else after.version.number,
            role=Role.EXCLUDED if after is None else after.role,
            step=step,
        )

    def _warn_of_label(self, read: ReadCase) -> None:
        """What the audit would have said of it before a training."""
        if read.lies_in_the_air:
            self._reporter.warning(IN_THE_AIR.format(case=read.case_id), case=read.case_id)
        elif read.version is not None and read.places and not any(p.count for p in read.places if p.value == 0):
            words = f"{NO_BACKGROUND.format(number=read.version.number)} {PAINT_BACKGROUND}"
            self._reporter.warning(f"Case {read.case_id}: {words}", case=read.case_id)

    def _warn_of_lost_classes(self, before: set[int]) -> None:
        names = ("background", *self._cohort.labels.names)
        for index in sorted(before - self._data.classes()):
            self._reporter.warning(
                f"No annotation of a training case holds {names[index]} any more: the training forgets it from now on. "
                "Annotate it in at least one training case."
            )

    def _read(self, cache: PreparedCache, entry: dict[str, Any]) -> ReadCase:
        self._cohort.reload()
        case = replace(self._cohort.case(entry["case"]), role=Role(entry["role"]))
        return read_case(cache, case, self._version(case, entry["version"]))

    def _version(self, case: Case, number: int | None) -> AnnotationVersion | None:
        if number is None:
            return None
        for version in self._cohort.annotations(case.id):
            if version.number == number:
                return version
        raise _changed_again()


def _words(change: Change) -> dict[str, Any]:
    """What another process needs to read the same."""
    read = change.read
    if read is None:
        return {"case": change.case_id, "role": None, "version": None}
    version = None if read.version is None else read.version.number
    return {"case": change.case_id, "role": read.role.value, "version": version}


def _told(before: PlacedCase | None, after: PlacedCase | None) -> str:
    """In words what has become of a case."""
    if after is None:
        return "it is excluded and takes no part"
    role = {Role.TRAINING: "for training", Role.VALIDATION: "for validation, no longer trained on"}[after.role]
    old = None if before is None else before.version
    new = after.version
    if before is not None and before.role is not after.role and old == new:
        return f"it is {role}"
    if new is None:
        return "its annotation was removed, it counts as not annotated" if old else "it takes part, not annotated"
    if old is not None and old.number > new.number:
        return f"annotation {old.number} was removed, annotation {new.number} counts again"
    return f"annotation {new.number} picked up ({new.coverage.kind.value}, {role.split(',')[0]})"


def _changed_again() -> JobError:
    return JobError(
        "An annotation was changed while the processes of this training read it. Nothing is lost: resume the round "
        "from its last checkpoint."
    )
