"""The client with the real log and endpoint, and with a double that breaks on request."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trustme

from avro_bridge.config import TlsConfig
from avro_bridge.errors import LogDamaged, LogIdDiffers, RangeAbove, RangeBelow
from spark_job.errors import BridgeRefused, BridgeUnavailable, OptionError
from spark_job.source.bridge_client import BridgeClient, RetryPolicy
from spark_job.source.options import Address, Security
from tests.support.bridges import RealBridge
from tests.support.flight_double import FlightDouble, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODIES = [b"event %d" % n for n in range(2500)]
OTHER_LOG = "00000000-0000-0000-0000-000000000000"


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        self.now_s += delay_s

    def policy(self, patience_s: float = 3.0) -> RetryPolicy:
        return RetryPolicy(
            patience_s,
            first_delay_s=0.5,
            max_delay_s=1.0,
            call_timeout_s=5.0,
            clock=lambda: self.now_s,
            sleep=self.sleep,
        )


def client_of(address: str, time: FakeTime | None = None, security: Security | None = None) -> BridgeClient:
    host, port = address.rsplit(":", 1)
    return BridgeClient(Address(host, int(port)), security or Security(), (time or FakeTime()).policy())


@pytest.fixture(params=["real", "double"])
def bridge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealBridge | FlightDouble]:
    """A bridge with 2,500 events; the double must not be told from the real one."""
    if request.param == "real":
        with RealBridge(tmp_path / "log") as real:
            real.extend(BODIES[:1000])
            real.extend(BODIES[1000:])
            yield real
        return
    with FlightDouble(MemoryLog(bodies=list(BODIES))) as double:
        yield double


def log_id_of(bridge: RealBridge | FlightDouble) -> str:
    return bridge.log.log_id


def test_status(bridge: RealBridge | FlightDouble) -> None:
    with client_of(bridge.address) as client:
        client.start("q", log_id_of(bridge), 3)
        client.commit("q", log_id_of(bridge), 7)
        status = client.status()
    assert status.log_id == log_id_of(bridge)
    assert (status.first_offset, status.next_offset) == (0, 2500)
    assert status.used_bytes >= sum(map(len, BODIES))
    assert status.consumers == {"q": {"start": 3, "committed": 7}}


def test_start_is_decided_by_the_first_call(bridge: RealBridge | FlightDouble) -> None:
    with client_of(bridge.address) as client:
        assert client.start("q", log_id_of(bridge), "latest") == 2500
        assert client.start("q", log_id_of(bridge), "earliest") == 2500
        client.forget("q")
        assert client.start("q", log_id_of(bridge), "earliest") == 0


def test_commit_never_moves_backwards(bridge: RealBridge | FlightDouble) -> None:
    with client_of(bridge.address) as client:
        client.start("q", log_id_of(bridge), "earliest")
        assert client.commit("q", log_id_of(bridge), 100) == 100
        assert client.commit("q", log_id_of(bridge), 50) == 100


def test_a_read_gives_the_range_and_nothing_else(bridge: RealBridge | FlightDouble) -> None:
    with client_of(bridge.address) as client:
        batches = list(client.read(log_id_of(bridge), 990, 2010, headers=True))
    assert [name for batch in batches for name in batch.schema.names][:4] == ["offset", "received", "body", "headers"]
    assert [offset for batch in batches for offset in batch["offset"].to_pylist()] == list(range(990, 2010))
    assert [body for batch in batches for body in batch["body"].to_pylist()] == BODIES[990:2010]
    assert all(dict(headers).keys() == {"n"} for batch in batches for headers in batch["headers"].to_pylist())


def test_errors_come_back_as_what_the_bridge_raised(bridge: RealBridge | FlightDouble) -> None:
    with client_of(bridge.address) as client:
        with pytest.raises(RangeAbove, match="2501"):
            list(client.read(log_id_of(bridge), 0, 2501, headers=False))
        with pytest.raises(RangeAbove, match="2501"):
            client.start("q", log_id_of(bridge), 2501)
        with pytest.raises(LogIdDiffers):
            list(client.read(OTHER_LOG, 0, 1, headers=False))
        with pytest.raises(LogIdDiffers):
            client.commit("q", OTHER_LOG, 1)


def test_a_range_below_what_is_kept(tmp_path: Path) -> None:
    with RealBridge(tmp_path) as bridge, client_of(bridge.address) as client:
        bridge.extend(BODIES[:1000])
        bridge.extend(BODIES[1000:])
        client.start("q", bridge.log_id, "earliest")
        client.commit("q", bridge.log_id, 1500)
        bridge.retain()
        assert client.status().first_offset == 1000
        with pytest.raises(RangeBelow, match="1000"):
            list(client.read(bridge.log_id, 999, 1001, headers=False))


def test_damage_is_reported_with_its_offsets() -> None:
    with (
        FlightDouble(MemoryLog(bodies=list(BODIES), damaged=(1200, 1299))) as double,
        client_of(double.address) as client,
    ):
        read = client.read(double.log.log_id, 0, 2500, headers=False)
        assert sum(next(read).num_rows for _ in range(2)) == 1200
        with pytest.raises(LogDamaged, match=r"^offsets 1200 to 1299: checksum differs$") as caught:
            next(read)
    assert (caught.value.first, caught.value.last) == (1200, 1299)


def test_a_read_that_breaks_off_continues_where_it_broke() -> None:
    time = FakeTime()
    with FlightDouble(MemoryLog(bodies=list(BODIES))) as double, client_of(double.address, time) as client:
        double.break_reads_after = [1000, 0, 1000]
        batches = list(client.read(double.log.log_id, 0, 2500, headers=False))
    assert [body for batch in batches for body in batch["body"].to_pylist()] == BODIES
    assert time.slept_s == [0.5, 1.0, 0.5]


def test_patience_counts_from_the_last_progress_and_ends() -> None:
    time = FakeTime()
    with FlightDouble(MemoryLog(bodies=list(BODIES))) as double, client_of(double.address, time) as client:
        double.break_reads_after = [1000] + [0] * 20
        with pytest.raises(BridgeUnavailable, match=r"bridge 127.0.0.1:\d+ does not answer: .*; asked again for 3 s"):
            list(client.read(double.log.log_id, 0, 2500, headers=False))
    assert time.slept_s == [0.5, 1.0, 1.0]


def test_a_bridge_that_comes_back_is_read_again() -> None:
    log, time = MemoryLog(bodies=list(BODIES)), FakeTime()
    with FlightDouble(log) as double:
        client = client_of(double.address, time)
        assert client.status().next_offset == 2500
        port = double.port
    with client, pytest.raises(BridgeUnavailable):
        client.status(patient=False)
    assert time.slept_s == []
    with FlightDouble(log, port), client:
        assert client.status().next_offset == 2500


def test_no_bridge_at_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    time = FakeTime()
    with client_of(f"127.0.0.1:{port}", time) as client, pytest.raises(BridgeUnavailable, match=f"127.0.0.1:{port}"):
        client.status()
    assert time.slept_s == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("kind", ["real", "double"])
def test_the_token_is_read_from_its_file_at_every_call(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "token"
    security = Security(token_file=file)
    log = MemoryLog()
    served = RealBridge(tmp_path / "log", token="new") if kind == "real" else FlightDouble(log, token="new")  # noqa: S106 -- no secret
    with served as bridge, client_of(bridge.address, security=security) as client:
        with pytest.raises(OptionError, match="token: No such file"):
            client.status()
        file.write_text("old\n")
        with pytest.raises(BridgeRefused, match="bearer token is missing or wrong"):
            client.status()
        file.write_text("new\n")
        assert client.status().next_offset == 0


def test_offsets_that_do_not_follow_on_are_refused() -> None:
    class Skipping(MemoryLog):
        def batches(self, ticket):  # type: ignore[no-untyped-def]  # the base has the types
            yield from (batch.slice(1) for batch in super().batches(ticket))

    refusal = pytest.raises(BridgeRefused, match=r"sent offsets 1\.\.999 in 999 events, asked for 0\.\.2500")
    with FlightDouble(Skipping(bodies=list(BODIES))) as double, client_of(double.address) as client, refusal:
        list(client.read(double.log.log_id, 0, 2500, headers=False))


def test_a_read_that_ends_early_is_refused() -> None:
    class Short(MemoryLog):
        def batches(self, ticket):  # type: ignore[no-untyped-def]  # the base has the types
            yield next(iter(super().batches(ticket)))

    refusal = pytest.raises(BridgeRefused, match=r"ended the read of 0\.\.2500 early, at 1000")
    with FlightDouble(Short(bodies=list(BODIES))) as double, client_of(double.address) as client, refusal:
        list(client.read(double.log.log_id, 0, 2500, headers=False))


def test_tls_with_the_bridges_own_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    tls = TlsConfig(certificate=tmp_path / "chain.pem", key=tmp_path / "key.pem")
    tls.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(tls.key))
    roots, strangers = tmp_path / "roots.pem", tmp_path / "strangers.pem"
    authority.cert_pem.write_to_path(str(roots))
    trustme.CA().cert_pem.write_to_path(str(strangers))
    with RealBridge(tmp_path / "log", tls=tls) as bridge:
        address = bridge.address.replace("127.0.0.1", "localhost")
        with client_of(address, security=Security(tls=True, root_certificates=roots)) as client:
            assert client.status().log_id == bridge.log_id
        for security in (Security(tls=True, root_certificates=strangers), Security()):
            with client_of(address, security=security) as client, pytest.raises(BridgeUnavailable):
                client.status(patient=False)
