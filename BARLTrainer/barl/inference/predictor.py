"""A trained model on a device, ready for one volume after the other.

Shapes: D H W voxels of the image's own grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from barl.cohort import LabelTable
from barl.errors import InputError, OutOfMemoryError, SettingsError
from barl.imaging.geometry import Geometry
from barl.imaging.preprocess import Prepared, Restore, prepare_image, put_back
from barl.imaging.volumes import Volume
from barl.inference.devices import Precision, choose_precision, is_out_of_memory
from barl.inference.expected_error import LEVELS
from barl.inference.model_folder import ModelCard, read_card, read_weights
from barl.inference.resampling import Maps, collect
from barl.inference.sliding_window import Size, Slab, WindowSettings, slide
from barl.methods.factory import make_method

OnShare = Callable[[float], None]

_GPU_VOXELS = 2 * 1024 * 1024
"""Voxels of the windows in one pass on a GPU: small windows alone would not keep it busy (an estimate)."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of a volume, on exactly the volume's grid."""

    labels: np.ndarray
    """(D, H, W) uint8 values of the label table."""

    entropy: np.ndarray
    """(D, H, W) uint8, 0 to 250 for 0 to 1: how unsure the branches are together."""

    disagreement: np.ndarray
    """(D, H, W) uint8, 0 to 250 for 0 to 1: how much the branches differ."""

    rival: np.ndarray
    """(D, H, W) uint8 values of the label table: the second most likely one, the label itself where that is certain."""

    geometry: Geometry
    table: LabelTable

    def volumes_ml(self) -> dict[str, float]:
        """Volume of each label by name, in milliliters."""
        counts = np.bincount(self.labels.reshape(-1), minlength=256)
        voxel = self.geometry.voxel_volume_ml
        return {label.name: float(counts[label.value] * voxel) for label in self.table.labels}

    def mean_entropy(self) -> float:
        """Mean of the entropy map over the voxels labeled or unsure, 0 to 1; 0 where there are none.

        A mean over the whole volume would say more about the size of the background than about the prediction.
        """
        counted = (self.labels > 0) | (self.entropy >= LEVELS // 10)
        return float(self.entropy[counted].mean() / LEVELS) if counted.any() else 0.0


class Predictor:
    """A model in evaluation mode on a device.

    Args:
        card: what the model is.
        model: all branches.
        predict: logits (B, R, K, D, H, W) of a patch (B, C, D, H, W).
        mirror: whether each window is also asked about mirrored left to right, which doubles branches and time.

    Raises:
        SettingsError: the model has never seen mirrored patches.
    """

    def __init__(
        self,
        card: ModelCard,
        model: nn.Module,
        predict: Callable[[Tensor], Tensor],
        device: torch.device,
        precision: Precision,
        *,
        mirror: bool = False,
    ) -> None:
        if mirror and not card.mirror_left_right:
            raise SettingsError(
                "This model has not been trained on mirrored patches, because its labels tell left from right or the "
                "setting views.mirror_left_right was off, or an earlier version made it. Predict without mirroring."
            )
        self.card = card
        self.mirror = mirror
        self.model = model
        self.device = device
        self.precision = precision
        self.windows_at_once = windows_at_once(device, card.patch_size_voxels)
        self._predict = also_mirrored(predict) if mirror else predict

    @classmethod
    def load(
        cls, folder: Path, device: torch.device, precision: Precision | None = None, *, mirror: bool = False
    ) -> Predictor:
        """Read a model folder.

        Raises:
            InputError: there is no model, or it is damaged.
            SettingsError: mirroring is asked of a model that has never seen mirrored patches.
        """
        card = read_card(folder)
        try:
            method = make_method(card.method, card.settings, card.network)
        except SettingsError as error:
            raise InputError(
                f"{folder}: this version cannot make the model's networks: {error} Use the BARL that trained it "
                f"({card.training.get('barl', 'unknown')}), or train anew."
            ) from error
        model = method.build(card.in_channels, card.labels.num_classes)
        try:
            model.load_state_dict(read_weights(folder, card))
        except RuntimeError as error:  # torch lists every tensor.
            raise InputError(
                f"{folder}: the weights do not fit what model.json says of the network. Copy the model folder again, "
                "or train anew."
            ) from error
        precision = precision or choose_precision(device)
        model = precision.place(model.eval(), device)
        return cls(card, model, lambda patch: method.predict(model, patch), device, precision, mirror=mirror)

    def predict(self, volume: Volume, on_share: OnShare = lambda share: None) -> Prediction:
        """Labels and maps of a volume; ``on_share`` gets the share of windows done.

        Raises:
            ImageError: the voxels cannot be used.
            OutOfMemoryError: not even one window fits into memory.
        """
        return self.predict_prepared(prepare_image(volume, self.card.recipe), on_share)

    def predict_prepared(self, prepared: Prepared, on_share: OnShare = lambda share: None) -> Prediction:
        """The same for a volume that is prepared already, e.g. in the cache."""
        maps = self.maps(prepared.array, prepared.restore.crop_shape, on_share)
        return placed(maps, prepared.restore, self.card.labels)

    @torch.inference_mode()
    def maps(self, array: np.ndarray, shape: tuple[int, int, int], on_share: OnShare = lambda share: None) -> Maps:
        """Class indices and maps of a prepared (C, D, H, W) array, resampled to ``shape`` over the same extent."""
        try:
            return collect(self.slabs(array, on_share), array.shape[1:], shape, self.card.calibration)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            advice = "crop the image" if self.device.type == "cpu" else "choose the device cpu"
            raise OutOfMemoryError(
                f"The volume of {array.shape[1:]} voxels does not fit into the memory of {self.device}. "
                f"Close other programs, or {advice}."
            ) from error

    def slabs(self, array: np.ndarray, on_share: OnShare = lambda share: None) -> Iterator[Slab]:
        """Probabilities of a prepared (C, D, H, W) array slab by slab, before any calibration."""
        settings = WindowSettings(
            size_voxels=self.card.patch_size_voxels, overlap=self.card.overlap, batch=self.windows_at_once
        )
        # torch warns of memory that cannot be written to, such as the cache's mapped files.
        volume = torch.from_numpy(array if array.flags.writeable else array.copy()).to(self.device)
        with torch.inference_mode():
            yield from slide(self._windows, volume, settings, self.device, on_share)

    def _windows(self, windows: Tensor) -> Tensor:
        """Logits of windows; where memory does not hold a pass of them all, fewer go through at once from now on."""
        if len(windows) > self.windows_at_once:
            return torch.cat([self._windows(part) for part in torch.split(windows, self.windows_at_once)])
        try:
            with self.precision.autocast(self.device):
                return self._predict(self.precision.arrange(windows))
        except (MemoryError, RuntimeError) as error:
            if len(windows) == 1 or not is_out_of_memory(error):
                raise
        # Outside of the handler: the traceback would keep the tensors of the failed pass alive.
        self.windows_at_once = (len(windows) + 1) // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self._windows(windows)


def placed(maps: Maps, restore: Restore, table: LabelTable) -> Prediction:
    """Maps of the crop on the image's own grid, classes as values of the label table."""
    values = np.zeros(256, np.uint8)
    values[: table.num_classes] = table.class_values
    return Prediction(
        labels=put_back(values[maps.classes], restore),
        entropy=put_back(maps.entropy, restore),
        disagreement=put_back(maps.disagreement, restore),
        rival=put_back(values[maps.rival], restore),
        geometry=restore.geometry,
        table=table,
    )


def also_mirrored(predict: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Twice the branches: of a patch (B, C, D, H, W), and of it mirrored left to right (W), turned back."""

    def both(windows: Tensor) -> Tensor:
        return torch.cat([predict(windows), predict(windows.flip(-1)).flip(-1)], dim=1)

    return both


def windows_at_once(device: torch.device, size: Size) -> int:
    """How many windows go through the networks together: one on a CPU, where more were slower (docs/performance.md)."""
    return 1 if device.type == "cpu" else max(1, _GPU_VOXELS // math.prod(size))
