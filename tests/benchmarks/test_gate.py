"""What an open gate costs is measured; that it costs no message is so whatever the machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from benchmarks.traffic import Traffic
from tests.benchmarks.benchmark import run


def test_steps_cost_no_message(tmp_path: Path) -> None:
    small = ["--repeats", "3", "--passes", "1000", "--runs", "20", "--seconds", "2"]
    measured, shown = run(tmp_path, "gate", *small)
    for name in ("gate", "nullcontext", "run_step", "run_step_stock", "run_nothing", "run_nothing_stock"):
        assert 0 < measured[name]["min_us"] <= measured[name]["median_us"]
        assert name in shown
    assert measured["run_step_adds_us"] == measured["run_step"]["min_us"] - measured["run_step_stock"]["min_us"]
    assert "run_nothing_adds_us" in measured
    idle, training = measured["messages"]["idle"], measured["messages"]["training"]
    assert idle["steps"] == 0
    assert training["steps"] > 100
    assert 0 < training["segments_sent"] < training["steps"] / 10


def test_traffic_is_what_went_over_the_connections_to_one_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"no connection to port {port}"):
            Traffic.with_port(port)
        with socket.create_connection(("127.0.0.1", port)) as here, server.accept()[0] as there:
            before = Traffic.with_port(port)
            here.sendall(b"question")
            assert there.recv(100) == b"question"
            there.sendall(b"answer")
            assert here.recv(100) == b"answer"
            assert Traffic.with_port(port) - before == Traffic(8, 6, 1, 1)
