"""The contracts in pyproject.toml hold: who may import whom, chains included."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports


def test_every_import_contract_is_kept(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)

    code = lint_imports(config_filename="pyproject.toml", no_cache=True)

    assert code == 0, capsys.readouterr().out


def test_every_part_of_the_engine_has_its_layer(engine: Path, metadata: dict[str, Any]) -> None:
    layers = metadata["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {name for layer in layers for name in re.findall(r"barl\.(\w+)", layer)}
    parts = {path.stem for path in engine.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert parts - {"__init__"} <= placed
