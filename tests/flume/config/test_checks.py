"""Settings that Flume would silently misinterpret are refused, with the keys in the text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flume.config.checks import check_machine, check_values
from flume.config.values import default_values
from flume.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TWO = [{"host": "a"}, {"host": "b"}]
FILE: Mapping[str, object] = {"channel.type": "file", "spool.when_done": "delete"}
MEMORY: Mapping[str, object] = {"channel.type": "memory", "spool.when_done": "rename"}
BLOCKS: Mapping[str, object] = {"spool.deserializer": "blocks"}
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sinks.batch_size": 10_001}, "sinks.batch_size = 10001 is above channel.transaction_capacity = 10000"),
        ({**FILE, "spool.batch_lines": 10_001}, "spool.batch_lines = 10001 is above channel.transaction_capacity"),
        ({"channel.capacity": 9_999}, "channel.transaction_capacity = 10000 is above channel.capacity = 9999"),
        ({**MEMORY, "spool.max_line_chars": 200_000}, "above channel.max_bytes"),
        ({**MEMORY, "jvm.heap_mib": 256}, "above three quarters of jvm.heap_mib = 256"),
        ({"spool.when_done": "delete"}, 'spool.when_done = "delete" with channel.type = "memory"'),
        ({"sinks.max_batch_bytes": 33_000_000}, "sinks.max_batch_bytes = 33000000"),
        ({"sinks.connect_timeout_ms": 999}, "sinks.connect_timeout_ms = 999 is below 1000"),
        ({"sinks.request_timeout_ms": 0}, "sinks.request_timeout_ms = 0 is below 1000"),
        ({"sinks.group": "failover"}, 'sinks.group = "failover" needs two or more'),
        ({"sinks.bridges": [{"host": "a"}, {"host": "a"}]}, "names the same host and port twice"),
        (
            {"sinks.group": "failover", "sinks.bridges": [{"host": "a", "priority": 1}, {"host": "b", "priority": 1}]},
            "two have the same priority",
        ),
        (
            {"sinks.group": "failover", "sinks.bridges": [{"host": "a", "priority": 1}, {"host": "b"}]},
            "give each bridge a priority, or none",
        ),
        ({"sinks.bridges": [{"host": "a", "priority": 1}]}, 'with sinks.group = "failover" only'),
        ({"tls.trust_all_certs": True}, "tls.trust_all_certs = true"),
        ({"tls.enabled": True, "compression.type": "deflate"}, "encrypts first and compresses the result"),
        (
            {**FILE, "spool.folder": "/s", "channel.folder": "/s/../s/channel"},
            "they are the same or one contains the other",
        ),
        ({**FILE, "spool.folder": "/s/spool", "channel.folder": "/s"}, "they are the same or one contains the other"),
        (
            {**BLOCKS, "spool.block_bytes": 9 * MIB},
            "spool.max_line_bytes = 8388608 is below spool.block_bytes = 9437184",
        ),
        ({**BLOCKS, "channel.capacity_blocks": 3}, "spool.batch_blocks = 4 is above channel.capacity_blocks = 3"),
        ({**BLOCKS, "channel.max_bytes": 12 * MIB - 1}, "come to 12582912, above channel.max_bytes = 12582911"),
        (
            {**BLOCKS, "sinks.max_batch_bytes": 24 * MIB},
            "comes to 33816576 bytes, above the 33554432 of a bridge's frame",
        ),
        ({**BLOCKS, "jvm.heap_mib": 221}, "jvm.heap_mib = 221 is below the 222 MiB that blocks need"),
        ({**BLOCKS, **FILE, "jvm.heap_mib": 125}, "jvm.heap_mib = 125 is below the 126 MiB that blocks need"),
        ({**BLOCKS, "sinks.parallel": 20}, "jvm.heap_mib = 512 is below the 526 MiB that blocks need"),
        ({**BLOCKS, "spool.when_done": "delete"}, 'spool.when_done = "delete" with channel.type = "memory"'),
    ],
)
def test_a_combination_that_flume_would_misinterpret_is_refused(changes: Mapping[str, object], said: str) -> None:
    with pytest.raises(RenderError) as caught:
        check_values(default_values().changed(changes))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {},
        MEMORY,
        {"sinks.group": "load_balance", "sinks.bridges": TWO, "sinks.parallel": 3},
        {"sinks.group": "failover", "sinks.bridges": TWO},
        {"sinks.bridges": TWO},
        {"tls.enabled": True},
        {"compression.type": "deflate"},
        {"spool.folder": "/s/spool", "channel.folder": "/s/spool-channel"},
        {**BLOCKS, "channel.max_bytes": 12 * MIB, "jvm.heap_mib": 74},
        {**BLOCKS, **FILE, "jvm.heap_mib": 126},
        {**BLOCKS, "sinks.parallel": 2, "sinks.bridges": TWO, "sinks.group": "failover"},
        # What only the other mode uses is not looked at.
        {**BLOCKS, "spool.batch_lines": 50_000, "channel.capacity": 1, "sinks.batch_size": 50_000},
        {"spool.block_bytes": 2**30, "spool.batch_blocks": 50_000},
    ],
)
def test_what_flume_does_as_told_is_accepted(changes: Mapping[str, object]) -> None:
    check_values(default_values().changed(changes))


def test_what_is_not_on_the_machine_is_refused(tmp_path: Path) -> None:
    values = default_values().changed(
        {
            "spool.folder": str(tmp_path / "none"),
            "tls.enabled": True,
            "tls.truststore": str(tmp_path / "trust.jks"),
            "tls.truststore_password_file": str(tmp_path / "password"),
        }
    )
    with pytest.raises(RenderError) as caught:
        check_machine(values)
    assert [line.split(" = ")[0] for line in str(caught.value).splitlines()] == [
        "spool.folder",
        "tls.truststore",
        "tls.truststore_password_file",
    ]
    (tmp_path / "none").mkdir()
    (tmp_path / "trust.jks").touch()
    (tmp_path / "password").touch()
    check_machine(values)
