"""The cards are true: each names a method that is there, and every method file that is one has a card."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from barl.catalog import CARDS, MethodCard, card
from barl.errors import SettingsError


def _classes(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("one", CARDS, ids=lambda one: one.name)
def test_a_card_names_a_class_that_exists(engine: Path, one: MethodCard) -> None:
    module, _, name = one.module.partition(":")

    assert name in _classes(engine.parent / f"{module.replace('.', '/')}.py")


@pytest.mark.parametrize("one", CARDS, ids=lambda one: one.name)
def test_a_card_says_what_someone_needs_to_choose(one: MethodCard) -> None:
    assert all((one.title, one.sentence, one.when_to_choose, one.reference))
    assert one.cost >= 1.0


def test_every_method_file_has_a_card(engine: Path) -> None:
    named = {one.module.partition(":")[0].rpartition(".")[2] for one in CARDS}
    files = {path.stem for path in (engine / "methods").glob("*.py") if "Settings" in _classes(path)}

    assert files == named


def test_an_unknown_method_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'supervised', 'mean_teacher', .*'barl'.*got 'magic'"):
        card("magic")
