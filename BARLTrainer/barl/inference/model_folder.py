"""A trained model on disk: everything that segmenting another volume needs."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from barl.atomic import replacing, write_json
from barl.cohort import LabelTable
from barl.errors import InputError
from barl.imaging.preprocess import Recipe
from barl.inference.calibration import Calibration
from barl.inference.sliding_window import Size
from barl.methods.factory import settings_from
from barl.networks import NetworkSettings
from barl.records import format_stamp, read_fields

FORMAT_VERSION = 1
_CARD = "model.json"
_WEIGHTS = "weights.pt"
_COPY_AGAIN = "Copy the model folder again, or train anew."
DAMAGED = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    EOFError,
    struct.error,
    pickle.UnpicklingError,
)
"""What ``torch.load`` raises for files that it cannot make sense of, found with 6,000 damaged ones."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model is, in plain values."""

    method: str
    settings: dict[str, Any]
    """All of the method's own settings."""

    network: NetworkSettings
    labels: LabelTable
    recipe: Recipe
    patch_size_voxels: Size
    overlap: float = 0.5
    in_channels: int = 1
    mirror_left_right: bool = False
    """Whether the training showed mirrored patches, so that the networks may be asked about them, too."""

    calibration: Calibration | None = None
    """Temperatures of the probabilities; None where there were too few validation cases."""

    training: dict[str, Any] = field(default_factory=dict)
    """For people: steps, seconds, seed, cases, version."""

    weights_sha256: str = ""
    """Tells one training's model from another's."""

    def __post_init__(self) -> None:
        if not self.network.halvings.fit(self.patch_size_voxels):
            wanted = f"multiples of {self.network.halvings}"
            raise ValueError(f"patch_size_voxels must be {wanted}, got {self.patch_size_voxels}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must be from 0 up to, but not including, 1, got {self.overlap}")
        temperatures = self.labels.num_classes if self.calibration is None else len(self.calibration.temperatures)
        if temperatures != self.labels.num_classes:
            raise ValueError(f"{self.labels.num_classes} classes need as many temperatures, got {temperatures}")

    def to_json(self) -> dict[str, Any]:
        """Write as plain values."""
        return format_stamp(FORMAT_VERSION) | {
            "method": self.method,
            "settings": self.settings,
            "network": asdict(self.network),
            "labels": self.labels.to_json(),
            "recipe": self.recipe.to_json(),
            "patch_size_voxels": list(self.patch_size_voxels),
            "overlap": self.overlap,
            "in_channels": self.in_channels,
            "mirror_left_right": self.mirror_left_right,
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "training": self.training,
            "weights_sha256": self.weights_sha256,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ModelCard:
        """Read what :meth:`to_json` wrote."""
        depth, height, width = value["patch_size_voxels"]
        calibration = value.get("calibration")  # Absent from the models of earlier versions.
        return cls(
            method=value["method"],
            settings=dict(value["settings"]),
            network=settings_from(NetworkSettings, value["network"], owner="a network"),
            labels=LabelTable.from_json(value["labels"]),
            recipe=Recipe.from_json(value["recipe"]),
            patch_size_voxels=(int(depth), int(height), int(width)),
            overlap=float(value["overlap"]),
            in_channels=int(value["in_channels"]),
            mirror_left_right=bool(value.get("mirror_left_right", False)),
            calibration=None if calibration is None else Calibration.from_json(calibration),
            training=value["training"],
            weights_sha256=value["weights_sha256"],
        )


def write_model(folder: Path, card: ModelCard, state: dict[str, Tensor]) -> ModelCard:
    """Write weights first and the card last: a folder with a card is whole. Returns the card as written.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    with replacing(folder / _WEIGHTS) as temporary:
        save_tensors({key: value.detach().cpu() for key, value in state.items()}, temporary)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    written = ModelCard.from_json({**card.to_json(), "weights_sha256": digest})
    write_json(folder / _CARD, written.to_json())
    return written


def write_calibration(folder: Path, card: ModelCard, calibration: Calibration) -> ModelCard:
    """Add temperatures to a model folder. Returns the card as written.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    written = replace(card, calibration=calibration)
    write_json(folder / _CARD, written.to_json())
    return written


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder.

    Raises:
        InputError: the folder holds no model, or its card is damaged.
        NewerFormatError: a newer BARL wrote it.
    """
    path = folder / _CARD
    if not path.is_file():
        raise InputError(f"{folder} holds no model: {_CARD} is missing. Give the model folder of a finished round.")
    fields = read_fields(path, InputError, _COPY_AGAIN)
    fields.require_format(FORMAT_VERSION)
    try:
        return ModelCard.from_json(fields.values)
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}). {_COPY_AGAIN}") from error


def read_weights(folder: Path, card: ModelCard) -> dict[str, Tensor]:
    """The weights of a model folder, on the CPU.

    Raises:
        InputError: the file is missing, damaged, or not the one that the card belongs to.
    """
    path = folder / _WEIGHTS
    try:
        content = path.read_bytes()
        # torch does not notice a wrong bit, and a model with one predicts all the same.
        if hashlib.sha256(content).hexdigest() != card.weights_sha256:
            raise ValueError("not the weights that model.json belongs to")
        state: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except DAMAGED as error:
        raise InputError(f"{path} cannot be read ({first_sentence(error)}). {_COPY_AGAIN}") from error
    return state


def first_sentence(error: BaseException) -> str:
    """What torch says of a damaged file, without its guesses at the reason."""
    return str(error).partition(". ")[0].partition("\n")[0].rstrip(".") or type(error).__name__


def save_tensors(value: dict[str, Any], path: Path) -> None:
    """``torch.save``, but a full disk is an OSError and not an archive that seems broken."""
    try:
        with path.open("wb") as file:
            torch.save(value, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
