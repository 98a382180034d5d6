"""Looks at a cohort's files again and again while a training runs, and reads what has changed.

A look lists each case's annotation folder and opens nothing that is as it was before. It happens in a thread of its
own, and so does reading: the training only asks whether something is ready.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from barl.cohort import AnnotationVersion, Case, Cohort, Role
from barl.cohort.annotations import hash_file
from barl.cohort.layout import CohortLayout
from barl.errors import BarlError
from barl.imaging.cache import PreparedCache
from barl.imaging.preprocess import Recipe
from barl.training.cases import PlacedCase, ReadCase, read_case

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 5.0
"""A change is noticed this soon; with the time to read it, well within the 30 seconds that we promise."""

_SECONDS_TO_BECOME_WHOLE = 60.0
_RECORD = re.compile(r"[0-9]{4,}\.json")

Stamp = tuple[int, int, int]
"""Number, time and size of a case's newest annotation record: another one for another version."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A case that is not what the training knows of it."""

    case_id: str
    read: ReadCase | None
    """What holds from now on; None: the case takes no part any more."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that a person should know; the training goes on with what it has."""

    case_id: str | None
    message: str


News = Change | Trouble


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What the training goes by."""

    role: Role
    content: tuple[int, str] | None
    """Number and hash of the annotation."""

    @classmethod
    def of(cls, role: Role, version: AnnotationVersion | None) -> _Known:
        return cls(role=role, content=None if version is None else (version.number, version.content_hash))


class CohortWatch:
    """What has changed since the round read the cohort.

    Args:
        cohort: read anew at each look; this object itself is left as it is.
        recipe: how cases are prepared.
        cases: what the round has read.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        cohort: Cohort,
        recipe: Recipe,
        cases: Mapping[str, PlacedCase],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cohort = Cohort(cohort.folder, cohort.record)
        self._layout = CohortLayout(cohort.folder)
        self._labels = cohort.labels
        self._cache = PreparedCache(self._cohort, recipe)
        self._clock = clock
        self._known = {case_id: _Known.of(case.role, case.version) for case_id, case in cases.items()}
        self._looked: dict[str, tuple[Role, Stamp | None]] = {}
        self._record: tuple[int, int] | None = None
        self._trouble_with_record = ""
        self._incomplete: dict[str, float] = {}
        self._told: set[str] = set()

    def look(self) -> Iterator[News]:
        """What is new since the last look, a case at a time."""
        if not self._record_is_usable():
            yield from self._once(None, self._trouble_with_record)
            return
        for case in self._cohort.cases:
            seen = case.role, newest_stamp(self._layout.annotations(case.id))
            if self._looked.get(case.id) == seen:
                continue
            try:
                change = self._change(case)
            except BarlError as error:
                yield from self._unusable(case, str(error))
            else:
                if change is None and case.id in self._incomplete:
                    yield from self._late(case)
                    continue
                if change is not None:
                    yield change
            self._looked[case.id] = seen

    def _record_is_usable(self) -> bool:
        """Read cohort.json where it has changed; another label table would change what classes mean."""
        self._trouble_with_record = ""
        try:
            found = self._layout.record.stat()
            stamp = found.st_mtime_ns, found.st_size
            if stamp != self._record:
                self._cohort.reload()
                self._record = stamp
        except BarlError as error:
            self._trouble_with_record = f"{error} Until then the training goes on with the cohort as it was."
        if self._cohort.labels != self._labels:
            self._trouble_with_record = (
                "The label table was changed while the training runs. It goes on with the table and the annotations it "
                "has; new ones count from the next round on."
            )
        return not self._trouble_with_record

    def _change(self, case: Case) -> Change | None:
        """The change of one case; None where there is none, or not yet.

        Raises:
            BarlError: what is there cannot be used.
        """
        version = self._cohort.annotation(case.id)
        now = _Known.of(case.role, version)
        if self._known.get(case.id, _Known(role=Role.EXCLUDED, content=None)) == now or (
            case.role is Role.EXCLUDED and case.id not in self._known
        ):
            self._incomplete.pop(case.id, None)
            return None
        if case.role is Role.EXCLUDED:
            del self._known[case.id]
            return Change(case_id=case.id, read=None)
        if version is not None and not _is_whole(version):
            self._incomplete.setdefault(case.id, self._clock())
            return None
        self._incomplete.pop(case.id, None)
        read = read_case(self._cache, case, version)
        self._known[case.id] = now
        return Change(case_id=case.id, read=read)

    def _unusable(self, case: Case, words: str) -> Iterator[News]:
        """A person should know; a case that is no training case any more leaves all the same."""
        words = words.replace(str(self._cohort.image_path(case.id)), "its image")
        known = self._known.get(case.id)
        leaves = known is not None and known.role is Role.TRAINING and case.role is not Role.TRAINING
        if leaves:
            del self._known[case.id]
            yield Change(case_id=case.id, read=None)
        rest = "It takes no part any more." if leaves else "The training goes on with what it knew of this case."
        yield from self._once(case.id, f"Case {case.id} has changed, and cannot be used as it is: {words} {rest}")

    def _late(self, case: Case) -> Iterator[News]:
        """An annotation whose file is not what its record says: it may still be on its way from another computer."""
        if self._clock() - self._incomplete[case.id] > _SECONDS_TO_BECOME_WHOLE:
            yield from self._once(
                case.id,
                f"Case {case.id}: the file of its newest annotation is missing, or not what was saved (another "
                "checksum). The training goes on with what it knew of this case. Save the annotation again.",
            )

    def _once(self, case_id: str | None, message: str) -> Iterator[News]:
        if message not in self._told:
            self._told.add(message)
            yield Trouble(case_id=case_id, message=message)


def newest_stamp(folder: Path) -> Stamp | None:
    """Which annotation version is the newest, without opening it; None where there is none."""
    try:
        names = [name for name in os.listdir(folder) if _RECORD.fullmatch(name)]  # noqa: PTH208 - a look must be cheap
        if not names:
            return None
        newest = max(names, key=lambda name: int(name[: -len(".json")]))
        found = os.stat(folder / newest)  # noqa: PTH116 - as above
    except FileNotFoundError:  # None yet, or just removed.
        return None
    return int(newest[: -len(".json")]), found.st_mtime_ns, found.st_size


def _is_whole(version: AnnotationVersion) -> bool:
    """Whether the file is what was saved: a folder that is synchronized may bring its parts in any order."""
    try:
        return hash_file(version.path) == version.content_hash
    except OSError:
        return False


class WatchThread:
    """Looks every few seconds; what it finds waits until the training asks."""

    def __init__(self, watch: CohortWatch, seconds: float = SECONDS_BETWEEN_LOOKS) -> None:
        self._watch = watch
        self._seconds = seconds
        self._news: queue.SimpleQueue[News | Exception] = queue.SimpleQueue()
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look until the block ends."""
        thread = threading.Thread(target=self._run, name="cohort watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def ready(self) -> list[News]:
        """What was found since the last call; returns at once.

        Raises:
            Exception: a fault of this program that ended the thread.
        """
        found: list[News] = []
        while not self._news.empty():
            one = self._news.get_nowait()
            if isinstance(one, Exception):
                raise one
            found.append(one)
        return found

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            try:
                for news in self._watch.look():
                    self._news.put(news)
            except OSError as error:
                logger.warning("the cohort could not be looked at: %s", error)  # A share that is gone for a moment.
            except Exception as error:  # noqa: BLE001 - handed to the training, which raises it
                self._news.put(error)
                return
