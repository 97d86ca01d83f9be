"""Only addresses of this machine are loopback: a wrong yes would send a token in plain text over a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.common.addresses import is_loopback

if TYPE_CHECKING:
    import ipaddress


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("bridge", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback(host) is loopback


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_loopback_by_its_first_byte(address: ipaddress.IPv4Address) -> None:
    assert is_loopback(str(address)) is (address.packed[0] == 127)
