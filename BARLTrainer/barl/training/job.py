"""What a training job asks for, as ``job.json`` holds it, and how one is made."""

from __future__ import annotations

import dataclasses
import difflib
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from barl.catalog import card
from barl.cohort import Cohort, LabelTable
from barl.cohort.labels import refuse_too_many
from barl.errors import CohortError, JobError, SettingsError, StorageError
from barl.inference.devices import PRECISIONS, choose_device
from barl.inference.model_folder import ModelCard, read_card
from barl.jobs import JobFolder, JobSpec, State, Status, read_spec, write_spec, write_status
from barl.methods.factory import make_method, method_class, settings_from
from barl.networks import NetworkSettings
from barl.presets import PRESETS, preset_for
from barl.records import Fields
from barl.training.settings import TrainingSettings
from barl.training.views import ViewSettings

KIND = "train"
LEAST_MINUTES = 0.1
_SECTIONS: dict[str, type] = {"network": NetworkSettings, "training": TrainingSettings, "views": ViewSettings}


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """The wish; what becomes of it on this computer is the plan."""

    method: str = "barl"
    preset: str = ""
    """quick, standard or thorough; empty: the one that fits the minutes, standard without minutes."""

    minutes: float | None = None
    """Time for the steps; preparation, validation and prediction come on top. None: the preset's."""

    steps: int | None = None
    """A fixed number of steps instead of a time: the result then does not depend on how busy the computer is, but for
    the precision that a short timing chooses; ``precision`` fixes that, too."""

    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    from_round: int | None = None
    """Start from the weights of this round of the cohort."""

    memory_gib: float | None = None
    """Most memory to use on the device; None: what is free, less a reserve."""

    settings: dict[str, Any] = field(default_factory=dict)
    """The method's settings by name, and ``network.``, ``training.`` and ``views.`` ones with that prefix."""

    predict: bool = True
    """Whether the round ends with predictions of the cases that are not fully annotated."""

    def __post_init__(self) -> None:
        if self.preset and self.preset not in PRESETS:
            raise SettingsError(f"preset must be one of {tuple(PRESETS)}, got {self.preset!r}")
        if self.minutes is not None and self.steps is not None:
            raise SettingsError("Give either minutes or steps, not both: each decides when the training ends.")
        if self.minutes is not None and not LEAST_MINUTES <= self.minutes <= 60 * 24 * 14:
            raise SettingsError(
                f"minutes must be from {LEAST_MINUTES} to 20160 (two weeks), got {self.minutes}: "
                "a shorter training would not reach its first checkpoint."
            )
        if self.steps is not None and self.steps < 1:
            raise SettingsError(f"steps must be 1 or more, got {self.steps}")
        if not 0 <= self.seed < 2**63:
            raise SettingsError(f"seed must be from 0 to {2**63 - 1}, got {self.seed}")
        if self.memory_gib is not None and not self.memory_gib >= 0.5:
            raise SettingsError(f"memory_gib must be 0.5 or more, got {self.memory_gib}")
        if self.precision not in PRECISIONS:
            raise SettingsError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")

    @property
    def effective_preset(self) -> str:
        """The preset asked for, or the one that fits the minutes."""
        if self.preset or self.minutes is None:
            return self.preset or "standard"
        return preset_for(self.minutes).name

    @property
    def budget_seconds(self) -> float:
        """Seconds for the training itself, where no number of steps is given."""
        return 60 * (self.minutes if self.minutes is not None else PRESETS[self.effective_preset].minutes)

    def method_settings(self) -> dict[str, Any]:
        """The settings without a section's prefix."""
        return {key: value for key, value in self.settings.items() if "." not in key}

    def network(self) -> NetworkSettings:
        """The ``network.`` settings."""
        return settings_from(NetworkSettings, self._section("network"), owner="network")

    def training(self) -> TrainingSettings:
        """The ``training.`` settings."""
        return settings_from(TrainingSettings, self._section("training"), owner="training")

    def views(self) -> ViewSettings:
        """The ``views.`` settings."""
        return settings_from(ViewSettings, self._section("views"), owner="views")

    def check_settings(self) -> None:
        """Refuse unknown or senseless settings before a job exists.

        Raises:
            SettingsError: names the setting, what is allowed, what came, and what was probably meant.
        """
        for key in self.settings:
            self._refuse_unknown(key)
        self.training()
        views = self.views()
        method = make_method(self.method, self.method_settings(), self.network())
        if "views.paste_share" in self.settings and views.paste_share > 0 and not method.needs_unlabeled:
            raise SettingsError(
                f"views.paste_share has no effect with method {self.method}, which looks at no unlabeled volumes. "
                "Leave it out, or choose a method that does."
            )

    def _refuse_unknown(self, key: str) -> None:
        section, dot, name = key.rpartition(".")
        groups = {"": method_class(self.method).settings_class, **_SECTIONS}
        known = {group: [f.name for f in dataclasses.fields(groups[group])] for group in groups}
        meant = _meant(section, name, known)
        if dot and section not in _SECTIONS:
            raise SettingsError(
                f"setting {key!r}: before the dot stands one of {tuple(_SECTIONS)}, got {section!r}.{meant}"
            )
        if name not in known[section]:
            owner = section or f"method {self.method}"
            raise SettingsError(f"{owner} has no setting {name!r}.{meant} Its settings: {', '.join(known[section])}.")

    def _section(self, name: str) -> dict[str, Any]:
        prefix = name + "."
        return {key[len(prefix) :]: value for key, value in self.settings.items() if key.startswith(prefix)}


