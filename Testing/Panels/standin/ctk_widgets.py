"""Bodies for the CTK widgets that the modules use: look and behave near enough, and no more than that.

What of a body Python may use is decided by the facts, not here.
"""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that hides what is below it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._hidden: list[QtWidgets.QWidget] = []
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self.setFocusPolicy(QtCore.Qt.StrongFocus)
        self.setContentsMargins(0, self._header(), 0, 0)
        self.toggled.connect(lambda checked: self.setCollapsed(not checked))

    def isCollapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setChecked(not collapsed)
        widgets = [each for each in self.children() if isinstance(each, QtWidgets.QWidget)]
        if collapsed:
            self._hidden = [each for each in widgets if not each.isHidden()]
        for widget in self._hidden:
            widget.setVisible(not collapsed)
        self.setMaximumHeight(self._header() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def sizeHint(self) -> QtCore.QSize:
        inner = self.layout().sizeHint() if self.layout() and not self._collapsed else QtCore.QSize(0, self._header())
        return inner.expandedTo(QtCore.QSize(0, self._header()))

    minimumSizeHint = sizeHint

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < self._header()

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        header = QtCore.QRect(0, 0, self.width(), self._header())
        painter.fillRect(header, self.palette().color(QtGui.QPalette.Button))
        option = QtWidgets.QStyleOption()
        option.initFrom(self)
        option.rect = QtCore.QRect(6, 0, 12, header.height())
        arrow = QtWidgets.QStyle.PE_IndicatorArrowRight if self._collapsed else QtWidgets.QStyle.PE_IndicatorArrowDown
        self.style().drawPrimitive(arrow, option, painter, self)
        painter.setPen(self.palette().color(QtGui.QPalette.ButtonText))
        painter.drawText(header.adjusted(24, 0, -6, 0), QtCore.Qt.AlignVCenter | QtCore.Qt.AlignLeft, self.text())
        if self.hasFocus():
            painter.setPen(QtGui.QPen(self.palette().color(QtGui.QPalette.Highlight), 1))
            painter.drawRect(header.adjusted(0, 0, -1, -1))

    def _header(self) -> int:
        return self.fontMetrics().height() + 8

    collapsed = Property(bool, isCollapsed, setCollapsed, notify=contentsCollapsed)


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path with its history and a browse button."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    Dirs, Files, Drives, NoSymLinks = 1, 2, 4, 8
    Readable, Writable, Executable, Hidden = 16, 32, 64, 256
    ShowDirsOnly = 1

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._filters, self._options, self._names, self._label, self._key = 3, 0, [], "", ""
        self._combo = QtWidgets.QComboBox(self, editable=True)
        self._combo.setInsertPolicy(QtWidgets.QComboBox.NoInsert)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Fixed)
        self._browse = QtWidgets.QToolButton(self, text="…")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._combo, 1)
        layout.addWidget(self._browse)
        self.setFocusProxy(self._combo)
        self._combo.editTextChanged.connect(self.currentPathChanged)

    def currentPath_(self) -> str:
        return self._combo.currentText()

    def setCurrentPath(self, path: str) -> None:
        self._combo.setEditText(path)

    def addCurrentPathToHistory(self) -> None:
        if self._combo.currentText() and self._combo.findText(self._combo.currentText()) < 0:
            self._combo.insertItem(0, self._combo.currentText())

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._combo

    currentPath = Property(str, currentPath_, setCurrentPath, notify=currentPathChanged)
    filters = Property(int, lambda self: self._filters, lambda self, value: setattr(self, "_filters", int(value)))
    options = Property(int, lambda self: self._options, lambda self, value: setattr(self, "_options", int(value)))
    nameFilters = Property("QStringList", lambda self: self._names, lambda self, value: setattr(self, "_names", value))
    label = Property(str, lambda self: self._label, lambda self, value: setattr(self, "_label", value))
    settingKey = Property(str, lambda self: self._key, lambda self, value: setattr(self, "_key", value))
    showHistoryButton = Property(bool, lambda self: False, lambda self, value: None)


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider beside its spin box, for a float."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._slider.setRange(0, 1000)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin)
        self.setFocusProxy(self._slider)
        self._slider.valueChanged.connect(self._slid)
        self._spin.valueChanged.connect(self._spun)

    def _slid(self, position: int) -> None:
        low, high = self._spin.minimum(), self._spin.maximum()
        self._spin.setValue(low + (high - low) * position / 1000)

    def _spun(self, value: float) -> None:
        low, high = self._spin.minimum(), self._spin.maximum()
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round(1000 * (value - low) / (high - low)) if high > low else 0)
        self._slider.blockSignals(blocked)
        self.valueChanged.emit(value)

    def setValue(self, value: float) -> None:
        self._spin.setValue(value)

    value = Property(float, lambda self: self._spin.value(), setValue, notify=valueChanged)
    minimum = Property(float, lambda self: self._spin.minimum(), lambda self, value: self._spin.setMinimum(value))
    maximum = Property(float, lambda self: self._spin.maximum(), lambda self, value: self._spin.setMaximum(value))
    singleStep = Property(
        float, lambda self: self._spin.singleStep(), lambda self, value: self._spin.setSingleStep(value)
    )
    decimals = Property(int, lambda self: self._spin.decimals(), lambda self, value: self._spin.setDecimals(value))
    suffix = Property(str, lambda self: self._spin.suffix(), lambda self, value: self._spin.setSuffix(value))
    tracking = Property(bool, lambda self: True, lambda self, value: None)


