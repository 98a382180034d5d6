"""``barl cohort next``: which case to annotate next."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from barl.cli.cohort import CohortFolder
from barl.cli.output import JsonFlag, Output, table
from barl.cli.progress import reporting
from barl.cohort import Cohort, Role


def next_case(
    cohort: CohortFolder,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many to show.")] = 10,
    as_json: JsonFlag = False,
) -> None:
    """Show which cases to annotate next, and why: the most doubtful ones that are not alike."""
    from barl.ranking import next_cases

    out = Output(as_json)
    opened = Cohort.open(cohort)
    with reporting(out) as report:
        ranked = next_cases(opened, most=count, progress=lambda done, total: report(done / total, "looking at images"))
    shown = table(f"Next in {escape(opened.name)}", "rank", "case", "score", "why")
    for one in ranked:
        shown.add_row(str(one.rank), escape(one.case_id), f"{one.score:.2f}", escape(one.reason))
    if not ranked:
        any_training = any(case.role is Role.TRAINING for case in opened.cases)
        every = "Every training case has an annotation: there is none to annotate next."
        out.result({"cases": ranked}, every if any_training else "The cohort has no training case to annotate.")
        return
    out.result({"cases": ranked}, shown)
