"""Files and names that docstrings and comments mention are there: a reader who follows one must not end in nothing."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.util
import io
import re
import tokenize
from typing import TYPE_CHECKING

import pytest

from tests.support.source_tree import PACKAGES, module_name, project_files, python_files, shown, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHON_FILE = re.compile(r"(?<![\w./*<{-])((?:[\w.-]+/)*[\w-]+\.py)\b")
ROLE = re.compile(r":(?:mod|class|func|meth|attr|data|exc):`~?([\w.]+)`")


@functools.cache
def endings() -> frozenset[str]:
    """Return every file by its path, and by each of the shorter paths that it ends with."""
    parts = [shown(path).split("/") for path in project_files()]
    return frozenset("/".join(each[start:]) for each in parts for start in range(len(each)))


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """Give the names that a module or class defines, imports or sets on itself, with those inside of its classes."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
            for inner in ast.walk(node):
                if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                    yield inner.attr
        elif isinstance(node, ast.ClassDef):
            yield node.name
            for name in defined(node.body):
                yield from (name, f"{node.name}.{name}")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.If):
            yield from defined(node.body)


@functools.cache
def names() -> frozenset[str]:
    """Return every module, and every name in one, in full."""
    found = set()
    for path in python_files():
        module = module_name(path)
        found |= {module, *(f"{module}.{name}" for name in defined(tree_of(path).body))}
    return frozenset(found)


@functools.cache
def name_endings() -> frozenset[str]:
    """Return every name in full, and each shorter name that it ends with."""
    parts = [name.split(".") for name in names()]
    return frozenset(".".join(each[start:]) for each in parts for start in range(len(each)))


def is_name(target: str) -> bool:
    """Say whether a role of a docstring leads somewhere: to a name of ours, a builtin one, or a module of others."""
    first = target.split(".")[0]
    if first in PACKAGES:
        return target in names()
    if target.removeprefix(".") in name_endings() or hasattr(builtins, first):
        return True
    return first != "" and importlib.util.find_spec(first) is not None


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Give each docstring, each text that describes what stands above it, and each comment, with its line."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@pytest.mark.parametrize("folder", [*PACKAGES, "benchmarks", "docker", "docs", "examples", "tests"])
def test_what_a_docstring_or_a_comment_mentions_is_there(folder: str) -> None:
    dead = [
        f"{shown(path)}:{line} {mention}"
        for path in python_files(folder)
        for line, text in prose(path)
        for mention in [
            *(file for file in PYTHON_FILE.findall(text) if file not in endings()),
            *(target for target in ROLE.findall(text) if not is_name(target)),
        ]
    ]
    assert dead == []


def test_a_dead_mention_is_found() -> None:
    assert PYTHON_FILE.findall("see runner/gone.py and ``gone.py``") == ["runner/gone.py", "gone.py"]
    assert "runner/gone.py" not in endings()
    assert {"source_tree.py", "support/source_tree.py", "tests/support/source_tree.py"} <= endings()
    assert ROLE.findall(":mod:`.gone` :func:`~avro_bridge.gone.work`") == [".gone", "avro_bridge.gone.work"]
    assert [is_name(target) for target in (".gone_for_ever", "avro_bridge.gone.work", "nowhere")] == [False] * 3
    assert all(
        is_name(target) for target in (".source_tree", "avro_bridge.log.log.Log.append", "difflib", "Log.append")
    )
