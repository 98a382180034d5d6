"""New cohorts: of a folder of images, or of volumes that are loaded. The open cohort is CohortLogic's."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from barl.atomic import discard
from barl.cohort import Cohort, LabelTable, Modality
from barl.cohort.layout import CohortLayout, case_id_from, checked_case_id
from barl.errors import CohortError, ImageError
from barl.imaging import write_volume
from barl.imaging.chosen_images import checked_images, found_images
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.VolumeNodes import volumeOf


def cohortFromFolder(
    folder: Path,
    images: Path,
    *,
    name: str,
    modality: Modality,
    labels: LabelTable,
    copy: bool,
    onProgress: Callable[[float, str], None],
) -> Cohort:
    """Make a cohort of all volumes in a folder; see ``CohortLogic.createFromFolder``."""
    found = checked_images(found_images([images]), taken=())
    with _created(folder, name=name, modality=modality, labels=labels) as cohort:
        for index, path in enumerate(found):
            onProgress(index / len(found), path.name)
            cohort.add_case(path, copy=copy)
        onProgress(1.0, "done")
    return cohort


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
    ids = [checked_case_id(one) for one in caseIds]
    if not ids or len(ids) != len(volumeNodes):
        raise ImageError(f"Choose at least one volume, and one id for each: {len(volumeNodes)} and {len(ids)} came.")
    _refuseSameIds(ids)
    for node in volumeNodes:
        _refuseUnfit(node)
    paths = [CohortLayout(folder).images / f"{caseId}.nrrd" for caseId in ids]
    with _created(folder, name=name, modality=modality, labels=labels) as cohort:
        _refuseTaken(paths)
        for caseId, node, path in zip(ids, volumeNodes, paths, strict=True):
            volume = volumeOf(node)
            write_volume(path, volume.array, volume.geometry)
            cohort.add_case(path, case_id=caseId)
    return cohort


@contextmanager
def _created(folder: Path, *, name: str, modality: Modality, labels: LabelTable) -> Iterator[Cohort]:
    """A new cohort that is taken back when what follows fails, so that the same can be tried again."""
    layout = CohortLayout(folder)
    before = _imagesIn(layout)
    cohort = Cohort.create(folder, name=name, modality=modality, labels=labels)
    try:
        yield cohort
    except BaseException:
        discard(layout.record)
        for path in _imagesIn(layout) - before:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else discard(path)
        with suppress(OSError):  # Only an empty folder goes.
            layout.images.rmdir()
        raise


def _imagesIn(layout: CohortLayout) -> set[Path]:
    return set(layout.images.iterdir()) if layout.images.is_dir() else set()


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
    volumeOf(node)


def _refuseTaken(paths: Sequence[Path]) -> None:
    taken = [str(path) for path in paths if path.exists()]
    if taken:
        raise CohortError(
            f"These files are there already and would be written over: {', '.join(taken)}. Nothing was made. "
            "Choose another folder for the cohort, or other ids."
        )


def _refuseSameIds(ids: Sequence[str]) -> None:
    folded = [one.casefold() for one in ids]
    twice = sorted({one for one in folded if folded.count(one) > 1})
    if twice:
        raise CohortError(
            f"Two images would be the same case: {', '.join(twice)}. Rename one of each, or choose the ids yourself."
        )
