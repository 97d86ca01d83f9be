"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.source_tree import PACKAGES, project_files, python_files, shown, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT_SUFFIXES = {".py", ".sh", ".toml", ".md", ".j2", ".xml", ".yaml", ".yml", ".txt", ".properties", ".java", ""}
NOT_TEXT = {"LICENSE"}
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 70

LONGER_FILES: dict[str, int] = {}
LONGER_FUNCTIONS: dict[str, int] = {}
"""The ratchet: what is longer than its cap and may not grow. Take an entry out when it is no longer needed."""

LEFT_OVER_MARK = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(work|root|farm|home|Users)/[\w.]")
REGISTRY_HOST = re.compile(
    r"pypi\.org|pythonhosted\.org|repo1?\.maven\.(org|apache)|registry\.npmjs|index-url|extra-index|proxy\.golang"
)


def text_files() -> Iterator[Path]:
    for path in project_files():
        if path.suffix in TEXT_SUFFIXES and path.name not in NOT_TEXT:
            yield path


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (LEFT_OVER_MARK, "a mark of unfinished work"),
        (MACHINE_PATH, "a path of one machine"),
        (REGISTRY_HOST, "the name of a package registry"),
    ],
)
def test_no_file_has(rule: re.Pattern[str], what: str) -> None:
    found = [
        f"{shown(path)}:{number}: {line.strip()[:100]}"
        for path in text_files()
        if path.name != "test_house_rules.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if rule.search(line)
    ]
    assert found == [], what


def test_no_file_is_longer_than_its_cap() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    too_long = {name: n for name, n in lengths.items() if n > LONGER_FILES.get(name, MAX_FILE_LINES)}
    assert too_long == {}
    assert all(lengths.get(name, 0) > MAX_FILE_LINES for name in LONGER_FILES), "the ratchet holds what is short now"


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in python_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{shown(path)}::{node.name}", node


def test_no_function_is_longer_than_its_cap() -> None:
    lengths = {name: (node.end_lineno or node.lineno) - node.lineno + 1 for name, node in functions()}
    too_long = {name: n for name, n in lengths.items() if n > LONGER_FUNCTIONS.get(name, MAX_FUNCTION_LINES)}
    assert too_long == {}
    assert all(lengths.get(name, 0) > MAX_FUNCTION_LINES for name in LONGER_FUNCTIONS), "the ratchet holds short ones"


def public_definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """Give the public classes, functions and methods of a body; what overrides is described where it is declared."""
    for node in body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if decorators & {"override", "overload", "typing.override"}:
            continue
        yield f"{prefix}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_described(package: str) -> None:
    bare = []
    for path in python_files(package):
        tree = tree_of(path)
        if ast.get_docstring(tree) is None:
            bare.append(shown(path))
        for name, node in public_definitions(tree.body, ""):
            assert isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            # The setter of a property is described by its getter.
            if ast.get_docstring(node) is None and not any("setter" in ast.unparse(d) for d in node.decorator_list):
                bare.append(f"{shown(path)}:{node.lineno} {name}")
    assert bare == []


TREE_LINE = re.compile(r"^(?P<indent>[ │├└─]*)(?P<name>[A-Z]\w+)(?=\s{2,}|$)")


def drawn_tree(docstring: str) -> dict[str, str | None]:
    """Read the tree of a docstring: the name of each class and that of the one above it."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    block = docstring.partition("::\n")[2]
    for line in block.splitlines():
        if line and not line.startswith(" "):
            break
        match = TREE_LINE.match(line.removeprefix("    "))
        if match is None:
            continue
        depth = len(match["indent"]) // 4
        path = [*path[:depth], match["name"]]
        parents[match["name"]] = path[-2] if depth else None
    return parents


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_of_errors_is_drawn_as_it_is(package: str) -> None:
    module = importlib.import_module(f"{package}.errors")
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.__name__
    ]
    names = {cls.__name__ for cls in classes}
    true_tree = {
        cls.__name__: next((b.__name__ for b in cls.__bases__ if b.__name__ in names), None) for cls in classes
    }
    assert drawn_tree(module.__doc__ or "") == true_tree
    assert list(true_tree.values()).count(None) == 1, "one tree has one root"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_error_of_a_package_is_in_its_tree(package: str) -> None:
    """A class that ends up in somebody's except clause must be found in one place."""
    strays = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in python_files(package)
        if path.name != "errors.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases)
    ]
    assert strays == []


def checking_tests(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Give the tests of a file that check something themselves."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        inner = list(ast.walk(node))
        raises = any(isinstance(each, ast.Attribute) and ast.unparse(each) == "pytest.raises" for each in inner)
        if raises or any(isinstance(each, ast.Assert) for each in inner):
            yield node


def test_every_module_has_a_test_file_at_its_own_path() -> None:
    """Who changes ``spark_job/parse/times.py`` finds its tests at ``tests/spark_job/parse/test_times.py``."""
    files = {shown(path): path for path in project_files()}
    modules = (path for path in python_files(*PACKAGES) if path.name not in ("__init__.py", "__main__.py"))
    wanted = {shown(path): f"tests/{shown(path.parent)}/test_{path.name}" for path in modules}
    assert sorted(name for name, test in wanted.items() if test not in files) == []
    assert sorted(test for test in wanted.values() if not any(checking_tests(tree_of(files[test])))) == [], (
        "checks nothing"
    )


def test_a_test_file_that_checks_nothing_is_found() -> None:
    for text in ("", "def test_it():\n    work()", "def check():\n    assert True", "test_it = 1"):
        assert list(checking_tests(ast.parse(text))) == []
    for text in ("def test_it():\n    assert work()", "def test_it():\n    with pytest.raises(E):\n        work()"):
        assert [node.name for node in checking_tests(ast.parse(text))] == ["test_it"]
