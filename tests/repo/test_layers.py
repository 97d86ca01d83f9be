"""Imports point upstream only: the table of what may import what, held against every import in the code.

The way of the data is wire -> log -> ingest and egress -> app in the bridge, then the bridge's contract -> sources ->
windows -> sinks -> jobs in Spark. A module may import what lies before it on that way, never what lies behind it.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support.source_tree import PACKAGES, module_name, python_files, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "flume": ("flume",),
    "avro_bridge": (),
    "avro_bridge.errors": (),
    "avro_bridge.contract": ("avro_bridge.errors",),
    "avro_bridge.config": ("avro_bridge.errors",),
    "avro_bridge.metrics": ("avro_bridge.errors",),
    "avro_bridge.wire": ("avro_bridge.wire", "avro_bridge.errors"),
    "avro_bridge.log": ("avro_bridge.log", "avro_bridge.wire", "avro_bridge.errors"),
    "avro_bridge.ingest": (
        "avro_bridge.ingest",
        "avro_bridge.log",
        "avro_bridge.wire",
        "avro_bridge.config",
        "avro_bridge.metrics",
        "avro_bridge.errors",
    ),
    "avro_bridge.egress": (
        "avro_bridge.egress",
        "avro_bridge.contract",
        "avro_bridge.log",
        "avro_bridge.wire",
        "avro_bridge.config",
        "avro_bridge.metrics",
        "avro_bridge.errors",
    ),
    "avro_bridge.admin": ("avro_bridge.contract", "avro_bridge.metrics", "avro_bridge.errors"),
    "avro_bridge.agents": ("avro_bridge.metrics", "flume.metrics", "flume.errors"),
    "avro_bridge.app": ("avro_bridge",),
    "avro_bridge.cli": ("avro_bridge",),
    "avro_bridge.__main__": ("avro_bridge.cli",),
    "spark_job": (),
    "spark_job.errors": (),
    "spark_job.durations": ("spark_job.errors",),
    "spark_job.options": ("spark_job.durations", "spark_job.errors"),
    "spark_job.parse": ("spark_job.parse", "spark_job.durations", "spark_job.errors"),
    "spark_job.offsets": ("spark_job.options", "spark_job.durations", "spark_job.errors", "avro_bridge.contract"),
    "spark_job.bridge_client": (
        "spark_job.options",
        "spark_job.offsets",
        "spark_job.errors",
        "avro_bridge.contract",
        "avro_bridge.errors",
    ),
    "spark_job.audit": ("spark_job.parse", "spark_job.options", "spark_job.durations", "spark_job.errors"),
    "spark_job.source": (
        "spark_job.bridge_client",
        "spark_job.offsets",
        "spark_job.options",
        "spark_job.durations",
        "spark_job.access_log",
        "spark_job.errors",
        "avro_bridge.contract",
        "avro_bridge.errors",
    ),
    "spark_job.access_log": (
        "spark_job.source",
        "spark_job.parse",
        "spark_job.audit",
        "spark_job.bridge_client",
        "spark_job.offsets",
        "spark_job.options",
        "spark_job.durations",
        "spark_job.errors",
        "avro_bridge.contract",
        "avro_bridge.errors",
    ),
    "spark_job.windows": ("spark_job.durations", "spark_job.errors"),
    "spark_job.accounting": ("spark_job.durations", "spark_job.audit", "spark_job.offsets", "spark_job.errors"),
    "spark_job.sinks": (
        "spark_job.sinks",
        "spark_job.accounting",
        "spark_job.windows",
        "spark_job.durations",
        "spark_job.errors",
    ),
    "spark_job.jobs": ("spark_job", "avro_bridge.contract", "avro_bridge.errors"),
    "spark_job.cli": ("spark_job",),
    "spark_job.__main__": ("spark_job.cli",),
    "headrace": PACKAGES,
}

NOT_IN_THE_CORE = {
    "avro_bridge.wire": ("asyncio", "socket", "selectors", "threading", "time", "datetime", "logging", "structlog"),
    "avro_bridge.log": ("asyncio", "socket", "selectors", "logging", "prometheus_client", "pyarrow.flight"),
    "spark_job.parse": ("asyncio", "socket", "pyspark", "pyarrow.flight"),
}
"""Bytes in, values out: what would make a core do I/O, read a clock, or know its surroundings."""


def is_below(module: str, prefix: str) -> bool:
    """Say whether ``module`` is ``prefix`` or lies in it."""
    return module == prefix or module.startswith(prefix + ".")


def rule_for(module: str) -> str:
    """Return the entry of the table that holds for a module: the longest that it lies in."""
    return max((prefix for prefix in MAY_IMPORT if is_below(module, prefix)), key=len)


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
    wrong = []
    for path in python_files(package):
        module = module_name(path)
        allowed = MAY_IMPORT[rule_for(module)]
        for line, name in imports_of(path):
            ours = any(is_below(name, other) for other in PACKAGES)
            if ours and not any(is_below(name, prefix) for prefix in (*allowed, module)):
                wrong.append(f"{module}:{line} imports {name}; it may import {', '.join(allowed) or 'nothing of ours'}")
    assert wrong == []


@pytest.mark.parametrize("core", NOT_IN_THE_CORE)
def test_the_cores_do_no_input_or_output(core: str) -> None:
    wrong = [
        f"{module_name(path)}:{line} imports {name}"
        for path in python_files(core.partition(".")[0])
        if is_below(module_name(path), core)
        for line, name in imports_of(path)
        if any(is_below(name, banned) for banned in NOT_IN_THE_CORE[core])
        # The log's writer is the one thread of the core: it may wait on queues, not on sockets.
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_a_line_of_its_own_in_the_table(package: str) -> None:
    coarse = {"flume", "headrace"}
    missing = [
        module_name(path)
        for path in python_files(package)
        if rule_for(module_name(path)) == package and module_name(path) != package and package not in coarse
    ]
    assert missing == [], "add them to MAY_IMPORT, with what lies upstream of them"
