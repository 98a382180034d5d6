"""A model that was exported is one that the engine takes."""

from __future__ import annotations

from pathlib import Path

import torch

from barl.cohort import LabelTable, Modality
from barl.imaging.preprocess import Recipe
from barl.inference.model_folder import ModelCard, read_card, read_weights, write_model
from barl.jobs import JobFolder
from barl.networks import NetworkSettings
from BARLTrainerLib.logic.ModelExport import exporting


def test_an_exported_model_has_the_card_and_the_weights_of_its_round(tmp_path: Path) -> None:
    card = ModelCard(
        method="supervised",
        settings={},
        network=NetworkSettings(base_filters=4),
        labels=LabelTable.from_names(["jaw"]),
        recipe=Recipe(modality=Modality.CBCT, spacing_dhw_mm=(1.0, 1.0, 1.0), normalization="percentile", crop=False),
        patch_size_voxels=(32, 32, 32),
    )
    written = write_model(JobFolder(tmp_path / "round").model, card, {"weight": torch.arange(5.0)})

    shares = list(exporting(tmp_path / "round", tmp_path / "copy"))

    assert shares == sorted(shares) and shares[-1] == 1.0
    assert read_card(tmp_path / "copy") == written
    assert torch.equal(read_weights(tmp_path / "copy", written)["weight"], torch.arange(5.0))
