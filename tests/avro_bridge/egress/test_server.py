"""The Flight server of a real bridge, as a reader uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.flight as flight
import pytest

from avro_bridge.contract import schema
from avro_bridge.wire.blocks import file_id_text
from tests.support.blocks import FILE_ID, OTHER_FILE_ID, block_event
from tests.support.bridge_process import running_bridge
from tests.support.peers import Peer, lines, lines_with_ids
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.bridge_process import RunningBridge

EVENTS = 3000


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBridge]:
    with running_bridge(tmp_path_factory.mktemp("egress")) as running:
        with Peer(running.avro_port) as peer:
            for first in range(0, EVENTS, 1000):
                peer.store(lines_with_ids(first, 1000))
        yield running


def case_of(error: flight.FlightError) -> str:
    return str(json.loads(error.extra_info)["case"])


def test_a_range_is_read_whole_and_twice_alike(bridge: RunningBridge) -> None:
    table = bridge.read(990, 2010, headers=True)
    assert table.schema == schema(headers=True)
    assert table["offset"].to_pylist() == list(range(990, 2010))
    assert table["body"].to_pylist() == [b"line %d" % number for number in range(990, 2010)]
    assert table["headers"].to_pylist() == [[("id", f"id-{number:08d}")] for number in range(990, 2010)]
    assert bridge.read(990, 2010, headers=True).equals(table)


def test_headers_are_left_out_unless_asked_for(bridge: RunningBridge) -> None:
    assert bridge.read(0, 10).schema == schema(headers=False)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see what a process has loaded")
def test_pandas_is_not_loaded_to_serve_events(bridge: RunningBridge) -> None:
    """It would cost the first reader 0.4 s, and the bridge 50 MB of memory ever after."""
    bridge.read(0, 10, headers=True)
    loaded = Path(f"/proc/{bridge.process.pid}/maps").read_text()
    assert "pyarrow" in loaded
    assert "pandas" not in loaded


def test_an_empty_range_is_an_empty_table(bridge: RunningBridge) -> None:
    assert bridge.read(EVENTS, EVENTS).num_rows == 0


@pytest.mark.parametrize(
    ("start", "end", "log_id", "case"),
    [
        (0, EVENTS + 1, None, "range_above"),
        (0, 1, "00000000-0000-0000-0000-000000000000", "log_id_differs"),
        (5, 4, None, "bad_request"),
        (-1, 4, None, "bad_request"),
    ],
)
def test_a_read_that_cannot_be_served_names_its_case(
    bridge: RunningBridge, start: int, end: int, log_id: str | None, case: str
) -> None:
    with pytest.raises(flight.FlightServerError) as refused:
        bridge.read(start, end, log_id=log_id)
    assert case_of(refused.value) == case


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("start", {"consumer": "c", "position": "middle"}),
        ("start", {"consumer": "", "position": "earliest"}),
        ("start", {"consumer": "x" * 201, "position": "earliest"}),
        ("start", {"consumer": "tab\there", "position": "earliest"}),
        ("commit", {"consumer": "c", "offset": "1"}),
        ("commit", {"consumer": "never started", "offset": 1}),
        ("nonsense", {}),
    ],
)
def test_an_action_that_makes_no_sense_is_refused(bridge: RunningBridge, action: str, body: dict[str, Any]) -> None:
    with pytest.raises(flight.FlightServerError) as refused:
        bridge.act(action, log_id=bridge.log_id, **body)
    assert case_of(refused.value) == "bad_request"


def test_a_consumer_starts_once_and_never_goes_back(bridge: RunningBridge) -> None:
    def act(action: str, **body: Any) -> int:
        return int(bridge.act(action, consumer="one", log_id=bridge.log_id, **body)["offset"])

    assert act("start", position="latest") == EVENTS
    assert act("start", position="earliest") == EVENTS
    assert act("commit", offset=EVENTS) == EVENTS
    assert act("commit", offset=5) == EVENTS
    assert bridge.status().consumers["one"] == {"start": EVENTS, "committed": EVENTS}
    bridge.act("forget", consumer="one")
    assert "one" not in bridge.status().consumers


def test_what_every_consumer_committed_is_deleted(tmp_path: Path) -> None:
    with running_bridge(tmp_path) as bridge, Peer(bridge.avro_port) as peer:
        bridge.act("start", consumer="c", log_id=bridge.log_id, position="earliest")
        peer.store(lines(0, 100))
        peer.store(lines(100, 100))
        bridge.act("commit", consumer="c", log_id=bridge.log_id, offset=150)
        # The batch that the commit ends in is kept whole.
        wait_until(lambda: bridge.status().first_offset == 100, 10, "the first batch to be deleted")
        with pytest.raises(flight.FlightServerError) as refused:
            bridge.read(0, 1)
        assert case_of(refused.value) == "range_below"
        assert bridge.read(100, 200)["body"].to_pylist() == [b"line %d" % number for number in range(100, 200)]


def test_a_token_is_required_when_configured(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    with running_bridge(tmp_path, {"flight": {"token_file": str(tmp_path / "token")}}) as bridge:
        with pytest.raises(flight.FlightUnauthenticatedError):
            bridge.act("status")
        options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer open sesame")])
        with flight.connect(f"grpc://127.0.0.1:{bridge.flight_port}") as client:
            assert list(client.do_action(flight.Action("status", b""), options))


def test_blocks_are_served_and_their_places_known(tmp_path: Path) -> None:
    content = b"one\ntwo\nthree\n"
    with running_bridge(tmp_path) as bridge, Peer(bridge.avro_port) as peer:
        peer.store([block_event(content, 4, 14)])
        peer.store([({}, b"an event"), block_event(content, 0, 8)])
        rows = bridge.read(0, 4, blocks=True).to_pylist()
        assert [(row["offset"], row["count"], row["body"]) for row in rows] == [
            (0, 2, b"two\nthree\n"),
            (2, 1, b"one\n"),
            (3, 1, b"an event"),
        ]
        status = bridge.status()
        assert (status.next_offset, status.counters["deduplicated_events"]) == (4, 1)
        text = file_id_text(FILE_ID)
        asked = {"files": [text, file_id_text(OTHER_FILE_ID)]}
        assert bridge.action("places", asked) == {"files": {text: {"size": 14, "stored": [[0, 14]]}}}
        with pytest.raises(flight.FlightError) as refused:
            bridge.read(0, 4)
        assert case_of(refused.value) == "bad_request"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "files must be a list of at most 1000 file ids"),
        ({"files": ["0" * 65] * 1001}, "files must be a list of at most 1000 file ids"),
        ({"files": ["access.log"]}, "'access.log' is no file id"),
        ({"files": [5]}, "'5' is no file id"),
    ],
)
def test_a_request_for_places_that_cannot_be_understood_is_refused(
    bridge: RunningBridge, body: dict[str, Any], text: str
) -> None:
    with pytest.raises(flight.FlightError, match=text) as refused:
        bridge.action("places", body)
    assert case_of(refused.value) == "bad_request"
