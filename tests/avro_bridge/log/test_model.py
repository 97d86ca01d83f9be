"""The log against a model of it: a list of batches, a dict of consumers, and a crash at any time.

Each rule does the same to both; the invariants compare what can be seen. Closing without a word stands for a crash:
nothing is flushed on the way out, since every call has synced what it promised.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from avro_bridge.errors import BadRequest, LogFull, LogWriteFailed, RangeAbove, RangeBelow
from avro_bridge.log.log import Log
from avro_bridge.log.metadata import growth_bytes
from avro_bridge.log.settings import LogSettings
from avro_bridge.log.tools.verify import verify_view
from tests.support.log_helpers import MIB, FaultyEnvironment, pending

NAMES = ("spark", "audit")
SETTINGS = LogSettings(max_bytes=MIB, slack_bytes=MIB, retain_batches=3)


@dataclass
class ModelBatch:
    """What the model remembers of a batch."""

    first: int
    count: int
    payload: bytes


@dataclass
class ModelConsumer:
    """Where a consumer began and is."""

    start: int
    committed: int


class LogMachine(RuleBasedStateMachine):
    """Does the same to a log and to its model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="log-model-")
        self.batches: list[ModelBatch] = []
        self.consumers: dict[str, ModelConsumer] = {}
        self.next = 0
        self.first = 0

    @initialize()
    def make(self) -> None:
        self.open()
        self.log_id = self.log.log_id

    def open(self) -> None:
        self.log = Log.open(Path(self.folder.name), SETTINGS, FaultyEnvironment)

    def fail_next(self, label: str) -> None:
        environment = self.log._environment
        assert isinstance(environment, FaultyEnvironment)
        environment.fail_next(label)

    @rule(
        group=st.lists(
            st.tuples(st.integers(1, 50), st.sampled_from([0, 1, 100, 2100, 30_000, 200_000])), min_size=1, max_size=5
        ),
        fails=st.booleans(),
    )
    def append(self, group: list[tuple[int, int]], *, fails: bool) -> None:
        payloads = [
            (self.next + number).to_bytes(8, "big") + bytes(size) for number, (_count, size) in enumerate(group)
        ]
        batches = [pending(payload, count) for payload, (count, _size) in zip(payloads, group, strict=True)]
        wanted = growth_bytes(4096, [each.stored_size for each in batches])
        if self.log.used_bytes + wanted > SETTINGS.max_bytes:
            with pytest.raises(LogFull):
                self.log.append(batches)
            return
        if fails:
            self.fail_next("append")
            with pytest.raises(LogWriteFailed):
                self.log.append(batches)
        places = self.log.append(batches)
        for place, payload, (count, _size) in zip(places, payloads, group, strict=True):
            assert place == self.next
            self.batches.append(ModelBatch(self.next, count, payload))
            self.next += count

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        start = data.draw(st.integers(0, self.next), label="start")
        end = data.draw(st.integers(start, self.next + 1), label="end")
        if start < self.first or end > self.next:
            with pytest.raises(RangeBelow if start < self.first else RangeAbove):
                self.log.read(start, end)
            return
        expected = [
            (each.first, each.count, each.payload)
            for each in self.batches
            if start < end and each.first < end and start < each.first + each.count
        ]
        with self.log.read(start, end) as reader:
            assert [(each.first_offset, each.count, bytes(each.payload)) for each in reader] == expected

    @rule(name=st.sampled_from(NAMES), position=st.one_of(st.sampled_from(["earliest", "latest"]), st.integers(0, 300)))
    def start_consumer(self, name: str, position: Any) -> None:
        if name in self.consumers:
            assert self.log.start_consumer(name, position) == self.consumers[name].start
            return
        place = {"earliest": self.first, "latest": self.next}.get(position, position)
        if not self.first <= place <= self.next:
            with pytest.raises((RangeBelow, RangeAbove)):
                self.log.start_consumer(name, position)
            return
        assert self.log.start_consumer(name, position) == place
        self.consumers[name] = ModelConsumer(place, place)

    @rule(name=st.sampled_from(NAMES), data=st.data(), fails=st.booleans())
    def commit(self, name: str, data: st.DataObject, *, fails: bool) -> None:
        offset = data.draw(st.integers(0, self.next), label="offset")
        if name not in self.consumers:
            with pytest.raises(BadRequest):
                self.log.commit(name, offset)
            return
        known = self.consumers[name]
        if fails and offset > known.committed:
            self.fail_next("commit")
            with pytest.raises(LogWriteFailed):
                self.log.commit(name, offset)
        known.committed = max(known.committed, offset)
        assert self.log.commit(name, offset) == known.committed

    @rule(name=st.sampled_from(NAMES))
    def forget(self, name: str) -> None:
        assert self.log.forget(name) is (self.consumers.pop(name, None) is not None)

    @rule()
    def retain(self) -> None:
        read_below = min((each.committed for each in self.consumers.values()), default=0)
        events = 0
        for _batch in range(SETTINGS.retain_batches):
            if self.batches and self.batches[0].first + self.batches[0].count <= read_below:
                events += self.batches.pop(0).count
        self.first += events
        dropped = self.log.retain(0)
        assert (dropped.events, dropped.unread_events) == (events, 0)

    @rule()
    def crash(self) -> None:
        self.log.close()
        self.open()

    @invariant()
    def agrees(self) -> None:
        now = self.log.metadata()
        assert (now.log_id, now.first_offset, now.next_offset) == (self.log_id, self.first, self.next)
        assert {name: (each.start, each.committed) for name, each in now.consumers.items()} == {
            name: (each.start, each.committed) for name, each in self.consumers.items()
        }
        assert now.counters["stored_events"] == self.next
        assert now.counters["deleted_events"] == self.first
        assert now.used_bytes <= SETTINGS.max_bytes
        report = verify_view(self.log)
        assert report.ok, report
        assert report.batches == len(self.batches)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
        self.folder.cleanup()


LogMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=25)
test_the_log_does_what_its_model_does = LogMachine.TestCase


class LongLogMachine(LogMachine):
    """The same, for longer."""


LongLogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50)
test_the_log_does_what_its_model_does_for_long = pytest.mark.slow(LongLogMachine.TestCase)
