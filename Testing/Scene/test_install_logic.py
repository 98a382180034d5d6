"""What is missing, what is told before, how it is installed, and how a half-finished install is found."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from barl.errors import InputError, JobFailedError
from barl.jobs.processes import family, wait_until_dead
from BARLSegmentLib.logic.ChildPython import ChildPython, Command, Finished
from BARLSegmentLib.logic.Installation import Installation
from BARLSegmentLib.logic.InstallLogic import InstallLogic, PackageState, _importing
from BARLSegmentLib.logic.Requirements import ALL, OTHERS, PROTECTED, TORCH, installedVersion, isAllowed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GOOD = {one.name: "99.0" for one in OTHERS} | {"torch": "2.13.0+cu126"}
CHILD = ChildPython(sys.executable)
SLICER = ("/opt/Slicer", "--no-main-window")
SLICERS = {"numpy": "2.0.2", "SimpleITK": "2.5.0", "vtk": "9.4.2"}


@dataclass
class Computer:
    """Slicer's Python, its packages, and a pip that installs what it is asked for."""

    versions: dict[str, str] = field(default_factory=lambda: dict(SLICERS))
    broken: dict[str, str] = field(default_factory=dict)
    """What the import of a module says."""

    pipFails: bool = False
    staysBroken: bool = False
    calls: list[list[str]] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    torchFails: str = ""
    """What the second Slicer prints when it cannot install torch."""

    scripts: list[str] = field(default_factory=list)
    """What that Slicer was told to run."""

    def versionOf(self, name: str) -> str | None:
        return self.versions.get(name)

    def __call__(self, command: Command, onLine: Callable[[str], None]) -> Finished:
        arguments = command.arguments
        if command.program is not None:
            return self._secondSlicer([command.program, *arguments])
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
                if not self.staysBroken:
                    self.broken.pop(one.module, None)
        return Finished(code=0, output="ok")

    def _imports(self, modules: Sequence[str]) -> Finished:
        if any(self.broken.get(module) == "abort" for module in modules):
            return Finished(code=-6, output="Aborted (core dumped)")
        answer = {module: self.broken.get(module, "") for module in modules}
        return Finished(code=0, output="a warning of somebody's\nBARL-CHECK " + json.dumps(answer) + "\n")

    def _secondSlicer(self, line: list[str]) -> Finished:
        assert tuple(line[:-1]) == (*SLICER, "--python-script")
        self.scripts.append(Path(line[-1]).read_text(encoding="utf-8"))
        if self.torchFails:
            return Finished(code=1, output=self.torchFails)
        self.versions["torch"] = GOOD["torch"]
        self.broken.pop("torch", None)
        return Finished(code=0, output="")

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
    return InstallLogic(runPython=computer, slicerWithTorchUtils=SLICER, versionOf=computer.versionOf)


def python(code: str, timeoutSeconds: float = 60.0) -> Command:
    return Command(arguments=("-c", code), timeoutSeconds=timeoutSeconds)


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
    assert "You can go on working meanwhile" in str(plan)
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

    assert len(a_fresh_computer.scripts) == 1
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
    assert a_fresh_computer.scripts == []


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
    assert len(a_ready_computer.scripts) == 1


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
    a_fresh_computer.broken = {"skimage": "OSError: [WinError 126]"}
    a_fresh_computer.staysBroken = True

    with pytest.raises(JobFailedError, match=r"scikit-image is broken OSError: \[WinError 126\]"):
        logic.install(plan)


def test_without_the_pytorch_extension_the_way_out_is_named(a_fresh_computer: Computer) -> None:
    logic = InstallLogic(runPython=a_fresh_computer, versionOf=a_fresh_computer.versionOf)

    with pytest.raises(InputError, match=r"extension PyTorch.*Extensions Manager"):
        logic.install(logic.plan())
    assert a_fresh_computer.pipCalls() == []


def test_a_torch_that_could_not_be_installed_is_told_with_what_was_printed(a_fresh_computer: Computer) -> None:
    a_fresh_computer.torchFails = "RuntimeError: no compatible build"
    logic = logicOf(a_fresh_computer)

    with pytest.raises(JobFailedError, match=r"(?s)torch could not be installed.*no compatible build"):
        logic.install(logic.plan())
    assert a_fresh_computer.pipCalls() == []


