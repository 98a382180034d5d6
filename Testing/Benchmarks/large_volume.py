"""A large volume from file to file: how long it takes, where the time goes, and how much memory.

    python Testing/Benchmarks/large_volume.py --model COHORT/rounds/0001/model --size 600 600 450

The volume is a phantom, enlarged to the size asked for over the same extent. The prediction runs in a process of its
own, so that its peak memory is its alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from peak_memory import peak_mib

from barl.imaging.preprocess import prepare_image
from barl.imaging.volumes import read_volume
from barl.inference.devices import choose_device, set_cpu_threads
from barl.inference.predictor import Predictor
from barl.inference.results import ResultPaths, write_prediction
from barl.phantom import make_case
from barl.phantom.cohort import centered_geometry


def main() -> None:
    """Make the volume, predict it in a child process, print what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs=3, default=(600, 600, 450), metavar=("X", "Y", "Z"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(_predict(arguments.model, arguments.child, arguments.device)))
        return
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "large.nii.gz"
        _make(image, tuple(arguments.size))
        command = [sys.executable, __file__, "--model", str(arguments.model), "--device", arguments.device]
        answer = subprocess.run([*command, "--child", str(image)], check=True, capture_output=True, text=True)
        print(answer.stdout.strip())


def _make(path: Path, size: tuple[int, ...]) -> None:
    """Enlarge a phantom; the noise is that of the small one, which does not matter for time."""
    array, _ = make_case(1)
    small = sitk.GetImageFromArray(array)
    small.SetSpacing(centered_geometry(array.shape, 0.8).spacing_mm)
    spacing = [extent * 0.8 / wanted for extent, wanted in zip(small.GetSize(), size, strict=True)]
    large = sitk.Resample(
        small, size, sitk.Transform(), sitk.sitkLinear, (0, 0, 0), spacing, (1, 0, 0, 0, 1, 0, 0, 0, 1)
    )
    sitk.WriteImage(large, str(path), True, 1)


def _predict(model: Path, image: Path, device: str) -> dict[str, Any]:
    set_cpu_threads()
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        seconds[name] = round(time.perf_counter() - start, 1)
        return result

    predictor = timed("load model", lambda: Predictor.load(model, choose_device(device)))
    volume = timed("read", lambda: read_volume(image))
    prepared = timed("prepare", lambda: prepare_image(volume, predictor.card.recipe))
    prediction = timed("networks and way back", lambda: predictor.predict_prepared(prepared))
    paths = ResultPaths(image.parent, "large")
    timed("write", lambda: write_prediction(paths, prediction, image, predictor.card, 0.0))
    return {
        "size": list(volume.geometry.size),
        "prepared": list(np.shape(prepared.array)),
        "method": predictor.card.method,
        "seconds": seconds,
        "total": round(sum(seconds.values()), 1),
        "peak_gib": round(peak_mib(predictor.device) / 2**10, 2),
    }


if __name__ == "__main__":
    main()
