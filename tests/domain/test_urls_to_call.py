"""Where we call when somebody names an address: never into our own network, however it is written."""

from __future__ import annotations

import pytest

from comms.domain.errors import Refused
from comms.domain.outside import check_url, is_outside

INSIDE = [
    *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.3.4", "192.168.1.1", "0.0.0.0", "0.1.2.3"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "192.0.2.1"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::808:808", "2002:7f00:1::", "2001:0:7f00:1::", "100::1"),
    *("localhost", "", "2852039166", "0xA9FEA9FE", "127.1"),
]
OUTSIDE = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]

REFUSED = [
    *("http://example.org/in", "file:///etc/passwd", "gopher://example.org", "//example.org", "example.org"),
    *("https://user@example.org", "https://user:pass@example.org", "https://example.org#there"),
    *("https://example.org:5432/", "https://example.org:80/", "https://example.org:99999/", "https://:443/"),
    *(
        "https://127.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[::1]/",
    ),
    *("https://2852039166/", "https://127.1/", "https://10.0.0.1:8443/", "https://[fe80::1%25eth0]/"),
    *(
        "https://example.org\\@127.0.0.1/",
        "https://exa mple.org/",
        "https://ex\u00e4mple.org/",
        "https://\uff11/",
    ),
    *(
        "https://[::1",
        "https://",
        "https:///in",
        "https://example.org/\r\nHost: x",
        "https://example.org/\x00",
    ),
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_leads_inside_or_nowhere_is_not_public(address: str) -> None:
    assert not is_outside(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_anybody_can_reach_is(address: str) -> None:
    assert is_outside(address)


@pytest.mark.parametrize("url", REFUSED)
def test_such_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(Refused) as refused:
        check_url(url, local=False)
    assert (refused.value.status, refused.value.code) == (422, "url_refused")
    assert "127" not in refused.value.message


@pytest.mark.parametrize(
    "url", ["https://example.org", "https://example.org:8443/in?to=us", "https://8.8.8.8/"]
)
def test_an_address_of_the_world_is_taken(url: str) -> None:
    check_url(url, local=False)


def test_for_trying_out_anything_by_http_goes() -> None:
    check_url("http://localhost:9000/hooks", local=True)
    with pytest.raises(Refused):
        check_url("file:///etc/passwd", local=True)
