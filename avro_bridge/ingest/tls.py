"""The server's TLS context: 1.2 and 1.3, no client certificate, since Flume's sink cannot present one."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from avro_bridge.errors import ConfigError

if TYPE_CHECKING:
    from avro_bridge.config import TlsConfig


def server_context(tls: TlsConfig | None) -> ssl.SSLContext | None:
    """Load certificate and key.

    Raises:
        ConfigError: a file cannot be read, or key and certificate do not belong together.
    """
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Flume 1.9's sink breaks off with TLS 1.3 on current Java, so 1.2 must stay on offer.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"listen.tls: {tls.certificate} with {tls.key}: {error}") from error
    return context
