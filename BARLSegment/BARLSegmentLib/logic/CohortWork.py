"""What takes long with a cohort, in a process of its own: ``python -m BARLSegmentLib.logic.CohortWork``.

It reads one request, a JSON object in one line, from standard input, and writes answers to standard output, a JSON
object a line: now and then ``{"share": 0.4, "what": "scan_03.nrrd"}``, last ``{"answer": ...}`` or ``{"error": ...}``.
When standard input is closed, by whoever cancels or because that program has ended, the work ends and leaves nothing.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from barl.cohort import Cohort, LabelTable, Modality
from barl.errors import BarlError
from barl.imaging.audit import audit
from BARLSegmentLib.logic.NewCohortFiles import OnProgress, cohortFromFolder, cohortFromSeries, cohortFromStaged

Request = Mapping[str, Any]


class Canceled(Exception):
    """Nobody waits for the answer any more."""


def check(request: Request, onProgress: OnProgress) -> list[dict[str, Any]]:
    """Audit ``cohort``; the findings as plain records."""
    findings = audit(
        Cohort.open(Path(request["cohort"])),
        progress=lambda done, total: onProgress(done / total, f"{done}/{total}"),
    )
    return [dataclasses.asdict(finding) for finding in findings]


def create(request: Request, onProgress: OnProgress) -> list[str]:
    """Make a cohort in ``folder`` of ``images``, ``staged`` files or DICOM ``series``; the ids of its cases."""
    folder = Path(request["folder"])
    what = {
        "name": request["name"],
        "modality": Modality(request["modality"]),
        "labels": LabelTable.from_json(request["labels"]),
    }
    if "series" in request:
        series = {caseId: [Path(path) for path in files] for caseId, files in request["series"].items()}
        cohort = cohortFromSeries(folder, series, onProgress=onProgress, **what)
    elif "staged" in request:
        staged = [Path(path) for path in request["staged"]]
        cohort = cohortFromStaged(folder, staged, onProgress=onProgress, **what)
    else:
        cohort = cohortFromFolder(folder, Path(request["images"]), copy=False, onProgress=onProgress, **what)
    return [case.id for case in cohort.cases]


WORK: Mapping[str, Callable[[Request, OnProgress], Any]] = {"check": check, "create": create}
"""What may be asked for, by the request's ``work``."""


def respond(request: Request, tell: Callable[[Mapping[str, Any]], None], isCanceled: Callable[[], bool]) -> None:
    """Do what is asked for, and tell every answer.

    Args:
        request: with ``work`` and what that needs.
        tell: is given the answers.
        isCanceled: asked between two steps.
    """

    def onProgress(share: float, what: str) -> None:
        if isCanceled():
            raise Canceled
        tell({"share": share, "what": what})

    try:
        tell({"answer": WORK[request["work"]](request, onProgress)})
    except Canceled:
        tell({"canceled": True})
    except BarlError as error:
        tell({"error": str(error)})


def main() -> None:
    """Answer the one request of standard input."""
    request = json.loads(sys.stdin.buffer.readline())
    closed = threading.Event()
    threading.Thread(target=_waitForEnd, args=(closed,), daemon=True).start()
    try:
        respond(request, _write, closed.is_set)
    except Exception:  # noqa: BLE001  (whoever waits must hear of it)
        _write({"error": traceback.format_exc().strip().splitlines()[-1], "details": traceback.format_exc()})
        sys.exit(1)


def _waitForEnd(closed: threading.Event) -> None:
    sys.stdin.buffer.read()
    closed.set()


def _write(answer: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
