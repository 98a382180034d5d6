"""What is missing, what is told before, how it is installed, and how a half-finished install is found."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from barl.errors import InputError, JobFailedError
from BARLSegmentLib.logic.InstallLogic import ChildPython, Finished, InstallLogic, PackageState
from BARLSegmentLib.logic.Requirements import ALL, OTHERS, PROTECTED, TORCH, installedVersion, isAllowed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GOOD = {one.name: "99.0" for one in OTHERS} | {"torch": "2.13.0+cu126"}
SLICERS = {"numpy": "2.0.2", "SimpleITK": "2.5.0", "vtk": "9.4.2"}


@dataclass
class Computer:
    """Slicer's Python, its packages, and a pip that installs what it is asked for."""

    versions: dict[str, str] = field(default_factory=lambda: dict(SLICERS))
    broken: dict[str, str] = field(default_factory=dict)
    """What the import of a module says."""

    pipFails: bool = False
    calls: list[list[str]] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    torchCalls: list[dict[str, Any]] = field(default_factory=list)

    def versionOf(self, name: str) -> str | None:
        return self.versions.get(name)

    def __call__(self, arguments: Sequence[str], onLine: Callable[[str], None], timeoutSeconds: float) -> Finished:
        self.calls.append(list(arguments))
        if arguments[0] == "-c":
            return self._imports(arguments[2:])
        if "uninstall" in arguments:
            self.versions.pop(arguments[-1], None)
            return Finished(code=0, output="")
        self.constraints = Path(arguments[arguments.index("--constraint") + 1]).read_text().split()
        onLine("Collecting")
        if self.pipFails:
            return Finished(code=1, output="line 1\nERROR: no space left on device")
        for one in ALL:
            if one.specifier in arguments:
                self.versions[one.name] = GOOD[one.name]
                self.broken.pop(one.module, None)
        return Finished(code=0, output="ok")

    def _imports(self, modules: Sequence[str]) -> Finished:
        if any(self.broken.get(module) == "abort" for module in modules):
            return Finished(code=-6, output="Aborted (core dumped)")
        answer = {module: self.broken.get(module, "") for module in modules}
        return Finished(code=0, output="a warning of somebody's\nBARL-CHECK " + json.dumps(answer) + "\n")

    def installTorch(self, askConfirmation: bool = False, **more: Any) -> None:
        self.torchCalls.append({"askConfirmation": askConfirmation, **more})
        self.versions["torch"] = GOOD["torch"]
        self.broken.pop("torch", None)

    def pipCalls(self) -> list[list[str]]:
        return [call for call in self.calls if "install" in call]


@pytest.fixture
def a_fresh_computer() -> Computer:
    """Slicer as it is downloaded."""
    return Computer()


@pytest.fixture
def a_ready_computer() -> Computer:
    """Everything is installed."""
    return Computer(versions=SLICERS | GOOD)


def logicOf(computer: Computer) -> InstallLogic:
    return InstallLogic(runPython=computer, torchInstaller=lambda: computer, versionOf=computer.versionOf)


def wheels(folder: Path) -> Path:
    folder.mkdir()
    for one in ALL:
        (folder / f"{one.name.replace('-', '_')}-1.0-py3-none-any.whl").touch()
    return folder


def states(logic: InstallLogic) -> dict[str, PackageState]:
    return {one.requirement.name: one.state for one in logic.check() if one.state is not PackageState.READY}


def test_size_and_time_are_said_before_anything_is_done(a_fresh_computer: Computer) -> None:
    plan = logicOf(a_fresh_computer).plan()

    assert plan.torch and plan.others == OTHERS
    assert re.search(r"torch, scipy.*up to 3\.\d GB are downloaded.*about 1\d minutes", str(plan))
    assert "window does not answer while torch" in str(plan)
    assert "numpy, SimpleITK, vtk stay as they are" in str(plan)
    assert a_fresh_computer.calls == []


def test_making_the_logic_runs_and_imports_nothing() -> None:
    before = set(sys.modules)

    InstallLogic()

    assert set(sys.modules) - before == set()


