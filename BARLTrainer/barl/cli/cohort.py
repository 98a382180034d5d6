"""``barl cohort create|add|status|role``: the folder that holds everything."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from barl.cli.labels import labels_from_file, parse_labels
from barl.cli.output import JsonFlag, Output, counted, table
from barl.cohort import Case, Cohort, LabelTable, Modality, Role
from barl.errors import InputError, SettingsError

app = typer.Typer(no_args_is_help=True)
_DAMAGED = "damaged"

CohortFolder = Annotated[Path, typer.Argument(metavar="COHORT", help="The cohort's folder.")]


@app.command("create")
def create(
    folder: Annotated[Path, typer.Argument(help="A new folder, or one that holds no cohort yet.")],
    name: Annotated[str, typer.Option(help="What people call this cohort.")] = "",
    modality: Annotated[Modality, typer.Option(case_sensitive=False, help="What made the images.")] = Modality.CBCT,
    labels: Annotated[str, typer.Option(help="Values and names, e.g. '1=jaw,2=teeth'.")] = "",
    labels_from: Annotated[
        Path | None, typer.Option(help="Take values, names and colors from this label file.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Add every volume of this folder.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a cohort with its label table."""
    from barl.imaging.chosen_images import checked_images, found_images

    label_table = _label_table(labels, labels_from)
    chosen = checked_images(found_images([images]), taken=()) if images else []
    cohort = Cohort.create(folder, name=name or folder.resolve().name, modality=modality, labels=label_table)
    cases = [cohort.add_case(image) for image in chosen]
    record = {
        "cohort": folder,
        "name": cohort.name,
        "labels": _plain_labels(label_table),
        "cases": [case.id for case in cases],
    }
    counts = f"{counted(len(label_table.labels), 'label')} and {counted(len(cases), 'case')}"
    said = f"Made the cohort {escape(cohort.name)} with {counts} in {escape(str(folder))}"
    Output(as_json).result(record, said)


def _label_table(labels: str, labels_from: Path | None) -> LabelTable:
    if bool(labels) == (labels_from is not None):
        raise SettingsError("Give either --labels, e.g. '1=jaw,2=teeth', or --labels-from with a label file.")
    return labels_from_file(labels_from) if labels_from else parse_labels(labels)


def _plain_labels(label_table: LabelTable) -> list[dict[str, Any]]:
    return [{"value": label.value, "name": label.name} for label in label_table.labels]


@app.command("add")
def add(
    cohort: CohortFolder,
    images: Annotated[list[Path], typer.Argument(help="Image files, DICOM folders, or folders with images.")],
    copy: Annotated[bool, typer.Option("--copy", help="Copy the images into the cohort.")] = False,
    role: Annotated[Role, typer.Option(case_sensitive=False, help="What the cases are for.")] = Role.TRAINING,
    as_json: JsonFlag = False,
) -> None:
    """Add volumes."""
    from barl.imaging.chosen_images import checked_images, found_images

    opened = Cohort.open(cohort)
    chosen = checked_images(found_images(images), taken=[case.id for case in opened.cases])
    cases = [opened.add_case(image, role=role, copy=copy) for image in chosen]
    said = f"Added: {escape(', '.join(case.id for case in cases))}"
    Output(as_json).result({"added": [case.id for case in cases], "role": role}, said)


@app.command("role")
def set_role(
    cohort: CohortFolder,
    case: Annotated[str, typer.Argument(help="The case's id.")],
    role: Annotated[Role, typer.Argument(case_sensitive=False, help="What the case is for.")],
    as_json: JsonFlag = False,
) -> None:
    """Say what a case is for: training, validation (never trained on) or excluded."""
    Cohort.open(cohort).set_role(case, role)
    Output(as_json).result({"case": case, "role": role}, f"{escape(case)} is now {role.value}")


@app.command("status")
def status(cohort: CohortFolder, as_json: JsonFlag = False) -> None:
    """Show every case with its state, coverage and role."""
    opened = Cohort.open(cohort)
    rows = [_row(opened, case) for case in opened.cases]
    damaged = [f"[red]{escape(row['id'])}:[/] {escape(row['error'])}" for row in rows if row["error"]]
    rounds = [folder.name for folder in opened.rounds()]
    record = {"name": opened.name, "modality": opened.modality, "labels": _plain_labels(opened.labels)}
    Output(as_json).result({**record, "cases": rows, "rounds": rounds}, *_shown(opened, rows, len(rounds)), *damaged)


def _row(cohort: Cohort, case: Case) -> dict[str, Any]:
    row: dict[str, Any] = {"id": case.id, "state": _DAMAGED, "role": case.role, "coverage": None, "annotation": None}
    row |= {"image_found": cohort.image_path(case.id).exists(), "error": None}
    try:
        newest = cohort.annotation(case.id)
        row["state"] = cohort.state(case.id)
    except InputError as error:  # One damaged annotation must not hide the other cases.
        return row | {"error": str(error)}
    if newest is not None:
        row |= {"coverage": newest.coverage.kind, "annotation": newest.number}
    return row


def _shown(cohort: Cohort, rows: list[dict[str, Any]], rounds: int) -> tuple[Table, str]:
    listing = table(escape(cohort.name), "case", "state", "coverage", "version", "role", "image")
    for row in rows:
        found = "found" if row["image_found"] else "[red]missing[/]"
        cells = (row["id"], row["state"], row["coverage"], row["annotation"], row["role"])
        listing.add_row(*(escape(_word(cell)) for cell in cells), found)
    names = ", ".join(f"{label.value} {label.name}" for label in cohort.labels.labels)
    return listing, f"cases: {len(rows)}, rounds: {rounds}, {cohort.modality.value}; labels: {escape(names)}"


def _word(value: object) -> str:
    if value is None:
        return "-"
    return str(value.value) if isinstance(value, Enum) else str(value)
