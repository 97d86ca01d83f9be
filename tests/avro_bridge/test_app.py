"""The bridge as a process: start, stop, restart, and its admin pages."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from avro_bridge.wire.protocol import Status
from tests.support.bridge_process import Settings, running_bridge, start_bridge, write_config
from tests.support.peers import Peer, lines, lines_with_ids

if TYPE_CHECKING:
    from pathlib import Path


def test_sigterm_answers_what_is_in_flight_and_ends_with_zero(tmp_path: Path) -> None:
    with running_bridge(tmp_path) as bridge, Peer(bridge.avro_port) as peer:
        peer.store(lines(0, 1))
        for number in range(20):
            peer.send(peer.wire.append_batch(lines(1 + number * 1000, 1000)))
        answered = peer.replies(1)
        assert bridge.stop() == 0
        try:
            while True:
                answered += peer.replies(1)
        except ConnectionError:
            pass
        acknowledged = 1 + 1000 * len(answered)
        assert {reply.status for reply in answered} == {Status.OK}
    with running_bridge(tmp_path) as again:
        assert again.log_id == bridge.log_id
        stored = again.bodies()
        assert stored == [b"line %d" % number for number in range(len(stored))]
        assert len(stored) >= acknowledged


def test_a_restart_remembers_the_newest_batches(tmp_path: Path) -> None:
    with running_bridge(tmp_path) as bridge:
        with Peer(bridge.avro_port) as peer:
            peer.store(lines_with_ids(0, 10))
        bridge.kill()
    with running_bridge(tmp_path) as bridge, Peer(bridge.avro_port) as peer:
        assert peer.store(lines_with_ids(0, 15)).status is Status.OK
        assert bridge.bodies() == [b"line %d" % number for number in range(15)]
        assert bridge.status().counters["deduplicated_events"] == 10


def test_two_bridges_share_a_data_folder_but_not_a_log(tmp_path: Path) -> None:
    with running_bridge(tmp_path) as first:
        second = start_bridge(tmp_path / "second", {"log": {"folder": str(tmp_path / "data")}})
        try:
            assert second.log_id != first.log_id
        finally:
            second.kill()
    assert sorted(path.name for path in (tmp_path / "data").iterdir() if path.is_dir()) == ["0", "1"]


def test_a_port_in_use_is_one_sentence_and_one(tmp_path: Path) -> None:
    with running_bridge(tmp_path) as bridge:
        settings: Settings = {
            "listen": {"port": bridge.avro_port},
            "flight": {"port": 0},
            "admin": {"port": 0},
            "log": {"folder": str(tmp_path / "other")},
        }
        config = write_config(tmp_path / "second.toml", settings)
        command = [sys.executable, "-m", "avro_bridge", "serve", "--config", str(config)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    complaint = ended.stderr.splitlines()[-1]
    assert complaint.startswith("avro_bridge: ")
    assert "address already in use" in complaint.lower()


def test_health_and_status_pages(tmp_path: Path) -> None:
    with running_bridge(tmp_path) as bridge, Peer(bridge.avro_port) as peer:
        peer.store(lines(0, 3))
        assert bridge.page("livez") == (200, "ok\n")
        assert bridge.page("readyz") == (200, "ok\n")
        assert bridge.page("nothing")[0] == 404
        assert json.loads(bridge.page("status")[1])["next_offset"] == 3
        assert bridge.metric("headrace_bridge_next_offset") == 3
        assert bridge.metric("headrace_bridge_received_events_total") == 3
        assert bridge.metric('headrace_bridge_replies_total{status="ok"}') == 1
        assert bridge.metric("headrace_bridge_stored_events_total") == 3


def test_no_log_line_holds_what_a_peer_sent(tmp_path: Path) -> None:
    with running_bridge(tmp_path) as bridge, Peer(bridge.avro_port) as peer:
        peer.store([({"id": "needle-in-header"}, b"needle-in-body")])
        peer.socket.sendall(b"needle-in-garbage" * 10)
        assert peer.is_closed()
        assert bridge.stop() == 0
        assert [line["reason"] for line in bridge.log_lines() if line["msg"] == "connection closed"] == ["frame"]
    assert "needle" not in (tmp_path / "bridge.log").read_text()
