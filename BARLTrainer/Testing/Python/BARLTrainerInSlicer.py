"""Tests that run in Slicer itself: by ctest, by *Reload and Test*, and by the workflow under Xvfb."""

import tempfile
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

    def test_a_setting_that_is_nonsense_is_refused_in_words(self):
        panel = self.widget.panel.methods
        panel.ui.groupCombo.currentIndex = 1
        panel.ui.settingTable.item(0, 1).setText("fast")
        self.assertTrue(panel.ui.messageLabel.text)
        self.assertEqual(panel.state.changes, {})

    def test_rounds_are_compared_and_their_place_on_the_disk_is_told(self):
        panel = self._panelOfTwoRounds()
        panel.rounds.ui.roundTable.selectAll()
        table = panel.rounds.ui.figureTable
        titles = [table.horizontalHeaderItem(column).text() for column in range(table.columnCount)]
        self.assertEqual(titles, ["Structure", "Round 1", "Round 2"])
        self.assertIn("too few", table.item(0, 1).text())
        panel.ui.diskStep.collapsed = False
        self.assertGreater(panel.disk.ui.partTable.rowCount, 0)

    def test_a_folder_without_a_cohort_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            self.widget.panel.ui.folderPath.currentPath = folder
            self.widget.panel.ui.openButton.click()
            self.assertTrue(self.widget.panel.ui.messageLabel.text)

    def _panelOfTwoRounds(self):
        """A cohort whose rounds have a score of one validation case each."""
        from barl.cohort import Cohort, LabelTable, Modality
        from barl.jobs import EventWriter, JobSpec, State, Status, write_spec, write_status

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        labels = LabelTable.from_names(["jaw"])
        cohort = Cohort.create(Path(folder.name) / "jaws", name="Jaws", modality=Modality.CBCT, labels=labels)
        for dice in (0.5, 0.6):
            job = cohort.new_round()
            write_spec(job, JobSpec(kind="train", payload={"cohort": str(cohort.folder), "method": "supervised"}))
            score = {"dice": dice, "dice_by_class": {"jaw": dice}, "validation_cases": 1}
            EventWriter(job).write("metric", step=10, **score)
            write_status(job, Status(state=State.FINISHED, percent=100.0))
        self.widget.panel.ui.folderPath.currentPath = str(cohort.folder)
        self.widget.panel.ui.openButton.click()
        return self.widget.panel

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