def test_torch_comes_through_the_extension_and_the_rest_through_pip(a_fresh_computer: Computer) -> None:
    logic = logicOf(a_fresh_computer)
    said: list[str] = []

    packages = logic.install(logic.plan(), said.append)

    assert a_fresh_computer.torchCalls == [{"askConfirmation": True, "torchVersionRequirement": TORCH.versions}]
    (call,) = a_fresh_computer.pipCalls()
    assert "torch" not in " ".join(call)
    assert call[-len(OTHERS) :] == [one.specifier for one in OTHERS]
    assert said == ["Collecting"]
    assert all(one.state is PackageState.READY for one in packages)
    assert logic.isReady()
    assert logic.plan().isEmpty


def test_pip_is_held_to_the_numpy_simpleitk_and_vtk_of_slicer(a_fresh_computer: Computer) -> None:
    logic = logicOf(a_fresh_computer)

    logic.install(logic.plan())

    assert a_fresh_computer.constraints == ["numpy==2.0.2", "SimpleITK==2.5.0", "vtk==9.4.2"]
    assert set(PROTECTED).isdisjoint(one.name for one in ALL)


def test_an_offline_folder_gives_everything_and_nothing_is_downloaded(
    a_fresh_computer: Computer, tmp_path: Path
) -> None:
    logic, folder = logicOf(a_fresh_computer), wheels(tmp_path / "Räder")
    plan = logic.plan(wheelFolder=folder)
    assert "nothing is downloaded" in str(plan)

    logic.install(plan)

    (call,) = a_fresh_computer.pipCalls()
    assert call[call.index("--no-index") :][:3] == ["--no-index", "--find-links", str(folder)]
    assert TORCH.specifier in call
    assert a_fresh_computer.torchCalls == []


def test_an_offline_folder_that_lacks_a_wheel_is_refused_with_how_to_fetch_it(
    a_fresh_computer: Computer, tmp_path: Path
) -> None:
    folder = wheels(tmp_path / "wheels")
    next(folder.glob("scikit_image*")).unlink()

    with pytest.raises(InputError, match=r"lacks wheels for scikit-image>=0\.22\..*pip download"):
        logicOf(a_fresh_computer).plan(wheelFolder=folder)
    with pytest.raises(InputError, match="is no folder"):
        logicOf(a_fresh_computer).plan(wheelFolder=tmp_path / "nowhere")


def test_a_package_that_cannot_be_imported_is_broken_and_installed_anew(a_ready_computer: Computer) -> None:
    a_ready_computer.broken = {"slicerio": "ModuleNotFoundError: No module named 'slicerio.segmentation'"}
    logic = logicOf(a_ready_computer)
    assert logic.isReady()  # pip's notes do not tell.
    assert states(logic) == {"slicerio": PackageState.BROKEN}

    plan = logic.plan(logic.check())
    logic.install(plan)

    assert plan.repair == ("slicerio",)
    (call,) = a_ready_computer.pipCalls()
    assert "--ignore-installed" in call and call[-1] == "slicerio>=1.1"
    assert states(logic) == {}


def test_a_half_installed_torch_is_removed_first(a_ready_computer: Computer) -> None:
    a_ready_computer.broken = {"torch": "OSError: libtorch_cuda.so: cannot open shared object file"}
    logic = logicOf(a_ready_computer)

    logic.install(logic.plan(logic.check()))

    assert ["-m", "pip", "uninstall", "--yes", "torch"] in a_ready_computer.calls
    assert len(a_ready_computer.torchCalls) == 1


def test_an_import_that_ends_python_is_found_by_its_name(a_ready_computer: Computer) -> None:
    a_ready_computer.broken = {"edt": "abort"}

    (wrong,) = (one for one in logicOf(a_ready_computer).check() if one.state is not PackageState.READY)

    assert wrong.requirement.name == "edt"
    assert "ended Python with code -6" in wrong.problem


