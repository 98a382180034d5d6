"""``barl cohort annotate|audit``: label files in, and what is wrong with the cohort."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from barl.cli.cohort import CohortFolder
from barl.cli.matching import label_files_by_case
from barl.cli.output import JsonFlag, Output, counted, table
from barl.cli.progress import reporting
from barl.cohort import UNKNOWN, AnnotationVersion, Cohort, Coverage, CoverageKind
from barl.cohort.labels import BACKGROUND
from barl.errors import InputError, LabelError, SettingsError

FOUND_ERRORS = 2


@dataclass(frozen=True, kw_only=True)
class _How:
    """What holds for every label file of one call."""

    coverage: Coverage
    unknown_value: int | None
    author: str
    resample: bool


def annotate(
    cohort: CohortFolder,
    case: Annotated[str | None, typer.Argument(help="The case's id; not with --folder.")] = None,
    file: Annotated[Path | None, typer.Argument(help="The label file; not with --folder.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Take each label file named like a case.")] = None,
    coverage: Annotated[
        CoverageKind, typer.Option(case_sensitive=False, help="How much of the image the annotation tells about.")
    ] = CoverageKind.COMPLETE,
    axis: Annotated[int | None, typer.Option(help="With slices: 0 slice, 1 row, 2 column of the array.")] = None,
    unknown_value: Annotated[int | None, typer.Option(help="The value that means not annotated.")] = None,
    author: Annotated[str, typer.Option(help="Who drew it, as a name or initials.")] = "unknown",
    resample: Annotated[bool, typer.Option("--resample", help="Bring a label on another grid onto the image.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Add a new version of annotations; earlier versions stay."""
    out = Output(as_json)
    opened = Cohort.open(cohort)
    chosen, left_out = _chosen(opened, case, file, folder)
    how = _How(coverage=_coverage(coverage, axis), unknown_value=unknown_value, author=author, resample=resample)
    added, failed = _import_all(opened, chosen, how, out)
    from barl.imaging.annotations import NO_STRUCTURE

    if failed and not added:
        raise LabelError("\n".join(failure["message"] for failure in failed))
    lines = [f"{escape(version.case_id)}: version {version.number}, {_extent(opened, version)}" for version in added]
    lines += [f"[red]Not added:[/] {escape(failure['message'])}" for failure in failed]
    lines += [f"[yellow]No case of this name:[/] {escape(str(path))}" for path in left_out]
    rows = [{"case": version.case_id, "version": version.number} for version in added]
    empty = [version.case_id for version in added if version.note == NO_STRUCTURE]
    record = {"annotated": rows, "failed": failed, "unmatched": left_out, "without_structure": empty}
    out.result(record, *lines)
    if failed:
        raise typer.Exit(FOUND_ERRORS)


def _extent(cohort: Cohort, version: AnnotationVersion) -> str:
    """What an annotation tells about, and what is missing in it: mistakes in a coverage are seen here."""
    from barl.imaging.annotations import NO_STRUCTURE

    said = str(version.coverage.kind.value)
    if version.coverage.kind is not CoverageKind.COMPLETE:
        said += _known_part(cohort, version)
    if version.note == NO_STRUCTURE:
        said += f"\n[yellow]{NO_STRUCTURE}[/] Check that it is the right file; an image without any structure is rare."
    return said


def _known_part(cohort: Cohort, version: AnnotationVersion) -> str:
    import numpy as np

    from barl.imaging.annotations import load_annotation
    from barl.imaging.audit import NO_BACKGROUND, PAINT_BACKGROUND
    from barl.imaging.partial import AXES, doubt_about_plane

    axis = version.coverage.axis
    array = load_annotation(cohort, version)
    known = array != UNKNOWN
    said = f", {known.mean():.2%} of the voxels known"
    if axis is not None:
        drawn = np.count_nonzero(np.moveaxis(known, axis, 0).any(axis=(1, 2)))
        said += f": {drawn} of {array.shape[axis]} {AXES[axis]}"
        doubt = doubt_about_plane(known & (array != BACKGROUND), axis)
        said += f"\n[yellow]{doubt}[/]" if doubt else ""
    if not (array == BACKGROUND).any():
        said += f"\n[yellow]{NO_BACKGROUND.format(number=version.number)}[/] {PAINT_BACKGROUND}"
    return said


def _chosen(
    cohort: Cohort, case: str | None, file: Path | None, folder: Path | None
) -> tuple[list[tuple[str, Path]], list[Path]]:
    if folder is not None and case is None and file is None:
        images = {cohort.image_path(known.id) for known in cohort.cases}
        return label_files_by_case(folder, [known.id for known in cohort.cases], images)
    if folder is None and case is not None and file is not None:
        return [(cohort.case(case).id, file)], []
    raise SettingsError("Give either a case and its label file, or --folder with label files named like the cases.")


def _coverage(kind: CoverageKind, axis: int | None) -> Coverage:
    if kind is CoverageKind.SLICES and axis is None:
        raise SettingsError("--coverage slices needs --axis: 0 for slices, 1 for rows, 2 for columns of the array.")
    if kind is not CoverageKind.SLICES and axis is not None:
        raise SettingsError(f"--axis has an effect with --coverage slices only, and the coverage is {kind.value}.")
    return Coverage(kind=kind, axis=axis)


def _import_all(
    cohort: Cohort, chosen: list[tuple[str, Path]], how: _How, out: Output
) -> tuple[list[AnnotationVersion], list[dict[str, str]]]:
    """Every file that can be used; a failing one does not keep the others out."""
    from barl.imaging.annotations import import_annotation

    added: list[AnnotationVersion] = []
    failed: list[dict[str, str]] = []
    with reporting(out) as report:
        for index, (case_id, path) in enumerate(chosen):
            report(index / len(chosen), f"{case_id}")
            try:
                added.append(
                    import_annotation(
                        cohort,
                        case_id,
                        path,
                        coverage=how.coverage,
                        author=how.author,
                        unknown_value=how.unknown_value,
                        resample=how.resample,
                    )
                )
            except InputError as error:
                failed.append({"case": case_id, "type": type(error).__name__, "message": str(error)})
    return added, failed


def audit(cohort: CohortFolder, as_json: JsonFlag = False) -> None:
    """Tell what is wrong, case by case; exit code 2 when something must be repaired before training."""
    from barl.imaging.audit import audit as audit_cohort

    out = Output(as_json)
    with reporting(out) as report:
        findings = audit_cohort(
            Cohort.open(cohort), progress=lambda done, total: report(done / total, f"case {done} of {total}")
        )
    errors = sum(finding.severity == "error" for finding in findings)
    shown = table("Audit", "case", "", "what is wrong", "what to do")
    for finding in findings:
        color = "red" if finding.severity == "error" else "yellow"
        severity = f"[{color}]{finding.severity}[/]"
        shown.add_row(escape(finding.case_id or "all"), severity, escape(finding.message), escape(finding.advice))
    verdict = f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}."
    record: dict[str, Any] = {"errors": errors, "warnings": len(findings) - errors, "findings": findings}
    out.result(record, *([shown] if findings else []), verdict if findings else "[green]Nothing is wrong.[/]")
    if errors:
        raise typer.Exit(FOUND_ERRORS)
