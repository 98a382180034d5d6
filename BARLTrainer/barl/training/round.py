"""One round from the job folder to a model and predictions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from barl import __version__
from barl.cohort import Cohort
from barl.errors import JobError, OutOfMemoryError
from barl.inference.devices import choose_precision, set_cpu_threads
from barl.inference.model_folder import ModelCard, read_card, read_weights, write_calibration, write_model
from barl.inference.predictor import Predictor
from barl.jobs import JobFolder
from barl.methods.factory import make_method
from barl.methods.protocol import Method
from barl.networks import Halvings, halvings_for
from barl.ranking import write_ranking
from barl.training.calibrating import calibrate, too_few
from barl.training.cases import RoundData
from barl.training.checkpoint import CheckpointFile
from barl.training.distributed import OVER, Group, Share, join
from barl.training.job import TrainingJob, model_of_round, other_networks, read_job, refuse_other_model
from barl.training.live import LiveCases
from barl.training.loop import Batches, Training, train
from barl.training.memory import smaller_patch
from barl.training.plan import Plan, read_plan, write_plan
from barl.training.predicting import predict_cases
from barl.training.preparation import fitting_plan, prepare, refuse_errors
from barl.training.reporter import Reporter, SilentReporter, StopAskedError
from barl.training.sampler import Sampler, SamplerSettings
from barl.training.validation import ValidationCase, mean_dice
from barl.training.views import Chance

logger = logging.getLogger(__name__)

_DIRECTIONS = ("head to foot", "front to back", "side to side")
"""Of the axes D, H and W of a prepared volume."""


def run_round(folder: Path) -> None:
    """Train as the job says, from its newest checkpoint if there is one, then predict.

    Raises:
        BarlError: whatever keeps the round from its end; the caller writes it into the status.
    """
    cohort, job = read_job(folder)
    with join(job.device) as group:
        if not group.leads:
            _follow(folder, cohort, job, group)
            return
        with Reporter(folder, predicts=job.predict) as reporter:
            try:
                _train_and_predict(folder, cohort, job, group, reporter)
            except StopAskedError:
                reporter.stopped()
            else:
                reporter.finished()


def _train_and_predict(folder: Path, cohort: Cohort, job: TrainingJob, group: Group, reporter: Reporter) -> None:
    files = JobFolder(folder)
    checkpoints = CheckpointFile(files.checkpoints)
    reporter.start(resumed_at=checkpoints.step())
    reporter.stage("checking")
    refuse_errors(cohort, reporter)
    _use_cores(group)
    method = make_method(job.method, job.method_settings(), job.network())
    plan = _plan(folder, cohort, job, method, group, reporter)
    method = _method_of(job, plan)
    data = prepare(cohort, _patches(plan, group.share.count), method.num_branches, group.device, reporter)
    group.from_leader(data.fingerprint())
    training, live = _training(folder, cohort, job, plan, method, data, group, reporter)

    with live.watching():
        over = train(training, checkpoints, reporter)
    group.dismiss()
    plan = read_plan(folder) or plan  # Running out of memory may have made the patch smaller.
    card = write_model(files.model, _card(cohort, job, plan, training), training.model.state_dict())
    if not over:
        raise StopAskedError
    card = _calibrated(files.model, card, training, data.validation, reporter)
    if job.predict:
        training.model.eval()
        predict_cases(_predictor(card, training), cohort, files.predictions, reporter)
        write_ranking(cohort, folder)


def _follow(folder: Path, cohort: Cohort, job: TrainingJob, group: Group) -> None:
    """Take part in the training of another process, which has planned and prepared all that this one reads.

    Raises:
        JobError: the cohort was changed in the meantime.
    """
    leaders = group.from_leader()
    plan = read_plan(folder)
    if leaders == OVER or plan is None:
        return
    plan = _patches(plan, group.share.filled)
    _use_cores(group)
    reporter = SilentReporter(folder)
    method = _method_of(job, plan)
    data = prepare(cohort, _patches(plan, group.share.count), method.num_branches, group.device, reporter)
    if data.fingerprint() != leaders:
        raise JobError(
            "An annotation was changed while the processes of this training read the cohort. Nothing is lost: resume "
            "the round to begin again."
        )
    training, _ = _training(folder, cohort, job, plan, method, data, group, reporter)
    train(training, CheckpointFile(JobFolder(folder).checkpoints), reporter)


def _method_of(job: TrainingJob, plan: Plan) -> Method[Any]:
    return make_method(job.method, job.method_settings(), plan.network(job.network()))


def _use_cores(group: Group) -> None:
    """All that this process may run on, shared with its neighbors."""
    set_cpu_threads()
    if group.neighbors > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // group.neighbors))


def _plan(
    folder: Path, cohort: Cohort, job: TrainingJob, method: Method[Any], group: Group, reporter: Reporter
) -> Plan:
    """The round's plan, made once, with the patches of all processes."""
    plan = read_plan(folder)
    if plan is None:
        plan = fitting_plan(cohort, job, method, group.device, choose_precision(group.device, job.precision))
        plan = _patches(plan, lambda patches: patches * group.size)
        write_plan(folder, plan)
    plan = _patches(plan, group.share.filled)
    spacing = " x ".join(f"{s:.2f}" for s in plan.spacing_mm)
    patch = " x ".join(str(p) for p in plan.patch_size_voxels)
    device = str(group.device) if group.size == 1 else f"{group.size} processes ({group.device.type})"
    reporter.log(
        f"{job.method} on {device}: voxels of {spacing} mm, patches of {patch} voxels, "
        f"{plan.labeled_patches} labeled and {plan.unlabeled_patches} unlabeled a step; {plan.precision.reason}."
    )
    _tell_of_halvings(job, plan, reporter)
    return plan


