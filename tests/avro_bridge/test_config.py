"""The bridge's configuration file."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from avro_bridge.config import BridgeConfig, load_config
from avro_bridge.errors import ConfigError
from avro_bridge.log.settings import LogSettings, WriterSettings
from avro_bridge.wire.limits import WireLimits
from headrace.common.addresses import is_loopback

if TYPE_CHECKING:
    from pathlib import Path


def load(tmp_path: Path, text: str) -> BridgeConfig:
    path = tmp_path / "bridge.toml"
    path.write_text(text)
    return load_config(path)


def test_an_empty_file_gives_the_defaults_which_bind_loopback_only(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    assert config == BridgeConfig()
    assert all(is_loopback(part.host) for part in (config.listen, config.flight, config.admin))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[listen]\nprot = 1", "listen.prot: unknown key; did you mean 'port'?"),
        ("[lisen]\nport = 1", "lisen: unknown key; did you mean 'listen'?"),
        (
            "[listen.tls]\ncertificat = 'x'\nkey = 'y'",
            "listen.tls.certificat: unknown key; did you mean 'certificate'?",
        ),
        ("[listen]\nqqqq = 1", "listen.qqqq: unknown key"),
        ("[listen]\nport = 70000", "listen.port: Input should be less than or equal to 65535"),
        (
            "[limits]\nmax_frame_bytes = 1073741825",
            "limits.max_frame_bytes: Input should be less than or equal to 10737",
        ),
        ("[flight]\nhost = '0.0.0.0'", "flight.host '0.0.0.0' is not loopback: set flight.tls, or"),
        ("[log]\nmax_bytes = 16777216\nretain_max_bytes = 33554432", "log.retain_max_bytes is above log.max_bytes"),
        ("[listen", "not TOML"),
    ],
)
def test_a_problem_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    assert message in str(refused.value)
    assert str(tmp_path / "bridge.toml") in str(refused.value)


def test_every_problem_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, "[listen]\nport = -1\n[admin]\nhots = 'x'")
    assert "listen.port" in str(refused.value)
    assert "admin.hots" in str(refused.value)


def test_flight_may_leave_loopback_with_tls_or_when_told_so(tmp_path: Path) -> None:
    assert load(tmp_path, "[flight]\nhost = '0.0.0.0'\nallow_plaintext = true").flight.host == "0.0.0.0"
    load(tmp_path, "[flight]\nhost = '0.0.0.0'\n[flight.tls]\ncertificate = 'c'\nkey = 'k'")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        load_config(tmp_path / "none.toml")


def test_a_wrong_file_ends_the_process_with_two(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text("[lisen]\n")
    command = [sys.executable, "-m", "avro_bridge", "check", "--config", str(tmp_path / "bridge.toml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith("avro_bridge: ")
    assert "did you mean 'listen'" in ended.stderr


def test_the_defaults_of_wire_log_and_writer_are_those_of_their_settings() -> None:
    config = BridgeConfig()
    assert config.limits.wire_limits() == WireLimits()
    assert config.log.log_settings() == LogSettings()
    assert config.log.writer_settings() == WriterSettings()


def test_what_an_operator_sets_reaches_the_settings(tmp_path: Path) -> None:
    text = "[limits]\nmax_events = 7\n[log]\nmax_bytes = 16777216\nretain_max_age_s = 5\nmax_queued_bytes = 99"
    config = load(tmp_path, text)
    assert config.limits.wire_limits() == WireLimits(max_events=7)
    assert config.log.log_settings() == LogSettings(max_bytes=16 * 2**20, retain_max_age_s=5)
    assert config.log.writer_settings() == WriterSettings(max_queued_bytes=99)
