"""Tests that run in Slicer itself: by ctest, by *Reload and Test*, and by the workflow under Xvfb."""

import unittest
from pathlib import Path

import slicer


class BARLTrainerInSlicer(unittest.TestCase):
    """What the stand-in cannot show: that the module works with Slicer's own widgets and Python."""

    def setUp(self):
        """The module in front."""
        slicer.util.selectModule("BARLTrainer")
        self.widget = slicer.modules.BARLTrainerWidget

    def test_the_panels_are_there(self):
        panel = self.widget.panel
        for part in (panel.rounds, panel.methods, panel.disk, panel.diagnostics):
            self.assertTrue(part.widget.isWidgetType())

    def test_a_setting_is_changed_in_the_table(self):
        panel = self.widget.panel.methods
        panel.ui.groupCombo.currentIndex = 1
        panel.ui.settingTable.item(0, 1).setText("0.05")
        self.assertEqual(panel.state.changes, {"training.learning_rate": 0.05})
        panel.ui.resetButton.click()
        self.assertEqual(panel.state.changes, {})

    def test_what_is_missing_is_told_before_anything_is_installed(self):
        self.assertTrue(str(self.widget.logic.install.plan()))

    def test_torch_would_be_installed_by_a_program_that_is_there(self):
        import BARLTrainer

        command = BARLTrainer._slicerWithTorchUtils()
        if command is None:
            self.skipTest("the extension PyTorch is not installed")
        self.assertTrue(Path(command[0]).is_file())

    def test_reload_makes_a_new_panel(self):
        before = self.widget.panel
        self.widget.onReload()
        self.assertIsNot(slicer.modules.BARLTrainerWidget.panel, before)
