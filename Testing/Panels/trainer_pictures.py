"""Pictures of the engineer's module for docs/engineer.md; rounds and computer are made up.

python Testing/Panels/trainer_pictures.py docs/images/engineer [dark]
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(HERE), str(ROOT / "BARLSegment"), str(ROOT / "BARLTrainer")]

import numpy as np  # noqa: E402
from PySide6 import QtWidgets  # noqa: E402
from standin.install import StandIn, installed  # noqa: E402
from trainer_study import aModel  # noqa: E402
from tutorial_pictures import useTheme  # noqa: E402

from barl.cohort import Cohort, Coverage, LabelTable, Modality  # noqa: E402
from barl.imaging import write_volume  # noqa: E402
from barl.jobs import EventWriter, JobSpec, State, Status, write_spec, write_status  # noqa: E402
from barl.phantom.cohort import centered_geometry  # noqa: E402

_WIDTH = 470
_STRUCTURES = {"jaw": 0.1, "teeth": 0.0, "canal": -0.12}
_FINDINGS = {
    "barl": "0.1.0",
    "python": "3.12.10",
    "system": "Windows 11 AMD64",
    "cores": "16",
    "memory (GiB)": "31.7",
    "memory free (GiB)": "18.2",
    "disk free (GiB)": "412.5",
    "devices": "none",
    "torch": "not installed",
}
_PROBLEM = "torch cannot be loaded (ModuleNotFoundError): cohorts work, training and prediction do not."


def makeStudy(folder: Path) -> Cohort:
    """A cohort with three rounds whose curves are drawn by hand."""
    cohort = Cohort.create(
        folder / "jaws", name="Jaws", modality=Modality.CBCT, labels=LabelTable.from_names(list(_STRUCTURES))
    )
    for number in range(6):
        path = folder / f"scan_{number + 1:02d}.nrrd"
        write_volume(path, np.zeros((8, 8, 8), np.int16), centered_geometry((8, 8, 8), 1.0))
        cohort.add_case(path)
    cohort.add_annotation("scan_01", _bytes(400_000), coverage=Coverage(), author="anna")
    _makeRound(cohort, "supervised", top=0.74, steps=500, cases=1, state=State.FINISHED)
    _makeRound(cohort, "barl", top=0.81, steps=500, cases=5, state=State.FINISHED)
    _makeRound(cohort, "mean_teacher", top=0.78, steps=300, cases=5, state=State.STOPPED)
    _bytes(44_000_000)(cohort.folder / "cache" / "prepared.npy")
    return cohort


def _makeRound(cohort: Cohort, method: str, *, top: float, steps: int, cases: int, state: State) -> None:
    folder = cohort.new_round()
    write_spec(folder, JobSpec(kind="train", payload={"cohort": str(cohort.folder), "method": method, "minutes": 20}))
    write_status(folder, Status(state=state, percent=100.0))
    chance, events = np.random.default_rng(0), EventWriter(folder)
    events.write("started")
    for step in range(5, steps + 1, 5):
        events.write("metric", step=step, loss=1.6 * math.exp(-step / 120) + 0.25 + 0.04 * chance.normal())
        if step % 50 == 0:
            mean = top * (1 - math.exp(-step / 110))
            scores = {name: mean + more for name, more in _STRUCTURES.items()}
            events.write("metric", step=step, dice=mean, dice_by_class=scores, validation_cases=cases)
    aModel(folder, b"w" * 3_400_000)
    _bytes(9_000_000)(folder / "predictions" / "scan_03.seg.nrrd")
    _bytes(21_000_000)(folder / "checkpoints" / "newest.pt")


def _bytes(count: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * count)

    return write


class Camera:
    """Takes pictures of the column, just as high as it needs to be.

    Args:
        standin: the application.
        widget: the module's widget.
        folder: where pictures go.
    """

    def __init__(self, standin: StandIn, widget: Any, folder: Path) -> None:
        self._standin, self._folder = standin, folder
        self._body = standin.binding.unwrap(widget)
        self._body.resize(_WIDTH, 700)
        self._body.show()

    def take(self, name: str) -> None:
        """Write ``<name>.png``."""
        self._standin.application.process(0.3)
        for _ in range(4):  # What is nested tells its size to what holds it, one level at a time.
            QtWidgets.QApplication.processEvents()
            self._body.resize(_WIDTH, self._body.sizeHint().height())
        self._folder.mkdir(parents=True, exist_ok=True)
        self._body.grab().toImage().save(str(self._folder / f"{name}.png"))


def takeAll(standin: StandIn, study: Cohort, folder: Path) -> None:
    """The four sections."""
    standin.application.load(ROOT / "BARLTrainer" / "BARLTrainer.py")
    widget = standin.application.widget("BARLTrainer")
    panel, camera = widget.panel, Camera(standin, widget.parent, folder)
    panel.diagnostics.examine = lambda: None  # The computer is made up.
    panel.open(str(study.folder))
    _showRounds(panel)
    camera.take("1-rounds")
    _only(panel, panel.ui.methodStep)
    _showMethod(panel.methods.ui)
    camera.take("2-method")
    _only(panel, panel.ui.diskStep)
    standin.application.process(0.3)
    _askToDelete(panel.disk.ui)
    camera.take("3-disk")
    _only(panel, panel.ui.diagnosticsStep)
    _showComputer(panel.diagnostics)
    camera.take("4-diagnostics")


def _only(panel: Any, step: Any) -> None:
    for each in (panel.ui.roundsStep, panel.ui.methodStep, panel.ui.diskStep, panel.ui.diagnosticsStep):
        each.collapsed = each is not step


def _showRounds(panel: Any) -> None:
    table = panel.rounds.ui.roundTable
    for row in range(table.rowCount):
        for column in range(table.columnCount):
            table.item(row, column).setSelected(True)
    panel.rounds.ui.exportPath.currentPath = "/data/for colleagues"


def _showMethod(ui: Any) -> None:
    ui.groupCombo.currentIndex = 2
    ui.settingTable.item(0, 1).setText("24")
    ui.groupCombo.currentIndex = 1
    ui.settingTable.item(0, 1).setText("0.05")


def _askToDelete(ui: Any) -> None:
    rows = [ui.partTable.item(row, 0).text() for row in range(ui.partTable.rowCount)]
    ui.partTable.setCurrentCell(rows.index("Round 1"), 0)
    ui.deleteButton.click()


def _showComputer(panel: Any) -> None:
    from BARLSegmentLib.Examination import Findings
    from BARLSegmentLib.logic.InstallLogic import InstallLogic

    panel.state.findings = Findings(facts=tuple(_FINDINGS.items()), device="", problems=(_PROBLEM,))
    panel.install = InstallLogic(versionOf=lambda name: None)
    panel.ui.installButton.click()


def main() -> None:
    """Make the study, take the pictures, remove the study."""
    desk = Path(tempfile.gettempdir()) / "clinic"
    shutil.rmtree(desk, ignore_errors=True)
    desk.mkdir()
    try:
        with installed("5.10") as standin:
            useTheme(dark="dark" in sys.argv[2:])
            takeAll(standin, makeStudy(desk), Path(sys.argv[1]).absolute())
            assert standin.binding.problems == []
    finally:
        shutil.rmtree(desk, ignore_errors=True)


if __name__ == "__main__":
    main()
