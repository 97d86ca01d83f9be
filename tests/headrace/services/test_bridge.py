"""The bridge's container writes a configuration that the bridge accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avro_bridge.config import BridgeConfig, load_config
from headrace.common.bridge_defaults import ADMIN_PORT, AVRO_PORT, FLIGHT_PORT
from headrace.services import bridge
from headrace.services.environment import TOKEN_FILE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_bridges_configuration_is_one_that_the_bridge_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_LOG_MAX_BYTES", "99000000")
    (tmp_path / "bridge.toml").write_text(bridge.configuration())
    config = load_config(tmp_path / "bridge.toml")
    assert config.log.max_bytes == 99_000_000
    assert config.flight.token_file is not None
    assert str(config.flight.token_file) == TOKEN_FILE
    assert config.flight.allow_plaintext
    assert (config.listen.port, config.flight.port, config.admin.port) == (AVRO_PORT, FLIGHT_PORT, ADMIN_PORT)
    assert [str(url) for url in config.admin.agents] == ["http://agent:41414/metrics"]


def test_a_cap_that_is_not_set_is_the_bridges_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_LOG_MAX_BYTES", raising=False)
    (tmp_path / "bridge.toml").write_text(bridge.configuration())
    assert load_config(tmp_path / "bridge.toml").log.max_bytes == BridgeConfig().log.max_bytes
