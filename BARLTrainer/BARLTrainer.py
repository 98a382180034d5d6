"""BARLTrainer: the engineer's view of BARL: rounds and their curves, methods and settings, disk use, the computer.

This file holds what Slicer looks for by name. The work is in ``BARLTrainerLib`` and, for logic on jobs, in
``BARLSegmentLib``; the engine is the package ``barl`` beside this file.
"""

import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class BARLTrainer(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "BARL Trainer"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The BARL developers (BARL)"]
        parent.helpText = _(
            "Rounds of a cohort's training with their curves and scores side by side, methods with all their settings, "
            "export of models, disk use, what this computer can do, and the installation of the packages that BARL "
            "needs, also without internet. Annotating and training for clinicians is in the module BARL Segment. Not "
            "for clinical use."
        )
        parent.helpText += self.getDefaultModuleDocumentationLink("https://github.com/SlicerBARL/SlicerBARL#readme")
        parent.acknowledgementText = _(
            "BARL's methods are from published work; the README says how to cite each of them. PyTorch is installed "
            "through the extension PyTorch of Fernando Pérez-García."
        )


class BARLTrainerWidget(ScriptedLoadableModuleWidget):
    """The shell around the panels."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic = None
        self.panel = None

    def setup(self):
        """Build the panels once."""
        ScriptedLoadableModuleWidget.setup(self)
        addSegmentPath(__file__)
        from BARLTrainerLib.widgets.TrainerPanel import TrainerPanel

        self.logic = BARLTrainerLogic()
        self.panel = TrainerPanel(self.logic, handToSegment, self._loadUi)
        self.layout.addWidget(self.panel.widget)

    def enter(self):
        """The user comes to the module: files may have changed, and another module may have opened a cohort."""
        if self.panel is None:
            return
        opened = _cohortOfSegment()
        if self.panel.cohort.cohort is None and opened is not None:
            self.panel.open(str(opened.folder))
        self.panel.refresh()

    def cleanup(self):
        """The widget goes away."""
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = self.logic = None

    def onReload(self):
        """Read all files of the module again, not only this one."""
        from BARLSegmentLib.Reloading import forgetPackages

        forgetPackages("BARLTrainerLib", "BARLSegmentLib", "barl")
        ScriptedLoadableModuleWidget.onReload(self)

    def _loadUi(self, name):
        return slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))


class BARLTrainerLogic(ScriptedLoadableModuleLogic):
    """What the panels ask for, and the Python console may, too."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        from BARLSegmentLib.Examination import Examination
        from BARLSegmentLib.logic.ChildPython import ChildPython
        from BARLSegmentLib.logic.InstallLogic import InstallLogic
        from BARLSegmentLib.logic.JobProcesses import DetachedProcesses
        from BARLSegmentLib.logic.PythonProgram import pythonProgram, withBarl
        from BARLSegmentLib.logic.TrainLogic import TrainLogic
        from BARLTrainerLib.logic.OpenCohort import OpenCohort
        from BARLTrainerLib.logic.RoundCurves import RoundCurves
        from BARLTrainerLib.logic.RoundsLogic import RoundsLogic

        environment = slicer.util.startupEnvironment()
        self.cohort = OpenCohort()
        self.train = TrainLogic(DetachedProcesses(pythonProgram(), environment=environment))
        self.rounds = RoundsLogic(self.train)
        self.curves = RoundCurves(slicer.mrmlScene)
        self.examination = Examination(pythonProgram(), environment=environment)
        self.python = ChildPython(environment=withBarl(environment))
        self.install = InstallLogic(runPython=self.python, slicerWithTorchUtils=_slicerWithTorchUtils())


class BARLTrainerTest(ScriptedLoadableModuleTest):
    """The module's tests in the application: *Reload and Test* runs them."""

    def runTest(self):
        """Run the tests of ``Testing/Python``, when the sources are there."""
        import unittest

        folder = Path(__file__).parent / "Testing" / "Python"
        result = unittest.TextTestRunner(verbosity=2).run(
            unittest.defaultTestLoader.discover(str(folder), pattern="*InSlicer.py")
        )
        self.assertTrue(result.wasSuccessful())


def _slicerWithTorchUtils():
    """Command of a second Slicer that installs torch while this one lives; None without the extension PyTorch."""
    import importlib.util

    if importlib.util.find_spec("PyTorchUtils") is None:
        return None
    program = slicer.app.launcherExecutableFilePath or slicer.app.applicationFilePath()
    return (program, "--no-splash", "--no-main-window", "--ignore-slicerrc")


def _cohortOfSegment():
    """The cohort that is open in BARL Segment, or None."""
    widget = getattr(slicer.modules, "BARLSegmentWidget", None)
    logic = widget.logic if widget is not None else None
    return logic.cohort.cohort if logic is not None and logic.cohort.isOpen else None


def handToSegment(wish, cohort):
    """Open BARL Segment with a cohort and what a training of it is to be."""
    slicer.util.selectModule("BARLSegment")
    segment, known = slicer.modules.BARLSegmentWidget, _cohortOfSegment()
    if cohort is not None and (known is None or known.folder != cohort.folder):
        segment.panel.cohort.open(str(cohort.folder))
    segment.panel.train.take(wish)
    segment.panel.show(segment.panel.ui.trainStep)


def addSegmentPath(moduleFile):
    """Make ``import BARLSegmentLib`` work when only this module's folder is among the additional module paths."""
    import importlib.util

    beside = Path(moduleFile).resolve().parents[1] / "BARLSegment"
    if importlib.util.find_spec("BARLSegmentLib") is None and (beside / "BARLSegmentLib").is_dir():
        sys.path.append(str(beside))