def _tell_of_halvings(job: TrainingJob, plan: Plan, reporter: Reporter) -> None:
    for direction, mm, late in zip(_DIRECTIONS, plan.spacing_mm, plan.late_halvings, strict=True):
        if late:
            reporter.log(
                f"From {direction} a voxel is {mm:.2f} mm long: the first {late} of the networks' halvings pass that "
                "direction by."
            )
    if job.from_round is not None and Halvings(plan.late_halvings) != halvings_for(plan.spacing_mm):
        reporter.warning(
            f"The networks of round {job.from_round} do not halve by the length of the voxels, as new ones would. "
            "A round that begins without an earlier one is likely better."
        )


def _patches(plan: Plan, change: Callable[[int], int]) -> Plan:
    """The plan with other numbers of patches in a step."""
    return replace(plan, labeled_patches=change(plan.labeled_patches), unlabeled_patches=change(plan.unlabeled_patches))


def _training(
    folder: Path,
    cohort: Cohort,
    job: TrainingJob,
    plan: Plan,
    method: Method[Any],
    data: RoundData,
    group: Group,
    reporter: Reporter,
) -> tuple[Training, LiveCases]:
    torch.manual_seed(job.seed)
    model = method.build(1, cohort.labels.num_classes)
    if job.from_round is not None:
        _warm_start(model, cohort, job, model_of_round(cohort, job.from_round))
        reporter.log(f"Starting from the weights of round {job.from_round}.")
    model = plan.precision.place(model, group.device)
    chance = Chance(job.seed, group.device)
    shrinking = _Shrinking(folder, job, plan, data, chance, group.share)
    training = Training(
        method=method,
        model=model,
        batches=shrinking.batches(),
        chance=chance,
        settings=job.training(),
        precision=plan.precision,
        device=group.device,
        total_steps=plan.total_steps,
        budget_seconds=0.0 if job.steps is not None else job.budget_seconds,
        make_smaller=shrinking.smaller,
        group=group,
        seed=job.seed,
    )
    validator = _validator(cohort, job, shrinking, training, data, reporter)

    def refresh() -> None:
        training.batches = shrinking.batches()
        training.validate = validator if data.validation else None
        training.validation_cases = len(data.validation)

    refresh()
    live = LiveCases(cohort, plan.recipe, data, reporter, refresh)
    training.changes = live
    return training, live


