"""Segmenting many files as a job: for whoever has no torch and follows the job's files, such as Slicer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from barl.errors import JobError
from barl.inference.batch import Outcome, segment_files
from barl.jobs import read_spec
from barl.records import Fields
from barl.training.reporter import Reporter, StopAskedError

KIND = "predict"


def run_predictions(folder: Path) -> None:
    """Segment the files that the job names; each outcome is a ``prediction`` event, one that fails keeps none back.

    The payload holds ``model`` (a model folder), ``images`` (files or DICOM folders), ``output`` (a folder), ``device``
    and ``overwrite``. A job that is run again skips what is done.

    Raises:
        BarlError: whatever keeps all of them from being done; the caller writes it into the status.
    """
    request = Fields(read_spec(folder).payload, f"{folder}, payload", JobError)
    model, output, device = Path(request.text("model")), Path(request.text("output")), request.text("device", "auto")
    images, overwrite = _images(request), bool(request.values.get("overwrite", False))
    with PredictionReporter(folder) as reporter:
        reporter.start()
        try:
            segment_files(
                model,
                images,
                output,
                device=device,
                overwrite=overwrite,
                on_progress=lambda share, message: reporter.stage("predicting", share),
                on_outcome=lambda outcome: reporter.prediction(**_plain(outcome)),
            )
        except StopAskedError:
            reporter.stopped()
        else:
            reporter.finished()


class PredictionReporter(Reporter):
    """Of a job that only predicts: that is all of its time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._training_share = 0.0


def _images(request: Fields) -> list[Path]:
    images = request.values.get("images")
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise JobError(f"{request.where}: images must be a list of paths, got {images!r:.80}.")
    return [Path(image) for image in images]


def _plain(outcome: Outcome) -> dict[str, object]:
    """Without the path: events carry ids."""
    return {key: value for key, value in asdict(outcome).items() if key != "image"}
