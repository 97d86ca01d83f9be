"""Refuses settings that Flume accepts but silently misinterprets.

========================================  ==============================================================================
values                                    what Flume 1.11 would do
========================================  ==============================================================================
a batch above transaction_capacity        removes the component with one log line and runs without it
transaction_capacity above capacity       removes the channel, then every component that used it
a memory channel larger than the heap     runs out of memory under load; its threads die one by one
blocks and requests larger than the heap  the same
a batch of longest lines above max_bytes  retries the same put for ever: nothing is shipped any more
max_line_bytes below block_bytes          cannot make its deserializer: the source stops at its first file
max_batch_bytes plus a line above 32 MiB  sends a frame that the bridge refuses at each retry: nothing is shipped
a timeout below 1000 ms                   uses 20,000 ms
failover with two equal priorities        drops one of the sinks
a group over one bridge                   works, but has no bridge to fail over to
memory channel with when_done = delete    loses lines when it is killed; their file is deleted already
trust_all_certs                           encrypts to any server that answers
TLS with deflate                          compresses encrypted bytes: CPU without any gain
spool folder inside channel folder, or    reads the channel's files as logs
the other way round
a missing folder or truststore            stops the component with one log line; the agent looks alive
========================================  ==============================================================================
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flume.errors import RenderError
from headrace.common.bridge_defaults import FRAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flume.config.values import Values

# The headers of the templates and Avro's framing take some 140 bytes an event; the rest is room for longer host and
# file names.
_HEADER_BYTES = 256
# What an event takes in memory beside its body, as `values.toml` tells its readers.
_OBJECT_BYTES = 700
_LEAST_TIMEOUT_MS = 1000
# A block has some 350 bytes of headers and framing; and as objects, that and the maps and strings around them.
_BLOCK_HEADER_BYTES = 1024
_BLOCK_OBJECT_BYTES = 2048
# What Flume itself, its classes' data and Netty hold; measured with a stalled receiver, see
# tests/flume/agent/test_blocks.py.
_AGENT_HEAP_BYTES = 32 * 1024 * 1024
_FILE_CHANNEL_COPIES = 6


def check_values(values: Values) -> None:
    """Check combinations of values; the result is the same on every machine.

    Raises:
        RenderError: one line for each problem; each line names the keys.
    """
    mode = _block_problems if values.spool.deserializer == "blocks" else _line_problems
    _raise([*mode(values), *_sink_problems(values), *_trust_problems(values), *_folder_problems(values)])


def check_machine(values: Values) -> None:
    """Check that this machine has the folders and files that the values name.

    Raises:
        RenderError: one line for each problem; each line names the key.
    """
    _raise(list(_machine_problems(values)))


def _raise(problems: list[str]) -> None:
    if problems:
        raise RenderError("\n".join(problems))


def _line_problems(values: Values) -> Iterator[str]:
    spool, channel, sinks = values.spool, values.channel, values.sinks
    for key, batch in (("spool.batch_lines", spool.batch_lines), ("sinks.batch_size", sinks.batch_size)):
        if batch > channel.transaction_capacity:
            yield (
                f"{key} = {batch} is above channel.transaction_capacity = {channel.transaction_capacity}: Flume would "
                "remove the component and run without it; raise the one or lower the other"
            )
    if channel.transaction_capacity > channel.capacity:
        yield (
            f"channel.transaction_capacity = {channel.transaction_capacity} is above channel.capacity = "
            f"{channel.capacity}: Flume would remove the channel; raise the one or lower the other"
        )
    longest_batch = spool.batch_lines * spool.max_line_chars
    if channel.type == "memory" and longest_batch > channel.max_bytes:
        yield (
            f"spool.batch_lines x spool.max_line_chars = {longest_batch} is above channel.max_bytes = "
            f"{channel.max_bytes}: a batch of longest lines would never fit and the agent would stop shipping; lower "
            "the first two or raise the last"
        )
    full = channel.max_bytes + channel.capacity * _OBJECT_BYTES
    if channel.type == "memory" and full > values.jvm.heap_mib * 1024 * 1024 * 3 // 4:
        yield (
            f"a full channel, channel.max_bytes = {channel.max_bytes} and {_OBJECT_BYTES} more for each of "
            f"channel.capacity = {channel.capacity} events, takes {full} bytes, above three quarters of jvm.heap_mib = "
            f"{values.jvm.heap_mib} MiB; batches being read and sent need the rest. Raise the heap or lower the others"
        )
    # An ASCII line has a byte for each UTF-16 unit, any other up to three.
    largest = sinks.max_batch_bytes + 3 * spool.max_line_chars + sinks.batch_size * _HEADER_BYTES
    if largest > FRAME_BYTES:
        yield (
            f"sinks.max_batch_bytes = {sinks.max_batch_bytes}, with a longest line (spool.max_line_chars) and the "
            f"headers of sinks.batch_size events, comes to {largest} bytes, above the {FRAME_BYTES} of a "
            "bridge's frame: the bridge would refuse it at every retry; lower one of the three"
        )


def _block_problems(values: Values) -> Iterator[str]:
    spool, channel, sinks = values.spool, values.channel, values.sinks
    if spool.max_line_bytes < spool.block_bytes:
        yield (
            f"spool.max_line_bytes = {spool.max_line_bytes} is below spool.block_bytes = {spool.block_bytes}: a line "
            "that fits into a block would be too long for an event; raise the first or lower the second"
        )
    if spool.batch_blocks > channel.capacity_blocks:
        yield (
            f"spool.batch_blocks = {spool.batch_blocks} is above channel.capacity_blocks = {channel.capacity_blocks}: "
            "Flume would remove the source and run without it; raise the one or lower the other"
        )
    # BlockDeserializer ends a batch with the block or the line that reaches batch_blocks x block_bytes.
    batch = spool.batch_blocks * spool.block_bytes + spool.max_line_bytes
    if channel.type == "memory" and batch > channel.max_bytes:
        yield (
            f"spool.batch_blocks x spool.block_bytes and a longest line (spool.max_line_bytes) come to {batch}, above "
            f"channel.max_bytes = {channel.max_bytes}: such a batch would never fit and the agent would stop shipping; "
            "lower the first three or raise the last"
        )
    request = sinks.max_batch_bytes + spool.max_line_bytes
    framed = request + channel.capacity_blocks * _BLOCK_HEADER_BYTES
    if framed > FRAME_BYTES:
        yield (
            f"sinks.max_batch_bytes = {sinks.max_batch_bytes}, with a longest line (spool.max_line_bytes) and the "
            f"headers of channel.capacity_blocks events, comes to {framed} bytes, above the {FRAME_BYTES} of a "
            "bridge's frame: the bridge would refuse it at every retry; lower one of the three"
        )
    needed = _heap_of_blocks(values)
    if needed > values.jvm.heap_mib * 1024 * 1024:
        yield (
            f"jvm.heap_mib = {values.jvm.heap_mib} is below the {-(-needed // (1024 * 1024))} MiB that blocks need: "
            "channel.max_bytes if the channel is in memory, a batch that is read (spool.batch_blocks x "
            "spool.block_bytes), and for each sink a request (sinks.max_batch_bytes), each with a longest line "
            "(spool.max_line_bytes). Raise the heap or lower one of them"
        )


def _heap_of_blocks(values: Values) -> int:
    """Return the bytes of heap that are enough for a full channel, a batch being read and all requests being sent."""
    spool, channel, sinks = values.spool, values.channel, values.sinks
    in_memory = channel.type == "memory"
    # The block that is being filled, and the batch of those before it.
    reading = (1 + spool.batch_blocks) * spool.block_bytes + spool.max_line_bytes
    # Avro copies a request. The memory channel counts the original until it is acknowledged; the file channel has it on
    # disk only, so it is one copy more.
    senders = sinks.parallel * (len(sinks.bridges) if sinks.group == "none" else 1)
    sending = senders * (1 if in_memory else 2) * (sinks.max_batch_bytes + spool.max_line_bytes)
    # The file channel writes an event through a copy of it and a buffer that grows by doubling, and reads another.
    waiting = channel.max_bytes if in_memory else _FILE_CHANNEL_COPIES * spool.max_line_bytes
    return _AGENT_HEAP_BYTES + channel.capacity_blocks * _BLOCK_OBJECT_BYTES + reading + sending + waiting


def _sink_problems(values: Values) -> Iterator[str]:
    sinks = values.sinks
    if values.channel.type == "memory" and values.spool.when_done == "delete":
        yield (
            'spool.when_done = "delete" with channel.type = "memory": when the agent is killed, the lines in its '
            'channel are lost and their file is deleted; use spool.when_done = "rename" or channel.type = "file"'
        )
    for key in ("connect_timeout_ms", "request_timeout_ms"):
        if getattr(sinks, key) < _LEAST_TIMEOUT_MS:
            yield f"sinks.{key} = {getattr(sinks, key)} is below 1000: Flume would use 20000 without a word"
    if sinks.group != "none" and len(sinks.bridges) < 2:
        yield f'sinks.group = "{sinks.group}" needs two or more [[sinks.bridges]], not {len(sinks.bridges)}'
    addresses = [(bridge.host, bridge.port) for bridge in sinks.bridges]
    if len(set(addresses)) < len(addresses):
        yield "sinks.bridges names the same host and port twice; for more connections to one bridge use sinks.parallel"
    priorities = [bridge.priority for bridge in sinks.bridges if bridge.priority is not None]
    if sinks.group == "failover" and len(set(priorities)) < len(priorities):
        yield "sinks.bridges: two have the same priority: Flume would drop one of them; give each another one"
    if sinks.group == "failover" and priorities and len(priorities) < len(addresses):
        yield "sinks.bridges: some have a priority and some have none; give each bridge a priority, or none"
    if sinks.group != "failover" and priorities:
        yield 'sinks.bridges: a priority has a meaning with sinks.group = "failover" only; remove it, or set the group'


def _trust_problems(values: Values) -> Iterator[str]:
    if values.tls.trust_all_certs:
        yield (
            "tls.trust_all_certs = true: Flume would encrypt to any server that answers; name the CA in tls.truststore "
            "instead"
        )
    if values.tls.enabled and values.compression.type != "none":
        yield (
            'tls.enabled with compression.type = "deflate": Flume 1.11 encrypts first and compresses the result, which '
            "does not shrink; switch one off"
        )


def _folder_problems(values: Values) -> Iterator[str]:
    if values.channel.type != "file":
        return
    # Compared as text: links are not followed, so that this check gives the same answer on every machine.
    spool, channel = Path(os.path.normpath(values.spool.folder)), Path(os.path.normpath(values.channel.folder))
    if spool.is_relative_to(channel) or channel.is_relative_to(spool):
        yield (
            f"spool.folder = {spool} and channel.folder = {channel}: they are the same or one contains the other; "
            "Flume would read the channel's files as logs"
        )


def _machine_problems(values: Values) -> Iterator[str]:
    spool = Path(values.spool.folder)
    if not spool.is_dir():
        yield f"spool.folder = {spool}: no such folder; Flume would run without its source"
    elif not os.access(spool, os.R_OK | os.W_OK | os.X_OK):
        yield (
            f"spool.folder = {spool}: not readable and writable for this user; Flume renames or deletes the files that "
            "it has read"
        )
    if values.tls.enabled:
        for key in ("truststore", "truststore_password_file"):
            path = getattr(values.tls, key)
            if path and not os.access(path, os.R_OK):
                yield f"tls.{key} = {path}: no such file, or it is not readable for this user"
