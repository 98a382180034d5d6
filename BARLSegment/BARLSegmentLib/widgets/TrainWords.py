"""A training's state and events in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from slicer.i18n import tr as _

from barl.jobs import State, Status
from BARLSegmentLib.Examination import Findings
from BARLSegmentLib.widgets.Words import durationWord


def statusWords(status: Status) -> str:
    """One line about where a training stands."""
    if status.state is State.RUNNING:
        return _running(status)
    words = {
        State.QUEUED: _("Starting..."),
        State.STOPPING: _("Stopping: it saves its state first."),
        State.STOPPED: _("Stopped. What was learned is kept; Go on continues from there."),
        State.FINISHED: _("Done. The predictions are in step 4."),
        State.INTERRUPTED: _("Interrupted: its process is gone. Go on continues from the last checkpoint."),
        State.FAILED: _("Failed: {error}").format(error=status.error or _("see log.txt in the round's folder")),
    }
    return words[status.state]


def deviceWords(findings: Findings | None, minutes: float) -> str:
    """Where a training would run and when it would end, as far as that is known before."""
    if findings is None:
        return _("Looking at this computer...")
    if not findings.device:
        return "\n".join(findings.problems)
    ends = (datetime.now() + timedelta(minutes=minutes)).strftime("%H:%M")
    return _("Runs on: {device}. Learning would end at about {time}; preparing and predicting come on top.").format(
        device=findings.device, time=ends
    )


def eventWords(event: Mapping[str, Any]) -> str:
    """What happened, for the list of events; empty for what the progress bar and the curves show already."""
    kind, message = event.get("kind"), str(event.get("message") or "")
    if kind == "metric" and event.get("dice") is not None:
        return _("Step {step}: Dice {dice:.2f} on the validation cases.").format(
            step=event.get("step"), dice=event["dice"]
        )
    if kind == "prediction":
        return message or _("Case {case} is predicted.").format(case=event.get("case", "?"))
    if kind == "annotation":
        return message or _("The new annotation of case {case} is used from now on.").format(
            case=event.get("case", "?")
        )
    words = {
        "started": _("The training has begun."),
        "resumed": message,
        "log": message,
        "warning": _("Note: {message}").format(message=message),
        "failed": _("Failed: {message}").format(message=message or event.get("error", "")),
        "finished": _("All done."),
        "stopped": _("Stopped."),
    }
    return words.get(str(kind), "")


def _running(status: Status) -> str:
    stages = {
        "checking": _("Checking the cohort."),
        "preparing": _("Preparing the images."),
        "training": _("Learning."),
        "predicting": _("Predicting all cases."),
    }
    words = stages.get(status.stage, status.stage)
    if status.stage == "training" and status.step is not None:
        words += " " + _("Step {step}.").format(step=status.step)
    if status.remaining_s is not None:
        words += " " + _("About {time} left.").format(time=durationWord(status.remaining_s))
    return words
