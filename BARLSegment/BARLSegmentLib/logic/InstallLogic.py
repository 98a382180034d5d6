"""What BARL needs and Slicer has not: told first, then installed, then checked where it will work.

Nothing is installed or imported until somebody asks. torch is never imported in this process: a child tells how it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from barl.errors import InputError, JobFailedError
from BARLSegmentLib.logic.PythonProgram import pythonProgram
from BARLSegmentLib.logic.Requirements import (
    ALL,
    OTHERS,
    PROTECTED,
    TORCH,
    Requirement,
    installedVersion,
    unfit,
)

_MEGABYTES_A_MINUTE = 300.0
"""What a line of 40 Mbit/s brings."""

_UNPACKING_SHARE = 0.5
"""Writing to disk takes about half as long again."""

_SLOWEST_CHECK_S = 300.0
"""torch's first import on a slow disk, with a virus scanner looking on, takes minutes."""

_CHECK = """
import importlib, json, sys
answer = {}
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
        answer[module] = ""
    except BaseException as error:
        answer[module] = type(error).__name__ + ": " + str(error)
print("BARL-CHECK " + json.dumps(answer))
"""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a child process ended."""

    code: int
    output: str
    """What it printed, both streams together."""


class Runner(Protocol):
    """Runs Slicer's Python; the real one is :class:`ChildPython`."""

    def __call__(self, arguments: Sequence[str], onLine: Callable[[str], None], timeoutSeconds: float) -> Finished:
        """Run it to the end, telling each line it prints."""
        ...


class TorchInstaller(Protocol):
    """The part of ``PyTorchUtilsLogic`` that is used."""

    def installTorch(self, askConfirmation: bool = ..., *, torchVersionRequirement: str | None = ...) -> Any:
        """Install the torch build that fits the graphics card."""
        ...


