"""Draw the PNG files beside the icons' SVG sources: ``python Resources/render_icons.py`` (needs PySide6)."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtSvg

ROOT = Path(__file__).parents[1]
SIZE = 128


def main() -> None:
    """Render every icon at the size the index of extensions asks for."""
    application = QtGui.QGuiApplication([])
    for source in sorted(ROOT.glob("**/Resources/**/Icons/*.svg")) + sorted(ROOT.glob("Resources/Icons/*.svg")):
        render(source, source.with_suffix(".png"))
    application.quit()


def render(source: Path, target: Path) -> None:
    """Draw one SVG file into a transparent square."""
    image = QtGui.QImage(SIZE, SIZE, QtGui.QImage.Format_ARGB32)
    image.fill(QtCore.Qt.transparent)
    painter = QtGui.QPainter(image)
    QtSvg.QSvgRenderer(str(source)).render(painter)
    painter.end()
    image.save(str(target))


if __name__ == "__main__":
    main()
