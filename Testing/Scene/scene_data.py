"""What the tests of predictions, overlays, reviews and trainings share: a scene, a cohort, a prediction of a ball."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slice_views import SliceViews
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from barl.atomic import write_json
from barl.cohort import Cohort, LabelTable, Modality
from barl.imaging import Geometry, write_segmentation, write_volume

CASE = "P07_Zähne"
LABELS = LabelTable.from_names(["Kiefer", "Zähne 歯"])
SHAPE = (20, 24, 28)
GRID = Geometry(
    size=(28, 24, 20), spacing_mm=(1.0, 1.0, 1.5), origin_mm=(-14, -12, -15), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)
)
CENTER = (10, 12, 14)
RADIUS = 6.0


@dataclass
class Stage:
    """A scene with the logics that an application registers, and the slice views if there are any."""

    scene: Any
    application: Any
    logics: list[Any] = field(default_factory=list)
    views: SliceViews | None = None

    def withViews(self, size: tuple[int, int] = (160, 160)) -> SliceViews:
        """Open the three slice views."""
        self.views = SliceViews(self.scene, self.application, size)
        return self.views

    def close(self) -> None:
        """Let windows, logics and nodes go, in this order."""
        if self.views is not None:
            self.views.close()
        for logic in self.logics:
            logic.SetMRMLScene(None)
        self.scene.Clear(True)


def newStage() -> Stage:
    """An empty scene, as after the application has started."""
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    stage = Stage(scene=scene, application=application)
    colors = slicer.vtkMRMLColorLogic()
    colors.SetMRMLScene(scene)
    colors.AddDefaultColorNodes()
    stage.logics.append(colors)
    for kind in (slicer.vtkSlicerVolumesLogic, slicer.vtkSlicerSegmentationsModuleLogic):
        logic = kind()
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        stage.logics.append(logic)
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return stage


def ball() -> np.ndarray:
    """Distance of each voxel from the middle of the ball, in voxels (D, H, W)."""
    return np.sqrt(sum((axis - middle) ** 2 for axis, middle in zip(np.ogrid[:20, :24, :28], CENTER, strict=True)))


def ballLabels() -> np.ndarray:
    """Two halves of a ball (D, H, W): values 1 and 2."""
    labels = (ball() < RADIUS).astype(np.uint8)
    labels[:, :, CENTER[2] :] *= 2
    return labels


def ballMap() -> np.ndarray:
    """Unsure at the surface of the ball, sure elsewhere (D, H, W), float32 0 to 1."""
    return np.exp(-((ball() - RADIUS) ** 2) / 2).astype(np.float32)


def ballImage() -> np.ndarray:
    """A bright ball in the dark (D, H, W), int16."""
    return np.where(ball() < RADIUS, 900, 100).astype(np.int16)


def region(rank: int, center: tuple[float, float, float], half: float = 2.0) -> dict[str, Any]:
    """A region as the engine writes it into a prediction's record."""
    return {
        "rank": rank,
        "center_ras_mm": list(center),
        "bounds_ras_mm": [[one - half, one + half] for one in center],
        "volume_mm3": (2 * half) ** 3,
        "expected_error_mm3": 10.0 / rank,
        "classes": [0, 1],
        "reason": "The border between background and Kiefer is unsure.",
    }


REGIONS = [region(1, (0.5, 6.5, 0.0)), region(2, (-6.0, 0.0, 3.0)), region(3, (6.0, -2.0, -3.0))]


def writePrediction(
    folder: Path,
    caseId: str = CASE,
    *,
    regions: list[dict[str, Any]] | None = None,
    withMap: bool = True,
    geometry: Geometry = GRID,
) -> Path:
    """Write the files of a prediction, as a round leaves them; returns the folder."""
    write_segmentation(folder / f"{caseId}.seg.nrrd", ballLabels(), geometry, LABELS)
    if withMap:
        write_volume(folder / f"{caseId}.uncertainty.nrrd", ballMap(), geometry)
        write_volume(folder / f"{caseId}.disagreement.nrrd", ballMap() / 2, geometry)
    record: dict[str, Any] = {"format_version": 1, "case": caseId, "mean_uncertainty": 0.1, "seconds": 1.0}
    write_json(folder / f"{caseId}.json", record if regions is None else record | {"regions": regions})
    return folder


def makeCohort(folder: Path, *caseIds: str) -> Cohort:
    """A cohort with an image of the ball for each case."""
    cohort = Cohort.create(folder / "Kohorte Zähne 歯", name="Zähne", modality=Modality.CBCT, labels=LABELS)
    for caseId in caseIds or (CASE,):
        path = cohort.folder / "images" / f"{caseId}.nrrd"
        path.parent.mkdir(exist_ok=True)
        write_volume(path, ballImage(), GRID)
        cohort.add_case(path, case_id=caseId)
    return cohort


def addVolume(scene: Any, array: np.ndarray, geometry: Geometry = GRID, name: str = "scan") -> Any:
    """A volume node with voxels (D, H, W) on a grid."""
    image = vtk.vtkImageData()
    image.SetDimensions(*geometry.size)
    image.AllocateScalars(get_vtk_array_type(array.dtype), 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = array.ravel()
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.index_to_lps).ravel())
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(matrix)
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    return node


def drawnIn(segmentationNode: Any, segmentId: str) -> np.ndarray:
    """Where a segment is, on the image's grid (D, H, W)."""
    labelmap = slicer.vtkOrientedImageData()
    segmentationNode.GetBinaryLabelmapRepresentation(segmentId, labelmap)
    i0, i1, j0, j1, k0, k1 = labelmap.GetExtent()
    drawn = np.zeros(SHAPE, bool)
    voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    drawn[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = voxels != 0
    return drawn


def draw(segmentationNode: Any, segmentId: str) -> None:
    """Paint a small box, the way the segment editor does."""
    labelmap = slicer.vtkOrientedImageData()
    segmentationNode.GetBinaryLabelmapRepresentation(segmentId, labelmap)
    brush = slicer.vtkOrientedImageData()
    brush.DeepCopy(labelmap)
    vtk_to_numpy(brush.GetPointData().GetScalars())[:20] = 1
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(brush, segmentationNode, segmentId, logic.MODE_MERGE_MAX)
