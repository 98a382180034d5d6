"""Prepared images and labels on disk, made when first asked for and made anew when their source changes.

    cache/.fingerprints/                                content hashes of images and annotations by size and time
    cache/<case>/image-<recipe>-<content>.npy           float16 (1, D, H, W), with its Restore in the .json beside it
    cache/<case>/labels-<recipe>-<content>.npy          uint8 (D, H, W) classes, 255 unknown

An entry's name tells what it was made from, so an entry is either right or not found. The folder may be deleted at
any time, also while arrays of it are in use.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from barl.cohort import AnnotationVersion, Cohort
from barl.errors import ImageError
from barl.imaging.annotations import load_annotation
from barl.imaging.cache_entries import read_details, read_entry, remove_entry, write_or_keep
from barl.imaging.fingerprints import Fingerprints
from barl.imaging.preprocess import Recipe, Restore, prepare_image, prepare_labels
from barl.imaging.volumes import read_volume

# To be raised whenever prepared arrays change for the same recipe.
_PREPARATION = 2

# Case ids do not begin with a dot.
_FINGERPRINTS = ".fingerprints"


class PreparedCache:
    """The prepared arrays of one cohort for one recipe.

    Several processes may use the same folder at once: files appear whole, and the same name means the same content.
    """

    def __init__(self, cohort: Cohort, recipe: Recipe) -> None:
        self._cohort = cohort
        self._recipe = recipe
        self._folder = cohort.folder / "cache"
        self._fingerprints = Fingerprints(self._folder / _FINGERPRINTS)
        self._verified: set[Path] = set()

    def image(self, case_id: str) -> tuple[npt.NDArray[np.float16], Restore]:
        """The prepared image, a read-only memory map (1, D, H, W), and the way back.

        Raises:
            ImageError: the image cannot be read or has voxels that are not finite.
            StorageError: the cache cannot be written, or the disk is full.
        """
        path = self._image_entry(case_id)
        found = self._read(path)
        if found is None:
            self._make_image(case_id, path)
            found = self._read_new(path)
        array, details = found
        return array, Restore.from_json(details)

    def labels(self, version: AnnotationVersion) -> npt.NDArray[np.uint8]:
        """An annotation as classes on the prepared image's grid, a read-only memory map (D, H, W).

        Raises:
            LabelError: the annotation cannot be read, or does not fit the table or the image.
            ImageError: as :meth:`image`.
            StorageError: as :meth:`image`.
        """
        image = self._image_entry(version.case_id)
        path = self._labels_entry(version, image)
        found = self._read(path)
        if found is None:
            restore = self._restore(version.case_id, image)
            array = load_annotation(self._cohort, version)
            self._write(path, prepare_labels(array, restore.geometry, restore, self._cohort.labels), {})
            found = self._read_new(path)
        return found[0]

    def prune(self, keep: Collection[str]) -> int:
        """Remove the entries of all cases but those in ``keep``, of every recipe; returns the bytes freed."""
        folders = [path for path in self._folder.glob("*") if path.is_dir() and path.name != _FINGERPRINTS]
        entries = [entry for folder in folders if folder.name not in keep for entry in folder.glob("*.npy")]
        return sum(remove_entry(entry) for entry in entries)

    def _make_image(self, case_id: str, path: Path) -> None:
        try:
            prepared = prepare_image(read_volume(self._cohort.image_path(case_id)), self._recipe)
        except ImageError as error:
            raise ImageError(f"Case {case_id}: {error}") from error
        self._write(path, prepared.array, prepared.restore.to_json())

    def _restore(self, case_id: str, image: Path) -> Restore:
        details = read_details(image)
        return self.image(case_id)[1] if details is None else Restore.from_json(details)

    def _image_entry(self, case_id: str) -> Path:
        content = self._fingerprints.of(self._cohort.image_path(case_id))
        return self._entry(case_id, "image", [content])

    def _labels_entry(self, version: AnnotationVersion, image: Path) -> Path:
        content = self._fingerprints.of(version.path)
        made_from = [content, version.coverage.to_json(), self._cohort.labels.to_json(), image.name]
        return self._entry(version.case_id, "labels", made_from)

    def _entry(self, case_id: str, kind: str, made_from: list[Any]) -> Path:
        recipe = _digest([_PREPARATION, self._recipe.to_json()])[:8]
        return self._folder / case_id / f"{kind}-{recipe}-{_digest(made_from)[:20]}.npy"

    def _read(self, path: Path) -> tuple[npt.NDArray[Any], dict[str, Any]] | None:
        """Read an entry; its checksum is compared the first time."""
        found = read_entry(path, verify=path not in self._verified)
        if found is not None:
            self._verified.add(path)
        return found

    def _read_new(self, path: Path) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        self._verified.discard(path)
        found = self._read(path)
        if found is None:
            raise ImageError(f"{path} was just written and cannot be read back. Check that the drive is healthy.")
        return found

    def _write(self, path: Path, array: npt.NDArray[Any], details: dict[str, Any]) -> None:
        """Write an entry and remove what was made from an earlier image or annotation."""
        write_or_keep(path, array, details)
        kind, recipe, _ = path.stem.split("-")
        for other in path.parent.glob(f"{kind}-{recipe}-*.npy"):
            if other != path:
                remove_entry(other)


def prepared_cases(cohort: Cohort) -> set[str]:
    """Cases whose image, as it is now, was read and prepared before, by any recipe: its voxels are known to be good.

    Raises:
        ImageError: an image is missing.
    """
    folder = cohort.folder / "cache"
    contents = image_contents(cohort, [case.id for case in cohort.cases if (folder / case.id).is_dir()])
    return {case_id for case_id, content in contents.items() if any((folder / case_id).glob(f"image-*-{content}.npy"))}


def image_contents(cohort: Cohort, case_ids: Collection[str]) -> dict[str, str]:
    """A digest of each case's image files as they are now; unchanged files are not read again.

    Raises:
        ImageError: an image is missing.
    """
    fingerprints = Fingerprints(cohort.folder / "cache" / _FINGERPRINTS)
    return {case_id: _digest([fingerprints.of(cohort.image_path(case_id))])[:20] for case_id in case_ids}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
