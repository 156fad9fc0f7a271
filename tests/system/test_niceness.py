"""Streaming gives way to training, and to training alone: where all stand still it is what they wait for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from autodist_saved.bundle import crc32c
from autodist_saved.options import ExportOptions
from autodist_saved.pipeline.stream import BundleDestination, streaming
from autodist_saved.sources.transfer import Span, Transfer
from autodist_saved.system.niceness import NICENESS
from autodist_saved.testing import ArraySource
from autodist_saved.transport import server_connection
from autodist_saved.transport.chief_connection import StagedSpan
from tests.support.connections import random_bytes, staged, written


def niceness() -> int:
    """Of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


class NotingTransfer(Transfer):
    """Transfers zeros, and notes with which niceness."""

    way = "stream"

    def __init__(self) -> None:
        self.niceness: set[int] = set()

    def holds(self, piece: object) -> bool:
        return True

    def move(self, spans: Sequence[Span], path: Path, *, sync: bool) -> Iterator[list[int]]:
        self.niceness.add(niceness())
        for span in spans:
            yield [crc32c.extend(0, np.zeros(span.nbytes, np.uint8))]


@pytest.mark.parametrize("training_waits", [True, False])
def test_the_chief_gives_way_where_the_job_goes_on(tmp_path: Path, training_waits: bool) -> None:
    before, transfer = niceness(), NotingTransfer()
    source = ArraySource({"w": np.zeros(1000)})
    source.stage(source.plan())
    source.transfers = lambda: {"ps:0": transfer}  # type: ignore[method-assign]
    destination = BundleDestination(str(tmp_path / "v"))
    with streaming(source.plan(), source, destination, ExportOptions(), training_waits=training_waits):
        pass
    assert transfer.niceness == {before if training_waits else max(before, NICENESS)}
    assert niceness() == before


@pytest.mark.parametrize("staging", ["memory", "parked"])
def test_a_parameter_server_gives_way_with_copies_alone(
    tmp_path: Path, staging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, noted, array = niceness(), [], random_bytes(100_000)
    send = server_connection._ServerConnection._send

    def noting(self: object, data: object) -> int:
        noted.append(niceness())
        return send(self, data)

    monkeypatch.setattr(server_connection._ServerConnection, "_send", noting)
    with staged(array, staging=staging) as connection:
        path = written(tmp_path / "file", array.nbytes)
        list(connection.receive([StagedSpan(0, 0, array.nbytes, 0)], path))
    assert set(noted) == {max(before, NICENESS) if staging == "memory" else before}
    assert path.read_bytes() == array.tobytes()
