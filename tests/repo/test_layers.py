"""Imports point upstream only, at every level: every import in the code is compared with the table in ``layers.py``."""

from __future__ import annotations

import ast
import functools
import sys
from typing import TYPE_CHECKING

import pytest

from tests.repo.layers import CONTRACTS, UPSTREAM
from tests.support.source_tree import PACKAGES, module_name, python_files, shown, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_IN_THE_CORE = {
    "avro_bridge.wire": ("asyncio", "socket", "selectors", "time", "datetime", "logging", "structlog"),
    "avro_bridge.log": ("asyncio", "socket", "selectors", "logging", "prometheus_client", "pyarrow.flight"),
    "spark_job.parse": ("asyncio", "socket", "pyspark", "pyarrow.flight"),
}
"""Bytes in, values out: what would make a core do I/O, read a clock, or know its surroundings."""

STANDARD_LIBRARY_ONLY = {
    "headrace.common": {"headrace.common.kernels": ("numba", "numpy")},
    "headrace.container_settings": {},
}
"""What everybody may import stands on the standard library alone; and which of its modules need more."""


def is_below(module: str, prefix: str) -> bool:
    """Say whether ``module`` is ``prefix`` or lies in it."""
    return module == prefix or module.startswith(prefix + ".")


def tier_of(package: str, child: str) -> int:
    """Return the tier of what lies directly in a package.

    Raises:
        LookupError: it is in none.
    """
    for place, tier in enumerate(CONTRACTS[package]):
        if child in tier.split():
            return place
    raise LookupError(f"{package}.{child} is in no tier: give it a place in CONTRACTS")


def broken_contract(module: str, name: str) -> str | None:
    """Return why ``module`` may not import ``name``, a name of one of our packages; None if it may."""
    here, there = module.split("."), name.split(".")
    if here[0] != there[0]:
        allowed = any(is_below(name, prefix) for prefix in UPSTREAM[here[0]])
        return None if allowed else f"{here[0]} may import {', '.join(UPSTREAM[here[0]]) or 'nothing'} of the others"
    depth = 0
    while depth < min(len(here), len(there)) and here[depth] == there[depth]:
        depth += 1
    package = ".".join(here[:depth])
    # A name of the module itself, or what the face of a package brings up from below.
    if package not in CONTRACTS or depth == len(here):
        return None
    if depth == len(there) or there[depth] not in " ".join(CONTRACTS[package]).split():
        return f"{package} is its own folder: its face stands above it" if has_face(package) else None
    if tier_of(package, there[depth]) < tier_of(package, here[depth]):
        return None
    return f"in {package}, {there[depth]} is not upstream of {here[depth]}"


@functools.cache
def has_face(package: str) -> bool:
    """Say whether a package's ``__init__`` imports any of its modules, so that importing it imports them."""
    face = next(path for path in python_files(package.split(".")[0]) if module_name(path) == package)
    return any(is_below(name, package) for _, name in imports_of(face))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Give the line and the full name of everything that a file imports, also inside functions and for types only."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides the layer"
            # `from package import module` names a module, `from module import name` does not; both are below `base`.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def file_of(name: str) -> str:
    """Return the file in which an imported name is, as a message shows it."""
    parts = name.split(".")
    files = {shown(path) for path in python_files(parts[0])}
    for length in range(len(parts), 0, -1):
        stem = "/".join(parts[:length])
        for candidate in (f"{stem}.py", f"{stem}/__init__.py"):
            if candidate in files:
                return candidate
    return name


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_upstream(package: str) -> None:
    wrong = [
        f"{shown(path)}:{line} imports {file_of(name)}: {reason}"
        for path in python_files(package)
        for line, name in imports_of(path)
        if any(is_below(name, other) for other in PACKAGES)
        for reason in [broken_contract(module_name(path), name)]
        if reason
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "name", "allowed"),
    [
        ("avro_bridge.log.log", "avro_bridge.wire.events", True),
        ("avro_bridge.wire.events", "avro_bridge.log.log", False),
        ("avro_bridge.ingest.server", "avro_bridge.egress.server", False),
        ("avro_bridge.ingest.server", "avro_bridge.ingest.connection", True),
        ("avro_bridge.ingest.connection", "avro_bridge.ingest.server", False),
        ("spark_job.source.planner", "spark_job.source.register", False),
        ("spark_job.runner.session", "spark_job.source.register", True),
        ("avro_bridge.flume_metrics", "flume.agent.metrics", True),
        ("avro_bridge.app", "spark_job.errors", False),
        ("spark_job.sinks.counts_table.writer", "avro_bridge.contract.Ticket", True),
        ("spark_job.source.flume", "avro_bridge.log.log", False),
        ("spark_job.parse.parser", "spark_job.source.flume", False),
        ("spark_job.parse.kernels.scan", "spark_job.parse.line_counter", False),
        ("flume.agent.process", "avro_bridge.errors", False),
        ("headrace.common.files", "headrace.errors", False),
        ("headrace.local.pipeline", "headrace.cli.run", False),
        ("headrace.cli.app", "spark_job.windows", True),
    ],
)
def test_the_table_says_what_the_design_says(module: str, name: str, allowed: bool) -> None:  # noqa: FBT001
    assert (broken_contract(module, name) is None) is allowed


@pytest.mark.parametrize("core", NOT_IN_THE_CORE)
def test_the_cores_do_no_input_or_output(core: str) -> None:
    wrong = [
        f"{shown(path)}:{line} imports {name}"
        for path in python_files(core.partition(".")[0])
        if is_below(module_name(path), core)
        for line, name in imports_of(path)
        if any(is_below(name, banned) for banned in NOT_IN_THE_CORE[core])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("ground", STANDARD_LIBRARY_ONLY)
def test_the_ground_floor_needs_the_standard_library_only(ground: str) -> None:
    more = STANDARD_LIBRARY_ONLY[ground]
    wrong = [
        f"{shown(path)}:{line} imports {name}"
        for path in python_files("headrace")
        if is_below(module_name(path), ground)
        for line, name in imports_of(path)
        if name.partition(".")[0] not in (*sys.stdlib_module_names, *more.get(module_name(path), ()))
        and not is_below(name, ground)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_package_has_a_contract_for_each_of_its_modules() -> None:
    inside: dict[str, set[str]] = {}
    for path in python_files(*PACKAGES):
        parts = module_name(path).split(".")
        for depth in range(1, len(parts)):
            inside.setdefault(".".join(parts[:depth]), set()).add(parts[depth])
    listed = {package: sorted(" ".join(tiers).split()) for package, tiers in CONTRACTS.items()}
    assert listed == {package: sorted(children) for package, children in inside.items() if len(children) > 1}
