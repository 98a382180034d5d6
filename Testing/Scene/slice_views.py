"""Three slice views, rendered offscreen by Slicer's own displayable managers, as the application shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from PIL import Image
from vtk.util.numpy_support import vtk_to_numpy

VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)


class SliceView:
    """One view with its window, managers, slice node and slice logic.

    Args:
        scene: what it shows.
        application: the ``vtkMRMLApplicationLogic`` of the scene.
        name: Red, Yellow or Green.
        size: pixels, width and height.
    """

    def __init__(self, scene: Any, application: Any, name: str, size: tuple[int, int]) -> None:
        self._renderer, self._window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(*size)
        self._window.AddRenderer(self._renderer)
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._interactor = vtk.vtkRenderWindowInteractor()  # The managers measure the window through it.
        self._interactor.SetRenderWindow(self._window)
        self._managers = _managers(application, self._renderer)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        application.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(VIEWS[name])
        self._managers.SetMRMLDisplayableNode(self.node)
        self.logic.ResizeSliceNode(*size)
        self._image = _background(self._renderer)

    @property
    def composite(self) -> Any:
        """The node that says which volumes are shown."""
        return self.logic.GetSliceCompositeNode()

    def fit(self) -> None:
        """Zoom to what is shown."""
        self.logic.FitSliceToBackground()

    def pixels(self) -> np.ndarray:
        """What a person sees: (height, width, 3) bytes, first row on top."""
        self.render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.Update()
        width, height, _ = grab.GetOutput().GetDimensions()
        return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()

    def render(self) -> None:
        """Draw."""
        connection = self.logic.GetImageDataConnection()
        self._image.SetVisibility(connection is not None)
        if connection is not None:
            self._image.GetMapper().SetInputConnection(connection)
        self._window.Render()

    def close(self) -> None:
        """Let the window and the scene go."""
        self._managers.SetMRMLDisplayableNode(None)
        self.logic.SetMRMLScene(None)
        self._window.Finalize()


class SliceViews:
    """The three usual views of a scene."""

    def __init__(self, scene: Any, application: Any, size: tuple[int, int] = (160, 160)) -> None:
        self.views = {name: SliceView(scene, application, name, size) for name in VIEWS}

    def __getitem__(self, name: str) -> SliceView:
        return self.views[name]

    def fit(self) -> None:
        """Zoom all views to what they show."""
        for view in self.views.values():
            view.fit()

    def show(self, volumeNode: Any) -> None:
        """Put a volume behind everything, and fit."""
        for view in self.views.values():
            view.composite.SetBackgroundVolumeID(volumeNode.GetID())
        self.fit()

    def render(self) -> None:
        """Draw all views."""
        for view in self.views.values():
            view.render()

    def pixels(self) -> np.ndarray:
        """The views side by side: (height, 3 x width, 3) bytes."""
        return np.concatenate([view.pixels() for view in self.views.values()], axis=1)

    def close(self) -> None:
        """Let windows and scene go."""
        for view in self.views.values():
            view.close()


def savePicture(path: Path, pixels: np.ndarray) -> None:
    """Write (height, width, 3) bytes as a PNG file."""
    Image.fromarray(pixels).save(path, optimize=True)


def _managers(application: Any, renderer: Any) -> Any:
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(application)
    for name in _MANAGERS:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    managers = slicer.vtkMRMLDisplayableManagerGroup()
    managers.SetRenderer(renderer)
    managers.Initialize(factory, renderer)
    return managers


def _background(renderer: Any) -> Any:
    """The actor with the blended image; in the application CTK's slice widget has it."""
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetDisplayLocationToBackground()
    renderer.AddViewProp(actor)
    return actor
