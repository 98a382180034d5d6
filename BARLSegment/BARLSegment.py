"""BARLSegment: segment a whole cohort from a few annotated volumes, without leaving Slicer.

This file holds what Slicer looks for by name. The work is in ``BARLSegmentLib``: ``logic`` and ``widgets``.
"""

import getpass
from pathlib import Path
from typing import Annotated

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from BARLSegmentLib.Reloading import addEnginePath, forgetPackages

addEnginePath(__file__)


class BARLSegment(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "BARL Segment"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The BARL developers (BARL)"]
        parent.helpText = _(
            "Segment a whole cohort of CBCT, CT or MR volumes from a few annotated ones: annotate two to five, train "
            "on this computer while you go on annotating, and review the places where the model is unsure. Nothing "
            "leaves the computer. Not for clinical use."
        )
        parent.helpText += self.getDefaultModuleDocumentationLink("https://github.com/SlicerBARL/SlicerBARL#readme")
        parent.acknowledgementText = _(
            "The methods are from published work: BARL (Gao, Wang and Yu 2025), Dual Networks (Lu et al.), SemiGDA and "
            "DBiSL; the README says how to cite each of them, and how close BARL's versions are. V-Net: Milletari et "
            "al. 2016. The label colors for jaws are those of DentalSegmentator."
        )
        self.parameterNodes = []
        """All that were connected. Slicer 5.10 leaves an observer behind when one is disconnected: what it calls must
        outlive the panel, or Python's collector takes it away and the next change of the node ends the program."""
        slicer.app.connect("startupCompleted()", self.registerSampleData)

    def registerSampleData(self):
        """Add the tutorial's scans to the Sample Data module."""
        from BARLSegmentLib.SampleScans import registerSampleData

        registerSampleData(Path(self.resourcePath("Icons")), lambda source: loadSampleScans())


@parameterNodeWrapper
class BARLSegmentParameterNode:
    """What belongs to the scene; the cohort's folder holds all the rest."""

    cohortFolder: str
    overlayOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    overlayThreshold: Annotated[float, WithinRange(0.0, 1.0)] = 0.2


class BARLSegmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The shell: makes the panels, and tells them when the module is entered, left, or loses its scene."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._parameters = None

    def setup(self):
        """Build the panels once."""
        ScriptedLoadableModuleWidget.setup(self)
        from BARLSegmentLib.widgets.SegmentPanel import SegmentPanel

        self.logic = BARLSegmentLogic()
        self.panel = SegmentPanel(self.logic, self._loadUi, Path(self.resourcePath("")))
        self.layout.addWidget(self.panel.widget)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.panel.enter(self._parameterNode())

    def enter(self):
        """The user comes to the module."""
        if self.panel is not None:
            self.panel.enter(self._parameterNode())

    def exit(self):
        """The user leaves the module; a training goes on."""
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """The widget goes away: every connection and observation is undone."""
        self.removeObservers()
        if self.panel is not None:
            self.panel.cleanup()
            self.logic.cleanup()
            self.panel = self.logic = None

    def onSceneStartClose(self, caller, event):
        """The scene's nodes are about to go."""
        self.panel.exit()

    def onSceneEndClose(self, caller, event):
        """The scene is empty; the cohort on disk is not."""
        self.panel.enter(self._parameterNode())

    def onReload(self):
        """Read all files of the module again, not only this one."""
        forgetPackages("BARLSegmentLib", "barl")
        ScriptedLoadableModuleWidget.onReload(self)

    def _loadUi(self, name):
        return slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))

    def _parameterNode(self):
        node = self.logic.getParameterNode()
        if self._parameters is None or self._parameters.parameterNode is not node:
            self._parameters = BARLSegmentParameterNode(node)
            slicer.modules.BARLSegmentInstance.parameterNodes.append(self._parameters)
        return self._parameters


class BARLSegmentLogic(ScriptedLoadableModuleLogic):
    """The logics of the module on Slicer's scene, for the panels and for the Python console."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        from BARLSegmentLib.Examination import Examination
        from BARLSegmentLib.logic.BatchLogic import BatchLogic
        from BARLSegmentLib.logic.CohortLogic import CohortLogic
        from BARLSegmentLib.logic.CorrectionLogic import CorrectionLogic
        from BARLSegmentLib.logic.JobProcesses import DetachedProcesses
        from BARLSegmentLib.logic.MonitorLogic import MonitorLogic
        from BARLSegmentLib.logic.OverlayLogic import OverlayLogic
        from BARLSegmentLib.logic.PythonProgram import pythonProgram
        from BARLSegmentLib.logic.ResultLogic import ResultLogic
        from BARLSegmentLib.logic.ReviewLogic import ReviewLogic
        from BARLSegmentLib.logic.TrainLogic import TrainLogic

        self.scene = slicer.mrmlScene
        processes = DetachedProcesses(pythonProgram(), environment=slicer.util.startupEnvironment())
        self.correction = CorrectionLogic(self.scene, author=getpass.getuser())
        # Nothing unsaved leaves the scene before it is a draft.
        self.cohort = CohortLogic(self.scene, beforeRemoval=self.correction.secure)
        self.train = TrainLogic(processes)
        self.examination = Examination(pythonProgram(), environment=slicer.util.startupEnvironment())
        self.monitor = MonitorLogic(self.scene)
        self.results = ResultLogic(self.scene)
        self.overlay = OverlayLogic(self.scene)
        self.review = ReviewLogic(self.scene)
        self.batch = BatchLogic(self.scene, launchJob=processes.launch)

    def startWork(self, request):
        """Begin what takes long, in a process of its own; see ``CohortWork``."""
        from BARLSegmentLib.logic.ChildWork import ChildWork
        from BARLSegmentLib.logic.PythonProgram import pythonProgram

        return ChildWork(request, python=pythonProgram(), environment=slicer.util.startupEnvironment())

    def loadSampleScans(self):
        """Add the tutorial's synthetic scans to the scene; returns their nodes."""
        return loadSampleScans()

    def cleanup(self):
        """Undo all observations; unsaved drawing is kept as drafts, and a training goes on."""
        for part in (self.review, self.overlay, self.monitor, self.correction, self.cohort):
            part.cleanup()


def loadSampleScans():
    """Add the tutorial's synthetic scans to the scene; returns their nodes."""
    from barl.imaging import Volume
    from BARLSegmentLib import SampleScans
    from BARLSegmentLib.logic.VolumeNodes import addVolumeNode

    return SampleScans.loadSampleScans(
        lambda name, array, geometry: addVolumeNode(slicer.mrmlScene, Volume(array=array, geometry=geometry), name)
    )


class BARLSegmentTest(ScriptedLoadableModuleTest):
    """The module's tests in the application: *Reload and Test* runs them."""

    def runTest(self):
        """Run the tests of ``Testing/Python``, when the sources are there."""
        import unittest

        folder = Path(__file__).parent / "Testing" / "Python"
        result = unittest.TextTestRunner(verbosity=2).run(
            unittest.defaultTestLoader.discover(str(folder), pattern="*InSlicer.py")
        )
        self.assertTrue(result.wasSuccessful())