class ChildPython:
    """Slicer's Python in a process of its own.

    Args:
        python: the program.
        environment: its variables; in Slicer those of ``slicer.util.startupEnvironment()``. None for those that are.
    """

    def __init__(self, python: str | None = None, environment: dict[str, str] | None = None) -> None:
        self._python = python or pythonProgram()
        self._environment = dict(os.environ if environment is None else environment) | {"PYTHONUTF8": "1"}

    def __call__(self, arguments: Sequence[str], onLine: Callable[[str], None], timeoutSeconds: float) -> Finished:
        """Run it to the end, telling each line as it comes; a panel keeps its window alive there.

        Raises:
            JobFailedError: the program is not there, or takes too long.
        """
        tooLate = threading.Event()
        lines: list[str] = []
        with self._started(arguments) as process:

            def end() -> None:
                tooLate.set()
                process.kill()

            timer = threading.Timer(timeoutSeconds, end)
            timer.start()
            try:
                for line in process.stdout or ():
                    lines.append(line.decode("utf-8", "replace").rstrip())
                    onLine(lines[-1])
                code = process.wait()
            finally:
                timer.cancel()
                process.kill()  # Whoever listens may have failed; half an install is found by the next check.
        if tooLate.is_set():
            raise JobFailedError(
                f"{self._python} did not finish within {timeoutSeconds / 60:.0f} minutes. Check the connection and "
                "free disk space, and try again."
            )
        return Finished(code=code, output="\n".join(lines))

    def _started(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [self._python, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise JobFailedError(f"Cannot start {self._python}: {error.strerror}. Reinstall Slicer.") from error


class PackageState(Enum):
    """How a package is."""

    MISSING = "missing"
    OTHER_VERSION = "another version"
    BROKEN = "broken"
    """pip takes it for installed, and it cannot be imported: an install that was interrupted, or files lost since."""

    READY = "ready"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package and how it is."""

    requirement: Requirement
    state: PackageState
    version: str | None = None
    problem: str = ""
    """What its import said."""


@dataclass(frozen=True, kw_only=True)
class InstallPlan:
    """What would be done, to be told before anything is."""

    torch: bool
    """Whether torch is to be installed, through the PyTorch extension unless there is a wheel folder."""

    others: tuple[Requirement, ...]
    repair: tuple[str, ...] = ()
    """Names of packages that are installed anew because they are broken."""

    wheelFolder: Path | None = None
    downloadMb: float
    """About how much is downloaded; with a wheel folder 0."""

    @property
    def isEmpty(self) -> bool:
        """Whether everything is there."""
        return not self.torch and not self.others

    @property
    def minutes(self) -> float:
        """About how long it takes on a line of 40 Mbit/s."""
        return self.downloadMb / _MEGABYTES_A_MINUTE * (1 + _UNPACKING_SHARE)

    def __str__(self) -> str:
        """For people."""
        if self.isEmpty:
            return "Everything that BARL needs is installed."
        names = ", ".join([*(["torch"] if self.torch else []), *(one.name for one in self.others)])
        kept = ", ".join(PROTECTED)
        if self.wheelFolder is not None:
            return f"BARL installs {names} from {self.wheelFolder}; nothing is downloaded. {kept} stay as they are."
        size = f"{self.downloadMb / 1000:.1f} GB" if self.downloadMb >= 1000 else f"{self.downloadMb:.0f} MB"
        up = "up to " if self.torch else "about "
        blocks = " Slicer's window does not answer while torch is installed." if self.torch else ""
        return (
            f"BARL needs {names}: {up}{size} are downloaded, which takes about {max(1, round(self.minutes))} minutes "
            f"on a line of 40 Mbit/s.{blocks} {kept} stay as they are."
        )


class InstallLogic:
    """Finds out what is missing, installs it and checks it.

    Args:
        runPython: runs Slicer's Python.
        torchInstaller: gives ``PyTorchUtilsLogic()``; None when the PyTorch extension is not there.
        versionOf: the version that pip has noted for a package.
    """

    def __init__(
        self,
        *,
        runPython: Runner | None = None,
        torchInstaller: Callable[[], TorchInstaller] | None = None,
        versionOf: Callable[[str], str | None] = installedVersion,
    ) -> None:
        self._run: Runner = runPython or ChildPython()
        self._torchInstaller = torchInstaller
        self._versionOf = versionOf

    def isReady(self) -> bool:
        """Whether all packages are noted as installed; a moment's look, which does not notice broken ones."""
        return not unfit(ALL, self._versionOf)

    def check(self) -> tuple[Package, ...]:
        """Import everything in a child process, and tell how each package is; takes seconds.

        Raises:
            JobFailedError: the child process does not run at all; the message holds what it printed.
        """
        present = [one for one in ALL if self._versionOf(one.name) is not None]
        problems = self._imports([one.module for one in present])
        return tuple(self._package(one, problems.get(one.module)) for one in ALL)

    def plan(self, packages: Sequence[Package] | None = None, *, wheelFolder: Path | None = None) -> InstallPlan:
        """What is to be done.

        Args:
            packages: what ``check`` found; None for a quick look that trusts pip's notes.
            wheelFolder: a folder with wheels, for computers without internet.

        Raises:
            InputError: the wheel folder lacks a wheel that is needed, or is none.
        """
        found = [self._package(one, "") for one in ALL] if packages is None else list(packages)
        wanted = [one for one in found if one.state is not PackageState.READY]
        requirements = tuple(one.requirement for one in wanted)
        if wheelFolder is not None:
            _refuseMissingWheels(wheelFolder, requirements)
        return InstallPlan(
            torch=TORCH in requirements,
            others=tuple(one for one in requirements if one is not TORCH),
            repair=tuple(one.requirement.name for one in wanted if one.state is PackageState.BROKEN),
            wheelFolder=wheelFolder,
            downloadMb=0.0 if wheelFolder is not None else sum(one.downloadMb for one in requirements),
        )

    def install(self, plan: InstallPlan, onLine: Callable[[str], None] = lambda line: None) -> tuple[Package, ...]:
        """Do what a plan says, and check the result in a child process.

        Args:
            plan: what was told to the user and agreed to.
            onLine: told each line that pip prints.

        Returns:
            All packages, each of them ready.

        Raises:
            JobFailedError: pip failed, or a package cannot be imported; the message says which and what it printed.
            InputError: torch is needed, and neither the PyTorch extension nor a wheel folder is there.
        """
        if plan.torch and plan.wheelFolder is None:
            self._installTorch(TORCH.name in plan.repair, onLine)
        wheels = [TORCH] if plan.torch and plan.wheelFolder is not None else []
        for broken in (True, False):
            chosen = [one for one in (*wheels, *plan.others) if (one.name in plan.repair) is broken]
            if chosen:
                self._pip(chosen, plan.wheelFolder, onLine, anew=broken)
        return self._requireAllReady()

    def _installTorch(self, isBroken: bool, onLine: Callable[[str], None]) -> None:
        if self._torchInstaller is None:
            raise InputError(
                "torch is installed by the extension PyTorch, which is not there. Install it with the Extensions "
                "Manager and restart Slicer, or choose a folder with wheels."
            )
        if isBroken:  # The extension takes half an install for a whole one.
            self._run(["-m", "pip", "uninstall", "--yes", TORCH.name], onLine, _SLOWEST_CHECK_S)
        try:
            self._torchInstaller().installTorch(askConfirmation=True, torchVersionRequirement=TORCH.versions)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            raise JobFailedError(
                f"torch could not be installed: {error}. Check the connection (and the proxy) and free disk space, and "
                "try again; or choose a folder with wheels."
            ) from error
        if self._versionOf(TORCH.name) is None:
            raise JobFailedError("torch was not installed. Install it when BARL asks, or choose a folder with wheels.")

    def _pip(
        self, requirements: Sequence[Requirement], wheels: Path | None, onLine: Callable[[str], None], *, anew: bool
    ) -> None:
        names = [one.specifier for one in requirements]
        with tempfile.TemporaryDirectory(prefix="barl-") as folder:
            constraints = Path(folder) / "constraints.txt"
            constraints.write_text("".join(f"{line}\n" for line in self._constraints()), encoding="utf-8")
            arguments = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--prefer-binary"]
            arguments += ["--constraint", str(constraints)]
            arguments += ["--no-index", "--find-links", str(wheels)] if wheels is not None else []
            # An install that was interrupted may lack the list of files that pip would remove first.
            arguments += ["--ignore-installed", "--no-deps"] if anew else []
            done = self._run([*arguments, *names], onLine, 3600.0)
        if done.code != 0:
            raise JobFailedError(
                f"pip could not install {', '.join(names)}. Nothing of Slicer's was replaced. Check the connection "
                f"(and the proxy) and free disk space, and try again. pip's last words:\n{_lastLines(done.output)}"
            )

    def _constraints(self) -> list[str]:
        return [f"{name}=={version}" for name in PROTECTED if (version := self._versionOf(name)) is not None]

    def _requireAllReady(self) -> tuple[Package, ...]:
        packages = self.check()
        wrong = [one for one in packages if one.state is not PackageState.READY]
        if wrong:
            told = "; ".join(f"{one.requirement.name} is {one.state.value} {one.problem}".strip() for one in wrong)
            raise JobFailedError(f"The installation is not complete: {told}. Try again; if it stays, report it.")
        return packages

    def _imports(self, modules: list[str]) -> dict[str, str]:
        """What the import of each module said; empty for those that are fine."""
        if not modules:
            return {}
        done = self._run(["-c", _CHECK, *modules], lambda line: None, _SLOWEST_CHECK_S)
        for line in done.output.splitlines():
            if line.startswith("BARL-CHECK "):
                answer: dict[str, str] = json.loads(line.removeprefix("BARL-CHECK "))
                return answer
        if len(modules) == 1:  # An import can end the whole process, as a damaged library does.
            return {modules[0]: f"its import ended Python with code {done.code}. {_lastLines(done.output)}"}
        found: dict[str, str] = {}
        for module in modules:
            found |= self._imports([module])
        return found

    def _package(self, requirement: Requirement, problem: str | None) -> Package:
        version = self._versionOf(requirement.name)
        if version is None:
            return Package(requirement=requirement, state=PackageState.MISSING)
        if problem:
            return Package(requirement=requirement, state=PackageState.BROKEN, version=version, problem=problem)
        state = PackageState.OTHER_VERSION if unfit((requirement,), self._versionOf) else PackageState.READY
        return Package(requirement=requirement, state=state, version=version)


def _refuseMissingWheels(folder: Path, requirements: Sequence[Requirement]) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Choose the folder with the wheels (files ending in .whl).")
    names = {path.name.split("-")[0].lower().replace("_", "-") for path in folder.glob("*.whl")}
    missing = [one.specifier for one in requirements if one.name.lower() not in names]
    if missing:
        raise InputError(
            f"{folder} lacks wheels for {', '.join(missing)}. Fetch them on a computer with internet and the same "
            f"system and Python: pip download --dest wheels {' '.join(repr(one) for one in missing)}"
        )


def _lastLines(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-8:])


__all__ = ["OTHERS", "ChildPython", "Finished", "InstallLogic", "InstallPlan", "Package", "PackageState", "Runner"]
