"""What a syntax tree tells without running the file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Each Python file below a folder with its syntax tree."""
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_packages(tree: ast.AST) -> set[str]:
    """Top-level packages of every absolute import, also inside functions."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def calls(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything that is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text but docstrings; of one with numbers put in, each of its parts."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions, classes and methods without a docstring, and the module itself."""
    if ast.get_docstring(tree) is None:
        yield "the module"
    for node in tree.body:
        yield from _undocumented(node, "")


def _undocumented(node: ast.stmt, prefix: str) -> Iterator[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return
    if ast.get_docstring(node) is None and not _only_declares(node):
        yield prefix + node.name
    if isinstance(node, ast.ClassDef):
        for member in node.body:
            yield from _undocumented(member, f"{node.name}.")


def _only_declares(node: ast.stmt) -> bool:
    """Whether the body is ``...``: an overload, or a protocol's mirror of somebody else's method."""
    return isinstance(node, ast.FunctionDef) and [ast.unparse(line) for line in node.body] == ["..."]
