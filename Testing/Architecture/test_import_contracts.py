"""The contracts in pyproject.toml hold: who may import whom, chains included."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any


def test_every_import_contract_is_kept(repository: Path) -> None:
    # In a process of its own: the linter switches off all loggers there are.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"

    paths = os.pathsep.join([str(repository / "BARLSegment"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}

    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, env=environment, capture_output=True, encoding="utf-8"
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_part_of_the_engine_has_its_layer(engine: Path, metadata: dict[str, Any]) -> None:
    layers = metadata["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {name for layer in layers for name in re.findall(r"barl\.(\w+)", layer)}
    parts = {path.stem for path in engine.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert parts - {"__init__"} <= placed