def test_a_version_that_is_not_allowed_is_told(a_ready_computer: Computer) -> None:
    a_ready_computer.versions["torch"] = "2.14.0"
    logic = logicOf(a_ready_computer)

    assert not logic.isReady()
    assert states(logic) == {"torch": PackageState.OTHER_VERSION}


def test_pip_that_fails_is_told_with_its_last_words(a_fresh_computer: Computer) -> None:
    a_fresh_computer.pipFails = True
    logic = logicOf(a_fresh_computer)

    with pytest.raises(JobFailedError, match=r"(?s)pip could not install.*ERROR: no space left on device"):
        logic.install(logic.plan())


def test_an_install_that_leaves_something_broken_is_not_called_complete(a_fresh_computer: Computer) -> None:
    logic = logicOf(a_fresh_computer)
    plan = logic.plan()
    a_fresh_computer.installTorch = lambda **more: a_fresh_computer.versions.update(torch="2.13.0")  # type: ignore[method-assign]
    a_fresh_computer.broken = {"torch": "OSError: [WinError 126]"}

    with pytest.raises(JobFailedError, match=r"torch is broken OSError: \[WinError 126\]"):
        logic.install(plan)


def test_without_the_pytorch_extension_the_way_out_is_named(a_fresh_computer: Computer) -> None:
    logic = InstallLogic(runPython=a_fresh_computer, versionOf=a_fresh_computer.versionOf)

    with pytest.raises(InputError, match=r"extension PyTorch.*Extensions Manager"):
        logic.install(logic.plan())
    assert a_fresh_computer.pipCalls() == []


def test_a_declined_or_failed_torch_is_told(a_fresh_computer: Computer) -> None:
    logic = logicOf(a_fresh_computer)
    a_fresh_computer.installTorch = lambda **more: None  # type: ignore[method-assign]
    with pytest.raises(JobFailedError, match="torch was not installed"):
        logic.install(logic.plan())

    def fail(**more: Any) -> None:
        raise RuntimeError("no compatible build")

    a_fresh_computer.installTorch = fail  # type: ignore[method-assign]
    with pytest.raises(JobFailedError, match="could not be installed: no compatible build"):
        logic.install(logic.plan())


@pytest.mark.parametrize(
    ("version", "allowed"),
    [("2.6", True), ("2.6.0+cu126", True), ("2.13.1", True), ("2.5.9", False), ("2.14.0", False), ("2.14", False)],
)
def test_versions_are_compared_as_numbers(version: str, allowed: bool) -> None:
    assert isAllowed(version, TORCH.versions) is allowed


def test_the_list_is_the_engines_own() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    lines = tomllib.loads(text)["project"]["dependencies"]
    engine = {line for line in lines if re.split("[<>=]", line)[0] not in PROTECTED}

    assert {one.specifier for one in ALL} == engine


def test_the_real_child_process_tells_what_cannot_be_imported() -> None:
    logic = InstallLogic(runPython=ChildPython(sys.executable))

    problems = logic._imports(["json", "no_such_module_of_barl"])

    assert problems["json"] == ""
    assert problems["no_such_module_of_barl"].startswith("ModuleNotFoundError")


def test_a_python_that_is_not_there_or_too_slow_is_told() -> None:
    with pytest.raises(JobFailedError, match="Cannot start /no/python"):
        ChildPython("/no/python")([], print, 1.0)
    with pytest.raises(JobFailedError, match="did not finish within"):
        ChildPython(sys.executable)(["-c", "import time; time.sleep(30)"], print, 0.5)


def test_lines_are_told_as_they_come() -> None:
    code = "import time; print('ä', flush=True); time.sleep(0.6); print('b')"
    heard: list[tuple[str, float]] = []

    done = ChildPython(sys.executable)(["-c", code], lambda line: heard.append((line, time.monotonic())), 60.0)

    assert (done.code, done.output) == (0, "ä\nb")
    assert heard[1][1] - heard[0][1] > 0.3


def test_pips_notes_are_read_without_importing() -> None:
    assert installedVersion("numpy") is not None
    assert installedVersion("no-such-package-of-barl") is None
