"""A double for ``ChildWork``: the same work, done in the test's own process at the first look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class WorkHere:
    """Does what ``CohortWork`` does, all of it at once."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request
        self._canceled = False

    def look(self) -> Any:
        """Do it, and give the answer."""
        from BARLSegmentLib.logic.ChildWork import WorkLook
        from BARLSegmentLib.logic.CohortWork import respond

        answers: list[Mapping[str, Any]] = []
        respond(self._request, answers.append, lambda: self._canceled)
        last = answers[-1]
        return WorkLook(
            share=1.0,
            isOver=True,
            isCanceled="canceled" in last,
            answer=last.get("answer"),
            error=str(last.get("error", "")),
        )

    def cancel(self) -> None:
        """Give it up before the next step."""
        self._canceled = True

    def end(self) -> None:
        """Nothing is left to end."""
        self._canceled = True
