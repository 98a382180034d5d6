"""What a person reads about a round."""

from __future__ import annotations

from slicer.i18n import tr as _

from barl.catalog import CARDS
from barl.jobs import State
from BARLTrainerLib.logic.RoundRow import RoundRow


def methodWord(row: RoundRow) -> str:
    """The method's title; its bare name when this version has no card of it."""
    return next((card.title for card in CARDS if card.name == row.method), row.method)


def stateWord(row: RoundRow) -> str:
    """Where a round stands."""
    if row.state is None:
        return _("damaged")
    words = {
        State.QUEUED: _("starting"),
        State.RUNNING: _("running"),
        State.STOPPING: _("stopping"),
        State.STOPPED: _("stopped"),
        State.FAILED: _("failed"),
        State.FINISHED: _("finished"),
        State.INTERRUPTED: _("interrupted"),
    }
    word = words[row.state]
    return _("{state}, {n} %").format(state=word, n=round(row.percent or 0)) if row.isActive else word


def diceWords(row: RoundRow) -> str:
    """The score, with how far it can be trusted."""
    if row.score is None:
        return _("not measured")
    return f"{row.score.dice:.2f} ({casesWords(row)})"


def casesWords(row: RoundRow) -> str:
    """How many validation cases are behind a score."""
    if row.validationCases == 1:
        return _("1 case: too few to say")
    words = _("{n} cases: too few to say") if row.isTooFew else _("{n} cases")
    return words.format(n=row.validationCases)


def askedWords(row: RoundRow) -> str:
    """What the round was asked to do, for the tip over its line."""
    lines = [row.problem] if row.problem else []
    lines += [f"{key}: {value}" for key, value in row.asked.items() if key not in ("cohort", "settings")]
    lines += [f"{key} = {value}" for key, value in dict(row.asked.get("settings") or {}).items()]
    return "\n".join(lines)


def sizeWord(count: int) -> str:
    """Bytes as people say them."""
    if count < 1_000_000:
        return _("{n} kB").format(n=round(count / 1e3))
    if count < 1_000_000_000:
        return _("{n} MB").format(n=round(count / 1e6))
    return _("{n} GB").format(n=f"{count / 1e9:.1f}")