def _meant(section: str, name: str, known: dict[str, list[str]]) -> str:
    """A question for settings of this name, or of one spelled nearly so, in whichever group; its own comes first."""
    groups = {section: known.get(section, []), **known}
    close = difflib.get_close_matches(name, [other for names in groups.values() for other in names], n=1, cutoff=0.75)
    keys = [f"{group}.{other}".lstrip(".") for group, names in groups.items() for other in names if [other] == close]
    return f" Did you mean {' or '.join(keys)}?" if keys else ""


def check(cohort_folder: Path, options: dict[str, Any]) -> tuple[Cohort, TrainingJob]:
    """Refuse what :func:`create` would, and make nothing.

    Args:
        cohort_folder: the cohort.
        options: fields of :class:`TrainingJob`; those that are None keep their default.

    Raises:
        SettingsError: an option is not allowed, or the round to start from has other networks or labels.
        CohortError: there is no cohort, or the round to start from is not there.
        LabelError: more structures than a network can tell apart.
        InputError: the model to start from is damaged.
    """
    job = from_payload({key: value for key, value in options.items() if value is not None})
    card(job.method)
    job.check_settings()
    choose_device(job.device)
    cohort = Cohort.open(cohort_folder)
    refuse_too_many(cohort.labels)
    if job.from_round is not None:
        refuse_other_model(read_card(model_of_round(cohort, job.from_round)), job, cohort.labels)
    return cohort, job


def create(cohort_folder: Path, options: dict[str, Any]) -> Path:
    """Make the next round of a cohort with a job for it; nothing is started, and the images are not looked at.

    Args:
        cohort_folder: the cohort.
        options: fields of :class:`TrainingJob`; those that are None keep their default.

    Returns:
        The round's folder, which is the job's.

    Raises:
        SettingsError: an option is not allowed.
        CohortError: there is no cohort, or the round to start from is not there.
        StorageError: the cohort cannot be written, or the disk is full; there is no new round.
    """
    cohort, job = check(cohort_folder, options)
    payload = {key: value for key, value in dataclasses.asdict(job).items() if value is not None}
    folder = cohort.new_round()
    try:
        write_spec(folder, JobSpec(kind=KIND, payload={"cohort": str(cohort.folder.resolve()), **payload}))
        write_status(folder, Status(state=State.QUEUED, stage="queued", percent=0.0, heartbeat=time.time()))
    except StorageError:
        shutil.rmtree(folder, ignore_errors=True)  # Half a round would be taken for the newest one.
        raise
    return folder


