"""Whether the engine accepts a wish, asked in a process of its own: only it knows the limits, and it needs torch."""

from __future__ import annotations

import json
from dataclasses import dataclass

from barl.cohort import Cohort
from BARLSegmentLib.logic.ChildPython import ChildPython, Command, tookTooLong
from BARLSegmentLib.logic.FollowedProcess import FollowedProcess
from BARLSegmentLib.logic.TrainLogic import TrainWish

_ANSWER = "BARL-ANSWER "
_CODE = f"""
import json, sys
from pathlib import Path
from barl.errors import BarlError
from barl.training.job import check
payload = json.loads(sys.argv[1])
try:
    check(Path(payload.pop("cohort")), payload)
    answer = ""
except BarlError as error:
    answer = str(error)
print("{_ANSWER}" + json.dumps(answer))
"""
_SLOWEST_S = 300.0
"""torch's first import on a slow disk, with a virus scanner looking on, takes minutes."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The engine's answer."""

    problem: str = ""
    """What is wrong, for people; empty when the training can begin."""

    @property
    def isGood(self) -> bool:
        """Whether the training can begin."""
        return not self.problem


class WishCheck:
    """Starts the question at once; ``look`` is called by a timer and never waits.

    Args:
        wish: what a training is to be.
        cohort: of what.
        python: the Python that trainings run with; BARL must be found by it.

    Raises:
        JobFailedError: the Python is not there.
    """

    def __init__(self, wish: TrainWish, cohort: Cohort, python: ChildPython) -> None:
        self._command = Command(arguments=("-c", _CODE, json.dumps(wish.payload(cohort))), timeoutSeconds=_SLOWEST_S)
        self._line = python.line(self._command)
        self._process = FollowedProcess(self._line, python.environment)

    def look(self) -> Verdict | None:
        """The answer; None while there is none.

        Raises:
            JobFailedError: it takes far too long.
        """
        code = self._process.look()
        if code is not None:
            return _verdict(self._process.output)
        if self._process.seconds > _SLOWEST_S:
            self.stop()
            raise tookTooLong(self._line[0], self._command)
        return None

    def stop(self) -> None:
        """The answer is not wanted any more."""
        self._process.end()


def _verdict(output: str) -> Verdict:
    lines = [line for line in output.splitlines() if line.strip()]
    for line in lines:
        if line.startswith(_ANSWER):
            return Verdict(problem=json.loads(line.removeprefix(_ANSWER)))
    last = lines[-1] if lines else "it printed nothing"
    return Verdict(problem=f"BARL's packages are not complete: {last}. See Diagnostics and installation.")
