"""Where things are in a job folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JobFolder:
    """The paths of a job folder."""

    path: Path

    @classmethod
    def of(cls, folder: AnyFolder) -> JobFolder:
        """A job folder from a path, or the same one."""
        return folder if isinstance(folder, JobFolder) else cls(Path(folder))

    @property
    def spec(self) -> Path:
        """What to do."""
        return self.path / "job.json"

    @property
    def events(self) -> Path:
        """What happened, one JSON object a line; only appended to."""
        return self.path / "events.jsonl"

    @property
    def status(self) -> Path:
        """How it stands; replaced as a whole."""
        return self.path / "status.json"

    @property
    def process(self) -> Path:
        """Which process was launched for it."""
        return self.path / "process.json"

    @property
    def stop(self) -> Path:
        """Asks for a graceful stop when it exists."""
        return self.path / "stop"

    @property
    def log(self) -> Path:
        """What the process printed, for people."""
        return self.path / "log.txt"

    @property
    def checkpoints(self) -> Path:
        """What a resumed job starts from."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model"

    @property
    def predictions(self) -> Path:
        """Segmentations, uncertainty maps and their descriptions."""
        return self.path / "predictions"


AnyFolder = JobFolder | Path | str
"""What functions take for a job folder."""
