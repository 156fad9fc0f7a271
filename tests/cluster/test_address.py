"""Addresses that are none are refused with what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

WRITE_HOST_PORT = 'write it as "host:port", such as "trainer-0.example.com:2222"'

# The YAML text, and of its only problem: place, what, fix.
BAD_FILES: dict[str, tuple[str, str, str, str]] = {
    "address is a number": (
        "cluster: {worker: [2222]}\n",
        "cluster.worker[0]",
        "2222 is a number, not an address",
        WRITE_HOST_PORT,
    ),
    "address has a space": (
        "cluster:\n  worker:\n  - a: 1\n",
        "cluster.worker[0]",
        "{'a': 1} is a mapping, not an address",
        WRITE_HOST_PORT,
    ),
    "no port": (
        "cluster: {worker: [localhost]}\n",
        "cluster.worker[0]",
        "'localhost' has no port",
        WRITE_HOST_PORT,
    ),
    "IPv6 without a port": (
        'cluster: {worker: ["[::1]"]}\n',
        "cluster.worker[0]",
        "'[::1]' has no port",
        WRITE_HOST_PORT,
    ),
    "IPv6 without brackets": (
        "cluster: {worker: ['fe80::1:2222']}\n",
        "cluster.worker[0]",
        "'fe80::1:2222' has more than one colon",
        'write an IPv6 host as "[::1]:2222"',
    ),
    "not an IPv6 address": (
        'cluster: {worker: ["[::x]:1"]}\n',
        "cluster.worker[0]",
        "'[::x]' is no host name",
        WRITE_HOST_PORT,
    ),
    "port is a name": (
        "cluster: {worker: [a:http]}\n",
        "cluster.worker[0]",
        "the port of 'a:http' is not a number",
        WRITE_HOST_PORT,
    ),
    "port is too high": (
        "cluster: {worker: [a:65536]}\n",
        "cluster.worker[0]",
        "port 65536 is out of range",
        "choose one from 1 to 65535",
    ),
    "port is negative": (
        "cluster: {worker: [a:-1]}\n",
        "cluster.worker[0]",
        "port -1 is out of range",
        "choose one from 1 to 65535",
    ),
    "port 0 on another machine": (
        "cluster: {worker: [a:0]}\n",
        "cluster.worker[0]",
        "port 0 (chosen when the job is launched) is for loopback hosts, and a is none",
        "choose a port from 1 to 65535",
    ),
    "no host": (
        "cluster: {worker: [':2222']}\n",
        "cluster.worker[0]",
        "':2222' has no host",
        WRITE_HOST_PORT,
    ),
    "host with a blank": (
        "cluster: {worker: ['my host:1']}\n",
        "cluster.worker[0]",
        "'my host' is no host name",
        WRITE_HOST_PORT,
    ),
    "URL": (
        "cluster: {worker: ['grpc://a:1']}\n",
        "cluster.worker[0]",
        "'grpc://a:1' is a URL or a path, not an address",
        WRITE_HOST_PORT,
    ),
    "control without a port": (
        "cluster: {worker: [a:1]}\ncontrol: a\n",
        "control",
        "'a' has no port",
        WRITE_HOST_PORT,
    ),
    "control is a list": (
        "cluster: {worker: [a:1]}\ncontrol: [a:2]\n",
        "control",
        "['a:2'] is a list, not an address",
        WRITE_HOST_PORT,
    ),
}


@pytest.mark.parametrize(("text", "place", "what", "fix"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_address_is_refused_with_the_place_and_the_fix(
    problems_of: Callable[[str], list[str]], text: str, place: str, what: str, fix: str
) -> None:
    assert problems_of(text) == [f"{place}: {what}\n    fix: {fix}"]
