"""The TLS context of the ingest port."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from avro_bridge.config import TlsConfig
from avro_bridge.errors import ConfigError
from avro_bridge.ingest.tls import server_context

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, name: str) -> TlsConfig:
    """Write a new certificate and its key to ``folder``."""
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    issued.private_key_pem.write_to_path(folder / f"{name}-key.pem")
    return TlsConfig(certificate=folder / f"{name}.pem", key=folder / f"{name}-key.pem")


def test_no_tls_is_no_context() -> None:
    assert server_context(None) is None


def test_tls_1_2_stays_enabled_and_no_client_certificate_is_asked_for(tmp_path: Path) -> None:
    context = server_context(written(tmp_path, "server"))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE


def test_a_key_of_another_certificate_is_refused_by_name(tmp_path: Path) -> None:
    one, other = written(tmp_path, "one"), written(tmp_path, "other")
    with pytest.raises(ConfigError, match=r"listen.tls: certificate .*one\.pem with key .*other-key\.pem"):
        server_context(TlsConfig(certificate=one.certificate, key=other.key))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem.*No such file"):
        server_context(TlsConfig(certificate=tmp_path / "none.pem", key=tmp_path / "none-key.pem"))
