"""Many volumes in one call, from the Python console or the panel: torch works in a process of its own.

>>> from BARLSegmentLib.logic.BatchLogic import segmentVolumes
>>> segmentVolumes(["/data/P01.nrrd", "/data/P02.nrrd"], "/data/cohort", "/data/out")  # doctest: +SKIP
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from barl.errors import ImageError, InputError, JobError, JobFailedError
from barl.imaging import read_volume
from barl.imaging.seg_nrrd import read_layers
from barl.jobs import EventReader, JobFolder, JobSpec, State, read_status, request_stop, write_spec
from barl.records import read_fields
from BARLSegmentLib.logic.BatchFiles import caseOf, imageOf, modelFolderOf, newJobFolder
from BARLSegmentLib.logic.PythonProgram import launchJob as launchHere
from BARLSegmentLib.logic.SceneTypes import Node, Scene
from BARLSegmentLib.logic.SegmentationNodes import addSegmentation
from BARLSegmentLib.logic.SteppedWriting import inThread, isDone
from BARLSegmentLib.logic.VolumeNodes import addVolumeNode
from BARLSegmentLib.logic.VolumesTable import TABLE_FILE, VolumeRow, writeVolumesTable

_POLL_SECONDS = 0.2
_STEP_SECONDS = 0.005

OnProgress = Callable[[float, str], None]
"""Share done, 0 to 1, and what is being done."""


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """How a batch stands."""

    share: float
    """0 to 1."""

    message: str
    done: int
    total: int
    isOver: bool


@dataclass(frozen=True, kw_only=True)
class Item:
    """One volume to segment, and the node it comes from."""

    image: Path
    node: Node | None = None


@dataclass(kw_only=True)
class Batch:
    """A batch that was started; ``poll`` it from a timer."""

    job: JobFolder
    output: Path
    items: tuple[Item, ...]
    rows: dict[str, VolumeRow] = field(default_factory=dict)
    """What is known so far, by case."""

    def __post_init__(self) -> None:
        self._events = EventReader(self.job)
        self._images = {caseOf(item.image): item.image for item in self.items}
        self._progress: BatchProgress | None = None

    def poll(self) -> BatchProgress:
        """Read what is new; never waits. When it is over, ``volumes.csv`` is there.

        Raises:
            JobFailedError: the job ended before the volumes were done; the message says why.
            StorageError: the table cannot be written.
        """
        if self._progress is not None and self._progress.isOver:
            return self._progress
        status = read_status(self.job)
        for event in self._events.read_new():
            if event.get("kind") == "prediction":
                row = _row(event, self.output, self._images)
                self.rows[row.case] = row
        over = not status.state.is_active
        share = 1.0 if over else (status.percent or 0.0) / 100
        done, total = len(self.rows), len(self.items)
        message = "done" if over else f"{done} of {total} volumes"
        self._progress = BatchProgress(share=share, message=message, done=done, total=total, isOver=over)
        if over:
            self._conclude(status.state, status.error or status.message)
        return self._progress

    def stop(self) -> None:
        """Ask it to stop; what is done stays, and a later call goes on from there.

        Raises:
            StorageError: the folder cannot be written.
        """
        request_stop(self.job)

    def _conclude(self, state: State, why: str) -> None:
        if self.rows:
            writeVolumesTable(self.output / TABLE_FILE, self.table())
        if state not in (State.FINISHED, State.STOPPED):
            raise JobFailedError(
                f"The volumes could not be segmented ({state.value}): {why or 'its process ended'} "
                f"What it wrote last is in {self.job.log}."
            )
        if state is State.FINISHED:
            shutil.rmtree(self.job.path, ignore_errors=True)  # The results tell everything.

    def table(self) -> tuple[VolumeRow, ...]:
        """One row a volume, in the order in which they were given; those that were not reached are left out."""
        order = [caseOf(item.image) for item in self.items]
        return tuple(self.rows[case] for case in order if case in self.rows)


class BatchLogic:
    """Starts batches and brings their results into the scene.

    Args:
        scene: where results go; None when none are wanted.
        launchJob: starts the process of a job folder; by default that of PythonSlicer, or of this Python.
        sleep: waits some seconds; a panel gives one that keeps the window alive.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        scene: Scene | None = None,
        *,
        launchJob: Callable[[Path], int] = launchHere,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._scene = scene
        self._launch = launchJob
        self._sleep = sleep
        self._clock = clock

    def start(
        self,
        volumes: Sequence[Node | Path | str],
        model: Path | str,
        outputFolder: Path | str,
        *,
        device: str = "auto",
        overwrite: bool = False,
    ) -> Batch:
        """Start segmenting; returns at once, apart from writing nodes that have no file of their own.

        Args:
            volumes: volume nodes, image files or DICOM folders, in any mixture.
            model: a model folder, a round's folder, or a cohort for its newest model.
            outputFolder: gets a ``.seg.nrrd``, two maps and a ``.json`` a volume, and ``volumes.csv``.
            device: auto, cpu, cuda or cuda:N.
            overwrite: also volumes that this model has done already.

        Raises:
            ImageError: nothing to segment, a file is missing, or a node is under a transform or has no voxels.
            InputError: two volumes would write the same result, or there is no model.
            StorageError: the folder cannot be written, or the disk is full.
        """
        modelFolderOf(Path(model))  # Refused before voxels are written.
        items = []
        for item in self.eachItem(volumes, outputFolder):
            items.append(item) if item is not None else self._sleep(_STEP_SECONDS)
        return self.startItems(tuple(items), model, outputFolder, device=device, overwrite=overwrite)

    def eachItem(self, volumes: Sequence[Node | Path | str], outputFolder: Path | str) -> Iterator[Item | None]:
        """What ``startItems`` takes, one volume at a time.

        Yields:
            A volume; None while one that has no file is on its way into one, for that takes a second or more.

        Raises:
            ImageError: a file is missing, or a node is under a transform or has no voxels.
            StorageError: the folder cannot be written, or the disk is full.
        """
        output = Path(outputFolder).absolute()
        for volume in volumes:
            if isinstance(volume, str | Path):
                yield _itemOf(Path(volume))
                continue
            path, writing = imageOf(volume, output)
            while writing is not None and not writing.step():
                yield None
            yield Item(image=path, node=volume)

    def startItems(
        self,
        items: tuple[Item, ...],
        model: Path | str,
        outputFolder: Path | str,
        *,
        device: str = "auto",
        overwrite: bool = False,
    ) -> Batch:
        """Start segmenting what ``eachItem`` gave; returns at once, and raises as ``start``."""
        modelFolder, output = modelFolderOf(Path(model)), Path(outputFolder).absolute()
        _refuseNothingOrTwice(items)
        job = JobFolder(newJobFolder(output, self._clock()))
        payload = {
            "model": str(modelFolder.absolute()),
            "images": [str(item.image.absolute()) for item in items],
            "output": str(output),
            "device": device,
            "overwrite": overwrite,
        }
        write_spec(job, JobSpec(kind="predict", payload=payload))
        self._launch(job.path)
        return Batch(job=job, output=output, items=items)

    def run(
        self,
        volumes: Sequence[Node | Path | str],
        model: Path | str,
        outputFolder: Path | str,
        *,
        device: str = "auto",
        overwrite: bool = False,
        onProgress: OnProgress = lambda share, message: None,
    ) -> Batch:
        """Segment volumes and wait for the end; see :meth:`start`.

        An interrupt (Ctrl-C, or an error of ``onProgress``) asks the process to stop.

        Raises:
            JobFailedError: the job ended before the volumes were done.
        """
        batch = self.start(volumes, model, outputFolder, device=device, overwrite=overwrite)
        try:
            while not (progress := batch.poll()).isOver:
                onProgress(progress.share, progress.message)
                self._sleep(_POLL_SECONDS)
        except BaseException:
            if read_status(batch.job).state.is_active:
                batch.stop()
            raise
        onProgress(1.0, "done")
        return batch

    def loadResults(self, batch: Batch) -> tuple[Node, ...]:
        """Bring the segmentations of a batch into the scene, each as a new node on its volume.

        Volumes that were given as files are loaded with them; so are those that have left the scene meanwhile.

        Raises:
            InputError: there is no scene to bring them into.
            LabelError: a result cannot be read.
        """
        nodes = []
        for node in self.eachResult(batch):
            nodes.append(node) if node is not None else self._sleep(_STEP_SECONDS)
        return tuple(nodes)

    def eachResult(self, batch: Batch) -> Iterator[Node | None]:
        """The same one by one; None while one is being read; raises as ``loadResults``."""
        if self._scene is None:
            raise InputError("There is no scene to bring the results into. Give BatchLogic a scene.")
        for item in batch.items:
            case = caseOf(item.image)
            path = batch.output / f"{case}.seg.nrrd"
            if case not in batch.rows or batch.rows[case].state == "failed" or not path.is_file():
                continue
            reading = inThread(partial(read_layers, path))
            while not isDone(reading):
                yield None
            isThere = item.node is not None and item.node.GetScene() is self._scene
            volumeNode = item.node if isThere else addVolumeNode(self._scene, read_volume(item.image), case)
            yield addSegmentation(self._scene, f"{case} segmentation", reading.result(), None, volumeNode)


