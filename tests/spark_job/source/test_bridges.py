"""One poll asks all bridges: it finds each log, and names the bridges that do not answer."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from spark_job.errors import BridgeUnavailable, OptionError
from spark_job.source.bridges import Bridges
from spark_job.source.options import parse_flume_options
from tests.support.planning import IMPATIENT, World, filled

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def bridges_at(addresses: str) -> AbstractContextManager[Bridges]:
    return closing(Bridges(parse_flume_options({"bridges": addresses}), IMPATIENT))


def test_a_poll_finds_each_log_where_it_is_now(world: World) -> None:
    log = filled(7, "a")
    port = world.serve(log).port
    world.serve(filled(3, "b"))
    with bridges_at(world.addresses) as bridges:
        found = bridges.poll(patient=False)
        assert {log_id: place.status.next_offset for log_id, place in found.logs.items()} == {"a": 7, "b": 3}
        assert found.logs["a"].client.address.port == port
        assert bridges.all_answered()
        found.require_all()


def test_a_bridge_that_does_not_answer_is_named_and_the_others_are_read(world: World) -> None:
    gone = filled(1, "gone")
    address = world.serve(gone).address
    world.serve(filled(3, "b"))
    with bridges_at(world.addresses) as bridges:
        bridges.poll(patient=False)
        world.stop(gone)
        view = bridges.poll(patient=False)
        assert list(view.logs) == ["b"]
        assert [str(silent) for silent in view.silent] == [address]
        # It has answered once, so its address is right.
        assert bridges.all_answered()
        with pytest.raises(BridgeUnavailable, match=f"bridge {address} does not answer"):
            view.require_all()


def test_a_bridge_that_never_answered_may_have_a_wrong_address(world: World) -> None:
    gone = filled(1, "gone")
    world.serve(gone)
    world.serve(filled(1, "b"))
    addresses = world.addresses
    world.stop(gone)
    with bridges_at(addresses) as bridges:
        assert bridges.poll(patient=False).silent
        assert not bridges.all_answered()


def test_two_addresses_of_one_bridge_are_refused(world: World) -> None:
    port = world.serve(filled(1, "a")).port
    with (
        bridges_at(f"127.0.0.1:{port},localhost:{port}") as bridges,
        pytest.raises(OptionError, match=f"127.0.0.1:{port} and localhost:{port} are the same bridge"),
    ):
        bridges.poll(patient=False)
