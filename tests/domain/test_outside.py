"""What is of the public internet, and what only looks like it."""

from __future__ import annotations

import pytest

from comms.domain.outside import is_outside, may_lead_outside


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_public_addresses_are_outside(address: str) -> None:
    assert is_outside(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
     "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
     "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "127.1", "0x7f.1", "2130706433", "", "a.b"],
)  # fmt: skip
def test_ours_and_nobodys_are_not(address: str) -> None:
    assert not is_outside(address)


@pytest.mark.parametrize(
    "host", ["push.example.net", "a.b.", "93.184.216.34", "1.push.example", "xn--bcher-kva.example"]
)
def test_a_name_has_to_be_looked_up(host: str) -> None:
    assert may_lead_outside(host)


@pytest.mark.parametrize(
    "host",
    ["localhost", "a.localhost", "LOCALHOST.", "db", "printer.local", "x.internal", "127.0.0.1", "127.1", "1", "0x7f000001",
     "10.0.0.1.", "a.0x1", "0177.0.0.1", "a.1", ""],
)  # fmt: skip
def test_a_neighbours_name_need_not_be(host: str) -> None:
    assert not may_lead_outside(host)
