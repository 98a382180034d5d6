"""slicer.app, slicer.modules and the scene: one application for a test run, emptied between tests."""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import slicer_core
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from standin.binding import Binding


class qSlicerApplication(QtWidgets.QApplication):
    """The body of slicer.app."""

    startupCompleted = Signal()
    mrmlSceneChanged = Signal(object)

    def __init__(self) -> None:
        super().__init__(["Slicer"])
        self.setStyle("Fusion")
        self.scene: Any = None
        self.logic: Any = None
        self.managers = (qSlicerModuleManager(), qSlicerLayoutManager())
        self.directory = tempfile.mkdtemp(prefix="standin-")
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)

    def mrmlScene(self) -> Any:
        return self.scene

    def applicationLogic(self) -> Any:
        return self.logic

    def moduleManager(self) -> Any:
        return self.managers[0]

    def layoutManager(self) -> Any:
        return self.managers[1]

    def settings(self) -> QtCore.QSettings:
        return QtCore.QSettings(f"{self.directory}/settings.ini", QtCore.QSettings.IniFormat)

    userSettings = revisionUserSettings = settings

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def testingEnabled(self) -> bool:
        return True

    def logUsageEvent(self, component: str, event: str) -> None:
        """Nothing is counted."""

    temporaryPath = Property(str, lambda self: self.directory, lambda self, value: None)
    launcherExecutableFilePath = Property(str, lambda self: "", None)
    slicerHome = Property(str, lambda self: str(Path(sys.executable).parent), None)
    majorVersion = Property(int, lambda self: 5, None)
    isInstalled = Property(bool, lambda self: True, None)
    os = Property(str, lambda self: "linux", None)


class qSlicerModuleManager(QtCore.QObject):
    """The body of slicer.app.moduleManager()."""

    moduleLoaded = Signal(str)
    moduleAboutToBeUnloaded = Signal(str)


class qSlicerLayoutManager(QtCore.QObject):
    """The body of slicer.app.layoutManager(): there are slice nodes in the scene, and no views."""

    layoutChanged = Signal(int)
    OVERLOADS: ClassVar = {"layoutChanged(int)": "layoutChanged"}

    def sliceViewNames(self) -> list[str]:
        return ["Red", "Green", "Yellow"]

    def setLayout(self, layout: int) -> None:
        self.layoutChanged.emit(layout)

    def resetSliceViews(self) -> None:
        """There are no views."""


class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The body of a module's ``parent``: what the module says about itself."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.said: dict[str, Any] = {}

    def _said(name: str, kind: Any) -> Any:
        return Property(kind, lambda self: self.said.get(name), lambda self, value: self.said.update({name: value}))

    title = _said("title", str)
    helpText = _said("helpText", str)
    acknowledgementText = _said("acknowledgementText", str)
    categories = _said("categories", "QStringList")
    contributors = _said("contributors", "QStringList")
    dependencies = _said("dependencies", "QStringList")
    icon = _said("icon", "QIcon")
    hidden = _said("hidden", bool)
    path = Property(str, lambda self: self.said.get("path", ""))
    index = _said("index", int)


BODIES: dict[str, type] = {
    body.__name__: body
    for body in (qSlicerApplication, qSlicerModuleManager, qSlicerLayoutManager, qSlicerScriptedLoadableModule)
}


class Modules:
    """``slicer.modules``: logics of slicer-core on the scene, and the scripted modules that were loaded."""

    def __init__(self, scene: Any, applicationLogic: Any) -> None:
        self._scene, self._application = scene, applicationLogic
        self._logics: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        kind = getattr(slicer_core, _LOGICS.get(name, ""), None)
        if kind is None:
            raise AttributeError(f"slicer.modules has no {name}")
        if name not in self._logics:
            logic = kind()
            logic.SetMRMLApplicationLogic(self._application)
            logic.SetMRMLScene(self._scene)
            self._logics[name] = logic
        return SimpleNamespace(logic=lambda: self._logics[name])


