"""What BARL needs in Slicer's Python, beyond what Slicer brings. A test compares it with the engine's own list."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

PROTECTED = ("numpy", "SimpleITK", "vtk")
"""Slicer is built with these: another version breaks it, so pip is held to the ones that are there."""


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A package."""

    name: str
    """As pip knows it."""

    module: str
    """As Python imports it."""

    versions: str = ""
    """What is allowed, in pip's words, such as ``>=2.6,<2.14``."""

    downloadMb: float
    """About how much is downloaded, rounded up; torch's is that of a build for NVIDIA cards, the largest."""

    @property
    def specifier(self) -> str:
        """As pip takes it."""
        return self.name + self.versions


TORCH = Requirement(name="torch", module="torch", versions=">=2.6,<2.14", downloadMb=3000)
OTHERS = (
    Requirement(name="scipy", module="scipy", versions=">=1.11", downloadMb=40),
    Requirement(name="scikit-image", module="skimage", versions=">=0.22", downloadMb=15),
    Requirement(name="edt", module="edt", versions=">=2.4", downloadMb=5),
    Requirement(name="connected-components-3d", module="cc3d", versions=">=3.12", downloadMb=10),
    Requirement(name="pillow", module="PIL", versions=">=10", downloadMb=7),
    Requirement(name="slicerio", module="slicerio", versions=">=1.1", downloadMb=1),
    Requirement(name="pynrrd", module="nrrd", versions=">=1.0", downloadMb=1),
    Requirement(name="psutil", module="psutil", versions=">=5.9", downloadMb=1),
    Requirement(name="typer", module="typer", versions=">=0.12", downloadMb=1),
    Requirement(name="rich", module="rich", versions=">=13", downloadMb=1),
)
ALL = (TORCH, *OTHERS)


def installedVersion(name: str) -> str | None:
    """The version that pip has noted for a package; None when it has noted none. Nothing is imported."""
    try:
        return metadata.version(name) or None
    except (metadata.PackageNotFoundError, KeyError, TypeError):  # The note may be there without its content.
        return None


def isAllowed(version: str, versions: str) -> bool:
    """Whether a version fits ``>=`` and ``<`` bounds; builds such as ``2.6.0+cu126`` count as the release."""
    for bound in filter(None, versions.split(",")):
        operator, limit = (">=", bound[2:]) if bound.startswith(">=") else ("<", bound[1:])
        found, wanted = _release(version), _release(limit)
        length = max(len(found), len(wanted))
        found, wanted = (part + (0,) * (length - len(part)) for part in (found, wanted))
        if (operator == ">=" and found < wanted) or (operator == "<" and found >= wanted):
            return False
    return True


def unfit(requirements: tuple[Requirement, ...], versionOf: Callable[[str], str | None]) -> tuple[Requirement, ...]:
    """Those that are missing or of a version that is not allowed."""
    return tuple(
        one for one in requirements if (version := versionOf(one.name)) is None or not isAllowed(version, one.versions)
    )


def _release(version: str) -> tuple[int, ...]:
    matched = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in matched.group().split(".")) if matched else (0,)
