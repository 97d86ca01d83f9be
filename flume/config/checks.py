"""What the kit refuses because Flume would take it, say little, and do something else.

========================================  ==============================================================================
values                                    what Flume 1.11 would do
========================================  ==============================================================================
a batch above transaction_capacity        removes the component with one log line and runs on without it
transaction_capacity above capacity       removes the channel, then everything that used it
a memory channel larger than the heap     runs out of memory under load, and threads die one by one
a batch of longest lines above max_bytes  retries the same put for ever: the agent stands still
max_batch_bytes plus a line above 32 MiB  sends a frame that the bridge refuses, at each retry: the agent stands still
a timeout below 1000 ms                   uses 20,000 ms
failover with a priority twice            drops one of the sinks
a group over one bridge                   works, and never fails over to anything
memory channel with when_done = delete    loses lines of which no file is left, when it is killed
trust_all_certs                           encrypts to whoever answers
TLS with deflate                          compresses what is encrypted already: CPU for nothing
spool and channel folder in one another   reads the channel's files as logs
a folder or truststore that is not there  stops the component with one log line; the agent looks alive
========================================  ==============================================================================
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flume.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flume.config.values import Values

BRIDGE_FRAME_BYTES = 32 * 1024 * 1024
"""What the bridge takes as one frame by default; headers and framing of a batch count as well."""

_HEADER_BYTES = 256
_OBJECT_BYTES = 700
_LEAST_TIMEOUT_MS = 1000


def refuse(values: Values) -> None:
    """Check what does not depend on the machine.

    Raises:
        RenderError: one line for each problem, each naming its keys.
    """
    _raise([*_channel_problems(values), *_sink_problems(values), *_trust_problems(values), *_folder_problems(values)])


def refuse_machine(values: Values) -> None:
    """Check what has to be on the machine that runs the agent: folders, the truststore, the password's file.

    Raises:
        RenderError: one line for each problem, each naming its key.
    """
    _raise(list(_machine_problems(values)))


def _raise(problems: list[str]) -> None:
    if problems:
        raise RenderError("\n".join(problems))


def _channel_problems(values: Values) -> Iterator[str]:
    spool, channel, sinks = values.spool, values.channel, values.sinks
    for key, batch in (("spool.batch_lines", spool.batch_lines), ("sinks.batch_size", sinks.batch_size)):
        if batch > channel.transaction_capacity:
            yield (
                f"{key} = {batch} is above channel.transaction_capacity = {channel.transaction_capacity}: Flume would "
                "remove the component and run on without it; raise the one or lower the other"
            )
    if channel.transaction_capacity > channel.capacity:
        yield (
            f"channel.transaction_capacity = {channel.transaction_capacity} is above channel.capacity = "
            f"{channel.capacity}: Flume would remove the channel"
        )
    longest_batch = spool.batch_lines * spool.max_line_chars
    if channel.type == "memory" and longest_batch > channel.max_bytes:
        yield (
            f"spool.batch_lines x spool.max_line_chars = {longest_batch} is above channel.max_bytes = "
            f"{channel.max_bytes}: a batch of longest lines could never be put and the agent would stand still"
        )
    full = channel.max_bytes + channel.capacity * _OBJECT_BYTES
    if channel.type == "memory" and full > values.jvm.heap_mib * 1024 * 1024 * 3 // 4:
        yield (
            f"a full channel, channel.max_bytes = {channel.max_bytes} and {_OBJECT_BYTES} more for each of "
            f"channel.capacity = {channel.capacity} events, takes {full} bytes, above three quarters of jvm.heap_mib = "
            f"{values.jvm.heap_mib} MiB; the batches under way need the rest"
        )
    if channel.type == "memory" and spool.when_done == "delete":
        yield (
            'spool.when_done = "delete" with channel.type = "memory": lines in the channel of a killed agent would be '
            'in no file any more; use when_done = "rename", or the file channel'
        )


def _sink_problems(values: Values) -> Iterator[str]:
    sinks = values.sinks
    # An ASCII line has a byte for each UTF-16 unit, any other up to three.
    largest = sinks.max_batch_bytes + 3 * values.spool.max_line_chars + sinks.batch_size * _HEADER_BYTES
    if largest > BRIDGE_FRAME_BYTES:
        yield (
            f"sinks.max_batch_bytes = {sinks.max_batch_bytes}, with a longest line (spool.max_line_chars) and the "
            f"headers of sinks.batch_size events, comes to {largest} bytes, above the {BRIDGE_FRAME_BYTES} of a "
            "bridge's frame: the bridge would refuse it at every retry"
        )
    for key in ("connect_timeout_ms", "request_timeout_ms"):
        if getattr(sinks, key) < _LEAST_TIMEOUT_MS:
            yield f"sinks.{key} = {getattr(sinks, key)} is below 1000: Flume would silently use 20000"
    if sinks.group != "none" and len(sinks.bridges) < 2:
        yield f'sinks.group = "{sinks.group}" needs two or more [[sinks.bridges]]; there is {len(sinks.bridges)}'
    places = [(bridge.host, bridge.port) for bridge in sinks.bridges]
    if len(set(places)) < len(places):
        yield "sinks.bridges names the same host and port twice; for more connections to one bridge use sinks.parallel"
    priorities = [bridge.priority for bridge in sinks.bridges if bridge.priority is not None]
    if sinks.group == "failover" and len(set(priorities)) < len(priorities):
        yield "sinks.bridges: two have the same priority: Flume would drop one of them"
    if sinks.group == "failover" and priorities and len(priorities) < len(places):
        yield "sinks.bridges: give each bridge a priority, or none"
    if sinks.group != "failover" and priorities:
        yield 'sinks.bridges: a priority means something with sinks.group = "failover" only'


def _trust_problems(values: Values) -> Iterator[str]:
    if values.tls.trust_all_certs:
        yield "tls.trust_all_certs = true: Flume would encrypt to whoever answers; give it the CA in tls.truststore"
    if values.tls.enabled and values.compression.type != "none":
        yield (
            'tls.enabled with compression.type = "deflate": Flume 1.11 encrypts first and compresses the result, which '
            "does not shrink; switch one of them off"
        )


def _folder_problems(values: Values) -> Iterator[str]:
    if values.channel.type != "file":
        return
    spool, channel = Path(os.path.normpath(values.spool.folder)), Path(os.path.normpath(values.channel.folder))
    if spool.is_relative_to(channel) or channel.is_relative_to(spool):
        yield (
            f"spool.folder = {spool} and channel.folder = {channel}: one is the other or in it; Flume would read the "
            "channel's files as logs"
        )


def _machine_problems(values: Values) -> Iterator[str]:
    spool = Path(values.spool.folder)
    if not spool.is_dir():
        yield f"spool.folder = {spool}: there is no such folder; Flume would run on without its source"
    elif not os.access(spool, os.R_OK | os.W_OK | os.X_OK):
        yield f"spool.folder = {spool}: not readable and writable; Flume marks or deletes what it has read"
    if values.tls.enabled:
        for key in ("truststore", "truststore_password_file"):
            path = getattr(values.tls, key)
            if path and not os.access(path, os.R_OK):
                yield f"tls.{key} = {path}: there is no such file, or it is not readable for this user"