def segmentVolumes(
    volumes: Sequence[Node | Path | str],
    model: Path | str,
    outputFolder: Path | str,
    *,
    scene: Scene | None = None,
    device: str = "auto",
    overwrite: bool = False,
    onProgress: OnProgress = lambda share, message: None,
    launchJob: Callable[[Path], int] = launchHere,
) -> tuple[VolumeRow, ...]:
    """Segment many volumes; those that this model has done already are skipped, one that fails keeps none back.

    Args:
        volumes: volume nodes, image files or DICOM folders, in any mixture.
        model: a model folder, a round's folder, or a cohort for its newest model.
        outputFolder: gets a ``.seg.nrrd``, two maps and a ``.json`` a volume, and ``volumes.csv`` with volumes in ml.
        scene: brings the segmentations into this scene as new nodes; None brings none.
        device: auto, cpu, cuda or cuda:N.
        overwrite: also volumes that this model has done already.
        onProgress: share done, 0 to 1, and what is being done.
        launchJob: starts the process of a job folder.

    Returns:
        A row a volume: volumes in ml, mean uncertainty, or why it failed.

    Raises:
        InputError: as :meth:`BatchLogic.start`.
        JobFailedError: the job ended before the volumes were done.
    """
    logic = BatchLogic(scene, launchJob=launchJob)
    batch = logic.run(volumes, model, outputFolder, device=device, overwrite=overwrite, onProgress=onProgress)
    if scene is not None:
        logic.loadResults(batch)
    return batch.table()


