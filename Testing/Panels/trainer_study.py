"""Rounds and models as the engine would leave them, a few bytes each; and a training process that only writes files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from barl.atomic import write_json
from barl.cohort import Cohort
from barl.jobs import EventWriter, JobFolder, JobSpec, State, Status, write_spec, write_status
from barl.records import format_stamp

STEPS = (10, 20)


def aRound(cohort: Cohort, method: str, *, dice: float | None = None, cases: int = 0) -> Path:
    """A finished round whose Dice has doubled from the first to the last of two measurements."""
    folder = cohort.new_round()
    write_spec(folder, JobSpec(kind="train", payload={"cohort": str(cohort.folder), "method": method, "minutes": 5}))
    write_status(folder, Status(state=State.FINISHED, percent=100.0))
    events = EventWriter(folder)
    events.write("started")
    for number, step in enumerate(STEPS, start=1):
        events.write("metric", step=step, loss=1.0 / number)
        if dice is not None:
            mean = dice * number / len(STEPS)
            byClass = {"jaw": mean + 0.1, "teeth": mean - 0.1}
            events.write("metric", step=step, dice=mean, dice_by_class=byClass, validation_cases=cases)
    return folder


def aModel(roundFolder: Path, weights: bytes = b"weights") -> Path:
    """The model of a round."""
    model = JobFolder(roundFolder).model
    model.mkdir(exist_ok=True)
    (model / "weights.pt").write_bytes(weights)
    write_json(model / "model.json", format_stamp(1) | {"weights_sha256": hashlib.sha256(weights).hexdigest()})
    return model


class FilesOnly:
    """Stands for the training process: it writes what a process would."""

    def __init__(self) -> None:
        self.launched: list[Path] = []
        self.ended: list[Path] = []

    def launch(self, folder: Path) -> int:
        """A training runs."""
        self.launched.append(folder)
        write_status(folder, Status(state=State.RUNNING, percent=10, stage="training", step=5).by_this_process())
        return 1

    def end(self, folder: Path, graceSeconds: float) -> None:
        """It obeys at once."""
        self.ended.append(folder)
        write_status(folder, Status(state=State.STOPPED))
