"""The ranking that a round leaves behind, for whoever shows the cohort and has no time to compute one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from barl.atomic import write_json
from barl.cohort import Cohort
from barl.cohort.layout import RANKING_FILE
from barl.ranking.next_cases import next_cases
from barl.records import format_stamp

FORMAT_VERSION = 1


def write_ranking(cohort: Cohort, round_folder: Path) -> None:
    """Write which cases to annotate next, as the predictions of this round say.

    Raises:
        CohortError: a prediction's record is damaged.
        StorageError: the folder cannot be written, or the disk is full.
    """
    rows = []
    for ranked in next_cases(cohort):
        row = dataclasses.asdict(ranked)
        rows.append({"case": row.pop("case_id"), **row})
    write_json(round_folder / RANKING_FILE, format_stamp(FORMAT_VERSION) | {"cases": rows})