_LOGICS = {
    name.removeprefix("vtkSlicer").removesuffix("Logic").removesuffix("Module").lower(): name
    for name in dir(slicer_core)
    if name.startswith("vtkSlicer") and name.endswith("Logic") and isinstance(getattr(slicer_core, name), type)
}
_LOGICS["colors"] = "vtkSlicerColorLogic"
_LOGICS["transforms"] = "vtkSlicerTransformLogic"


class Application:
    """What a test works with: load a module, show its panel, look at what went wrong."""

    def __init__(self, binding: Binding, body: qSlicerApplication, slicer: Any) -> None:
        self._binding, self._body, self._slicer = binding, body, slicer
        self._widgets: dict[str, Any] = {}
        self._paths: dict[str, Path] = {}
        self.newScene()

    def newScene(self) -> Any:
        """An empty scene with three slice views, as after the start of Slicer."""
        scene = slicer_core.vtkMRMLScene()
        self._slicer.mrmlScene = scene
        self._body.scene = scene
        logic = slicer_core.vtkMRMLApplicationLogic()
        logic.SetSliceLogics(vtk.vtkCollection())
        logic.SetHomeDirectory(self._body.directory)
        logic.SetShareDirectory(self._body.directory)
        logic.SetMRMLScene(scene)
        self._body.logic = logic
        self._slicer.modules = Modules(scene, logic)
        for name in ("colors", "segmentations", "plots", "tables"):  # These modules register classes of nodes.
            getattr(self._slicer.modules, name)
        slicer_core.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        for view, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
            _add_slice_view(scene, view, orientation)
        return scene

    def load(self, path: Path) -> Any:
        """Run the file of a scripted module as the module factory does; returns the module object."""
        name = path.stem
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[name] = loaded
        sys.path.insert(0, str(path.parent))
        spec.loader.exec_module(loaded)
        parent = self._slicer.qSlicerScriptedLoadableModule()
        self._binding.unwrap(parent).said["path"] = str(path)
        instance = getattr(loaded, name)(parent)
        setattr(self._slicer.modules, f"{name}Instance", instance)
        self._paths[name] = path
        return instance

    def widget(self, name: str) -> Any:
        """The panel of a loaded module, set up once."""
        if name not in self._widgets:
            qt = sys.modules["qt"]
            parent = qt.QWidget()
            qt.QVBoxLayout(parent)
            widget = getattr(sys.modules[name], f"{name}Widget")(parent)
            self._widgets[name] = widget
            setattr(self._slicer.modules, f"{name}Widget", widget)
            widget.setup()
        return self._widgets[name]

    def reload(self, name: str) -> Any:
        """What ``slicer.util.reloadScriptedModule`` does: run the file, clean up, make the widget anew."""
        old = self._widgets.pop(name, None)
        spec = importlib.util.spec_from_file_location(name, self._paths[name])
        assert spec is not None and spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[name] = loaded
        spec.loader.exec_module(loaded)
        if old is not None:
            old.cleanup()
        return self.widget(name)

    def close(self) -> None:
        """Close the panels and forget the modules."""
        for name, widget in self._widgets.items():
            widget.cleanup()
            widget.parent.deleteLater()
            delattr(self._slicer.modules, f"{name}Widget")
        self._widgets = {}
        for path in self._paths.values():
            sys.path.remove(str(path.parent))
        self._paths = {}
        # A scene that Python's garbage collector deletes must call nobody: that would end the process.
        self._body.scene.RemoveAllObservers()
        self._body.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)

    def process(self, seconds: float = 0.0) -> None:
        """Let timers and events run."""
        if seconds:
            loop = QtCore.QEventLoop()
            QtCore.QTimer.singleShot(round(1000 * seconds), loop.quit)
            loop.exec()
        self._body.processEvents()


def _add_slice_view(scene: Any, view: str, orientation: str) -> None:
    for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"):
        node = scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetLayoutName(view)
        node.SetSingletonTag(view)
        scene.AddNode(node)
        if kind == "vtkMRMLSliceNode":
            node.SetName(view)
            node.SetOrientation(orientation)
