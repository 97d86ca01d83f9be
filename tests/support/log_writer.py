"""What the tests of the log's writer share: holding its thread, and hearing what it says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from avro_bridge.log.group_commit import CommittedGroup, WriterHooks
from tests.support.log_kit import FaultyEnvironment

if TYPE_CHECKING:
    from avro_bridge.errors import BridgeError
    from avro_bridge.log.log import Log
    from avro_bridge.log.retention import Deleted
    from avro_bridge.log.writer import GroupCommitWriter
    from tests.support.log_kit import Answers


class Gate:
    """Holds the writer's thread at a known place, so that batches wait until the test lets it go."""

    def __init__(self, writer: GroupCommitWriter) -> None:
        self._open = threading.Event()
        reached = threading.Event()

        def wait() -> None:
            reached.set()
            assert self._open.wait(30)

        self._passed = writer.call(wait)
        assert reached.wait(30)

    def open(self) -> None:
        """Let the thread go, and wait until it went."""
        self._open.set()
        self._passed.result(30)


class Watch:
    """Writes down what the writer tells."""

    def __init__(self) -> None:
        self.groups: list[CommittedGroup] = []
        self.deleted: list[Deleted] = []
        self.failures: list[BaseException] = []
        self.answered = 0
        self.room = 0

    def hooks(self) -> WriterHooks:
        """Return hooks that write everything down."""
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
    """Return the environment of a log that was opened to break."""
    environment = log._environment
    assert isinstance(environment, FaultyEnvironment)
    return environment


def wait_for_queue(writer: GroupCommitWriter) -> None:
    """Wait until the writer has done all that was queued before."""
    writer.call(lambda: None).result(30)


def errors(answers: Answers) -> list[type[BridgeError] | None]:
    """Return the kind of error of each answered batch, in the order of the calls; None for a stored one."""
    given = [answers.given[number][1] for number in sorted(answers.given)]
    return [None if error is None else type(error) for error in given]
