"""The options of the sources ``flume``, ``access_log`` and ``json_events``, as one typed and frozen object each.

Spark passes options as texts with case-insensitive names. This module reads and checks all of them on the driver,
before anything connects; Spark then sends the objects to the executors. A secret is never an option: options show up in
Spark's plans, logs and web page, so the token is read from a file.

The options themselves, with their defaults, are the tables in :mod:`spark_job.source.option_table`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from avro_bridge.contract import MAX_CONSUMER_BYTES, is_consumer_name
from headrace.common.addresses import is_loopback
from headrace.common.bridge_defaults import FLIGHT_PORT
from headrace.common.durations import MICROSECOND, parse_length
from spark_job.errors import OptionError
from spark_job.options.spark_map import OptionReader, boolean, existing_file, positive
from spark_job.source.option_table import (
    ACCESS_LOG_OPTIONS,
    AUDIT_OPTIONS,
    FLUME_OPTIONS,
    SHARED_OPTIONS,
    STARTING_WORDS,
    StartingWord,
    default_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Position = Literal["earliest", "latest"] | int
"""Where to start or end reading one log."""


@dataclass(frozen=True)
class Address:
    """Where a bridge's Flight endpoint listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether traffic to this address stays on this machine."""
        return is_loopback(self.host)


@dataclass(frozen=True)
class Security:
    """How to connect to a bridge. Holds the names of files, never their contents."""

    tls: bool = False
    root_certificates: Path | None = None
    token_file: Path | None = None


@dataclass(frozen=True)
class StartingOffsets:
    """Where a query without a checkpoint starts: at ``word`` in every log that ``by_log`` does not name."""

    word: StartingWord
    by_log: tuple[tuple[str, Position], ...] = ()


@dataclass(frozen=True)
class FlumeOptions:
    """The options that every source needs to find and read the bridges' logs."""

    bridges: tuple[Address, ...]
    security: Security
    consumer: str | None
    starting: StartingOffsets
    ending: tuple[tuple[str, Position], ...] | None
    max_events_per_trigger: int | None
    max_bytes_per_trigger: int | None
    min_partitions: int
    fail_on_data_loss: bool
    include_headers: bool
    bridge_timeout_s: float
    commit_offsets: bool


@dataclass(frozen=True)
class AuditOptions:
    """Where each task writes what it read, and the length of the panes that it counts lines in."""

    folder: Path
    pane_us: int


@dataclass(frozen=True)
class AccessLogOptions:
    """How lines are parsed and, with ``rollup_us``, counted in the reader."""

    flume: FlumeOptions
    log_format: str
    url: str
    timezone: str
    arrival_time: bool
    rollup_us: int | None
    audit: AuditOptions | None


def parse_flume_options(options: Mapping[str, str]) -> FlumeOptions:
    """Read the options of ``format("flume")``.

    Raises:
        OptionError: one is unknown, missing or cannot be used.
    """
    reader = OptionReader(options, SHARED_OPTIONS + FLUME_OPTIONS + AUDIT_OPTIONS)
    audit_of(reader)
    return flume_options_of(reader, include_headers=reader.flag("includeHeaders"))


def parse_flume_audit(options: Mapping[str, str]) -> AuditOptions | None:
    """Return the audit of ``format("flume")``; None without option ``audit``.

    Raises:
        OptionError: an option cannot be used.
    """
    return audit_of(OptionReader(options, SHARED_OPTIONS + FLUME_OPTIONS + AUDIT_OPTIONS))


def parse_access_log_options(options: Mapping[str, str]) -> AccessLogOptions:
    """Read the options of ``format("access_log")``. The log format, URL rule and zone are checked by the parser.

    Raises:
        OptionError: one is unknown, missing or cannot be used.
    """
    reader = OptionReader(options, SHARED_OPTIONS + ACCESS_LOG_OPTIONS + AUDIT_OPTIONS)
    rollup = reader.optional("rollup", parse_length)
    rollup_us = rollup // MICROSECOND if rollup is not None else None
    return AccessLogOptions(
        flume=flume_options_of(reader, include_headers=False),
        log_format=reader.text("logFormat"),
        url=reader.text("url"),
        timezone=reader.text("timezone"),
        arrival_time=reader.choice("time") == "arrival",
        rollup_us=rollup_us,
        audit=audit_of(reader, rollup_us),
    )


def audit_of(reader: OptionReader, rollup_us: int | None = None) -> AuditOptions | None:
    """Return the audit that the options ask for; None without option ``audit``.

    Args:
        reader: the source's options.
        rollup_us: the panes of a roll-up: its sums are audited by them, whatever ``auditPane`` is.

    Raises:
        OptionError: the options name a folder and no pane.
    """
    folder = reader.optional("audit", Path)
    pane_us = reader.optional("auditPane", _pane)
    if rollup_us is not None:
        pane_us = rollup_us
    if folder is None:
        return None
    if pane_us is None:
        raise OptionError(f"option audit={str(folder)!r}: it counts lines per pane; set option auditPane too")
    return AuditOptions(folder, pane_us)


