"""The example sends lines to a real bridge process and reads them back."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from examples.bridge_without_flume import BATCH_EVENTS, batches, event, main, read, send
from tests.support.bridge_process import running_bridge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.bridge_process import RunningBridge

LINES = [b"first", b"", "t\u00fcr".encode(), b"x" * 70_000]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[RunningBridge]:
    with running_bridge(tmp_path) as bridge:
        yield bridge


def test_lines_come_back_as_they_were_sent(bridge: RunningBridge) -> None:
    assert send(f"127.0.0.1:{bridge.avro_port}", [event(line) for line in LINES]) == "OK"
    assert read(f"127.0.0.1:{bridge.flight_port}") == LINES


def test_the_program_sends_its_input_and_tells_how_many_events_there_are(
    bridge: RunningBridge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\nb\r\nc")))
    assert main(["--avro", f"127.0.0.1:{bridge.avro_port}", "--flight", f"127.0.0.1:{bridge.flight_port}"]) == 0
    assert capsys.readouterr().out == "the bridge keeps 3 events\n"
    assert bridge.bodies() == [b"a", b"b", b"c"]


def test_a_batch_that_is_sent_again_on_a_new_connection_is_stored_once(bridge: RunningBridge) -> None:
    events = [event(body) for body in LINES]
    for _ in range(2):
        assert send(f"127.0.0.1:{bridge.avro_port}", events) == "OK"
    assert bridge.bodies() == LINES


def test_lines_are_cut_into_batches_of_new_ids() -> None:
    found = list(batches(b"%d\n" % number for number in range(BATCH_EVENTS + 1)))
    assert [len(batch) for batch in found] == [BATCH_EVENTS, 1]
    assert found[1][0]["body"] == b"1000"
    assert len({each["headers"]["id"] for batch in found for each in batch}) == BATCH_EVENTS + 1