def _itemOf(path: Path) -> Item:
    if not path.exists():
        raise ImageError(f"{path} does not exist. Check the path, and that the drive is connected.")
    return Item(image=path)


def _refuseNothingOrTwice(items: Sequence[Item]) -> None:
    if not items:
        raise ImageError("There is nothing to segment: give volume nodes, image files or DICOM folders.")
    seen: dict[str, Path] = {}
    for item in items:
        case = caseOf(item.image).casefold()
        if case in seen:
            raise InputError(
                f"Two volumes would write the same result {caseOf(item.image)}.seg.nrrd: {seen[case]} and "
                f"{item.image}. Rename one of them, or segment them into two folders."
            )
        seen[case] = item.image


def _row(event: dict[str, object], output: Path, images: Mapping[str, Path]) -> VolumeRow:
    """What an event tells of a volume; of one that was done before, its record tells."""
    case = str(event.get("case", ""))
    volumes, uncertainty = event.get("volumes_ml"), event.get("mean_uncertainty")
    if event.get("state") == "skipped":
        record = read_fields(output / f"{case}.json", JobError).values
        volumes, uncertainty = record.get("volumes_ml"), record.get("mean_uncertainty")
    return VolumeRow(
        case=case,
        state=str(event.get("state", "failed")),
        volumesMl={str(name): float(ml) for name, ml in volumes.items()} if isinstance(volumes, dict) else {},
        meanUncertainty=float(uncertainty) if isinstance(uncertainty, int | float) else None,
        message=str(event.get("message", "")),
        image=str(images.get(case, "")),
    )
