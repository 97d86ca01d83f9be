"""The values of an agent as frozen models, and the reader of a values file.

values.toml documents each value: its meaning, unit and reason. A test compares the defaults here with that file.
:meth:`Values.changed` returns a changed copy. The models check each value alone; checks.py checks combinations and the
machine.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from flume.errors import ValuesError
from headrace.common.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

_INT32_MAX = 2**31 - 1
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})")


def _expressible(text: str) -> str:
    # Flume trims every value and replaces ${...} anywhere in it; a properties file cannot prevent either.
    if "${" in text:
        raise ValueError("contains '${', which Flume would replace by a variable's value or by nothing")
    if text != text.strip():
        raise ValueError("begins or ends with a blank, which Flume would remove")
    if any(ord(character) < 0x20 or 0xD800 <= ord(character) < 0xE000 for character in text):
        raise ValueError("contains a control character")
    return text


def _absolute(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("is not an absolute path; the agent runs in another folder, where it would name another file")
    return text


def _host(text: str) -> str:
    if ":" in text:
        raise ValueError("contains a colon; Flume splits host:port at the first one, give an IPv6 address a host name")
    if not _HOST_NAME.fullmatch(text):
        raise ValueError("is not a host name or an IPv4 address in ASCII")
    return text


Text = Annotated[str, AfterValidator(_expressible)]
AbsolutePath = Annotated[Text, AfterValidator(_absolute)]
Host = Annotated[Text, AfterValidator(_host)]
ComponentName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1, le=_INT32_MAX)]
TimeoutMs = Annotated[int, Field(ge=0, le=_INT32_MAX)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class AgentValues(_Section):
    """Section [agent]."""

    name: ComponentName = "headrace"


class SpoolValues(_Section):
    """Section [spool]: the spool folder, and how its files are read."""

    folder: AbsolutePath = "/var/spool/headrace"
    poll_delay_ms: Count = 100
    batch_lines: Count = 1000
    when_done: Literal["delete", "rename"] = "rename"
    max_line_chars: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 131_072
    charset: Text = "UTF-8"
    ignore_pattern: Text = r"^.*\.(tmp|part|swp)$"
    max_backoff_ms: Annotated[int, Field(ge=250, le=_INT32_MAX)] = 500


class HeaderValues(_Section):
    """Section [headers]: the headers that are added to each event."""

    id: bool = True
    timestamp: bool = True
    host: bool = True
    basename: bool = True


class ChannelValues(_Section):
    """Section [channel]."""

    type: Literal["memory", "file"] = "memory"
    capacity: Count = 200_000
    transaction_capacity: Count = 10_000
    keep_alive_s: Annotated[int, Field(ge=0, le=3600)] = 0
    max_bytes: Count = 167_772_160
    folder: AbsolutePath = "/var/lib/headrace/channel"
    checkpoint_interval_ms: Annotated[int, Field(ge=1000, le=_INT32_MAX)] = 30_000
    min_free_bytes: Annotated[int, Field(ge=1024 * 1024)] = 524_288_000


class BridgeValues(_Section):
    """One table [[sinks.bridges]]."""

    host: Host = "127.0.0.1"
    port: Port = 4141
    priority: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class SinkValues(_Section):
    """Section [sinks]: the bridges, and how events are sent to them."""

    bridges: Annotated[tuple[BridgeValues, ...], Field(min_length=1, strict=False)] = (BridgeValues(),)
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    group: Literal["none", "load_balance", "failover"] = "none"
    batch_size: Count = 5000
    max_batch_bytes: Annotated[int, Field(ge=64 * 1024, le=_INT32_MAX)] = 8_388_608
    idle_wait_ms: Annotated[int, Field(ge=1, le=5000)] = 20
    connect_timeout_ms: TimeoutMs = 20_000
    request_timeout_ms: TimeoutMs = 20_000
    max_penalty_ms: Annotated[int, Field(ge=1000, le=_INT32_MAX)] = 10_000


class CompressionValues(_Section):
    """Section [compression]."""

    type: Literal["none", "deflate"] = "none"
    level: Annotated[int, Field(ge=1, le=9)] = 1


class TlsValues(_Section):
    """Section [tls]."""

    enabled: bool = False
    truststore: AbsolutePath = "/etc/headrace/truststore.jks"
    truststore_type: Literal["JKS", "PKCS12"] = "JKS"
    truststore_password_file: Text = ""
    protocols: Annotated[tuple[Literal["TLSv1.2", "TLSv1.3"], ...], Field(min_length=1, strict=False)] = (
        "TLSv1.2",
        "TLSv1.3",
    )
    trust_all_certs: bool = False


class JvmValues(_Section):
    """Section [jvm]."""

    heap_mib: Annotated[int, Field(ge=64, le=1024 * 1024)] = 512
    options: Annotated[tuple[str, ...], Field(strict=False)] = ()


class MetricsValues(_Section):
    """Section [metrics]."""

    host: Host = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0


class Values(_Section):
    """All values of one agent."""

    agent: AgentValues = AgentValues()
    spool: SpoolValues = SpoolValues()
    headers: HeaderValues = HeaderValues()
    channel: ChannelValues = ChannelValues()
    sinks: SinkValues = SinkValues()
    compression: CompressionValues = CompressionValues()
    tls: TlsValues = TlsValues()
    jvm: JvmValues = JvmValues()
    metrics: MetricsValues = MetricsValues()

    def changed(self, changes: Mapping[str, object]) -> Values:
        """Return a changed copy; ``changes`` is for example ``{"channel.type": "memory", "sinks.parallel": 2}``.

        Raises:
            ValuesError: a key is unknown or a value is not allowed.
        """
        tree: dict[str, Any] = self.model_dump(mode="python")
        for name, value in changes.items():
            section, _, key = name.partition(".")
            tree.setdefault(section, {})[key] = value
        return parse_values(tree, "changes")


def load_values(path: Path) -> Values:
    """Read a values file; keys that it lacks keep their defaults.

    Raises:
        ValuesError: the file cannot be read or is not TOML, a key is unknown, or a value is not allowed. The text has
            one line for each problem; for an unknown key it names the nearest known one.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValuesError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValuesError(f"{path}: not a TOML file: {error}") from error
    return parse_values(tree, str(path))


def parse_values(tree: Mapping[str, object], origin: str) -> Values:
    """Return the values of a tree of sections and keys; errors name ``origin`` as the place.

    Raises:
        ValuesError: see :func:`load_values`.
    """
    try:
        return Values.model_validate(tree)
    except ValidationError as error:
        problems = [f"{origin}: {_problem(details)}" for details in error.errors(include_url=False)]
        raise ValuesError("\n".join(problems)) from error


def _problem(details: ErrorDetails) -> str:
    place = [part for part in details["loc"] if isinstance(part, str)]
    key = ".".join(map(str, details["loc"]))
    if details["type"] != "extra_forbidden":
        text = details["msg"].removeprefix("Value error, ")
        return f"{key} = {str(details['input'])[:200]!r}: {text}"
    known = _known_keys(place[:-1])
    return f"{key}: unknown key{did_you_mean(place[-1], known, 'known are ' + ', '.join(known))}"


def _known_keys(sections: list[str]) -> list[str]:
    model: type[BaseModel] = Values
    for section in sections:
        annotation = model.model_fields[section].annotation
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else BridgeValues
    return sorted(model.model_fields)