def _pane(text: str) -> int:
    """Read a pane in microseconds; ``instant`` stands for the finest."""
    return 1 if text == "instant" else parse_length(text) // MICROSECOND


def check_for_stream(options: FlumeOptions) -> None:
    """Refuse options that make no sense for a stream.

    Raises:
        OptionError: ``consumer`` is missing, or ``endingOffsets`` is given.
    """
    if options.consumer is None:
        raise OptionError(
            "option consumer is missing: under this name the bridges keep the position of a stream and the events that "
            "it has not read; give each query another name"
        )
    if options.ending is not None:
        raise OptionError("option endingOffsets is for batch reads; to end a stream, use trigger(availableNow=True)")


def check_for_batch(options: FlumeOptions) -> None:
    """Refuse options that make no sense for a batch read.

    Raises:
        OptionError: the options describe an empty range, or ``committed`` without a consumer.
    """
    if options.starting.word == "latest":
        raise OptionError("option startingOffsets='latest': a batch read from there is always empty; use 'earliest'")
    if options.starting.word == "committed" and options.consumer is None:
        raise OptionError("option startingOffsets='committed' needs option consumer: it says whose offsets are meant")


def flume_options_of(reader: OptionReader, *, include_headers: bool) -> FlumeOptions:
    """Parse the options that every source has.

    Raises:
        OptionError: an option is missing or cannot be used.
    """
    addresses = reader.optional("bridges", _addresses)
    if addresses is None:
        raise OptionError("option bridges is missing: a comma list of host:port, the bridges' Flight addresses")
    return FlumeOptions(
        bridges=addresses,
        security=_security(reader, addresses),
        consumer=reader.optional("consumer", _consumer),
        starting=reader.value("startingOffsets", _starting),
        ending=reader.value("endingOffsets", _ending),
        max_events_per_trigger=reader.optional("maxEventsPerTrigger", positive),
        max_bytes_per_trigger=reader.optional("maxBytesPerTrigger", positive),
        min_partitions=reader.value("minPartitions", positive),
        fail_on_data_loss=reader.flag("failOnDataLoss"),
        include_headers=include_headers,
        bridge_timeout_s=reader.value("bridgeTimeout", parse_length).total_seconds(),
        commit_offsets=reader.flag("commitOffsets"),
    )


def _security(reader: OptionReader, addresses: tuple[Address, ...]) -> Security:
    roots = reader.optional("tlsRootCertificates", existing_file)
    tls = reader.optional("tls", boolean)
    if tls is None:
        tls = roots is not None
    token_file = reader.optional("tokenFile", existing_file)
    if roots is not None and not tls:
        raise OptionError("option tls='false' contradicts option tlsRootCertificates")
    private = reader.flag("allowPlaintext")
    # A token that is sent in plain text can be used by everybody who sees it.
    if token_file is not None and not (tls or private or all(address.is_loopback for address in addresses)):
        raise OptionError(
            "option tokenFile: without TLS the token would cross the network unencrypted; set tls=true, or "
            "allowPlaintext=true if the network is private"
        )
    return Security(tls=tls, root_certificates=roots, token_file=token_file)


def _consumer(text: str) -> str:
    if not is_consumer_name(text):
        raise ValueError(f"a printable name of 1 to {MAX_CONSUMER_BYTES} bytes")
    return text


def _addresses(text: str) -> tuple[Address, ...]:
    addresses = tuple(_address(part.strip()) for part in text.split(",") if part.strip())
    if not addresses:
        raise ValueError(f"a comma list of host:port, such as 'bridge-1:{FLIGHT_PORT},bridge-2:{FLIGHT_PORT}'")
    if len(set(addresses)) < len(addresses):
        raise ValueError("an address is named twice; name each bridge once")
    return addresses


def _address(text: str) -> Address:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})", text, re.ASCII)
    if match is None or not 0 < int(match[3]) < 65536:
        raise ValueError(f"{text!r} is not host:port, such as bridge-1:{FLIGHT_PORT} or [::1]:{FLIGHT_PORT}")
    return Address(match[1] or match[2], int(match[3]))


def _starting(text: str) -> StartingOffsets:
    word = text.strip().lower()
    if word in STARTING_WORDS:
        return StartingOffsets(word)
    # A log that the JSON does not name is read as if the option was not set.
    return replace(_starting(default_of("startingOffsets")), by_log=_positions(text, ", ".join(STARTING_WORDS)))


def _ending(text: str) -> tuple[tuple[str, Position], ...] | None:
    if text.strip().lower() == "latest":
        return None
    return _positions(text, "latest")


def _positions(text: str, words: str) -> tuple[tuple[str, Position], ...]:
    wanted = f'{words}, or JSON such as {{"<log id>": 1200}} (an offset, "earliest" or "latest" each)'
    try:
        value = json.loads(text)
    except ValueError:
        raise ValueError(wanted) from None
    if not isinstance(value, dict) or not all(_is_position(position) for position in value.values()):
        raise ValueError(wanted)
    return tuple(sorted(value.items()))


def _is_position(value: object) -> bool:
    return value in ("earliest", "latest") or (type(value) is int and value >= 0)
