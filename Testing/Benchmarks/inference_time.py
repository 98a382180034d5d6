"""What segmenting a volume costs: ours against a plain reference and MONAI's inferer, and how memory behaves.

    python Testing/Benchmarks/inference_time.py --size 96 160 160 --patch 48 64 64
    python Testing/Benchmarks/inference_time.py --model ROUND/model --data left_atrium --held-out 5

All three run the same weights over the same prepared volume with windows of the same size. Ours also computes both
uncertainty maps. The plain reference is the loop of public semi-supervised projects, in this file: one window after the
other, windows 18 rows, 18 columns and 4 slices apart, sums in numpy, float32, gradients left on. MONAI's
`sliding_window_inference` runs in float32 without gradients, with ours' overlap and Gaussian weights.

With ``--data`` the model segments the last volumes of a folder instead and is compared with their labels; that it has
not learned from them, nobody checks. Without ``--model`` a supervised network learns from phantoms for a minute first,
so that Dice can be compared. The memory runs take place in processes of their own; working memory is their peak beyond
model, volume and result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peak_memory import peak_mib
from torch import Tensor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from monai.inferers import sliding_window_inference

from barl.cohort import LabelTable, Modality
from barl.imaging import Recipe, Volume, read_labels, read_volume
from barl.imaging.preprocess import prepare_image, prepare_labels
from barl.inference import sliding_window
from barl.inference.devices import choose_device, choose_precision
from barl.inference.model_folder import ModelCard, write_model
from barl.inference.predictor import Predictor
from barl.jobs import share_cores
from barl.methods.factory import make_method
from barl.methods.protocol import Progress
from barl.networks import NetworkSettings
from barl.phantom import LABELS, make_case
from barl.phantom.cohort import centered_geometry
from barl.training.resident import labeled_case
from barl.training.sampler import Sampler, SamplerSettings
from barl.training.settings import TrainingSettings
from barl.training.stepper import Stepper
from barl.training.validation import dice
from barl.training.views import Chance, ViewSettings

STRIDES = (4, 18, 18)
"""Slices, rows and columns between windows of the plain reference, as public left atrium code has them."""

FIELD_MM = 76.8
"""Width of a phantom: however many voxels it has, it shows the same jaw."""


@dataclass(kw_only=True)
class Case:
    """A prepared volume and its truth."""

    array: np.ndarray
    """(1, D, H, W) float16."""

    truth: np.ndarray
    """(D, H, W) class index."""


def main() -> None:
    """Print the figures, or be one of the processes whose memory is measured."""
    arguments = _arguments()
    environment = dict(os.environ)
    share_cores(environment)
    if environment != dict(os.environ):  # As barl itself is started; torch reads it while it is loaded.
        raise SystemExit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    if arguments.child:
        print(json.dumps(_memory(arguments.model, arguments.child, device)))
        return
    print(_heading(arguments), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or _trained(Path(folder) / "model", arguments, device)
        predictor = Predictor.load(model, device)
        if arguments.data:
            print(_over_cases(predictor, arguments.data, arguments.held_out), flush=True)
            return
        case = _case(arguments, predictor.card)
        print(_compared(predictor, case, arguments), flush=True)
        print(_besides(predictor, case, arguments.repeats), flush=True)
        print(_in_air(predictor, case), flush=True)
        print(_memories(model, case, Path(folder), arguments), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=(96, 160, 160), metavar=("D", "H", "W"))
    parser.add_argument("--patch", type=int, nargs=3, default=(48, 64, 64), metavar=("D", "H", "W"))
    parser.add_argument("--base", type=int, default=16, help="filters of the network at full resolution")
    parser.add_argument("--seconds", type=float, default=60, help="how long it learns")
    parser.add_argument("--model", type=Path, help="a model folder instead")
    parser.add_argument("--image", type=Path, help="a volume instead of a phantom")
    parser.add_argument("--reference", type=Path, help="its true labels")
    parser.add_argument("--data", type=Path, help="a folder with images and labels of the same names, instead")
    parser.add_argument("--held-out", type=int, default=5, help="how many of them, the last ones by name")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plain-repeats", type=int, default=1, help="of the plain reference, which takes long")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.image and not (arguments.model and arguments.reference):
        parser.error("--image needs --model and --reference")
    if arguments.data and not arguments.model:
        parser.error("--data needs --model")
    return arguments


def _heading(arguments: argparse.Namespace) -> str:
    return (
        f"{arguments.threads} threads, device {arguments.device}; seed 0; {platform.machine()}, torch "
        f"{torch.__version__}, Python {platform.python_version()}; load before {os.getloadavg()[0]:.1f}"
    )


# Model and volume


def _trained(folder: Path, arguments: argparse.Namespace, device: torch.device) -> Path:
    """A model folder after a short training on two phantoms."""
    network = NetworkSettings(base_filters=arguments.base)
    method, precision, chance = make_method("supervised", {}, network), choose_precision(device), Chance(0, device)
    torch.manual_seed(0)
    model = precision.place(method.build(1, LABELS.num_classes), device)
    patch = tuple(arguments.patch)
    cases = [_phantom(seed, tuple(arguments.size)) for seed in (1, 2)]
    labeled = [labeled_case(str(index), case.array, case.truth, device) for index, case in enumerate(cases)]
    settings = SamplerSettings(
        patch_size_voxels=patch,
        spacing_mm=(1.0, 1.0, 1.0),
        labeled_patches=4,
        unlabeled_patches=0,
        foreground_share=0.67,
        least_foreground_share=0.67,
        views=ViewSettings(),
    )
    sampler, stepper = Sampler(labeled, [], settings, chance), Stepper(method, model, TrainingSettings(), device)
    start, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < arguments.seconds:
        batch = sampler.next_batch()
        batch = replace(batch, labeled=precision.arrange(batch.labeled))
        stepper.step(
            batch, Progress(step=int(1000 * spent / arguments.seconds), total_steps=1000), precision.autocast(device)
        )
        steps += 1
    print(f"supervised, base {arguments.base}, learned for {spent:.0f} s, {steps} steps of 4 patches", flush=True)
    card = ModelCard(
        method="supervised",
        settings={},
        network=network,
        labels=LABELS,
        recipe=Recipe(modality=Modality.CBCT, spacing_dhw_mm=None, normalization="percentile", crop=False),
        patch_size_voxels=patch,
    )
    write_model(folder, card, model.state_dict())
    return folder


def _case(arguments: argparse.Namespace, card: ModelCard) -> Case:
    if not arguments.image:
        return _phantom(0, tuple(arguments.size))
    return _read(arguments.image, arguments.reference, card)


def _read(image: Path, reference: Path, card: ModelCard) -> Case:
    return _prepared(read_volume(image), read_labels(reference, card.labels).array, card.recipe, card.labels)


def _phantom(seed: int, shape: tuple[int, int, int]) -> Case:
    spacing = FIELD_MM / shape[2]
    array, labels = make_case(seed, shape, spacing)
    recipe = Recipe(modality=Modality.CBCT, spacing_dhw_mm=None, normalization="percentile", crop=False)
    return _prepared(Volume(array=array, geometry=centered_geometry(shape, spacing)), labels, recipe, LABELS)


def _prepared(volume: Volume, labels: np.ndarray, recipe: Recipe, table: LabelTable) -> Case:
    prepared = prepare_image(volume, recipe)
    return Case(array=prepared.array, truth=prepare_labels(labels, volume.geometry, prepared.restore, table))


# Against the others


def _ways(predictor: Predictor, case: Case) -> dict[str, Callable[[], np.ndarray]]:
    return {
        "ours": lambda: predictor.maps(case.array, case.truth.shape).classes,
        "MONAI, float32": lambda: _monai(predictor, case.array),
        "plain": lambda: _plain(predictor, case.array),
    }


def _over_cases(predictor: Predictor, data: Path, count: int) -> str:
    """Mean Dice of each way over volumes that a person labeled, and how far ours is from the others."""
    scores: dict[str, list[float]] = {}
    size = " x ".join(map(str, predictor.card.patch_size_voxels))
    lines = []
    for image in sorted((data / "images").iterdir())[-count:]:
        case = _read(image, data / "labels" / image.name, predictor.card)
        for name, way in _ways(predictor, case).items():
            scores.setdefault(name, []).append(_mean_dice(way(), case.truth))
        shape = " x ".join(map(str, case.truth.shape))
        lines.append(f"| {shape} | " + " | ".join(f"{found[-1]:.4f}" for found in scores.values()) + " |")
    head = [f"\n| {predictor.card.method}, windows of {size} | " + " | ".join(scores) + " |", "|---" * 4 + "|"]
    mean = "| mean | " + " | ".join(f"{statistics.mean(found):.4f}" for found in scores.values()) + " |"
    gaps = [
        f"- ours less {name}, in points of Dice: {100 * statistics.mean(apart):+.2f} "
        f"({100 * min(apart):+.2f} to {100 * max(apart):+.2f})"
        for name, found in scores.items()
        if (apart := [own - other for own, other in zip(scores["ours"], found, strict=True)]) and name != "ours"
    ]
    return "\n".join([*head, *lines, mean, "", *gaps])


def _compared(predictor: Predictor, case: Case, arguments: argparse.Namespace) -> str:
    shape, ways = case.truth.shape, _ways(predictor, case)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, np.ndarray] = {}
    ways["ours"]()
    for turn in range(arguments.repeats):
        for name, way in ways.items():
            if name != "plain" or turn < arguments.plain_repeats:
                start = time.perf_counter()
                found[name] = way()
                seconds[name].append(time.perf_counter() - start)
    ours = statistics.median(seconds["ours"])
    size, patch = " x ".join(map(str, shape)), " x ".join(map(str, predictor.card.patch_size_voxels))
    lines = [
        f"\n| {predictor.card.method}, {size}, windows of {patch} | runs | seconds | times ours | mean Dice |",
        "|---|---|---|---|---|",
    ]
    for name, times in seconds.items():
        median = statistics.median(times)
        score = _mean_dice(found[name], case.truth)
        lines.append(f"| {name} | {len(times)} | {median:.2f} | {median / ours:.1f} | {score:.4f} |")
    return "\n".join(lines)


def _mean_dice(guess: np.ndarray, truth: np.ndarray) -> float:
    scores = [dice(guess == value, truth == value) for value in np.unique(truth) if value not in (0, 255)]
    return statistics.mean(score for score in scores if score is not None)


def _plainly(predictor: Predictor) -> Callable[[Tensor], Tensor]:
    """The branches' mean softmax in float32 and the usual memory order."""
    card = predictor.card
    method = make_method(card.method, card.settings, card.network)
    model = method.build(card.in_channels, card.labels.num_classes).to(predictor.device)
    model.load_state_dict(predictor.model.state_dict())
    model.eval()
    return lambda window: torch.softmax(method.predict(model, window), dim=2).mean(dim=1)


