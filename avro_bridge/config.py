"""The bridge's configuration: one TOML file, every key with its reason.

An unknown key, a wrong type or an unsafe combination is a :class:`~avro_bridge.errors.ConfigError` that names the file
and the key. The bridge starts nothing before the whole file is valid.

The defaults of what the wire and the log can be told stand in :mod:`avro_bridge.wire.limits` and
:mod:`avro_bridge.log.settings`, those of the ports in :mod:`headrace.common.bridge_defaults`; this module only names
them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from avro_bridge.errors import ConfigError
from avro_bridge.log.settings import LogSettings, WriterSettings
from avro_bridge.wire.limits import MAX_FRAME_BYTES, WireLimits
from headrace.common.addresses import is_loopback
from headrace.common.bridge_defaults import ADMIN_PORT, AVRO_PORT, FLIGHT_PORT
from headrace.common.suggest import did_you_mean

MIB = 1024 * 1024
Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]

_WIRE = WireLimits()
_LOG = LogSettings()
_WRITER = WriterSettings()


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsConfig(_Section):
    """A server certificate. TLS 1.2 and 1.3 are served: Flume 1.9's sink fails with 1.3 on current Java."""

    certificate: Path = Field(description="PEM file with the certificate and its chain")
    key: Path = Field(description="PEM file with the private key; readable by the bridge's account only")


class ListenConfig(_Section):
    """Where Flume's Avro sinks connect."""

    host: str = Field("127.0.0.1", description="address to bind; loopback unless told otherwise")
    port: Port = Field(AVRO_PORT, description="0 takes a free port, which the ready file then names")
    compression: Literal["none", "deflate", "detect"] = Field(
        "none",
        description="`deflate` and `none` refuse the other, as Flume's own source does; `detect` takes both",
    )
    tls: TlsConfig | None = Field(None, description="certificate and key; none means plain TCP")
    max_connections: Positive = Field(1000, description="further connections are closed at once")
    max_pending_calls: Positive = Field(64, description="unanswered calls of one connection before it is not read")
    frame_timeout_s: Seconds = Field(60.0, description="a frame that was begun must be complete by then")


class LimitsConfig(_Section):
    """Limits on what one peer may send. Beyond one of them the connection is closed and counted."""

    max_frame_bytes: Annotated[int, Field(gt=0, le=MAX_FRAME_BYTES)] = Field(
        _WIRE.max_frame_bytes, description="size of one call; refused by its announced size"
    )
    max_events: Positive = Field(_WIRE.max_events, description="events of one call")
    max_header_bytes: Positive = Field(_WIRE.max_header_bytes, description="headers of one event")
    max_inflate_ratio: Positive = Field(
        _WIRE.max_inflate_ratio,
        description="bytes that one byte of a compressed stream may become; deflate itself ends near 1,032",
    )

    def wire_limits(self) -> WireLimits:
        """Return these limits, with the defaults of those that an operator cannot set."""
        return WireLimits(**self.model_dump())


class LogConfig(_Section):
    """The durable log."""

    folder: Path = Field(Path("data"), description="holds numbered logs; the first one that is free is taken")
    max_bytes: Annotated[int, Field(ge=16 * MIB)] = Field(
        _LOG.max_bytes, description="cap on disk; when it is reached the bridge answers FAILED and Flume waits"
    )
    retain_max_age_s: Seconds | None = Field(
        _LOG.retain_max_age_s, description="older batches are dropped even if unread; none: never"
    )
    retain_max_bytes: Positive | None = Field(
        _LOG.retain_max_bytes, description="beyond this the oldest are dropped even if unread"
    )
    max_queued_bytes: Positive = Field(
        _WRITER.max_queued_bytes, description="batches waiting for the disk before reading pauses"
    )
    max_files: Positive = Field(
        _LOG.max_files, description="files whose stored bytes are known, so that they are stored once"
    )
    doubt_expiry_s: Seconds = Field(
        _LOG.doubt_expiry_s, description="how long a batch whose OK may be lost is watched for"
    )

    def log_settings(self) -> LogSettings:
        """Return the settings of the log, with the defaults of those that an operator cannot set."""
        return LogSettings(**self.model_dump(exclude={"folder", "max_queued_bytes"}))

    def writer_settings(self) -> WriterSettings:
        """Return the settings of the writer, with the defaults of those that an operator cannot set."""
        return WriterSettings(max_queued_bytes=self.max_queued_bytes)


class FlightConfig(_Section):
    """Where readers connect (Arrow Flight)."""

    host: str = Field("127.0.0.1", description="address to bind; others than loopback need tls or allow_plaintext")
    port: Port = Field(FLIGHT_PORT, description="0 takes a free port")
    tls: TlsConfig | None = Field(None, description="certificate and key; none means plain gRPC")
    token_file: Path | None = Field(None, description="file with a bearer token that every request must carry")
    allow_plaintext: bool = Field(default=False, description="bind beyond loopback without TLS (a private network)")
    batch_events: Positive = Field(16_384, description="events of one Arrow record batch, at the most about")


class AdminConfig(_Section):
    """Metrics, health and status over HTTP. It has no authentication: keep it on loopback or a private network."""

    host: str = Field("127.0.0.1", description="address to bind")
    port: Port = Field(ADMIN_PORT, description="0 takes a free port")
    agents: tuple[str, ...] = Field((), description="URLs of Flume metrics pages to translate beside our own")


class BridgeConfig(_Section):
    """The whole file."""

    listen: ListenConfig = ListenConfig()
    limits: LimitsConfig = LimitsConfig()
    log: LogConfig = LogConfig()
    flight: FlightConfig = FlightConfig()
    admin: AdminConfig = AdminConfig()
    drain_timeout_s: Seconds = Field(20.0, description="how long a stop waits for calls that are being answered")

    @model_validator(mode="after")
    def _refuse_what_is_not_safe(self) -> Self:
        flight = self.flight
        if flight.tls is None and not flight.allow_plaintext and not is_loopback(flight.host):
            raise ValueError(
                f"flight.host {flight.host!r} is not loopback: set flight.tls, or flight.allow_plaintext = true "
                "if the network is private"
            )
        if self.log.retain_max_bytes is not None and self.log.retain_max_bytes > self.log.max_bytes:
            raise ValueError("log.retain_max_bytes is above log.max_bytes, so it would never act")
        return self


def load_config(path: Path) -> BridgeConfig:
    """Read and check a configuration file.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has keys or values that the bridge cannot use.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        return BridgeConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in _explain(error))) from None


def _explain(error: ValidationError) -> list[str]:
    """Return one line for each problem: its key, what is wrong, and the nearest known key for an unknown one."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] != "extra_forbidden":
            text = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{key}: {text}" if key else text)
            continue
        hint = did_you_mean(str(problem["loc"][-1]), _known_keys(problem["loc"][:-1]))
        lines.append(f"{key}: unknown key{hint}")
    return lines


def _known_keys(path: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section at ``path``."""
    model: type[BaseModel] = BridgeConfig
    for part in path:
        annotation = model.model_fields[str(part)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
