"""Processes behind jobs: started apart from Slicer, and ended without keeping it waiting."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import barl
from barl.errors import JobError
from barl.jobs import launch

_END = "import sys; from barl.jobs import stop_and_wait; stop_and_wait(sys.argv[1], grace_s=float(sys.argv[2]))"


class JobProcesses(Protocol):
    """What a logic needs of processes; tests have their own."""

    def launch(self, folder: Path) -> int:
        """Start the process of a job folder and return its number; it outlives Slicer."""
        ...

    def end(self, folder: Path, graceSeconds: float) -> None:
        """Ask a job to stop; when it has not within the grace, end its process and all it started. Returns at once."""
        ...


class DetachedProcesses:
    """Jobs run by a Python of one's choice.

    Args:
        python: the program, such as the Python of an environment with torch. None: ``PythonSlicer`` where there is one
            (``sys.executable`` may be Slicer itself), else the Python that runs.
        environment: its variables; in Slicer those from before Slicer added its own (``startupEnvironment()``).
        bringsOwnBarl: whether BARL is installed in that Python; else it is given the one that runs here.
        prefix: command in front, such as ``("nice", "-n", "10")``.

    Attributes:
        environment: what its processes are given.
    """

    def __init__(
        self,
        python: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        bringsOwnBarl: bool = False,
        prefix: Sequence[str] = (),
    ) -> None:
        self._python = python or shutil.which("PythonSlicer") or sys.executable
        self._prefix = tuple(prefix)
        self.environment = dict(os.environ if environment is None else environment)
        if not bringsOwnBarl:
            known = self.environment.get("PYTHONPATH", "").split(os.pathsep)
            here = str(Path(barl.__file__).parents[1])
            self.environment["PYTHONPATH"] = os.pathsep.join([here, *(one for one in known if one and one != here)])

    def launch(self, folder: Path) -> int:
        """Start ``python -m barl.run_job <folder>``; see ``barl.jobs.launch``.

        Raises:
            JobError: the folder is no job, the job runs already, or the Python is not there.
            NewerFormatError: a newer BARL wrote the job.
            StorageError: the folder cannot be written.
        """
        return launch(folder, python=self._python, prefix=self._prefix, environment=self.environment)

    def end(self, folder: Path, graceSeconds: float) -> None:
        """End a job from a process of its own: waiting, terminating and killing take many seconds.

        Raises:
            JobError: the Python is not there.
        """
        command = [self._python, "-c", _END, str(folder), str(graceSeconds)]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self.environment | {"PYTHONUTF8": "1"},
                start_new_session=os.name != "nt",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise JobError(f"Cannot start {self._python}: {error.strerror}. Check that it is installed.") from error
        threading.Thread(target=process.wait, name=f"barl-end-{process.pid}", daemon=True).start()
