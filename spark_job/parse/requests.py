r"""Splits request lines into method, target and protocol, and decides which lines count as requests.

======================================  ==========================================================================
request line                            counts as
======================================  ==========================================================================
``GET /a?b HTTP/1.1``                   URL ``/a`` under the rule ``path``; HTTP/2 and 3 are written the same way
``GET http://host/a HTTP/1.1``          ``/a``: absolute form, as clients send it to proxies
``CONNECT host:443 HTTP/1.1``           ``host:443``: authority form
``OPTIONS * HTTP/1.0``                  ``*``: Apache's internal wake-up calls
``GET /a b HTTP/1.1``                   ``/a b``: everything between the first blank and the protocol
``GET a HTTP/1.1``                      ``a``: not a valid target and answered with 400, but still a request
``GET /a``                              ``/a``, protocol null: HTTP/0.9
``OPTIONS / RTSP/1.0``                  ``/``: a probe with another protocol's name, answered as HTTP
``-``                                   ``-``, method and protocol null: the connection ended before a request came
                                        (status 408)
``\x16\x03\x01...`` and other bytes        malformed, "request is not HTTP": TLS spoken to the plain port, for one
``GET``, nothing                        malformed, "request is not HTTP"
======================================  ==========================================================================

A method is a token of RFC 9110 (5.6.2). Without a protocol, the method must be upper case and the target must start
with ``/``, be ``*`` or be absolute: otherwise any two words would be a request.
"""

from __future__ import annotations

import polars as pl

NO_REQUEST = "-"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 -- RFC 9110's word for it, no secret
_WITH_PROTOCOL = rf"(?s)^(?P<method>{_TOKEN}) +(?P<target>[^ ].*?) +(?P<protocol>[A-Z]+/[0-9]+(?:\.[0-9]+)?) *$"
_WITHOUT_PROTOCOL = r"(?s)^(?P<method>[A-Z]+) +(?P<target>(?:/|[A-Za-z][A-Za-z0-9+.-]*://).*|\*)$"


def split_requests(requests: pl.Series) -> pl.DataFrame:
    """Return method, target and protocol of each request line; the target is null if the line is not HTTP.

    Costly: use distinct request lines, with their escapes resolved.
    """
    lines = requests.rename("request").to_frame()
    request = pl.col("request")
    split = lines.with_columns(request.str.extract_groups(_WITH_PROTOCOL).struct.unnest())
    if not split["target"].null_count():
        return split.drop("request")
    old = lines.select(request.str.extract_groups(_WITHOUT_PROTOCOL).struct.unnest())
    return split.select(
        pl.col("method").fill_null(old["method"]),
        pl.col("target").fill_null(old["target"]).fill_null(pl.when(request == NO_REQUEST).then(request)),
        "protocol",
    )
