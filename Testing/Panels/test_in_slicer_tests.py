"""The tests for Slicer itself run in the stand-in, too: so their names are Slicer's, and their steps make sense."""

from __future__ import annotations

import importlib.util
import unittest
from pathlib import Path

import pytest
from standin.install import StandIn

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["BARLSegment", "BARLTrainer"])
def test_the_tests_for_slicer_pass_in_the_stand_in(standin: StandIn, module: str) -> None:
    standin.application.load(ROOT / module / f"{module}.py")
    standin.application.widget(module)
    path = ROOT / module / "Testing" / "Python" / f"{module}InSlicer.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)

    result = unittest.TextTestRunner(verbosity=0).run(unittest.defaultTestLoader.loadTestsFromModule(tests))

    assert result.testsRun > 5
    assert result.wasSuccessful(), [text for _test, text in result.errors + result.failures]
