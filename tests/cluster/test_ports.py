"""Free ports are free, and given out once."""

from __future__ import annotations

import pytest

from autodist_saved.cluster.ports import bind_any_port, free_ports


def test_a_port_that_the_cluster_has_already_is_not_chosen_again() -> None:
    with free_ports(taken={port for port in range(65536) if port % 7}) as choose:
        chosen = [choose("localhost") for _ in range(5)]
    assert [port % 7 for port in chosen] == [0] * 5
    assert len(set(chosen)) == 5


def test_a_port_is_bound_on_the_host_that_is_asked_for() -> None:
    with bind_any_port("[::1]") as bound:
        assert bound.getsockname()[0] == "::1"
    with pytest.raises(OSError, match="assign"):
        bind_any_port("198.51.100.1")
