"""Helpers for tests of the log's writer: hold its thread, record its groups and its callbacks."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avro_bridge.log.group_commit import WriterHooks
from avro_bridge.log.log import Log
from tests.support.log_helpers import FaultyEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from avro_bridge.errors import BridgeError
    from avro_bridge.log.environment import Environment
    from avro_bridge.log.record import PendingBatch
    from avro_bridge.log.retention import Deleted
    from avro_bridge.log.settings import LogSettings
    from avro_bridge.log.writer import GroupCommitWriter
    from tests.support.log_helpers import Answers


class Gate:
    """Blocks the writer's thread, so that batches wait in the queue until :meth:`open`."""

    def __init__(self, writer: GroupCommitWriter) -> None:
        self._open = threading.Event()
        reached = threading.Event()

        def wait() -> None:
            reached.set()
            assert self._open.wait(30)

        self._passed = writer.call(wait)
        assert reached.wait(30)

    def open(self) -> None:
        """Unblock the thread, and wait until it runs."""
        self._open.set()
        self._passed.result(30)


@dataclass(frozen=True)
class Group:
    """The contents of one transaction."""

    batches: int
    events: int
    payload_bytes: int
    deduplicated_events: int

    @classmethod
    def of(cls, batches: Sequence[PendingBatch]) -> Group:
        """Return the sums over ``batches``."""
        return cls(
            batches=len(batches),
            events=sum(each.count for each in batches),
            payload_bytes=sum(len(each.buffer) - each.start for each in batches if each.count),
            deduplicated_events=sum(each.duplicates for each in batches),
        )


class RecordingLog(Log):
    """A log that records the batches of each transaction it has stored."""

    def __init__(self, environment: Environment, settings: LogSettings) -> None:
        super().__init__(environment, settings)
        self.groups: list[Group] = []

    def append(
        self, batches: Sequence[PendingBatch], *, acknowledged_events: int = 0, forget_connections: Iterable[int] = ()
    ) -> list[int | None]:
        """Store the batches; record them if that succeeds."""
        places = super().append(batches, acknowledged_events=acknowledged_events, forget_connections=forget_connections)
        if batches:
            self.groups.append(Group.of(batches))
        return places


def groups_of(log: Log) -> list[Group]:
    """Return the transactions that stored batches in a :class:`RecordingLog`."""
    assert isinstance(log, RecordingLog)
    return log.groups


class Watch:
    """Records what the writer reports."""

    def __init__(self) -> None:
        self.deleted: list[Deleted] = []
        self.failures: list[BaseException] = []
        self.room = 0

    def hooks(self) -> WriterHooks:
        """Return hooks that record everything."""
        return WriterHooks(
            has_room_again=self._count_room,
            deleted=self.deleted.append,
            upkeep_failed=self.failures.append,
        )

    def _count_room(self) -> None:
        self.room += 1


def faults(log: Log) -> FaultyEnvironment:
    """Return the environment of a log that was opened with ``FaultyEnvironment``."""
    environment = log._environment
    assert isinstance(environment, FaultyEnvironment)
    return environment


def wait_for_queue(writer: GroupCommitWriter) -> None:
    """Wait until the writer has processed everything queued so far."""
    writer.call(lambda: None).result(30)


def errors(answers: Answers) -> list[type[BridgeError] | None]:
    """Return the kind of error of each answered batch, in the order of the calls; None for a stored one."""
    given = [answers.given[number][1] for number in sorted(answers.given)]
    return [None if error is None else type(error) for error in given]
