"""ScriptedLoadableModule and its three companions, as far as the modules use them."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any


class ScriptedLoadableModule:
    """What a module says about itself."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = parent.helpText = parent.acknowledgementText = ""
        parent.categories, parent.dependencies, parent.contributors = [], [], []
        icon = self.resourcePath(f"Icons/{self.moduleName}.png")
        if Path(icon).is_file():
            import qt

            parent.icon = qt.QIcon(icon)

    def resourcePath(self, filename: str) -> str:
        """A file of the module's Resources folder."""
        return resource_path(self, filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        """A link for the help text."""
        return f'<p>For more information see the <a href="{docPage or self.moduleName}">online documentation</a>.</p>'

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        """Run the module's tests."""
        case = getattr(sys.modules[self.moduleName], f"{self.moduleName}Test")()
        case.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """The shell of the panel: a parent, its layout, the buttons of a developer."""

    def __init__(self, parent: Any = None) -> None:
        import qt
        import slicer

        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, converter=slicer.util.toBool)
        if parent is None:
            parent = qt.QWidget()
            qt.QVBoxLayout(parent)
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, filename: str) -> str:
        """A file of the module's Resources folder."""
        return resource_path(self, filename)

    def setup(self) -> None:
        """Nothing: the developer's section is Slicer's own."""

    def cleanup(self) -> None:
        """Overridden by modules."""

    def onReload(self) -> None:
        """Run the file again and make a new widget."""
        import slicer

        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    """Finds the module's parameter node in the scene."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        """The parameter node, made when there is none."""
        import slicer

        found = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        return found if found is not None else self.createParameterNode()

    def createParameterNode(self) -> Any:
        """A new parameter node."""
        import slicer

        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetModuleName(self.moduleName)
        node.SetName(self.moduleName)
        return slicer.mrmlScene.AddNode(node)


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Tests of a module inside the application."""

    def runTest(self) -> None:
        """Overridden by modules."""

    def delayDisplay(self, message: str, requestedDelay: Any = None, msec: Any = None) -> None:
        """A message to who watches the test."""


def resource_path(owner: Any, filename: str) -> str:
    """Resources lie beside the file of the class."""
    return str(Path(sys.modules[type(owner).__module__].__file__ or "").parent / "Resources" / filename)


BODIES: dict[str, Any] = {
    each.__name__: each
    for each in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
}
