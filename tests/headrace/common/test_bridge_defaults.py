"""What the clients of a bridge rely on is what a bridge without a configuration file does."""

from __future__ import annotations

from avro_bridge.config import BridgeConfig
from avro_bridge.wire.limits import WireLimits
from flume.config.checks import check_values
from flume.config.values import default_values
from headrace.common.bridge_defaults import ADMIN_PORT, AVRO_PORT, FLIGHT_PORT, FRAME_BYTES

FIRST_EPHEMERAL_PORT = 32_768
"""Linux gives ports from here on to outgoing connections, so a server may find its own taken."""


def test_a_bridge_without_a_configuration_has_these_ports_and_this_limit() -> None:
    config = BridgeConfig()
    assert (config.listen.port, config.flight.port, config.admin.port) == (AVRO_PORT, FLIGHT_PORT, ADMIN_PORT)
    assert config.limits.max_frame_bytes == WireLimits().max_frame_bytes == FRAME_BYTES


def test_the_ports_are_three_that_any_account_may_use() -> None:
    ports = {AVRO_PORT, FLIGHT_PORT, ADMIN_PORT}
    assert len(ports) == 3
    assert all(1024 <= port < FIRST_EPHEMERAL_PORT for port in ports)


def test_the_largest_batch_of_an_agent_by_default_fits_into_a_frame() -> None:
    check_values(default_values())
    assert default_values().sinks.max_batch_bytes < FRAME_BYTES
