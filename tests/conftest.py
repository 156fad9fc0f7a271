"""What all tests share: a quiet TensorFlow, and a graph of one's own."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.support.object_store",
    "tests.support.own_processes",
    "tests.support.ports",
    "tests.support.selection",
]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


# How long an example takes is up to the machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def graph() -> Iterator[Any]:
    """An empty graph, the default one during the test."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture(autouse=True)
def no_cluster_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``TF_CONFIG`` of the machine must not make tests part of somebody's job."""
    monkeypatch.delenv("TF_CONFIG", raising=False)


@pytest.fixture
def no_server_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow's servers cannot be stopped, so those of other tests may still run in this process."""
    monkeypatch.setattr("autodist_saved.job.tensorflow_server._running", {})


@pytest.fixture(scope="session", autouse=True)
def tensorflow_keeps_its_log_to_itself() -> None:
    """It warns of some things once for a process: what a test finds in the log would depend on those before it."""
    logging.getLogger("tensorflow").propagate = False


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard() -> Iterator[None]:
    """Processes inherit that a signal is ignored, SIGHUP under nohup, SIGINT in the background of a script.

    Jobs that are started here have to notice both.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT)}
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        signal.signal(number, handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def no_signal_stays_ignored() -> Iterator[None]:
    """After SIGTERM has ended a training SIGUSR1 is ignored, which processes that are started later would inherit."""
    yield
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
