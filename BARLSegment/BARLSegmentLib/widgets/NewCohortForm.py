"""The form that makes a cohort: name, structures, and where the images come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from barl.cohort import Modality
from barl.errors import CohortError
from BARLSegmentLib.logic.ChildWork import StartWork, WorkLook
from BARLSegmentLib.logic.CohortLogic import CohortLogic
from BARLSegmentLib.logic.CohortMaking import CohortWish, FromFiles, FromVolumes
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.widgets.CohortCheck import POLL_MS
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.DicomSeries import DicomSeries
from BARLSegmentLib.widgets.LabelPresets import LabelPreset
from BARLSegmentLib.widgets.LabelTableEditor import LabelTableEditor
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLSegmentLib.widgets.VolumeChecklist import VolumeChecklist
from BARLSegmentLib.widgets.Words import modalityWord

_STAGING_MS = 20
"""Between two steps in which voxels come out of the scene."""

_FOLDER, _SCENE, _DICOM = range(3)
_MODALITIES = tuple(Modality)


class NewCohortForm:
    """Part of the cohort panel; what it makes is open at once.

    Args:
        logic: makes the cohort.
        scene: where loaded volumes are.
        ui: the widgets of the cohort panel.
        presets: what to start a label table from.
        message: where to say what went wrong.
        startWork: begins what takes long, in a process of its own.
    """

    def __init__(
        self,
        logic: CohortLogic,
        scene: Scene,
        ui: Any,
        presets: list[LabelPreset],
        message: MessageLine,
        startWork: StartWork,
    ) -> None:
        self._logic, self._ui, self._presets, self._message = logic, ui, presets, message
        self.startWork = startWork
        self._making: FromFiles | FromVolumes | None = None
        self.timer = qt.QTimer(ui.createButton)
        self.timer.setInterval(POLL_MS)
        self._labels = LabelTableEditor(ui.labelTable)
        self._volumes = VolumeChecklist(scene, ui.volumeList)
        # The DICOM module makes the database when Slicer has started, and may be switched off.
        self._series = DicomSeries(lambda: getattr(slicer, "dicomDatabase", None), ui.seriesList)
        self._connections = Connections()
        self._fillChoices()
        self._connect()
        self._onPreset(0)
        self._onSource(_FOLDER)

    def cleanup(self) -> None:
        """Undo all connections; a cohort that is being made is given up, and nothing of it stays."""
        self.timer.stop()
        if self._making is not None:
            self._making.end()
            self._making = None
        self._connections.undoAll()

    def listVolumes(self) -> None:
        """Show the volumes in the scene, or the series in the database; check marks stay."""
        if self._ui.sourceCombo.currentIndex == _DICOM:
            self._series.refresh()
        self._volumes.refresh()

    def useScene(self) -> None:
        """Open the form for volumes of the scene."""
        self._ui.newSection.collapsed = False
        self._ui.sourceCombo.currentIndex = _SCENE
        self.listVolumes()

    @property
    def isMaking(self) -> bool:
        """Whether a cohort is being made."""
        return self._making is not None

    def create(self) -> None:
        """Begin to make the cohort, or say why not; it is open as soon as it is made."""
        with self._message.telling():
            wish = self._wish()
            if self._ui.sourceCombo.currentIndex == _FOLDER:
                self._making = FromFiles(wish, self._imageFolder(), self.startWork)
            elif self._ui.sourceCombo.currentIndex == _DICOM:
                self._making = FromFiles(wish, self._chosenSeries(), self.startWork)
            else:
                self._making = FromVolumes(wish, self._volumes.checked(), self.startWork)
            self._message.info(_("Looking at the images..."))
            self.timer.start(_STAGING_MS if self._making.isStaging else POLL_MS)
        self._show()

    def poll(self) -> None:
        """Do a short step, or look how far it is."""
        making = self._making
        if making is None:
            return
        looks: list[WorkLook] = []
        with self._message.telling(keep=True):
            looks.append(making.advance())
        look = looks[0] if looks else None
        if look is None:  # It failed, and the message says why.
            making.end()
        if look is None or look.isOver:
            self.timer.stop()
            self._making = None
        else:
            self.timer.setInterval(_STAGING_MS if making.isStaging else POLL_MS)
        if look is not None and look.isOver:
            self._conclude(look, making.lent)
        elif look is not None and look.what:
            self._message.info(_("{percent} %: {name}").format(percent=round(100 * look.share), name=look.what))
        self._show()

    def _conclude(self, look: WorkLook, lent: Mapping[str, Node]) -> None:
        if look.error:
            self._message.error(look.error)
            return
        if look.isCanceled:
            self._message.info(_("Stopped. Nothing was made."))
            return
        with self._message.telling():
            cohort = self._logic.open(self._folder())
            self._logic.lend({caseId: node for caseId, node in lent.items() if node.GetScene() is not None})
            self._message.good(
                _("{name} is made. Cases: {n}. Load one, and draw the structures in step 2.").format(
                    name=cohort.name, n=len(cohort.cases)
                )
            )

    def _onCreateButton(self) -> None:
        if self._making is None:
            self.create()
            return
        self._making.cancel()
        self._message.info(_("Stopping..."))

    def _show(self) -> None:
        """While a cohort is being made, the button stops that."""
        making = self.isMaking
        self._ui.createButton.text = _("&Cancel") if making else _("&Create cohort")
        for widget in (self._ui.folderPath, self._ui.openButton, self._ui.sourceCombo, self._ui.presetCombo):
            widget.enabled = not making

    def _wish(self) -> CohortWish:
        folder = self._folder()
        return CohortWish(
            folder=folder,
            name=self._ui.nameEdit.text.strip() or folder.name,
            modality=_MODALITIES[self._ui.modalityCombo.currentIndex],
            labels=self._labels.read(),
        )

    def _connect(self) -> None:
        ui, connect = self._ui, self._connections.signal
        connect(ui.presetCombo, "currentIndexChanged(int)", self._onPreset)
        connect(ui.sourceCombo, "currentIndexChanged(int)", self._onSource)
        connect(ui.addLabelButton, "clicked(bool)", lambda _checked: self._labels.addLabel())
        connect(ui.removeLabelButton, "clicked(bool)", lambda _checked: self._labels.removeLabel())
        connect(ui.dicomButton, "clicked(bool)", lambda _checked: slicer.util.selectModule("DICOM"))
        connect(ui.createButton, "clicked(bool)", lambda _checked: self._onCreateButton())
        connect(self.timer, "timeout()", self.poll)
        connect(ui.newSection, "contentsCollapsed(bool)", lambda _collapsed: self.listVolumes())

    def _fillChoices(self) -> None:
        for modality in _MODALITIES:
            self._ui.modalityCombo.addItem(modalityWord(modality))
        for preset in self._presets:
            self._ui.presetCombo.addItem(preset.name)
        self._ui.sourceCombo.addItem(_("A folder of images"))
        self._ui.sourceCombo.addItem(_("Volumes in the scene"))
        self._ui.sourceCombo.addItem(_("DICOM series in Slicer's database"))

    def _onPreset(self, index: int) -> None:
        preset = self._presets[index]
        self._labels.show(preset.labels)
        self._ui.modalityCombo.currentIndex = _MODALITIES.index(preset.modality)

    def _onSource(self, index: int) -> None:
        fromFolder = index == _FOLDER
        for widget in (self._ui.imagesLabel, self._ui.imagesPath):
            widget.visible = fromFolder
        for widget in (self._ui.volumesLabel, self._ui.volumeList):
            widget.visible = index == _SCENE
        for widget in (self._ui.seriesLabel, self._ui.seriesList):
            widget.visible = index == _DICOM
        self._ui.dicomButton.visible = not fromFolder
        self.listVolumes()

    def _folder(self) -> Path:
        text = self._ui.folderPath.currentPath.strip()
        if not text:
            raise CohortError(_("Choose a folder for the cohort first, at the top of this step."))
        return Path(text)

    def _imageFolder(self) -> Path:
        text = self._ui.imagesPath.currentPath.strip()
        if not text or not Path(text).is_dir():
            raise CohortError(_("Choose the folder that holds the images."))
        return Path(text)

    def _chosenSeries(self) -> dict[str, list[str]]:
        """The files of each series, under ids that say nothing about the patients."""
        chosen = self._series.checked()
        if not chosen:
            raise CohortError(_("Check the series to take. What is not listed is imported in the DICOM module."))
        return {f"case_{number:02d}": self._series.files(uid) for number, uid in enumerate(chosen, start=1)}
