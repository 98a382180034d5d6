"""What the tests of the command line share: one call, and tiny volumes to give to it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from barl.cli import main

SHAPE = (6, 8, 10)
SPACING_XYZ = (0.5, 0.4, 1.5)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be exactly one JSON value."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything, with line ends as spaces."""
        return " ".join((self.out + self.err).split())


def barl(*arguments: object) -> Answer:
    """Run one command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Answer(code=code, out=out.getvalue(), err=err.getvalue())


def write_image(path: Path, array: np.ndarray | None = None, *, origin: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Path:
    """Write a volume; noise when no array is given."""
    if array is None:
        array = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_XYZ)
    image.SetOrigin(origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def box(value: int = 1, *, start: int = 2) -> np.ndarray:
    """Labels (D, H, W): one box of 3 x 3 x 3 voxels."""
    array = np.zeros(SHAPE, np.uint8)
    array[start : start + 3, 2:5, 2:5] = value
    return array


def make_cohort(folder: Path, *names: str) -> Path:
    """A cohort with the labels 1 jaw and 2 teeth, and an image for each name."""
    images = [write_image(folder.parent / "scans" / f"{name}.nii.gz") for name in names]
    answer = barl("cohort", "create", folder, "--labels", "1=jaw,2=teeth")
    assert answer.code == 0, answer.said
    if images:
        answer = barl("cohort", "add", folder, *images)
        assert answer.code == 0, answer.said
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks, to see that nothing was changed."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
