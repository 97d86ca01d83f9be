"""Imports point upstream only: the table of what may import what, held against every import in the code.

The way of the data is wire -> log -> ingest and egress -> app in the bridge, then the bridge's contract -> sources ->
windows -> sinks -> execution -> jobs in Spark. A module may import what lies before it on that way, never what lies
behind it.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support.source_tree import PACKAGES, module_name, python_files, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIERS: dict[str, tuple[str, ...]] = {
    "flume": ("errors", "config jars", "agent"),
    "avro_bridge": (
        "errors",
        "contract wire",
        "log",
        "config metrics logging_setup",
        "ingest egress admin flume_metrics",
        "app",
        "cli",
        "__main__",
    ),
    "spark_job": (
        "errors ranges http_status",
        "parse options windows",
        "accounting",
        "source sinks",
        "runner",
        "jobs",
        "cli",
        "__main__",
    ),
    "headrace": (
        "errors common container_settings",
        "state_folder drop sample doctor jars_s3a messages",
        "status",
        "containers local",
        "cli",
        "services",
        "__main__",
    ),
}
"""Each package's modules and sub-packages, upstream first. One may import what stands in a line before its own; those
of one line know nothing of each other. What is inside a sub-package is its own affair."""

UPSTREAM: dict[str, tuple[str, ...]] = {
    "flume": ("headrace.common",),
    "avro_bridge": ("flume.agent.metrics", "flume.errors", "headrace.common"),
    "spark_job": ("avro_bridge.contract", "avro_bridge.errors", "headrace.common"),
    "headrace": ("flume", "avro_bridge", "spark_job"),
}
"""What a package may import of the others."""

NOT_IN_THE_CORE = {
    "avro_bridge.wire": ("asyncio", "socket", "selectors", "time", "datetime", "logging", "structlog"),
    "avro_bridge.log": ("asyncio", "socket", "selectors", "logging", "prometheus_client", "pyarrow.flight"),
    "spark_job.parse": ("asyncio", "socket", "pyspark", "pyarrow.flight"),
}
"""Bytes in, values out: what would make a core do I/O, read a clock, or know its surroundings."""


def is_below(module: str, prefix: str) -> bool:
    """Say whether ``module`` is ``prefix`` or lies in it."""
    return module == prefix or module.startswith(prefix + ".")


def tier_of(module: str) -> int:
    """Return the place of a module in its package's tiers.

    Raises:
        LookupError: it is in none.
    """
    package, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    for place, tier in enumerate(TIERS[package]):
        if name in tier.split():
            return place
    raise LookupError(f"{module} is in no tier: give it a place in TIERS")


def may_import(module: str, name: str) -> bool:
    """Say whether ``module`` may import ``name``, a name of one of our packages."""
    package, own = module.partition(".")[0], name.partition(".")[0]
    if package != own:
        return any(is_below(name, prefix) for prefix in UPSTREAM[package])
    if package not in TIERS or module == package or name.split(".")[1] == module.split(".")[1]:
        return True
    return tier_of(name) < tier_of(module)


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Give the line and the full name of everything that a file imports, also inside functions and for types only."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides the layer"
            # `from package import module` names a module, `from module import name` does not; both are below `base`.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_upstream(package: str) -> None:
    wrong = [
        f"{module_name(path)}:{line} imports {name}"
        for path in python_files(package)
        for line, name in imports_of(path)
        if any(is_below(name, other) for other in PACKAGES) and not may_import(module_name(path), name)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "name", "allowed"),
    [
        ("avro_bridge.log.log", "avro_bridge.wire.events", True),
        ("avro_bridge.wire.events", "avro_bridge.log.log", False),
        ("avro_bridge.ingest.server", "avro_bridge.egress.server", False),
        ("avro_bridge.log.log", "avro_bridge.log.metadata", True),
        ("avro_bridge.flume_metrics", "flume.agent.metrics", True),
        ("avro_bridge.app", "spark_job.errors", False),
        ("spark_job.sinks.counts_table.writer", "avro_bridge.contract.Ticket", True),
        ("spark_job.source.flume", "avro_bridge.log.log", False),
        ("spark_job.parse.parser", "spark_job.source.flume", False),
        ("flume.agent.process", "avro_bridge.errors", False),
        ("headrace.local.pipeline", "headrace.cli.run", False),
        ("headrace.cli.app", "spark_job.windows", True),
    ],
)
def test_the_table_says_what_the_design_says(module: str, name: str, allowed: bool) -> None:  # noqa: FBT001
    assert may_import(module, name) is allowed


@pytest.mark.parametrize("core", NOT_IN_THE_CORE)
def test_the_cores_do_no_input_or_output(core: str) -> None:
    wrong = [
        f"{module_name(path)}:{line} imports {name}"
        for path in python_files(core.partition(".")[0])
        if is_below(module_name(path), core)
        for line, name in imports_of(path)
        if any(is_below(name, banned) for banned in NOT_IN_THE_CORE[core])
    ]
    assert wrong == []


@pytest.mark.parametrize("package", TIERS)
def test_every_module_has_its_place_and_every_place_its_module(package: str) -> None:
    modules = {module_name(path) for path in python_files(package)} - {package}
    for module in modules:
        tier_of(module)
    named = {f"{package}.{name}" for tier in TIERS[package] for name in tier.split()}
    assert named - modules == set(), "these are in TIERS and not in the code"
