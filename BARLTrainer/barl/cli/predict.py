"""``barl predict``: many files in one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from barl import errors
from barl.cli.choose import chosen_model
from barl.cli.output import JsonFlag, Output, plain, table
from barl.cli.progress import reporting
from barl.jobs import share_cores


def predict(
    model: Annotated[Path, typer.Argument(help="A model folder, a round, or a cohort for its newest model.")],
    inputs: Annotated[list[Path], typer.Argument(help="Image files, DICOM folders, or folders with images.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the predictions go.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also what is finished, and files that BARL did not write.")
    ] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Ask about mirrored windows, too: more honest uncertainty, twice the time.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Segment volumes. Finished ones are skipped; one that fails does not keep the others from being done."""
    from barl.imaging.chosen_images import found_images

    share_cores(os.environ)  # Before torch is loaded.
    model_folder, images = chosen_model(model), found_images(inputs)
    from barl.inference.batch import segment_files

    out = Output(as_json)
    with reporting(out) as report:
        records = segment_files(
            model_folder, images, output, device=device, on_progress=report, overwrite=overwrite, mirror=mirror
        )
    rows: list[dict[str, Any]] = [plain(record) for record in records]
    failed = [row for row in rows if row["state"] == "failed"]
    shown = table("Predictions", "case", "state", "seconds", "mean uncertainty", "message")
    for row in rows:
        state = f"[red]{row['state']}[/]" if row["state"] == "failed" else str(row["state"])
        uncertainty = "" if row["mean_uncertainty"] is None else f"{row['mean_uncertainty']:.3f}"
        seconds = f"{row['seconds']:.1f}" if row["state"] == "done" else ""
        shown.add_row(escape(row["case"]), state, seconds, uncertainty, escape(row["message"]))
    counts = f"{len(rows) - len(failed)} of {len(rows)} in {escape(str(output))}"
    out.result({"output": output, "records": rows, "failed": len(failed)}, shown, counts)
    if failed:
        raise typer.Exit(min(getattr(errors, row["error"]).exit_code for row in failed))
