"""What BARL needs and Slicer has not: told first, then installed, then checked where it will work.

Nothing is installed or imported until somebody asks. torch is never imported in this process: a child tells how it is.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from barl.errors import InputError, JobFailedError
from BARLSegmentLib.logic.ChildPython import ChildPython, Command, Finished, Runner, Task
from BARLSegmentLib.logic.Requirements import (
    ALL,
    OTHERS,
    PROTECTED,
    TORCH,
    Requirement,
    installedVersion,
    unfit,
)

Answer = TypeVar("Answer")

_MEGABYTES_A_MINUTE = 300.0
"""What a line of 40 Mbit/s brings."""

_UNPACKING_SHARE = 0.5
"""Writing to disk takes about half as long again."""

_SLOWEST_CHECK_S = 300.0
"""torch's first import on a slow disk, with a virus scanner looking on, takes minutes."""

_SLOWEST_INSTALL_S = 4 * 3600.0
"""3 GB on a line of 2 Mbit/s."""

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

_TORCH = """
import traceback
import slicer
code = 1
try:
    from PyTorchUtils import PyTorchUtilsLogic
    PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement={versions!r})
    code = 0
except BaseException:
    traceback.print_exc()
slicer.util.exit(code)
"""
"""Run by a second Slicer without a window: the extension PyTorch needs the application, and blocks it for minutes."""

Installing = Generator[Command, Finished, "tuple[Package, ...]"]
"""Gives one command after the other, is sent how each ended, and returns how all packages are then."""


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
    """Whether torch is to be installed, by the extension PyTorch unless there is a wheel folder."""

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
        return (
            f"BARL needs {names}: {up}{size} are downloaded, which takes about {max(1, round(self.minutes))} minutes "
            f"on a line of 40 Mbit/s. You can go on working meanwhile. {kept} stay as they are."
        )


