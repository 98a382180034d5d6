"""Tests that run in Slicer itself: by ctest, by *Reload and Test*, and by the workflow under Xvfb."""

import unittest

import slicer


class BARLTrainerInSlicer(unittest.TestCase):
    """What the stand-in cannot show: that the module works with Slicer's own widgets and Python."""

    def setUp(self):
        """The module in front."""
        slicer.util.selectModule("BARLTrainer")
        self.widget = slicer.modules.BARLTrainerWidget

    def test_the_panels_are_there(self):
        for panel in (self.widget.panel.rounds, self.widget.panel.methods, self.widget.panel.diagnostics):
            self.assertTrue(panel.widget.isWidgetType())

    def test_what_is_missing_is_told_before_anything_is_installed(self):
        self.assertTrue(str(self.widget.logic.install.plan()))

    def test_reload_makes_a_new_panel(self):
        before = self.widget.panel
        self.widget.onReload()
        self.assertIsNot(slicer.modules.BARLTrainerWidget.panel, before)
