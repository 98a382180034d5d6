"""Step 2: draw, and save what was drawn as the next version of the case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from barl.cohort import AnnotationVersion, Coverage
from BARLSegmentLib.logic.CaseStart import LoadedCase, Start
from BARLSegmentLib.logic.CohortLogic import CohortEvent, CohortLogic
from BARLSegmentLib.logic.CorrectionLogic import CorrectionEvent, CorrectionLogic
from BARLSegmentLib.logic.Drafts import Draft
from BARLSegmentLib.logic.Observers import Observers
from BARLSegmentLib.logic.Questions import Question
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.widgets.Connections import Connections
from BARLSegmentLib.widgets.MessageLine import MessageLine
from BARLSegmentLib.widgets.Suggestion import suggestedCase
from BARLSegmentLib.widgets.Words import coverageChoices, coverageWord

EDITOR_TAG = "BARLSegment"
"""Of the segment editor node: the Segment Editor module keeps its own."""


@dataclass
class EditorState:
    """What the panel works on."""

    case: LoadedCase | None = None
    versions: tuple[AnnotationVersion, ...] = ()
    drafts: tuple[Draft, ...] = ()
    answers: dict[str, Any] = field(default_factory=dict)
    """What the person has answered for the save that is being asked about."""

    question: Question | None = None


class EditorPanel:
    """Slicer's segment editor on an editor node of its own, and the versions of the case.

    Args:
        correction: saves versions and keeps drafts.
        cohort: loads cases.
        scene: where the editor node lives.
        loadUi: gives the widget of a .ui file.
    """

    def __init__(
        self, correction: CorrectionLogic, cohort: CohortLogic, scene: Scene, loadUi: Callable[[str], Any]
    ) -> None:
        self.correction, self.cohort, self._scene = correction, cohort, scene
        self.state = EditorState()
        self.widget = loadUi("EditorPanel")
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.message = MessageLine(self.ui.messageLabel)
        self.saved: Observers[str] = Observers()
        """Told the id of a case of which a version was saved."""
        self.drawing: Observers[bool] = Observers()
        """Told whether an effect of the segment editor is in the person's hand."""
        self._isDrawing = False
        self._observation: tuple[Node, int] | None = None
        self._coverages = coverageChoices()
        self._connections = Connections()
        for words, _coverage in self._coverages:
            self.ui.coverageCombo.addItem(words)
        self._connect()
        self._showCase()

    def cleanup(self) -> None:
        """Undo all connections; the editor lets go of scene and nodes."""
        self._connections.undoAll()
        self.exit()
        self._observe(None)
        self.state = EditorState()
        self._giveNodes()

    def enter(self) -> None:
        """The editor takes its nodes and its shortcuts."""
        node = self._editorNode()
        self.ui.editor.setMRMLSegmentEditorNode(node)
        self._observe(node)
        self.ui.editor.setMRMLScene(self._scene)
        self._giveNodes()
        self.ui.editor.installKeyboardShortcuts()
        self.ui.editor.updateWidgetFromMRML()

    def exit(self) -> None:
        """The editor gives back shortcuts and views, so that other modules have them."""
        self.ui.editor.setActiveEffect(None)
        self.ui.editor.uninstallKeyboardShortcuts()
        self.ui.editor.removeViewObservations()

    def load(self, caseId: str) -> bool:
        """Bring a case into the scene and the editor; says why when it cannot, and returns whether it could."""
        with self.message.telling():
            loaded = self.cohort.loadCase(caseId)
            self.correction.watch(self.cohort.cohort, loaded.segmentationNode)
            self.correction.setCoverage(loaded.segmentationNode, loaded.coverage)
            self.state = EditorState(case=loaded)
            self.ui.coverageCombo.currentIndex = self._coverageIndex(loaded.coverage)
            self._giveNodes()
            self._readVersions()
            self._showCase()
        return self.state.case is not None and self.state.case.caseId == caseId

    def save(self) -> None:
        """Save the next version, asking in the panel what only a person can decide."""
        self.state.answers.clear()
        self._save()

    def loadNext(self) -> None:
        """Load the case that is worth annotating next."""
        with self.message.telling():
            current = self.state.case.caseId if self.state.case else None
            row = suggestedCase(self.cohort.table(), current)
            if row is None:
                self.message.good(_("Every case is annotated or accepted."))
            elif self.load(row.caseId) and row.reason:
                self.message.info(row.reason)

    def _connect(self) -> None:
        ui, connect = self.ui, self._connections.signal
        connect(ui.saveButton, "clicked(bool)", lambda _checked: self.save())
        connect(ui.nextButton, "clicked(bool)", lambda _checked: self.loadNext())
        connect(ui.yesButton, "clicked(bool)", lambda _checked: self._onAnswer())
        connect(ui.noButton, "clicked(bool)", lambda _checked: self._ask(None))
        connect(ui.restoreButton, "clicked(bool)", lambda _checked: self._onRestore())
        connect(ui.draftOpenButton, "clicked(bool)", lambda _checked: self._onDraftOpen())
        connect(ui.draftDropButton, "clicked(bool)", lambda _checked: self._onDraftDrop())
        connect(ui.coverageCombo, "activated(int)", self._onCoverage)
        self._connections.observers(self.cohort.events, self._onCohortEvent)
        self._connections.observers(self.correction.events, self._onCorrectionEvent)

    def _save(self) -> None:
        case = self.state.case
        if case is None:
            return
        self._ask(None)
        try:
            with self.message.telling():
                version = self.correction.saveVersion(
                    self.cohort.cohort, case.segmentationNode, coverage=self._coverage(), **self.state.answers
                )
                self.state.case = replace(case, start=Start.ANNOTATION)
                self._readVersions()
                self._showCase()
                self.message.good(_("Saved as version {n} of {case}.").format(n=version.number, case=case.caseId))
                self.saved.notify(case.caseId)
        except Question as question:
            self._ask(question)

    def _ask(self, question: Question | None) -> None:
        self.state.question = question
        self.ui.questionRow.visible = question is not None
        self.ui.questionLabel.setText("" if question is None else str(question))
        if question is not None:
            self.ui.yesButton.setFocus()

    def _onAnswer(self) -> None:
        if self.state.question is not None:
            self.state.answers[self.state.question.option] = True
            self._save()

    def _onCoverage(self, index: int) -> None:
        if self.state.case is not None:
            self.correction.setCoverage(self.state.case.segmentationNode, self._coverages[index][1])

    def _onRestore(self) -> None:
        case, index = self.state.case, self.ui.versionCombo.currentIndex
        if case is None or index < 0:
            return
        with self.message.telling():
            number = self.state.versions[index].number
            self.correction.restoreVersion(self.cohort.cohort, case.caseId, number)
            self.cohort.unloadCase(case.caseId)
            self.load(case.caseId)
            self.message.good(_("Version {n} is the newest again.").format(n=number))

    def _onDraftOpen(self) -> None:
        case = self.state.case
        if case is None or not self.state.drafts:
            return
        with self.message.telling():
            self.correction.openDraft(self.cohort.cohort, self.state.drafts[0], case.volumeNode)
            self.load(case.caseId)

    def _onDraftDrop(self) -> None:
        with self.message.telling():
            self.correction.dropDraft(self.state.drafts[0])
            self._readVersions()
            self._showCase()

    def _onCohortEvent(self, event: CohortEvent) -> None:
        case = self.state.case
        gone = event.kind in ("unloaded", "lost") and case is not None and event.caseId == case.caseId
        if event.kind == "closed" or gone:
            self.state = EditorState()
            self._giveNodes()
            self._showCase()
            self._ask(None)
        self._showChoices()

    def _onCorrectionEvent(self, event: CorrectionEvent) -> None:
        if event.kind == "draft":
            self.message.info(_("Your drawing is kept as a draft, in case the computer stops."))
        elif event.kind == "draft failed":
            self.message.error(event.message)

    def _readVersions(self) -> None:
        case = self.state.case
        if case is None:
            return
        self.state.versions = self.correction.history(self.cohort.cohort, case.caseId)
        self.state.drafts = self.correction.abandonedDrafts(self.cohort.cohort, case.caseId)
        self.ui.versionCombo.clear()
        for version in self.state.versions:
            self.ui.versionCombo.addItem(_versionWords(version))
        self._showChoices()

    def _giveNodes(self) -> None:
        """Segmentation first: the editor refuses a source volume without one."""
        case = self.state.case
        if self.ui.editor.mrmlSegmentEditorNode() is None:
            return
        self.ui.editor.setSegmentationNode(case.segmentationNode if case else None)
        if case is not None:
            self.ui.editor.setSourceVolumeNode(case.volumeNode)

    def _showCase(self) -> None:
        case = self.state.case
        self.ui.caseLabel.setText(_caseWords(case))
        draft = self.state.drafts[0] if self.state.drafts else None
        self.ui.draftRow.visible = draft is not None
        if draft is not None:
            self.ui.draftLabel.setText(
                _("A drawing of {author} from {when} was never saved.").format(author=draft.author, when=draft.saved)
            )
        self._showChoices()

    def _showChoices(self) -> None:
        loaded = self.state.case is not None
        for widget in (self.ui.editor, self.ui.saveButton, self.ui.coverageCombo):
            widget.enabled = loaded
        self.ui.restoreButton.enabled = self.ui.versionCombo.enabled = loaded and bool(self.state.versions)
        self.ui.nextButton.enabled = self.cohort.isOpen

    def _coverage(self) -> Coverage:
        return self._coverages[self.ui.coverageCombo.currentIndex][1]

    def _coverageIndex(self, coverage: Coverage) -> int:
        return [choice for _words, choice in self._coverages].index(coverage)

    def _observe(self, node: Node | None) -> None:
        """Hear from the editor node which effect is active; the widget has no signal for it."""
        if self._observation is not None:
            observed, tag = self._observation
            observed.RemoveObserver(tag)
        self._observation = None
        if node is not None:
            self._observation = node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onEditorNode)

    def _onEditorNode(self, node: Node, _event: str) -> None:
        isDrawing = bool(node.GetActiveEffectName())
        if isDrawing != self._isDrawing:
            self._isDrawing = isDrawing
            self.drawing.notify(isDrawing)

    def _editorNode(self) -> Node:
        found = self._scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if found is not None:
            return found
        node = self._scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(EDITOR_TAG)
        return self._scene.AddNode(node)


def _caseWords(case: LoadedCase | None) -> str:
    if case is None:
        return _("No case is loaded. Load one in step 1, or press Next suggested case.")
    words = {
        Start.ANNOTATION: _("{case}: you go on from the newest saved version."),
        Start.PREDICTION: _("{case}: you correct a prediction; it becomes an annotation when you save."),
        Start.LABELS: _("{case}: nothing is drawn yet. Choose a structure and an effect, and draw."),
        Start.SCENE: _("{case}: it was in the scene already."),
    }
    start = Start.PREDICTION if case.isPrediction else case.start
    return words[start].format(case=case.caseId)


def _versionWords(version: AnnotationVersion) -> str:
    how = _("accepted") if version.source == "accepted" else coverageWord(version.coverage.kind)
    return f"{version.number}: {version.created[:16].replace('T', ' ')}, {version.author}, {how}"
