"""What a job is to do: job.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from barl.atomic import write_json
from barl.errors import JobError
from barl.jobs.layout import AnyFolder, JobFolder
from barl.records import format_stamp, read_fields

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A kind of work and its settings."""

    kind: str
    """What runs it, for example ``train``."""

    payload: dict[str, Any] = field(default_factory=dict)
    """The kind's own settings; JSON values."""

    format_version: int = FORMAT_VERSION


def write_spec(folder: AnyFolder, spec: JobSpec) -> None:
    """Write job.json, making the folder where needed.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    content = format_stamp(spec.format_version) | {"kind": spec.kind, "payload": spec.payload}
    write_json(JobFolder.of(folder).spec, content)


def read_spec(folder: AnyFolder) -> JobSpec:
    """Read job.json.

    Raises:
        JobError: there is none, or it is damaged; the message names the line.
        NewerFormatError: a newer BARL wrote it.
    """
    job = require_job(folder)
    fields = read_fields(job.spec, JobError, "Correct it in a text editor, or start a new job.")
    fields.require_format(FORMAT_VERSION)
    return JobSpec(kind=fields.text("kind"), payload=fields.child("payload").values)


def require_job(folder: AnyFolder) -> JobFolder:
    """The job folder, if it is one.

    Raises:
        JobError: it has no job.json.
    """
    job = JobFolder.of(folder)
    if not job.spec.is_file():
        raise JobError(f"{job.path} is not a job: it has no job.json. Choose a job's folder, or start a new job.")
    return job
