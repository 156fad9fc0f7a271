"""Connections of an export that are encrypted, and prove who is at either end."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from autodist_saved.bundle import crc32c
from autodist_saved.cluster import Cluster, ControlFiles
from autodist_saved.control.security.credentials import Credentials
from autodist_saved.transport import rendezvous
from autodist_saved.transport.chief_connection import ChiefConnection, StagedSpan
from autodist_saved.transport.rendezvous import Rendezvous
from autodist_saved.transport.server_connection import serve_copies
from autodist_saved.transport.staging_memory import StagingMemory
from tests.support.certificates import Authority
from tests.support.connections import ArrayReader, variable_of

ARRAY = np.random.default_rng(7).integers(0, 256, 5_000_001, np.uint8)


open_array = partial(ArrayReader, [ARRAY])


@pytest.fixture
def ours(tmp_path: Path) -> ControlFiles:
    return Authority(tmp_path, "ours").issue("task")


def tls(files: ControlFiles, *, serves: bool) -> ssl.SSLContext | None:
    cluster = Cluster({"chief": ("localhost:1",), "ps": ("localhost:2",)}, control_files=files)
    return Credentials.read(cluster, serves=serves).for_sockets(serves=serves)


def met(chief: ControlFiles, member: ControlFiles) -> dict[str, ChiefConnection]:
    threads: list[threading.Thread] = []

    def invite(task: str, port: int, token: bytes) -> bool:
        wanted = (("localhost", port), token, open_array, StagingMemory(), tls(member, serves=False))
        threads.append(threading.Thread(target=serve_copies, args=wanted, daemon=True))
        threads[-1].start()
        return True

    return Rendezvous("localhost", invite, tls=tls(chief, serves=True)).connect(["ps:0"])


@pytest.mark.parametrize("mutual", [True, False])
def test_what_is_sent_arrives(ours: ControlFiles, tmp_path: Path, mutual: bool) -> None:
    files = ours if mutual else replace(ours, authority=None)
    (connection,) = met(files, files).values()
    assert not connection.attach([variable_of(0, ARRAY)], "memory", keep=False)
    connection.stage()
    path = tmp_path / "data"
    path.touch()
    crcs = [crc for batch in connection.receive([StagedSpan(0, 0, ARRAY.nbytes, 0)], path) for crc in batch]
    connection.close()
    assert path.read_bytes() == ARRAY.tobytes()
    assert crcs == [crc32c.extend(0, ARRAY)]


def test_it_is_encrypted(ours: ControlFiles) -> None:
    """What dials in hears and says no token on the wire."""
    with socket.create_server(("localhost", 0)) as listener:
        wanted = (listener.getsockname()[:2], b"t" * 32, open_array, StagingMemory(), tls(ours, serves=False))
        threading.Thread(target=serve_copies, args=wanted, daemon=True).start()
        connection, _ = listener.accept()
    with connection:
        assert connection.recv(1) == b"\x16", "the beginning of a handshake"


@pytest.mark.parametrize("who", ["a stranger", "nobody", "no TLS"])
def test_who_does_not_prove_itself_is_turned_away_though_it_knows_the_token(
    ours: ControlFiles,
    tmp_path: Path,
    who: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(rendezvous, "RENDEZVOUS_SECS", 1.0)
    (tmp_path / "theirs").mkdir()
    shown = {
        "a stranger": replace(Authority(tmp_path / "theirs", "theirs").issue("theirs-1"), authority=ours.authority),
        "nobody": ControlFiles(certificate=ours.authority, key="/nowhere"),
        "no TLS": ControlFiles(),
    }[who]
    assert met(ours, shown) == {}
    assert "rejected 1 connection " in caplog.text


@pytest.mark.slow
def test_a_chief_of_another_host_is_told_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path, "ours")
    assert met(authority.issue("chief", host="nowhere.example.com"), authority.issue("task")) == {}
    assert "Hostname mismatch" in caplog.text
