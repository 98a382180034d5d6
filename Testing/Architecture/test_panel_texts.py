"""Every string that a person reads in a panel can be translated: it stands in ``_()``, or in a .ui file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from syntax_trees import trees

_SHOWING = {"setText", "setToolTip", "addItem", "info", "good", "error", "QTableWidgetItem", "QListWidgetItem"}
_SHOWN = {"text", "toolTip", "placeholderText"}


def untranslated(tree: ast.AST) -> list[str]:
    """Words that are given to a widget or a message line outside of ``_()``."""
    shown: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in _SHOWING:
            shown += node.args
        if isinstance(node, ast.Assign) and any(_name(target) in _SHOWN for target in node.targets):
            shown.append(node.value)
    return [words for node in shown for words in _words(node)]


def _words(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Call):
        # What a function gives back is looked at where it is written; its receiver may be a text: "...".format().
        inner = node.func.value if isinstance(node.func, ast.Attribute) else None
        return [] if inner is None or _name(node.func) != "format" else _words(inner)
    if isinstance(node, ast.Constant):
        words = re.sub(r"</?[a-z]+>", "", node.value) if isinstance(node.value, str) else ""  # Tags are no words.
        return [words] if any(map(str.isalpha, words)) else []
    if isinstance(node, ast.FormattedValue):  # ``{number:.2f}`` is no word.
        return _words(node.value)
    return [words for child in ast.iter_child_nodes(node) for words in _words(child)]


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("module", ["BARLSegment", "BARLTrainer"])
def test_panels_show_no_words_that_cannot_be_translated(repository: Path, module: str) -> None:
    widgets = repository / module / f"{module}Lib" / "widgets"

    assert [f"{path.name}: {words}" for path, tree in trees(widgets) for words in untranslated(tree)] == []


@pytest.mark.parametrize(
    "line",
    [
        "label.setText('Train')",
        "self.message.error(f'no {case}')",
        "button.text = 'Stop' if active else _('Train')",
        "label.setText('{n} cases'.format(n=3))",
    ],
)
def test_a_forgotten_one_would_be_noticed(line: str) -> None:
    assert untranslated(ast.parse(line))