class _Shrinking:
    """Batches of the plan; after running out of memory, of a smaller one."""

    def __init__(
        self, folder: Path, job: TrainingJob, plan: Plan, data: RoundData, chance: Chance, share: Share
    ) -> None:
        self.plan = plan
        self._folder = folder
        self._job = job
        self._data = data
        self._chance = chance
        self._share = share

    def batches(self) -> Batches:
        training = self._job.training()
        settings = SamplerSettings(
            patch_size_voxels=self.plan.patch_size_voxels,
            spacing_mm=self.plan.spacing_mm,
            labeled_patches=self.plan.labeled_patches,
            unlabeled_patches=self.plan.unlabeled_patches,
            foreground_share=training.foreground_share,
            least_foreground_share=training.least_foreground_share,
            views=replace(self._job.views(), mirror_left_right=self.plan.mirror_left_right),
        )
        return Sampler(self._data.labeled, self._data.unlabeled, settings, self._chance, self._share)

    def smaller(self) -> Batches | None:
        """Half the patches first, then smaller ones; at least one for each process."""
        plan, share = self.plan, self._share
        if max(plan.labeled_patches, plan.unlabeled_patches) > share.size:
            self.plan = _patches(plan, lambda patches: share.filled((patches + 1) // 2))
        else:
            patch = smaller_patch(plan.patch_size_voxels)
            if patch is None:
                return None
            self.plan = replace(plan, patch_size_voxels=patch)
        write_plan(self._folder, self.plan)
        return self.batches()


def _warm_start(model: nn.Module, cohort: Cohort, job: TrainingJob, folder: Path) -> None:
    """Take the weights of an earlier round.

    Raises:
        SettingsError: they belong to another method or network.
    """
    card = read_card(folder)
    refuse_other_model(card, job, cohort.labels)
    try:
        model.load_state_dict(read_weights(folder, card))
    except RuntimeError as error:
        logger.info("weights of %s do not fit: %s", folder, error)
        raise other_networks(card, job) from None


def _validator(
    cohort: Cohort,
    job: TrainingJob,
    shrinking: _Shrinking,
    training: Training,
    data: RoundData,
    reporter: Reporter,
) -> Callable[[], dict[str, float]]:
    def validate() -> dict[str, float]:
        card = _card(cohort, job, shrinking.plan, training)
        try:
            return mean_dice(_predictor(card, training), data.validation, cohort.labels)
        except OutOfMemoryError as error:
            reporter.warning(f"The validation cases could not be measured: {error} The training goes on.")
            return {}

    return validate


def _predictor(card: ModelCard, training: Training) -> Predictor:
    method, model = training.method, training.model
    return Predictor(card, model, lambda p: method.predict(model, p), training.device, training.precision)


def _calibrated(
    folder: Path, card: ModelCard, training: Training, cases: Sequence[ValidationCase], reporter: Reporter
) -> ModelCard:
    """The model with its probabilities made honest, where the validation cases suffice for that.

    Raises:
        StopAskedError: the job is to stop; the model stays uncalibrated.
    """
    training.model.eval()
    try:
        calibration = calibrate(_predictor(card, training), cases, reporter.refuse_when_stopped)
    except OutOfMemoryError as error:
        reporter.warning(f"The uncertainty stays uncalibrated: {error}")
        return card
    if calibration is None:
        reporter.log(too_few(len(cases)))
        return card
    names = ("background", *card.labels.names)
    told = ", ".join(f"{name} {t:.2f}" for name, t in zip(names, calibration.temperatures, strict=True))
    reporter.log(f"Uncertainty calibrated on {calibration.cases} validation cases: temperature of {told}.")
    return write_calibration(folder, card, calibration)


def _card(cohort: Cohort, job: TrainingJob, plan: Plan, training: Training) -> ModelCard:
    return ModelCard(
        method=job.method,
        # All of them: a later version may have other defaults.
        settings=asdict(training.method.settings),
        network=plan.network(job.network()),
        labels=cohort.labels,
        recipe=plan.recipe,
        patch_size_voxels=plan.patch_size_voxels,
        mirror_left_right=plan.mirror_left_right,
        training={
            "barl": __version__,
            "torch": torch.__version__,
            "device": str(training.device),
            "steps": training.step,
            "seconds": round(training.seconds, 1),
            "seed": job.seed,
            "from_round": job.from_round,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    )
