"""The TLS context of the ingest port: TLS 1.2 and 1.3, no client certificate, since Flume's sink cannot present one."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from avro_bridge.errors import ConfigError

if TYPE_CHECKING:
    from avro_bridge.config import TlsConfig


def server_context(tls: TlsConfig | None) -> ssl.SSLContext | None:
    """Load the certificate and its key; return None when TLS is not configured.

    Raises:
        ConfigError: a file cannot be read, or key and certificate do not belong together.
    """
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Flume 1.9's sink fails with TLS 1.3 on current Java, so 1.2 must stay enabled.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"listen.tls: certificate {tls.certificate} with key {tls.key}: {error}; both must be PEM files that the "
            "bridge may read, and they must belong together"
        ) from error
    return context
