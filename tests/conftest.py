"""What all tests share: a quiet TensorFlow, and a graph of one's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

pytest_plugins = ["tests.object_store"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


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


@pytest.fixture(scope="session", autouse=True)
def hang_ups_are_heard() -> Iterator[None]:
    """Processes inherit that SIGHUP is ignored, as under nohup, and jobs started here have to notice it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
