"""Every way brings the same bytes, which the benchmark itself checks; how fast is for quiet machines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.transport import _measured
from benchmarks.transport_ways import WAYS
from tests.benchmarks.benchmark import run


def test_every_way_is_measured(tmp_path: Path) -> None:
    measured, shown = run(tmp_path, "transport", "--mib", "8", "--rounds", "1")
    assert measured["seconds"].keys() == WAYS.keys() == {"socket", "grpc", "flight"}
    assert measured["socket_over_socket"] == 1
    assert all(measured[f"{name}_over_socket"] > 0 and name in shown for name in WAYS)


def test_a_way_that_brings_other_bytes_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "data"
    file.write_bytes(bytes(2**16))
    way = WAYS["socket"]
    monkeypatch.setattr("benchmarks.transport.held_bytes", lambda nbytes: np.zeros(nbytes, np.uint8))
    with pytest.raises(RuntimeError, match="Socket brought other bytes"):
        _measured(way, file, 2**15, 2, 1)
