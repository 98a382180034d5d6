"""Pictures of the journey: the module's column beside the three slice views, as a person sees them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from PySide6 import QtGui, QtWidgets
from standin.install import StandIn

_COLUMN = 470
_HEIGHT = 900
_LARGE_VIEW = 440
_SCENE_TESTS = Path(__file__).parents[1] / "Scene"

_DARK = {
    QtGui.QPalette.Window: "#2d2d30",
    QtGui.QPalette.WindowText: "#e6e6e6",
    QtGui.QPalette.Base: "#1f1f21",
    QtGui.QPalette.AlternateBase: "#28282b",
    QtGui.QPalette.Text: "#e6e6e6",
    QtGui.QPalette.Button: "#3a3a3e",
    QtGui.QPalette.ButtonText: "#e6e6e6",
    QtGui.QPalette.ToolTipBase: "#3a3a3e",
    QtGui.QPalette.ToolTipText: "#e6e6e6",
    QtGui.QPalette.Highlight: "#2f7fc1",
    QtGui.QPalette.HighlightedText: "#ffffff",
    QtGui.QPalette.PlaceholderText: "#8a8a8a",
}


def useTheme(dark: bool) -> None:
    """Fusion in its light colors, or in dark ones like those of Slicer's dark style."""
    application = QtWidgets.QApplication.instance()
    application.setFont(QtGui.QFont("DejaVu Sans", 9))
    palette = application.style().standardPalette()
    palette.setColor(QtGui.QPalette.Window, "#efefef")
    if dark:
        for role, color in _DARK.items():
            palette.setColor(role, color)
        for role in (QtGui.QPalette.Text, QtGui.QPalette.ButtonText, QtGui.QPalette.WindowText):
            palette.setColor(QtGui.QPalette.Disabled, role, "#7a7a7a")
    application.setPalette(palette)


class Camera:
    """Takes the pictures.

    Args:
        standin: the application.
        widget: the module's panel.
        folder: where pictures go; None takes none.
    """

    def __init__(self, standin: StandIn, widget: Any, folder: Path | None) -> None:
        self._unwrap = standin.binding.unwrap
        self._folder = folder
        self._views = _slice_views(standin) if folder is not None else None
        self.turn_to(widget)

    def turn_to(self, widget: Any) -> None:
        """Show another module's panel, or the same one after a reload, beside the same slice views."""
        self._body = self._unwrap(widget)
        self._body.resize(_COLUMN, _HEIGHT)
        self._body.show()

    def take(self, name: str) -> None:
        """Write ``<name>.png``: the column, and the views as soon as they show a volume."""
        if self._folder is None or self._views is None:
            return
        column = self._column()
        picture = self._beside(column) if self._shows_anything() else column
        self._folder.mkdir(parents=True, exist_ok=True)
        picture.save(str(self._folder / f"{name}.png"))

    def _beside(self, column: QtGui.QImage) -> QtGui.QImage:
        large, small, gap = _LARGE_VIEW, _LARGE_VIEW // 2, 2
        picture = QtGui.QImage(column.width() + large + 2 * gap, column.height(), QtGui.QImage.Format_RGB32)
        picture.fill(self._body.palette().color(QtGui.QPalette.Window))
        painter = QtGui.QPainter(picture)
        painter.drawImage(0, 0, column)
        left = column.width() + gap
        painter.drawImage(left, 0, self._view("Red", large))
        painter.drawImage(left, large + gap, self._view("Yellow", small))
        painter.drawImage(left + small + gap, large + gap, self._view("Green", small))
        painter.end()
        return picture

    def _shows_anything(self) -> bool:
        import slicer

        kind = "vtkMRMLSliceCompositeNode"
        nodes = [
            slicer.mrmlScene.GetNthNodeByClass(n, kind) for n in range(slicer.mrmlScene.GetNumberOfNodesByClass(kind))
        ]
        return any(node.GetBackgroundVolumeID() for node in nodes)

    def _column(self) -> QtGui.QImage:
        self._body.ensurePolished()
        for _ in range(3):  # What is nested tells its size to what holds it, one level at a time.
            QtWidgets.QApplication.processEvents()
            self._body.resize(_COLUMN, max(self._body.sizeHint().height(), 3 * _LARGE_VIEW // 2 + 2))
        QtWidgets.QApplication.processEvents()
        return self._body.grab().toImage()

    def _view(self, name: str, side: int) -> QtGui.QImage:
        pixels = self._views.views[name].pixels()
        height, width, _ = pixels.shape
        data = pixels.tobytes()  # The image does not keep it alive.
        return QtGui.QImage(data, width, height, 3 * width, QtGui.QImage.Format_RGB888).scaled(side, side)

    def fit(self) -> None:
        """Zoom the slice views to the volume."""
        for view in self._views.views.values() if self._views is not None else ():
            view.fit()

    def close(self) -> None:
        """Let the slice views go."""
        for view in self._views.views.values() if self._views is not None else ():
            view.close()


def _slice_views(standin: StandIn) -> Any:
    import slicer

    path = _SCENE_TESTS / "slice_views.py"
    spec = importlib.util.spec_from_file_location("slice_views", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["slice_views"] = module
    for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"):  # The views bring their own.
        while slicer.mrmlScene.GetNumberOfNodesByClass(kind):
            slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetNthNodeByClass(0, kind))
    spec.loader.exec_module(module)
    return module.SliceViews(slicer.mrmlScene, slicer.app.applicationLogic(), (400, 400))
