"""What a person reads for the values that files hold."""

from __future__ import annotations

from slicer.i18n import tr as _

from barl.cohort import CaseState, Coverage, CoverageKind, Modality, Role
from BARLSegmentLib.logic.ReviewLogic import ReviewProgress


def modalityWord(modality: Modality) -> str:
    """How the images were taken."""
    return {Modality.CBCT: _("Cone-beam CT"), Modality.CT: _("CT"), Modality.MR: _("MR")}[modality]


def roleWord(role: Role) -> str:
    """What a case is for."""
    words = {
        Role.TRAINING: _("for training"),
        Role.VALIDATION: _("only to measure (validation)"),
        Role.EXCLUDED: _("not at all (excluded)"),
    }
    return words[role]


def stateWord(state: CaseState | None, role: Role) -> str:
    """Where a case stands."""
    if role is Role.EXCLUDED:
        return _("excluded")
    words = {
        None: _("damaged"),
        CaseState.UNLABELED: _("not yet drawn"),
        CaseState.PARTLY_ANNOTATED: _("partly drawn"),
        CaseState.ANNOTATED: _("drawn"),
        CaseState.PREDICTED: _("predicted"),
        CaseState.ACCEPTED: _("accepted"),
    }
    return _("{state}, to measure").format(state=words[state]) if role is Role.VALIDATION else words[state]


def coverageWord(kind: CoverageKind | None) -> str:
    """How much of a case its annotation tells about."""
    words = {
        None: "",
        CoverageKind.COMPLETE: _("all of it"),
        CoverageKind.SLICES: _("some slices"),
        CoverageKind.SCRIBBLES: _("strokes"),
    }
    return words[kind]


def coverageChoices() -> list[tuple[str, Coverage]]:
    """What a person may say about a drawing, with the words for it."""
    slices = CoverageKind.SLICES
    return [
        (_("Everything: what is not drawn is background"), Coverage()),
        (_("Some slices, each completely (axial in most scans)"), Coverage(kind=slices, axis=0)),
        (_("Some slices across, each completely (coronal in most scans)"), Coverage(kind=slices, axis=1)),
        (
            _("Some slices from the side, each completely (sagittal in most scans)"),
            Coverage(kind=slices, axis=2),
        ),
        (_("Only strokes; background is painted, too"), Coverage(kind=CoverageKind.SCRIBBLES)),
    ]


def progressWords(progress: ReviewProgress) -> str:
    """Where a review stands."""
    if not progress.isComputed:
        return _("no regions were computed for this prediction")
    if progress.isEmpty:
        return _("no region to look at: the prediction is empty, no structure was found")
    if progress.total == 0:
        return _("no region to look at: the prediction is sure everywhere")
    place = _("region {n} of {total}") if progress.rank else _("{total} regions")
    words = place.format(n=progress.rank, total=progress.total)
    if progress.accepted:
        words += ", " + _("{n} accepted").format(n=progress.accepted)
    return f"{words}, {_soFar(progress.seconds)}"


def _soFar(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes == 0:
        return _("less than a minute so far")
    return _("{n} minutes so far").format(n=minutes) if minutes > 1 else _("1 minute so far")


def durationWord(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return _("{n} seconds").format(n=max(1, round(seconds)))
    if seconds < 90 * 60:
        return _("{n} minutes").format(n=round(seconds / 60))
    return _("{n} hours").format(n=round(seconds / 3600, 1))