class ctkColorPickerButton(QtWidgets.QPushButton):
    """A button that shows a color."""

    colorChanged = Signal(QtGui.QColor)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._color, self._named = QtGui.QColor("black"), True
        self._show()

    def setColor(self, color: QtGui.QColor) -> None:
        if color == self._color:
            return
        self._color = QtGui.QColor(color)
        self._show()
        self.colorChanged.emit(self._color)

    def _setNamed(self, shown: bool) -> None:
        self._named = shown
        self._show()

    def _show(self) -> None:
        swatch = QtGui.QPixmap(16, 16)
        swatch.fill(self._color)
        self.setIcon(QtGui.QIcon(swatch))
        self.setText(self._color.name() if self._named else "")

    color = Property(QtGui.QColor, lambda self: self._color, setColor, notify=colorChanged)
    displayColorName = Property(bool, lambda self: self._named, _setNamed)


class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for "nothing chosen"."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._default = ""

    defaultText = Property(str, lambda self: self._default, lambda self, value: setattr(self, "_default", value))


class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box that can be silenced."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._key = ""

    dontShowAgainVisible = Property(bool, lambda self: bool(self._key), lambda self, value: None)
    dontShowAgainSettingsKey = Property(str, lambda self: self._key, lambda self, value: setattr(self, "_key", value))


class ctkDICOMDatabase(QtCore.QObject):
    """A database that a test fills: patients with studies with series with files."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self.content: dict[str, dict[str, dict[str, list[str]]]] = {}
        self.modality = "CT"

    def patients(self) -> list[str]:
        return list(self.content)

    def studiesForPatient(self, patient: str) -> list[str]:
        return list(self.content[patient])

    def seriesForStudy(self, study: str) -> list[str]:
        return [uid for studies in self.content.values() for uid in studies.get(study, {})]

    def filesForSeries(self, uid: str, _limit: int = -1) -> list[str]:
        every = [series for studies in self.content.values() for series in studies.values()]
        return next(series[uid] for series in every if uid in series)

    def fieldForSeries(self, field: str, uid: str) -> str:
        return self.modality if field == "Modality" and not uid.startswith("SR") else "SR"

    def displayedNameForPatient(self, patient: str) -> str:
        return f"Name of {patient}"

    def nameForPatient(self, patient: str) -> str:
        return patient

    def descriptionForSeries(self, uid: str) -> str:
        return f"Description of {uid}"

    def openDatabase(self, _path: str, _connection: str = "") -> bool:
        return True

    def closeDatabase(self) -> None:
        """Nothing was written."""

    isOpen = Property(bool, lambda self: True)


class ctkDICOMIndexer(QtCore.QObject):
    """Puts the files of a folder into a database, by patient, study and series."""

    def addDirectory(self, database: ctkDICOMDatabase, folder: str, _copy: bool = False, _hidden: bool = True) -> None:
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        for path in sorted(Path(folder).iterdir()):
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            patient, study, uid = (reader.GetMetaData(tag).strip() for tag in ("0010|0010", "0020|000d", "0020|000e"))
            series = database.content.setdefault(patient, {}).setdefault(study, {})
            series.setdefault(uid, []).append(str(path))

    def waitForImportFinished(self, _milliseconds: int = -1) -> None:
        """It is done already."""


BODIES: dict[str, type] = {
    body.__name__: body
    for body in (
        ctkCollapsibleButton,
        ctkPathLineEdit,
        ctkSliderWidget,
        ctkColorPickerButton,
        ctkComboBox,
        ctkMessageBox,
        ctkDICOMDatabase,
        ctkDICOMIndexer,
    )
}
