"""Tests that run in Slicer itself: by ctest, by *Reload and Test*, and by the workflow under Xvfb."""

import time
import unittest

import slicer


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
        import tempfile

        import numpy as np

        folder = tempfile.mkdtemp(prefix="barl-")
        volume = slicer.util.addVolumeFromArray(np.random.default_rng(0).integers(0, 1000, (10, 12, 14)), name="scan")
        panel = self.widget.panel
        panel.cohort.ui.folderPath.currentPath = folder
        panel.cohort.ui.sourceCombo.currentIndex = 1
        panel.cohort.form.listVolumes()
        panel.cohort.ui.createButton.click()
        end = time.monotonic() + 60
        while panel.cohort.form.isMaking and time.monotonic() < end:
            slicer.app.processEvents()
        self.assertTrue(self.widget.logic.cohort.isOpen, panel.cohort.ui.messageLabel.text)
        caseId = self.widget.logic.cohort.cohort.cases[0].id
        self.assertTrue(panel.editor.load(caseId), panel.editor.ui.messageLabel.text)
        self._takes_up_and_puts_down_a_brush(panel.editor)
        self._paint(volume)
        panel.editor.save()
        while panel.editor.state.question is not None:
            panel.editor.ui.yesButton.click()
        self.assertEqual(len(panel.editor.state.versions), 1, panel.editor.ui.messageLabel.text)

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

    def _paint(self, volume):
        import numpy as np

        node = self.widget.panel.editor.state.case.segmentationNode
        array = np.zeros((10, 12, 14), np.uint8)
        array[4:7, 4:8, 4:9] = 1
        identifier = node.GetSegmentation().GetNthSegmentID(0)
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, identifier, volume)
