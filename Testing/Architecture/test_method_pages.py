"""Every method has its page, and the page lists the settings as the code has them."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path

import pytest

from barl.catalog import CARDS, MethodCard

PAGES = Path(__file__).parents[2] / "docs" / "methods"
HEADINGS = ("## When to choose it", "## The idea", "## What is published, what is ours", "## Settings", "## Results")


def settings_table(module: Path) -> str:
    """The Markdown table of a method's settings: name, default, and the sentence below it."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings").body
    rows = [
        f"| `{field.target.id}` | {ast.literal_eval(field.value)} | {' '.join(below.value.value.split())} |"
        for field, below in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and field.value is not None
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    ]
    return "\n".join(["| setting | default | what it is and why |", "|---|---|---|", *rows]) if rows else ""


@pytest.mark.parametrize("one", CARDS, ids=lambda one: one.name)
def test_a_method_has_a_page_of_the_usual_shape(one: MethodCard) -> None:
    page = (PAGES / f"{one.name}.md").read_text(encoding="utf-8")
    places = [page.index(heading) for heading in HEADINGS]
    assert places == sorted(places)
    assert page.startswith(f"# {one.title}\n")


@pytest.mark.parametrize("one", CARDS, ids=lambda one: one.name)
def test_the_page_lists_the_settings_with_their_defaults(engine: Path, one: MethodCard) -> None:
    module = one.module.partition(":")[0].replace(".", "/")
    table = settings_table(engine.parent / f"{module}.py")
    page = (PAGES / f"{one.name}.md").read_text(encoding="utf-8")
    assert table in page, f"put this table into docs/methods/{one.name}.md:\n\n{table}\n"
