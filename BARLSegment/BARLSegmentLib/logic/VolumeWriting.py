"""A volume node's voxels on their way into a file: copied in short steps, written by a thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from vtk.util.numpy_support import vtk_to_numpy

from barl.errors import ImageError
from barl.imaging import Geometry, Volume
from BARLSegmentLib.logic.SceneTypes import Node
from BARLSegmentLib.logic.VolumeNodes import compact, refuseNoVolume

Result = TypeVar("Result")

STEP_BYTES = 8 << 20
"""Copied in 5 to 10 ms, with the new memory that it takes."""

_MOMENT_S = 0.001

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
        self._written: Future[None] | None = None

    def step(self) -> bool:
        """Copy some more, or look whether it is written; returns whether it is over.

        Raises:
            ImageError: the volume has become another one meanwhile.
            StorageError: the folder cannot be written, or the disk is full.
        """
        if self._written is None:
            if next(self._copying, None) is None:
                self._written = inThread(partial(_write, self._writeVolume, self._copy, self._geometry))
            return False
        if not isDone(self._written):
            return False
        self._written.result()
        return True

    def finish(self) -> None:
        """Wait until it is written; raises as ``step``."""
        while self._written is None:
            self.step()
        self._written.result()

    def giveUp(self) -> None:
        """Copy no more, and wait for what is just being written: nothing may come into a folder that is to go."""
        self._copying = iter(())
        if self._written is not None:
            self._written.exception()

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


def inThread(work: Callable[[], Result]) -> Future[Result]:
    """Have one thing done beside the window; the thread ends with it.

    Args:
        work: may know arrays and paths, but nothing that knows a node: the thread may be the last to let go of it, and
            a node that goes in another thread than the window's ends the program.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="barl-write")
    try:
        return executor.submit(work)
    finally:
        executor.shutdown(wait=False)


def isDone(work: Future[Any]) -> bool:
    """Whether a thread has done its work; gives it a moment.

    An application whose event loop keeps Python to itself lets threads run Python only while the window's own Python
    sleeps. What compresses and writes needs none of it, and goes on meanwhile.
    """
    if not work.done():
        time.sleep(_MOMENT_S)
    return work.done()


def _voxels(node: Node) -> npt.NDArray[Any]:
    """(D, H, W), a view of the node's own memory."""
    refuseNoVolume(node)
    image = node.GetImageData()
    array: npt.NDArray[Any] = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    return array
