"""Reload for developers: Slicer runs the module's file again, and this makes it import the rest again, too."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def forgetPackages(*names: str) -> list[str]:
    """Take packages out of ``sys.modules``, so that the next import reads their files.

    Python 3.12 has no ``imp`` any more, and ``importlib.reload`` keeps old classes alive in the modules that imported
    them; forgetting all of them at once leaves no mixture.

    Args:
        names: top-level packages.

    Returns:
        What was forgotten, for the log.
    """
    forgotten = sorted(each for each in sys.modules if each.partition(".")[0] in names)
    for each in forgotten:
        del sys.modules[each]
    importlib.invalidate_caches()
    return forgotten


def addEnginePath(moduleFile: str) -> None:
    """Make ``import barl`` work when only this module's folder is among the additional module paths.

    In the installed package everything lies in one folder; in the sources the engine is in BARLTrainer.
    """
    beside = Path(moduleFile).resolve().parents[1] / "BARLTrainer"
    if importlib.util.find_spec("barl") is None and (beside / "barl").is_dir():
        sys.path.append(str(beside))