_TEXT = (str, "a text")
_WHOLE = (int, "a whole number")
_NUMBER = (int | float, "a number")
_KINDS: dict[str, tuple[Any, str]] = {
    "method": _TEXT,
    "preset": _TEXT,
    "minutes": _NUMBER,
    "steps": _WHOLE,
    "seed": _WHOLE,
    "device": _TEXT,
    "precision": _TEXT,
    "from_round": _WHOLE,
    "memory_gib": _NUMBER,
    "settings": (dict, "an object {...}"),
    "predict": (bool, "true or false"),
}


def from_payload(payload: dict[str, Any]) -> TrainingJob:
    """The job from plain values, which somebody may have written by hand.

    Raises:
        SettingsError: an unknown option, or a value of another kind.
    """
    names = {f.name for f in dataclasses.fields(TrainingJob)}
    unknown = sorted(set(payload) - names)
    if unknown:
        raise SettingsError(f"a training has no option {unknown[0]!r}. Its options: {', '.join(sorted(names))}.")
    for name, value in payload.items():
        kind, words = _KINDS[name]
        # To Python true is a number, too.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise SettingsError(f"{name} must be {words}, got {value!r:.80}.")
    return TrainingJob(**payload)


def read_job(folder: Path) -> tuple[Cohort, TrainingJob]:
    """The cohort and the wish of a job folder.

    Raises:
        JobError: it is no training job.
        CohortError: the cohort is not where it was.
    """
    spec = read_spec(folder)
    if spec.kind != KIND:
        raise JobError(f"{folder} is a job of kind {spec.kind!r}, not a training.")
    payload = dict(spec.payload)
    noted = Fields(payload, f"{folder}, payload", JobError).text("cohort")
    del payload["cohort"]
    return Cohort.open(_cohort_folder(folder, Path(noted))), from_payload(payload)


def _cohort_folder(folder: Path, noted: Path) -> Path:
    """Where the cohort is now: around the round if it was moved or is seen from another computer."""
    around = folder.resolve().parent.parent
    return around if (around / "cohort.json").is_file() else noted


def model_of_round(cohort: Cohort, number: int) -> Path:
    """The model folder of a round by number.

    Raises:
        CohortError: there is no such round, or it has no model.
    """
    rounds = {int(path.name): path for path in cohort.rounds()}
    if number not in rounds:
        there = ", ".join(str(n) for n in rounds) or "none yet"
        raise CohortError(f"Cohort {cohort.name} has no round {number}. Its rounds: {there}.")
    model = JobFolder(rounds[number]).model
    if not (model / "model.json").is_file():
        raise CohortError(f"Round {number} of {cohort.name} has no model: its training did not get that far.")
    return model


def refuse_other_model(card: ModelCard, job: TrainingJob, labels: LabelTable) -> None:
    """Refuse to start from weights that cannot fit; those that settings of a method change are only told by loading.

    Raises:
        SettingsError: they belong to another method, network or label table.
    """
    if card.method != job.method or not _same_networks(card.network, job.network()):
        raise other_networks(card, job)
    if card.labels != labels:
        raise SettingsError(
            f"The label table has changed since round {job.from_round}, so its weights do not fit. "
            "Start without a round to begin from."
        )


def _same_networks(had: NetworkSettings, wished: NetworkSettings) -> bool:
    """Whether weights fit; halvings that the wish leaves open are as they were."""
    halvings = wished.halvings if wished.late_halvings else had.halvings
    return had.halvings == halvings and replace(had, late_halvings=()) == replace(wished, late_halvings=())


def other_networks(card: ModelCard, job: TrainingJob) -> SettingsError:
    """The error of a round that would start from weights of other networks."""
    return SettingsError(
        f"Round {job.from_round} was trained with method {card.method} and other networks than this round asks for "
        f"({job.method}). Choose the same method and settings, or start without a round to begin from."
    )
