"""Which nodes show which case: noted as attributes, so that names do not matter and a saved scene knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from BARLSegmentLib.logic.SceneTypes import Node, Scene, nodesOf

IMAGE = "image"
SEGMENTATION = "segmentation"

_PREFIX = "BARL."
_KEYS = ("Cohort", "Case", "Part", "Parent", "FromPrediction", "Lent")


@dataclass(frozen=True, kw_only=True)
class CaseTag:
    """What a node is to a case."""

    cohort: Path
    """The cohort's folder."""

    caseId: str

    part: str
    """``image`` or ``segmentation``."""

    parent: int | None = None
    """The annotation version that a segmentation was loaded from or saved as last."""

    fromPrediction: str | None = None
    """The prediction that a segmentation was loaded from, relative to the cohort folder."""

    lent: bool = False
    """Whether the user had loaded the node: then it stays when the case goes."""


def tagNode(node: Node, tag: CaseTag) -> None:
    """Note on a node what it is to a case; changes its attributes only."""
    values = {
        "Cohort": str(tag.cohort),
        "Case": tag.caseId,
        "Part": tag.part,
        "Parent": None if tag.parent is None else str(tag.parent),
        "FromPrediction": tag.fromPrediction,
        "Lent": "1" if tag.lent else None,
    }
    for key, value in values.items():
        node.SetAttribute(_PREFIX + key, value)


def tagOf(node: Node) -> CaseTag | None:
    """What a node is to a case; None when it belongs to none."""
    cohort, caseId, part, parent, fromPrediction, lent = (node.GetAttribute(_PREFIX + key) for key in _KEYS)
    if not (cohort and caseId and part):
        return None
    return CaseTag(
        cohort=Path(cohort),
        caseId=caseId,
        part=part,
        parent=int(parent) if parent and parent.isdigit() else None,
        fromPrediction=fromPrediction,
        lent=bool(lent),
    )


def untagNode(node: Node) -> None:
    """Take the note back."""
    for key in _KEYS:
        node.RemoveAttribute(_PREFIX + key)


def taggedNodes(scene: Scene, cohort: Path, caseId: str | None = None, part: str | None = None) -> list[Node]:
    """Nodes of a cohort, or of one of its cases, oldest first."""
    found = []
    for className in ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"):
        for node in nodesOf(scene, className):
            tag = tagOf(node)
            if tag is None or tag.cohort != cohort:
                continue
            if caseId in (None, tag.caseId) and part in (None, tag.part):
                found.append(node)
    return found
