"""Tests that run in Slicer itself: by ctest, by *Reload and Test*, and by the workflow under Xvfb."""

import importlib.util
import json
import tempfile
import time
import unittest
from pathlib import Path

import ctk
import numpy as np
import qt
import slicer

SHAPE = (8, 10, 12)
"""Slices, rows, columns."""


class BARLSegmentInSlicer(unittest.TestCase):
    """What the stand-in cannot show: that the module works with Slicer's own widgets and views."""

    def setUp(self):
        """An empty scene, and the module in front."""
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("BARLSegment")
        self.widget = slicer.modules.BARLSegmentWidget
        self.addCleanup(slicer.mrmlScene.Clear)

    def test_the_panel_is_there_and_says_what_to_do(self):
        self.assertIsNotNone(self.widget.panel)
        self.assertTrue(self.widget.panel.ui.nextLabel.text)

    def test_every_widget_of_the_ui_files_is_one_of_slicers(self):
        for step in ("cohort", "editor", "train", "review", "batch"):
            panel = getattr(self.widget.panel, step)
            self.assertTrue(panel.widget.isWidgetType(), step)

    def test_a_cohort_of_loaded_volumes_is_made_drawn_on_and_saved(self):
        self._needs("slicerio")
        panel, volume = self._cohortOfOneVolume()
        self._takes_up_and_puts_down_a_brush(panel.editor)
        self._paint(volume)
        self._save()
        self.assertEqual(len(panel.editor.state.versions), 1, panel.editor.ui.messageLabel.text)

    def test_a_cohort_of_dicom_series_carries_no_names(self):
        folder = Path(self._folder())
        self._useDatabaseOf(self._writtenSeries(folder / "dicom"), folder)
        panel = self.widget.panel.cohort
        panel.ui.folderPath.currentPath = str(folder / "cohort")
        panel.ui.sourceCombo.currentIndex = 2
        self.assertEqual(panel.ui.seriesList.count, 1)
        series = panel.ui.seriesList.item(0)
        self.assertIn("Doe", series.text())
        series.setCheckState(qt.Qt.Checked)

        panel.ui.createButton.click()
        self._waitFor(lambda: not panel.form.isMaking)

        self.assertTrue(panel.logic.isOpen, panel.ui.messageLabel.text)
        (case,) = panel.logic.cohort.cases
        self.assertEqual(case.id, "case_01")
        image = folder / "cohort" / "images" / "case_01.nrrd"
        self.assertNotIn(b"Doe", image.read_bytes())
        self.assertTrue(self.widget.panel.editor.load("case_01"))
        volume = self.widget.panel.editor.state.case.volumeNode
        self.assertEqual(volume.GetImageData().GetDimensions(), SHAPE[::-1])

    def test_a_prediction_is_shown_walked_through_and_accepted(self):
        self._needs("slicerio")
        panel, _volume = self._cohortOfOneVolume()
        self._predict(panel.cohort.logic.cohort)
        panel.show(panel.ui.reviewStep)
        panel.review.refresh()
        ui = panel.review.ui
        ui.predictionTable.setCurrentCell(0, 0)

        ui.loadButton.click()
        self.assertIn("region 1 of 2", ui.progressLabel.text, ui.messageLabel.text)
        red = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
        self.assertEqual(red.GetForegroundVolumeID(), panel.review.state.shown.mapNode.GetID())
        ui.overlayCheck.checked = False
        self.assertIsNone(red.GetForegroundVolumeID())
        ui.nextButton.click()
        self.assertIn("region 2 of 2", ui.progressLabel.text)
        self.assertIsNotNone(panel.review.review.markerNode)
        ui.acceptCaseButton.click()

        self.assertIn("Accepted", ui.messageLabel.text)
        self.assertIsNone(panel.review.review.markerNode)
        ui.undoButton.click()
        self.assertTrue(ui.acceptCaseButton.enabled)

    def test_unsaved_drawing_becomes_a_draft_when_the_scene_closes(self):
        panel, volume = self._cohortOfOneVolume()
        folder = panel.cohort.logic.cohort.folder
        self._paint(volume)

        slicer.mrmlScene.Clear()

        self.assertEqual(len(list((folder / "drafts").rglob("*.seg.nrrd"))), 1)
        self.assertIsNone(panel.editor.state.case)

    def test_a_draft_is_written_while_the_window_lives(self):
        from BARLSegmentLib.logic.CorrectionLogic import CorrectionLogic

        panel, volume = self._cohortOfOneVolume()
        cohort = panel.cohort.logic.cohort
        correction = CorrectionLogic(slicer.mrmlScene, author="test", autosaveSeconds=0.0)
        self.addCleanup(correction.cleanup)
        correction.watch(cohort, panel.editor.state.case.segmentationNode)
        self._paint(volume)

        self._waitFor(lambda: not correction.tick())

        self.assertEqual(len(list((cohort.folder / "drafts").rglob("*.seg.nrrd"))), 1)

    def test_each_step_says_why_it_cannot_go_on(self):
        panel, _volume = self._cohortOfOneVolume()
        panel.train.ui.trainButton.click()
        self.assertIn("Annotate two to five cases", panel.train.ui.messageLabel.text)
        panel.batch.ui.runButton.click()
        self.assertIn("step 3 makes one", panel.batch.ui.messageLabel.text)
        panel.cohort.ui.folderPath.currentPath = self._folder()
        panel.cohort.ui.openButton.click()
        self.assertTrue(panel.cohort.ui.messageLabel.text)

    def test_the_device_is_found_by_a_process_of_its_own(self):
        panel = self.widget.panel
        panel.show(panel.ui.trainStep)
        self._waitFor(lambda: panel.train.state.findings is not None)
        self.assertTrue(panel.train.ui.deviceLabel.text)

    def test_the_scene_can_be_closed_and_the_module_left(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("Data")
        slicer.util.selectModule("BARLSegment")
        self.assertIsNotNone(self.widget.panel)

    def test_reload_makes_a_new_panel(self):
        before = self.widget.panel
        self.widget.onReload()
        self.assertIsNot(slicer.modules.BARLSegmentWidget.panel, before)

    def test_keys_are_there_for_all_steps(self):
        keys = self.widget.panel.shortcuts.byKey
        self.assertTrue({f"Ctrl+Alt+{number}" for number in range(1, 6)} <= set(keys))
        self.assertTrue(all(shortcut.enabled for shortcut in keys.values()))

    def _takes_up_and_puts_down_a_brush(self, editor):
        """The editor node tells of it, on which hiding the region's box depends."""
        heard = []
        forget = editor.drawing.add(heard.append)
        editor.ui.editor.setActiveEffectByName("Paint")
        editor.ui.editor.setActiveEffect(None)
        forget()
        self.assertEqual(heard, [True, False])

    def _needs(self, package):
        if importlib.util.find_spec(package) is None:
            self.skipTest(f"{package} is not installed; the module BARL Trainer installs it")

    def _folder(self):
        folder = tempfile.TemporaryDirectory(prefix="barl-")
        self.addCleanup(folder.cleanup)
        return folder.name

    def _waitFor(self, condition, seconds=60.0):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)
        self.assertTrue(condition())

    def _cohortOfOneVolume(self):
        """Made through the form, and its case in the editor."""
        array = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)
        volume = slicer.util.addVolumeFromArray(array, name="scan")
        panel = self.widget.panel
        panel.cohort.ui.folderPath.currentPath = str(Path(self._folder()) / "cohort")
        panel.cohort.ui.sourceCombo.currentIndex = 1
        panel.cohort.form.listVolumes()
        panel.cohort.ui.createButton.click()
        self._waitFor(lambda: not panel.cohort.form.isMaking)
        self.assertTrue(self.widget.logic.cohort.isOpen, panel.cohort.ui.messageLabel.text)
        caseId = self.widget.logic.cohort.cohort.cases[0].id
        self.assertTrue(panel.editor.load(caseId), panel.editor.ui.messageLabel.text)
        return panel, volume

    def _paint(self, volume):
        node = self.widget.panel.editor.state.case.segmentationNode
        array = np.zeros(SHAPE, np.uint8)
        array[4:7, 4:8, 4:9] = 1
        identifier = node.GetSegmentation().GetNthSegmentID(0)
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, identifier, volume)

    def _save(self):
        editor = self.widget.panel.editor
        editor.ui.saveButton.click()
        while editor.state.question is not None:
            editor.ui.yesButton.click()

    def _predict(self, cohort):
        """Write what the engine writes for the first case."""
        from barl.imaging import read_volume, write_segmentation, write_volume

        case = cohort.cases[0].id
        image = read_volume(cohort.image_path(case))
        labels = np.zeros(SHAPE, np.uint8)
        labels[2:5, 3:6, 3:8] = 1
        folder = cohort.new_round() / "predictions"
        folder.mkdir()
        write_segmentation(folder / f"{case}.seg.nrrd", labels, image.geometry, cohort.labels)
        write_volume(folder / f"{case}.uncertainty.nrrd", np.full(SHAPE, 0.4, np.float32), image.geometry)
        regions = [_region(rank) for rank in (1, 2)]
        record = {"format_version": 1, "case": case, "mean_uncertainty": 0.4, "regions": regions}
        (folder / f"{case}.json").write_text(json.dumps(record), encoding="utf-8")

    def _writtenSeries(self, folder):
        """A series of eight axial slices of a patient with a name."""
        import SimpleITK as sitk

        folder.mkdir()
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        same = {"0008|0060": "CT", "0010|0010": "Doe^Jane", "0010|0020": "P-1", "0008|103e": "jaw"}
        same |= {"0020|000d": "1.2.3", "0020|000e": "1.2.3.4", "0020|0037": "1\\0\\0\\0\\1\\0"}
        for index in range(SHAPE[0]):
            image = sitk.GetImageFromArray(np.full((1, *SHAPE[1:]), 100 * index, np.int16))
            its = {"0020|0013": str(index), "0020|0032": f"0\\0\\{index}", "0008|0018": f"1.2.3.4.{index + 1}"}
            for key, value in (same | its).items():
                image.SetMetaData(key, value)
            writer.SetFileName(str(folder / f"{index}.dcm"))
            writer.Execute(image)
        return folder

    def _useDatabaseOf(self, series, folder):
        """In the place of the person's own database, which stays as it is."""
        database = ctk.ctkDICOMDatabase()
        database.openDatabase(str(folder / "ctkDICOM.sql"))
        indexer = ctk.ctkDICOMIndexer()
        indexer.addDirectory(database, str(series))
        indexer.waitForImportFinished()
        before = getattr(slicer, "dicomDatabase", None)
        slicer.dicomDatabase = database
        self.addCleanup(setattr, slicer, "dicomDatabase", before)
        self.addCleanup(database.closeDatabase)


def _region(rank):
    return {
        "rank": rank,
        "center_ras_mm": [float(rank), 0.0, 0.0],
        "bounds_ras_mm": [[-2.0, 2.0]] * 3,
        "volume_mm3": 64.0,
        "expected_error_mm3": 10.0,
        "classes": [0, 1],
        "reason": f"place {rank}",
    }
