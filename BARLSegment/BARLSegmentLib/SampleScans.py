"""The sample data of the tutorial: synthetic CBCT scans, made on this computer instead of downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from barl.errors import InputError

NUMBER = 6
SHAPE = (32, 48, 48)
SPACING_MM = 1.6


def registerSampleData(iconFolder: Path, load: Callable[[Any], Any]) -> None:
    """Show the scans in Slicer's Sample Data module.

    Args:
        iconFolder: where the thumbnail is.
        load: called with the registered source when a person clicks on it.
    """
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="BARL",
        sampleName="BARLScans",
        uris="barl:phantom",
        fileNames="BARLScans",
        customDownloader=load,
        thumbnailFileName=str(iconFolder / "BARLScans.png"),
    )


def loadSampleScans(addVolume: Callable[[str, Any, Any], Any], number: int = NUMBER) -> list[Any]:
    """Make the scans and add them to the scene; no two are alike, and all runs give the same ones.

    Args:
        addVolume: called with name, voxels (D, H, W) and ``barl.imaging`` geometry; returns the node.
        number: how many scans.

    Raises:
        InputError: a package is missing; the message says how to install it.
    """
    if importlib.util.find_spec("edt") is None:
        raise InputError(
            _(
                "The sample scans are made on this computer with BARL's packages, which are not installed yet. "
                "That needs the internet, or a folder with wheels: open the module BARL Trainer, section "
                "Diagnostics and installation, and try again."
            )
        )
    from barl.phantom import make_case
    from barl.phantom.cohort import centered_geometry

    geometry = centered_geometry(SHAPE, SPACING_MM)
    return [
        addVolume(f"scan_{index + 1:02d}", make_case(index, SHAPE, SPACING_MM)[0], geometry) for index in range(number)
    ]