def _monai(predictor: Predictor, array: np.ndarray) -> np.ndarray:
    network, card = _plainly(predictor), predictor.card
    volume = torch.from_numpy(array.astype(np.float32))[None].to(predictor.device)
    with torch.no_grad():
        score = sliding_window_inference(
            volume, card.patch_size_voxels, 1, network, overlap=card.overlap, mode="gaussian", sigma_scale=1 / 3
        )
    return score[0].argmax(dim=0).byte().cpu().numpy()


def _plain(predictor: Predictor, array: np.ndarray) -> np.ndarray:
    network, size = _plainly(predictor), predictor.card.patch_size_voxels
    image = array[0].astype(np.float32)
    counts = [
        -(-(extent - window) // step) + 1 for extent, window, step in zip(image.shape, size, STRIDES, strict=True)
    ]
    score = np.zeros((predictor.card.labels.num_classes, *image.shape), np.float32)
    visits = np.zeros(image.shape, np.float32)
    for x in range(counts[0]):
        for y in range(counts[1]):
            for z in range(counts[2]):
                first = [min(s * i, e - w) for s, i, e, w in zip(STRIDES, (x, y, z), image.shape, size, strict=True)]
                place = tuple(slice(start, start + window) for start, window in zip(first, size, strict=True))
                window = torch.from_numpy(image[place][np.newaxis, np.newaxis]).to(predictor.device)
                score[(slice(None), *place)] += network(window).cpu().data.numpy()[0]
                visits[place] += 1
    return np.argmax(score / visits, axis=0)


# What is not the networks' time


@dataclass
class _Asked:
    """Stands before the networks: how long they took, and how many windows they saw."""

    predict: Callable[[Tensor], Tensor]
    device: torch.device
    seconds: float = 0.0
    windows: int = 0

    def __call__(self, windows: Tensor) -> Tensor:
        start = time.perf_counter()
        logits = self.predict(windows)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds += time.perf_counter() - start
        self.windows += len(windows)
        return logits


@contextmanager
def _asking(predictor: Predictor) -> Iterator[_Asked]:
    asked = _Asked(predictor._windows, predictor.device)
    predictor._windows = asked  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        del predictor._windows


def _besides(predictor: Predictor, case: Case, repeats: int) -> str:
    """Share of what is not the networks, on the prepared grid and on one that is finer in every direction."""
    lines = []
    finer = tuple(round(1.25 * extent) for extent in case.truth.shape)
    for name, shape in (("the same grid", case.truth.shape), (f"a grid of {finer}", finer)):
        shares = []
        for _ in range(repeats):
            with _asking(predictor) as asked:
                start = time.perf_counter()
                predictor.maps(case.array, shape)
                shares.append((time.perf_counter() - start) / asked.seconds - 1)
        lines.append(f"- all that is not the networks, onto {name}: {statistics.median(shares):.1%} of their time")
    return "\n" + "\n".join(lines)


def _in_air(predictor: Predictor, case: Case) -> str:
    """The volume with as much air around it as it has slices and columns: with and without skipping."""
    _, depth, _, width = case.array.shape
    air = case.array.min()
    array = np.pad(case.array, ((0, 0), (depth // 2,) * 2, (0, 0), (width // 2,) * 2), constant_values=air)
    results, times, windows = [], [], []
    for skips in (True, False):
        with _asking(predictor) as asked, _without_skipping(not skips):
            start = time.perf_counter()
            results.append(predictor.maps(array, array.shape[1:]))
            times.append(time.perf_counter() - start)
            windows.append(asked.windows)
    same = all(np.array_equal(a, b) for a, b in zip(*(vars(maps).values() for maps in results), strict=True))
    return (
        f"- with air around it, four times the voxels: {windows[0]} of {windows[1]} windows asked about, "
        f"{times[0]:.2f} instead of {times[1]:.2f} s, {'the same' if same else 'ANOTHER'} result"
    )


@contextmanager
def _without_skipping(wanted: bool) -> Iterator[None]:
    original = sliding_window._Looks._fills
    if wanted:
        sliding_window._Looks._fills = lambda self, corners: [None] * len(corners)  # type: ignore[method-assign]
    try:
        yield
    finally:
        sliding_window._Looks._fills = original  # type: ignore[method-assign]


# Memory


def _memories(model: Path, case: Case, folder: Path, arguments: argparse.Namespace) -> str:
    lines = ["\n| slices | windows | working memory, MiB |", "|---|---|---|"]
    for times in (1, 2, 4):
        path = folder / f"volume_{times}.npy"
        np.save(path, np.concatenate([case.array] * times, axis=1))
        command = [sys.executable, __file__, "--model", str(model), "--child", str(path)]
        command += ["--threads", str(arguments.threads), "--device", arguments.device]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        told: dict[str, Any] = json.loads(answer.stdout)
        lines.append(f"| {told['slices']} | {told['windows']} | {told['working_mib']:.0f} |")
    return "\n".join(lines)


def _memory(model: Path, path: Path, device: torch.device) -> dict[str, Any]:
    predictor = Predictor.load(model, device)
    array = np.load(path)
    shape = array.shape[1:]
    before = peak_mib(device)
    with _asking(predictor) as asked:
        maps = predictor.maps(array, shape)
    result = sum(part.nbytes for part in vars(maps).values()) / 2**20 if device.type == "cpu" else 0.0
    return {"slices": shape[0], "windows": asked.windows, "working_mib": peak_mib(device) - before - result}


if __name__ == "__main__":
    main()