def test_what_the_second_slicer_runs_asks_the_extension_for_the_allowed_torch_and_ends(
    a_fresh_computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    logic = logicOf(a_fresh_computer)
    logic.install(logic.plan())
    asked: list[dict[str, Any]] = []
    codes: list[int] = []
    extension = SimpleNamespace(installTorch=lambda **options: asked.append(options))
    slicer = SimpleNamespace(util=SimpleNamespace(exit=codes.append))
    monkeypatch.setitem(sys.modules, "slicer", slicer)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=lambda: extension))

    exec(a_fresh_computer.scripts[0], {})
    assert asked == [{"askConfirmation": False, "torchVersionRequirement": TORCH.versions}]

    del extension.installTorch
    exec(a_fresh_computer.scripts[0], {})
    assert codes == [0, 1]


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
    logic = InstallLogic(runPython=CHILD)

    problems = logic._through(_importing(["json", "no_such_module_of_barl"]), lambda line: None)

    assert problems["json"] == ""
    assert problems["no_such_module_of_barl"].startswith("ModuleNotFoundError")


def test_a_python_that_is_not_there_or_too_slow_is_told() -> None:
    with pytest.raises(JobFailedError, match="Cannot start /no/python"):
        ChildPython("/no/python")(python("pass"), print)
    with pytest.raises(JobFailedError, match="did not finish within"):
        CHILD(python("import time; time.sleep(30)", 0.5), print)


def test_lines_are_told_as_they_come() -> None:
    code = "import time; print('ä', flush=True); time.sleep(0.6); print('b')"
    heard: list[tuple[str, float]] = []

    done = CHILD(python(code), lambda line: heard.append((line, time.monotonic())))

    assert (done.code, done.output) == (0, "ä\nb")
    assert heard[1][1] - heard[0][1] > 0.3


def test_pips_notes_are_read_without_importing() -> None:
    assert installedVersion("numpy") is not None
    assert installedVersion("no-such-package-of-barl") is None


def ended(installation: Installation) -> None:
    """Look until it is over."""
    for _ in range(600):
        if installation.look():
            return
        time.sleep(0.1)
    raise AssertionError("it does not end")


def commandsOf(*codes: str, told: list[Finished] | None = None) -> Any:
    """Steps that keep how each command ended."""
    for code in codes:
        done = yield python(code)
        if told is not None:
            told.append(done)


def test_an_installation_runs_one_command_after_the_other_and_waits_for_none() -> None:
    told: list[Finished] = []
    steps = commandsOf("import time; print('ä'); time.sleep(2.0)", "raise SystemExit(2)", told=told)
    installation = Installation(steps, CHILD)
    begun = time.monotonic()
    installation.start()
    assert not installation.look()
    assert time.monotonic() - begun < 2.0

    ended(installation)

    assert [(each.code, each.output.strip()) for each in told] == [(0, "ä"), (2, "")]


def test_an_installation_tells_the_last_line_that_was_printed() -> None:
    steps = commandsOf("import time; print('one'); print('two ä', flush=True); time.sleep(60)")
    installation = Installation(steps, CHILD)
    installation.start()
    for _ in range(300):
        installation.look()
        if installation.lastLine:
            break
        time.sleep(0.1)
    installation.stop()

    assert installation.lastLine == "two ä"


def test_what_a_stopped_installation_had_started_is_ended_with_it() -> None:
    child = "import time; print(1, flush=True); time.sleep(600)"
    installation = Installation(
        commandsOf(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"), CHILD
    )
    installation.start()
    while not installation.lastLine:
        installation.look()
        time.sleep(0.05)
    assert installation._process is not None
    members = family(installation._process._process.pid)

    installation.stop()

    assert len(members) == 2
    assert wait_until_dead(members, 10.0)


def test_a_command_of_an_installation_that_takes_too_long_is_ended_and_told() -> None:
    def tooSlow() -> Any:
        yield python("import time; time.sleep(60)", 0.2)

    installation = Installation(tooSlow(), CHILD)
    installation.start()
    with pytest.raises(JobFailedError, match="did not finish within"):
        ended(installation)


def test_an_installation_by_a_program_that_is_not_there_is_told() -> None:
    installation = Installation(commandsOf("pass"), ChildPython("/no/python"))

    with pytest.raises(JobFailedError, match="Cannot start /no/python"):
        installation.start()
