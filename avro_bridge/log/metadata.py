"""Metadata: the identity, next offset, counters and consumers of a log.

The table ``meta`` holds ``format`` (a decimal number), ``log_id`` (a UUID) and ``state`` (a JSON object). Every
transaction that stores or deletes batches writes ``format`` and ``state`` again. The table ``consumers`` holds, under
each consumer's name, its first and its committed offset as two little-endian u64.
"""

from __future__ import annotations

import json
import struct
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from avro_bridge.errors import LogError
from avro_bridge.log.record import FORMAT_VERSION, check_version, unpack_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from avro_bridge.log.environment import Environment, Transaction

COUNTERS: Final = {
    "acknowledged_events": "Events whose OK was written, as far as the ingest reported them.",
    "stored_batches": "Batches ever stored.",
    "stored_events": "Events ever stored.",
    "stored_bytes": "Payload bytes ever stored.",
    "deduplicated_events": "Events left out because they were stored already.",
    "deleted_batches": "Batches ever deleted, read or not.",
    "deleted_events": "Events ever deleted, read or not.",
    "dropped_events": "Events deleted by age or size before every known consumer had committed them.",
}
"""The durable counters and what each one counts."""

_CONSUMER = struct.Struct("<QQ")


@dataclass(frozen=True)
class Consumer:
    """A consumer's first offset, and its committed one: below that it needs nothing any more."""

    start: int
    committed: int

    def pack(self) -> bytes:
        """Return the table's value."""
        return _CONSUMER.pack(self.start, self.committed)


@dataclass(frozen=True)
class Metadata:
    """The metadata of a log as of one commit. Immutable: each commit makes a new one."""

    log_id: str
    lives: int = 0
    """How many processes have opened the log and stored batches, the present one included."""
    first_offset: int = 0
    next_offset: int = 0
    used_bytes: int = 0
    """Bytes of the file's pages that hold batches."""
    counters: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    consumers: Mapping[str, Consumer] = field(default_factory=dict)

    def counted(self, **increments: int) -> Metadata:
        """Return a copy with some counters raised."""
        return replace(self, counters={**self.counters, **{k: self.counters[k] + n for k, n in increments.items()}})


def create(environment: Environment, transaction: Transaction) -> None:
    """Write the identity of a new log; do nothing if the log has one."""
    if transaction.get(b"format", db=environment.meta) is None:
        transaction.put(b"log_id", str(uuid.uuid4()).encode(), db=environment.meta)
        # ``save`` does not write the id, which is fixed for ever; it writes the format and the first state.
        save(environment, transaction, Metadata(log_id=""))


def load(environment: Environment, transaction: Transaction) -> Metadata:
    """Read the metadata as of ``transaction``.

    Raises:
        LogVersion: a newer program wrote the log, or one that is too old.
        LogError: the tables have no identity, so this is not a log.
    """
    format_version = transaction.get(b"format", db=environment.meta)
    log_id = transaction.get(b"log_id", db=environment.meta)
    saved = transaction.get(b"state", db=environment.meta)
    if format_version is None or log_id is None or saved is None:
        raise LogError(f"log {environment.folder}: the file holds no log; give the bridge another folder")
    check_version(int(bytes(format_version)), f"log {environment.folder}")
    fields = json.loads(bytes(saved))
    consumers = {}
    with transaction.cursor(environment.consumers) as cursor:
        for name, value in cursor:
            consumers[bytes(name).decode()] = Consumer(*_CONSUMER.unpack(value))
    return Metadata(
        log_id=bytes(log_id).decode(),
        lives=fields["lives"],
        first_offset=first_offset(environment, transaction, fields["next_offset"]),
        next_offset=fields["next_offset"],
        used_bytes=used_bytes(environment, transaction),
        # A log that an older program wrote lacks the counters that came later.
        counters={name: fields["counters"].get(name, 0) for name in COUNTERS},
        consumers=consumers,
    )


def save(environment: Environment, transaction: Transaction, now: Metadata) -> None:
    """Write what cannot be read from the batches and the consumers.

    The first change turns a log of an older format into one of this program's format. The older program then refuses
    the whole log, instead of failing at its newest batches.
    """
    transaction.put(b"format", str(FORMAT_VERSION).encode(), db=environment.meta)
    fields = {"lives": now.lives, "next_offset": now.next_offset, "counters": now.counters}
    transaction.put(b"state", json.dumps(fields).encode(), db=environment.meta)


def first_offset(environment: Environment, transaction: Transaction, next_offset: int) -> int:
    """Return the first offset that is kept; ``next_offset`` when the log is empty."""
    with transaction.cursor(environment.batches) as cursor:
        return unpack_key(cursor.key()) if cursor.first() else next_offset


def used_bytes(environment: Environment, transaction: Transaction) -> int:
    """Return the bytes of the pages that hold batches, as LMDB counts them."""
    pages = transaction.stat(environment.batches)
    return (pages["branch_pages"] + pages["leaf_pages"] + pages["overflow_pages"]) * pages["psize"]


def growth_bytes(page_size: int, stored_sizes: Iterable[int]) -> int:
    """Return by how much ``used_bytes`` grows at most when batches of these sizes are appended in one transaction.

    LMDB keeps a value inside a leaf page if two such fit into one. A larger one gets its own overflow pages, with one
    page header in front, and a pointer in the leaf. Nodes fill a leaf in their order, so what stays free in each filled
    leaf is smaller than the largest node.
    """
    # LMDB's own limit (``me_nodemax``): two nodes fit into a page, each with its slot of two bytes.
    largest_inside = (page_size - _PAGE_HEADER_BYTES) // 2 - 2
    leaf_bytes = largest_node = overflow_pages = 0
    for size in stored_sizes:
        node = _NODE_BYTES + size
        if node > largest_inside:
            # LMDB's own rule (``OVPAGES``).
            overflow_pages += (_PAGE_HEADER_BYTES - 1 + size) // page_size + 1
            node = _NODE_BYTES + _POINTER_BYTES
        leaf_bytes += node
        largest_node = max(largest_node, node)
    if not leaf_bytes:
        return 0
    leaf_pages = -(-leaf_bytes // (page_size - _PAGE_HEADER_BYTES - largest_node))
    branch_pages = _MAX_SPLITS + leaf_pages // _LEAVES_PER_BRANCH
    return (overflow_pages + leaf_pages + branch_pages) * page_size


_PAGE_HEADER_BYTES: Final = 16
_NODE_BYTES: Final = 8 + 8 + 2 + 1
"""Node header, key, slot in the page, padding to an even size."""
_POINTER_BYTES: Final = 8
_LEAVES_PER_BRANCH: Final = 100
"""A branch page holds 226 entries of 18 bytes, and a split leaves it half full."""
_MAX_SPLITS: Final = 4
"""One new leaf may split each branch page above it. Four levels hold a million leaves or more."""
