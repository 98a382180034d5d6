"""A volume node's voxels on their way into a file: copied in short steps, written by a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from vtk.util.numpy_support import vtk_to_numpy

from barl.errors import ImageError
from barl.imaging import Geometry, Volume
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.SteppedWriting import STEP_BYTES, SteppedWriting
from BARLSegmentLib.logic.VolumeNodes import compact, refuseNoVolume

Write = Callable[[Volume], None]
"""Writes a volume somewhere; runs in a thread, so that it may touch neither scene nor widgets."""


class VolumeWriting:
    """Call ``step`` from a timer until it says that the file is there.

    Args:
        node: a scalar volume.
        write: gets a copy of its voxels, as files have them.

    Raises:
        ImageError: it has no voxels, or several values a voxel, or its axes are sheared.
    """

    def __init__(self, node: Node, write: Write) -> None:
        self._node, self._writeVolume = node, write
        self._geometry = refuseNoVolume(node)
        self._copy = np.empty(self._geometry.shape, _voxels(node).dtype)
        self._copying = self._copyAll()
        self._writing = SteppedWriting(self._copyMore)

    def step(self) -> bool:
        """Copy some more, or look whether it is written; returns whether it is over.

        Raises:
            ImageError: the volume has become another one meanwhile.
            StorageError: the folder cannot be written, or the disk is full.
        """
        return self._writing.step()

    def finish(self) -> None:
        """Wait until it is written; raises as ``step``."""
        self._writing.finish()

    def giveUp(self) -> None:
        """Copy no more, and wait for what is just being written: nothing may come into a folder that is to go."""
        self._copying = iter(())
        self._writing.waitForWriting()

    def _copyMore(self) -> Callable[[], None] | None:
        if next(self._copying, None) is not None:
            return None
        return partial(_write, self._writeVolume, self._copy, self._geometry)

    def _copyAll(self) -> Iterator[bool]:
        depth = self._copy.shape[0]
        planes = max(1, STEP_BYTES // max(1, self._copy[0].nbytes))
        for begin in range(0, depth, planes):
            source = _voxels(self._node)  # Asked for in each step: what is done meanwhile may move it.
            if (source.shape, source.dtype) != (self._copy.shape, self._copy.dtype):
                raise ImageError(
                    f"The volume {self._node.GetName()} was changed while its voxels were being copied. Try again."
                )
            self._copy[begin : begin + planes] = source[begin : begin + planes]
            yield True


def _write(write: Write, array: npt.NDArray[Any], geometry: Geometry) -> None:
    write(Volume(array=compact(array), geometry=geometry))


def _voxels(node: Node) -> npt.NDArray[Any]:
    """(D, H, W), a view of the node's own memory."""
    refuseNoVolume(node)
    image = node.GetImageData()
    array: npt.NDArray[Any] = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    return array
