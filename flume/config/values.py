"""The values of an agent as frozen models, and the reader of a values file.

values.toml documents each value: its default, meaning, unit and reason. The models have no defaults: what a tree of
values leaves out is taken from that file. :meth:`Values.changed` returns a changed copy. The models check each value
alone; checks.py checks combinations and the machine.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from flume.errors import ValuesError
from headrace.common.suggest import did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DOCUMENTED = Path(__file__).with_name("values.toml")
"""The file with every value and its default."""

_DEFAULTS: dict[str, dict[str, Any]] = tomllib.loads(DOCUMENTED.read_text(encoding="utf-8"))
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
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AgentValues(_Section):
    """Section [agent]."""

    name: ComponentName


class SpoolValues(_Section):
    """Section [spool]: the spool folder, and how its files are read."""

    folder: AbsolutePath
    poll_delay_ms: Count
    deserializer: Literal["line", "blocks"]
    batch_lines: Count
    batch_blocks: Count
    when_done: Literal["delete", "rename"]
    max_line_chars: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)]
    block_bytes: Annotated[int, Field(ge=1024, le=_INT32_MAX)]
    max_line_bytes: Annotated[int, Field(ge=1024, le=_INT32_MAX)]
    charset: Text
    ignore_pattern: Text
    max_backoff_ms: Annotated[int, Field(ge=250, le=_INT32_MAX)]


class HeaderValues(_Section):
    """Section [headers]: the headers that are added to each event."""

    id: bool
    timestamp: bool
    host: bool
    basename: bool


class ChannelValues(_Section):
    """Section [channel]."""

    type: Literal["memory", "file"]
    capacity: Count
    transaction_capacity: Count
    capacity_blocks: Count
    keep_alive_s: Annotated[int, Field(ge=0, le=3600)]
    max_bytes: Count
    folder: AbsolutePath
    checkpoint_interval_ms: Annotated[int, Field(ge=1000, le=_INT32_MAX)]
    min_free_bytes: Annotated[int, Field(ge=1024 * 1024)]


class BridgeValues(_Section):
    """One table [[sinks.bridges]]."""

    host: Host
    port: Port
    priority: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class SinkValues(_Section):
    """Section [sinks]: the bridges, and how events are sent to them."""

    bridges: Annotated[tuple[BridgeValues, ...], Field(min_length=1, strict=False)]
    parallel: Annotated[int, Field(ge=1, le=64)]
    group: Literal["none", "load_balance", "failover"]
    batch_size: Count
    max_batch_bytes: Annotated[int, Field(ge=64 * 1024, le=_INT32_MAX)]
    idle_wait_ms: Annotated[int, Field(ge=1, le=5000)]
    connect_timeout_ms: TimeoutMs
    request_timeout_ms: TimeoutMs
    max_penalty_ms: Annotated[int, Field(ge=1000, le=_INT32_MAX)]


class CompressionValues(_Section):
    """Section [compression]."""

    type: Literal["none", "deflate"]
    level: Annotated[int, Field(ge=1, le=9)]


class TlsValues(_Section):
    """Section [tls]."""

    enabled: bool
    truststore: AbsolutePath
    truststore_type: Literal["JKS", "PKCS12"]
    truststore_password_file: Text
    protocols: Annotated[tuple[Literal["TLSv1.2", "TLSv1.3"], ...], Field(min_length=1, strict=False)]
    trust_all_certs: bool


class JvmValues(_Section):
    """Section [jvm]."""

    heap_mib: Annotated[int, Field(ge=64, le=1024 * 1024)]
    options: Annotated[tuple[str, ...], Field(strict=False)]


class MetricsValues(_Section):
    """Section [metrics]."""

    host: Host
    port: Annotated[int, Field(ge=0, le=65535)]


class Values(_Section):
    """All values of one agent."""

    agent: AgentValues
    spool: SpoolValues
    headers: HeaderValues
    channel: ChannelValues
    sinks: SinkValues
    compression: CompressionValues
    tls: TlsValues
    jvm: JvmValues
    metrics: MetricsValues

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


def default_values() -> Values:
    """Return the values that values.toml documents."""
    return parse_values({}, str(DOCUMENTED))


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
    """Return the values of a tree of sections and keys, with defaults for the others.

    Args:
        tree: the sections that are given, each with the keys that are given.
        origin: the place that errors name.

    Raises:
        ValuesError: see :func:`load_values`.
    """
    try:
        return Values.model_validate(_with_defaults(tree))
    except ValidationError as error:
        problems = [f"{origin}: {_problem(details)}" for details in error.errors(include_url=False)]
        raise ValuesError("\n".join(problems)) from error


def _with_defaults(tree: Mapping[str, object]) -> dict[str, Any]:
    filled = {section: _filled(tree.get(section, {}), keys) for section, keys in _DEFAULTS.items()}
    sinks = filled["sinks"]
    if isinstance(sinks, dict) and isinstance(sinks["bridges"], (list, tuple)):
        (bridge,) = _DEFAULTS["sinks"]["bridges"]
        sinks["bridges"] = [_filled(each, bridge) for each in sinks["bridges"]]
    return {**tree, **filled}


def _filled(given: object, defaults: Mapping[str, object]) -> object:
    """Return a table with its missing keys; anything else as it is, since the models refuse it with the key's name."""
    return {**defaults, **given} if isinstance(given, Mapping) else given


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
