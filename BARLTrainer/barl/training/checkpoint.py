"""Where a training can go on from: written aside by a thread, renamed when whole."""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from barl.atomic import replacing
from barl.errors import JobError, NewerFormatError
from barl.inference.model_folder import DAMAGED, first_sentence, save_tensors

FORMAT_VERSION = 1


@dataclass(kw_only=True)
class Snapshot:
    """All that the next step depends on."""

    step: int
    """Steps taken."""

    total_steps: int | None
    """None until the time of a step has been measured."""

    seconds: float
    """Time spent training, over all the runs of this round."""

    model: dict[str, Any]
    optimizer: dict[str, Any]
    chance: dict[str, Any]
    torch_rng: torch.Tensor
    cuda_rng: torch.Tensor | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    """Metrics so far, for the model's card and the report."""


class CheckpointFile:
    """``checkpoints/last.pt`` of a round.

    Writing takes place in a thread, of copies, so that the training goes on meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last.pt"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._kept: Snapshot | None = None

    def step(self) -> int | None:
        """Steps taken at the newest checkpoint, None where there is none; the next :meth:`read` has it at hand.

        Raises:
            NewerFormatError: a newer BARL wrote it.
            JobError: it is damaged.
        """
        self._kept = self.read()
        return None if self._kept is None else self._kept.step

    def write(self, snapshot: Snapshot) -> None:
        """Begin to write; waits for the one before.

        Raises:
            StorageError: the one before could not be written.
        """
        self.wait()
        self._kept = None
        frozen = copy.copy(snapshot)
        frozen.model = _copied(snapshot.model)
        frozen.optimizer = _copied(snapshot.optimizer)
        frozen.history = list(snapshot.history)
        self._pending = self._thread.submit(self._save, frozen)

    def wait(self) -> None:
        """Until what was begun is on disk.

        Raises:
            StorageError: it could not be written.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def read(self) -> Snapshot | None:
        """The newest checkpoint in host memory, None where there is none.

        What loads it brings it to the device: a full graphics card must not look like a damaged file.

        Raises:
            NewerFormatError: a newer BARL wrote it.
            JobError: it is damaged.
        """
        kept, self._kept = self._kept, None
        if kept is not None or not self.path.is_file():
            return kept
        try:
            value = torch.load(self.path, map_location="cpu", weights_only=True)
            version = int(value.pop("format_version"))
            if version <= FORMAT_VERSION:
                return Snapshot(**value)
        except DAMAGED as error:
            raise JobError(f"{self.path} is damaged ({first_sentence(error)}). Start a new round instead.") from error
        raise NewerFormatError(f"{self.path} was written by a newer BARL. Update BARL to go on with this round.")

    def _save(self, snapshot: Snapshot) -> None:
        with replacing(self.path) as temporary:
            save_tensors({"format_version": FORMAT_VERSION, **vars(snapshot)}, temporary)


def _copied(value: Any) -> Any:
    """The same structure with tensors copied to host memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value
