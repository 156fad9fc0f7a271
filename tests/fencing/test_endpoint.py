"""One end of a connection has one spelling."""

from __future__ import annotations

import pytest

from autodist_saved.fencing.endpoint import Endpoint

SPELLINGS = [
    ("10.0.0.1", "10.0.0.1:2222"),
    ("::ffff:10.0.0.1", "10.0.0.1:2222"),
    ("::1", "[::1]:2222"),
    ("0:0:0:0:0:0:0:1", "[::1]:2222"),
    ("fe80::1%eth0", "[fe80::1]:2222"),
]


@pytest.mark.parametrize(("host", "text"), SPELLINGS)
def test_every_spelling_of_an_address_is_the_same_endpoint(host: str, text: str) -> None:
    endpoint = Endpoint.of(host, 2222)
    assert str(endpoint) == text
    assert Endpoint.parse(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "10.0.0.1", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:65536", "10.0.0.1:-1", "name:1"]
)
def test_what_is_no_address_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Endpoint.parse(text)