class InstallLogic:
    """Finds out what is missing, installs it and checks it.

    Args:
        runPython: runs Slicer's Python to its end, for who can wait.
        slicerWithTorchUtils: command of a Slicer without a window, to which ``--python-script`` and a file are added;
            None when the extension PyTorch is not there.
        versionOf: the version that pip has noted for a package.
    """

    def __init__(
        self,
        *,
        runPython: Runner | None = None,
        slicerWithTorchUtils: Sequence[str] | None = None,
        versionOf: Callable[[str], str | None] = installedVersion,
    ) -> None:
        self._run: Runner = runPython or ChildPython()
        self._slicer = slicerWithTorchUtils
        self._versionOf = versionOf

    def isReady(self) -> bool:
        """Whether all packages are noted as installed; a moment's look, which does not notice broken ones."""
        return not unfit(ALL, self._versionOf)

    def check(self) -> tuple[Package, ...]:
        """Import everything in a child process, and tell how each package is; takes seconds.

        Raises:
            JobFailedError: the child process does not run at all; the message holds what it printed.
        """
        return self._through(self.checking(), lambda line: None)

    def checking(self) -> Installing:
        """The same as :meth:`check` as commands, for who runs them without waiting."""
        present = [one for one in ALL if self._versionOf(one.name) is not None]
        problems = yield from _importing([one.module for one in present])
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
        """Do what a plan says, check the result in a child process, and wait for all of it.

        A window does not wait: it follows an ``Installation``.

        Args:
            plan: what was told to the user and agreed to.
            onLine: told each line that pip prints.

        Returns:
            All packages, each of them ready.

        Raises:
            JobFailedError: pip failed, or a package cannot be imported; the message says which and what it printed.
            InputError: torch is needed, and neither the PyTorch extension nor a wheel folder is there.
        """
        return self._through(self.installing(plan), onLine)

    def installing(self, plan: InstallPlan) -> Installing:
        """The same as commands, for who runs them without waiting; raises as :meth:`install` while it goes on."""
        if plan.torch and plan.wheelFolder is None:
            yield from self._torch(TORCH.name in plan.repair)
        wheels = [TORCH] if plan.torch and plan.wheelFolder is not None else []
        for broken in (True, False):
            chosen = [one for one in (*wheels, *plan.others) if (one.name in plan.repair) is broken]
            if chosen:
                yield from self._pip(chosen, plan.wheelFolder, anew=broken)
        return (yield from self._requireAllReady())

    def _through(self, steps: Generator[Command, Finished, Answer], onLine: Callable[[str], None]) -> Answer:
        """Run each command and wait for it."""
        try:
            command = next(steps)
            while True:
                command = steps.send(self._run(command, onLine))
        except StopIteration as over:
            answer: Answer = over.value
            return answer

    def _torch(self, isBroken: bool) -> Generator[Command, Finished, None]:
        if self._slicer is None:
            raise InputError(
                "torch is installed by the extension PyTorch, which is not there. Install it with the Extensions "
                "Manager and restart Slicer, or choose a folder with wheels."
            )
        if isBroken:  # The extension takes half an install for a whole one.
            uninstall = ("-m", "pip", "uninstall", "--yes", TORCH.name)
            yield Command(
                arguments=uninstall, timeoutSeconds=_SLOWEST_CHECK_S, task=Task.REMOVE, packages=(TORCH.name,)
            )
        with tempfile.TemporaryDirectory(prefix="barl-") as folder:
            script = Path(folder) / "install_torch.py"
            script.write_text(_TORCH.format(versions=TORCH.versions), encoding="utf-8")
            done = yield Command(
                program=self._slicer[0],
                arguments=(*self._slicer[1:], "--python-script", str(script)),
                timeoutSeconds=_SLOWEST_INSTALL_S,
                task=Task.INSTALL,
                packages=(TORCH.name,),
            )
        if self._versionOf(TORCH.name) is None:
            raise JobFailedError(
                "torch could not be installed. Check the connection (and the proxy) and free disk space, and try "
                f"again; or choose a folder with wheels. The last words were:\n{_lastLines(done.output)}"
            )

    def _pip(
        self, requirements: Sequence[Requirement], wheels: Path | None, *, anew: bool
    ) -> Generator[Command, Finished, None]:
        names = [one.specifier for one in requirements]
        with tempfile.TemporaryDirectory(prefix="barl-") as folder:
            constraints = Path(folder) / "constraints.txt"
            constraints.write_text("".join(f"{line}\n" for line in self._constraints()), encoding="utf-8")
            arguments = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--prefer-binary"]
            arguments += ["--constraint", str(constraints)]
            arguments += ["--no-index", "--find-links", str(wheels)] if wheels is not None else []
            # An install that was interrupted may lack the list of files that pip would remove first.
            arguments += ["--ignore-installed", "--no-deps"] if anew else []
            done = yield Command(
                arguments=(*arguments, *names),
                timeoutSeconds=_SLOWEST_INSTALL_S,
                task=Task.INSTALL,
                packages=tuple(one.name for one in requirements),
            )
        if done.code != 0:
            raise JobFailedError(
                f"pip could not install {', '.join(names)}. Nothing of Slicer's was replaced. Check the connection "
                f"(and the proxy) and free disk space, and try again. pip's last words:\n{_lastLines(done.output)}"
            )

    def _constraints(self) -> list[str]:
        return [f"{name}=={version}" for name in PROTECTED if (version := self._versionOf(name)) is not None]

    def _requireAllReady(self) -> Installing:
        packages = yield from self.checking()
        wrong = [one for one in packages if one.state is not PackageState.READY]
        if wrong:
            told = "; ".join(f"{one.requirement.name} is {one.state.value} {one.problem}".strip() for one in wrong)
            raise JobFailedError(f"The installation is not complete: {told}. Try again; if it stays, report it.")
        return packages

    def _package(self, requirement: Requirement, problem: str | None) -> Package:
        version = self._versionOf(requirement.name)
        if version is None:
            return Package(requirement=requirement, state=PackageState.MISSING)
        if problem:
            return Package(requirement=requirement, state=PackageState.BROKEN, version=version, problem=problem)
        state = PackageState.OTHER_VERSION if unfit((requirement,), self._versionOf) else PackageState.READY
        return Package(requirement=requirement, state=state, version=version)


def _importing(modules: Sequence[str]) -> Generator[Command, Finished, dict[str, str]]:
    """What the import of each module said; empty for those that are fine."""
    if not modules:
        return {}
    done = yield Command(arguments=("-c", _CHECK, *modules), timeoutSeconds=_SLOWEST_CHECK_S)
    for line in done.output.splitlines():
        if line.startswith("BARL-CHECK "):
            answer: dict[str, str] = json.loads(line.removeprefix("BARL-CHECK "))
            return answer
    if len(modules) == 1:  # An import can end the whole process, as a damaged library does.
        return {modules[0]: f"its import ended Python with code {done.code}. {_lastLines(done.output)}"}
    found: dict[str, str] = {}
    for module in modules:
        found |= yield from _importing([module])
    return found


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


__all__ = [
    "OTHERS",
    "ChildPython",
    "Finished",
    "InstallLogic",
    "InstallPlan",
    "Installing",
    "Package",
    "PackageState",
    "Runner",
]
