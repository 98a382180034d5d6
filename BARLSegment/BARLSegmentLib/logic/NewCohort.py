"""New cohorts of volumes that are loaded. The open cohort is CohortLogic's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from barl.cohort import Cohort, LabelTable, Modality
from barl.cohort.layout import case_id_from, checked_case_id
from barl.errors import ImageError
from BARLSegmentLib.logic.NewCohortFiles import addVoxels, newCohort, refuseSameIds, refuseTaken
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.VolumeNodes import refuseNoVolume, volumeOf


def cohortFromVolumes(
    folder: Path,
    volumeNodes: Sequence[Node],
    caseIds: Sequence[str],
    *,
    name: str,
    modality: Modality,
    labels: LabelTable,
) -> Cohort:
    """Make a cohort of volume nodes, whose voxels are written into it; see ``CohortLogic.createFromVolumes``."""
    ids = checkedIds(volumeNodes, caseIds)
    with newCohort(folder, name=name, modality=modality, labels=labels) as cohort:
        refuseTaken(cohort.folder, ids)
        for caseId, node in zip(ids, volumeNodes, strict=True):
            addVoxels(cohort, caseId, volumeOf(node))
    return cohort


def checkedIds(volumeNodes: Sequence[Node], caseIds: Sequence[str]) -> list[str]:
    """The ids, when each of the nodes can be a case.

    Raises:
        CohortError: an id is not allowed, or two are the same.
        ImageError: no nodes, another number of ids, or a node cannot be used; no voxel is looked at.
    """
    ids = [checked_case_id(one) for one in caseIds]
    if not ids or len(ids) != len(volumeNodes):
        raise ImageError(f"Choose at least one volume, and one id for each: {len(volumeNodes)} and {len(ids)} came.")
    refuseSameIds(ids)
    for node in volumeNodes:
        _refuseUnfit(node)
    return ids


def idsFor(volumeNodes: Sequence[Node]) -> tuple[str, ...]:
    """Case ids made from the names of nodes."""
    return tuple(_idFrom(node) for node in volumeNodes)


def _idFrom(node: Node) -> str:
    # A node's name may hold slashes, which are no folders.
    return case_id_from(Path(node.GetName().replace("/", "_").replace("\\", "_") or "case"))


def _refuseUnfit(node: Node) -> None:
    if not node.IsA("vtkMRMLScalarVolumeNode") or node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise ImageError(f"{node.GetName()} is no scalar volume. Choose images with one gray value a voxel.")
    if node.GetParentTransformNode() is not None:
        raise ImageError(
            f"The volume {node.GetName()} is under a transform. Harden it (right-click its transform in the Data "
            "module), or take it out of the transform, and try again."
        )
    refuseNoVolume(node)
