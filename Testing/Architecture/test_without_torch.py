"""What Slicer and the light commands import works where torch and monai are not installed.

The import contracts cannot see what a package's ``__init__`` imports on the way, nor ``importlib`` calls. So a child
process imports the modules for real, with a finder in front that refuses what must not be needed.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

_CHILD = """
import importlib, importlib.abc, json, pkgutil, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {refused} or ({stdlib_only} and top != "barl" and top not in sys.stdlib_module_names):
            raise ModuleNotFoundError("refused by the test: " + name, name=name)

for name in [name for name in sys.modules if name.partition(".")[0] in {refused}]:
    del sys.modules[name]
sys.meta_path.insert(0, Refuse())
for name in {packages}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
        importlib.import_module(module.name)
assert not [name for name in sys.modules if name.partition(".")[0] in {refused}]
"""


def _import_all(packages: list[str], *, stdlib_only: bool = False) -> subprocess.CompletedProcess[str]:
    code = _CHILD.format(refused={"torch", "monai"}, stdlib_only=stdlib_only, packages=packages)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_cohort_jobs_catalog_and_errors_need_only_the_standard_library() -> None:
    child = _import_all(
        [
            "barl.cohort",
            "barl.jobs",
            "barl.catalog",
            "barl.errors",
            "barl.atomic",
            "barl.records",
            "barl.setting_cards",
        ],
        stdlib_only=True,
    )

    assert child.returncode == 0, child.stderr


def test_images_and_annotations_are_read_without_torch() -> None:
    child = _import_all(["barl.imaging", "barl.ranking"])

    assert child.returncode == 0, child.stderr


def test_regions_and_shells_are_computed_without_torch() -> None:
    child = _import_all(["barl.inference.regions", "barl.inference.shells", "barl.evaluation.uncertainty_metrics"])

    assert child.returncode == 0, child.stderr


def test_the_command_line_starts_without_torch() -> None:
    child = _import_all(["barl.cli"])

    assert child.returncode == 0, child.stderr


@pytest.mark.parametrize("package", ["torch", "monai"])
def test_the_finder_really_refuses(package: str) -> None:
    child = _import_all([package])

    assert child.returncode != 0
    assert f"refused by the test: {package}" in child.stderr
