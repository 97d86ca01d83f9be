"""Helpers for tests of the log's writer: hold its thread, record its callbacks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from avro_bridge.log.group_commit import CommittedGroup, WriterHooks
from tests.support.log_helpers import FaultyEnvironment

if TYPE_CHECKING:
    from avro_bridge.errors import BridgeError
    from avro_bridge.log.log import Log
    from avro_bridge.log.retention import Deleted
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


class Watch:
    """Records what the writer reports."""

    def __init__(self) -> None:
        self.groups: list[CommittedGroup] = []
        self.deleted: list[Deleted] = []
        self.failures: list[BaseException] = []
        self.answered = 0
        self.room = 0

    def hooks(self) -> WriterHooks:
        """Return hooks that record everything."""
        return WriterHooks(
            after_group=self.groups.append,
            answered=self._count_answered,
            has_room_again=self._count_room,
            deleted=self.deleted.append,
            upkeep_failed=self.failures.append,
        )

    def _count_answered(self) -> None:
        self.answered += 1

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
