"""Questions to the bridges: where a consumer begins, and how much waits."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import AccountingError, DataLoss
from spark_job.runner.bridge_positions import (
    commit_positions,
    count_waiting,
    first_offset,
    starting_offsets,
    status_bridges,
)
from spark_job.source.options import parse_flume_options
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spark_job.source.bridges import Bridges


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog(log_id="log-a")
    log.extend([b"line"] * 10)
    return log


@pytest.fixture
def bridges(log: MemoryLog) -> Iterator[Bridges]:
    with (
        FlightDouble(log) as bridge,
        closing(status_bridges(parse_flume_options({"bridges": bridge.address}))) as opened,
    ):
        yield opened


def test_what_lies_behind_the_position_waits(bridges: Bridges) -> None:
    assert count_waiting(bridges, {}) == 10
    assert count_waiting(bridges, {"log-a": 4, "another": 99}) == 6
    assert count_waiting(bridges, {"log-a": 12}) == 0


def test_what_retention_dropped_does_not_wait(bridges: Bridges, log: MemoryLog) -> None:
    log.drop_below(7)
    assert count_waiting(bridges, {"log-a": 2}) == 3


def test_a_silent_bridge_makes_the_number_unknown_and_soon() -> None:
    with FlightDouble(MemoryLog()) as bridge:
        address = bridge.address
    with closing(status_bridges(parse_flume_options({"bridges": address}))) as gone:
        began_s = time.monotonic()
        assert count_waiting(gone, {}) is None
        assert time.monotonic() - began_s < 30


def test_a_consumer_begins_where_the_bridge_says(bridges: Bridges, log: MemoryLog) -> None:
    with pytest.raises(AccountingError, match="no bridge tells where consumer 'counts' begins to read log log-a"):
        first_offset(bridges, "counts", "log-a")
    place = bridges.poll(patient=True).logs["log-a"]
    assert place.client.start("counts", "log-a", "latest") == 10
    assert first_offset(bridges, "counts", "log-a") == 10
    with pytest.raises(AccountingError, match="log elsewhere"):
        first_offset(bridges, "counts", "elsewhere")


def test_a_query_starts_where_the_table_stands_whatever_is_committed(bridges: Bridges, log: MemoryLog) -> None:
    assert starting_offsets(bridges, "counts", {}, "earliest") == {"log-a": 0}
    assert starting_offsets(bridges, "counts", {"log-a": 6, "a log of yesterday": 3}, "earliest") == {"log-a": 6}
    commit_positions(bridges, "counts", {"log-a": 8, "a log of yesterday": 3})
    assert log.consumers["counts"]["committed"] == 8
    assert starting_offsets(bridges, "counts", {"log-a": 6}, "earliest") == {"log-a": 6}


def test_a_log_of_which_nothing_is_stored_starts_where_the_settings_say(bridges: Bridges) -> None:
    assert starting_offsets(bridges, "counts", {}, "latest") == {"log-a": 10}
    assert starting_offsets(bridges, "counts", {}, "earliest") == {"log-a": 10}, "the bridge keeps the first answer"


@pytest.mark.parametrize(("positions", "lost"), [({}, "0 to 6"), ({"log-a": 5}, "5 to 6")])
def test_a_table_that_is_behind_what_the_bridge_has_deleted_is_refused(
    bridges: Bridges, log: MemoryLog, positions: dict[str, int], lost: str
) -> None:
    starting_offsets(bridges, "counts", {}, "earliest")
    log.drop_below(7)
    with pytest.raises(DataLoss, match=f"the bridge has deleted the events {lost}: .*Put the newest copy back"):
        starting_offsets(bridges, "counts", positions, "earliest")
    assert starting_offsets(bridges, "counts", positions, "earliest", allow_loss=True) == {"log-a": 7}


def test_a_commit_that_fails_is_a_warning(bridges: Bridges, caplog: pytest.LogCaptureFixture) -> None:
    commit_positions(bridges, "a stranger", {"log-a": 5})
    assert "did not accept the commit of log log-a" in caplog.text
